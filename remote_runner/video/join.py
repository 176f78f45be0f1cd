"""Segments put together into the output file, as if one encoder had made them in one go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from remote_runner.errors import Cancelled
from remote_runner.video.mux import Output
from remote_runner.video.segment import failure

#: Times as they were written, nothing made up.
#: Nor may a segment that another machine has left lead to any other file.
_AS_THEY_ARE = {
    "fflags": "nofillin+noparse",
    "protocol_whitelist": "file",
    "format_whitelist": "nut",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One segment to be joined."""

    path: Path
    time_base: Fraction
    """Of the output; the file may count finer ticks."""
    first: int
    """When its first frame is shown; the file may tell a later time."""
    depth: int
    """Its deepest reorder, see :func:`remote_runner.video.segment.reorder_depth`."""
    end: int
    """When its last frame stops being shown: that is when the next segment begins."""


def join(
    output: Output,
    pieces: Sequence[Piece],
    *,
    joined: Callable[[int], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Put all packets of the pieces into an output, in order, and finish it.

    ``joined`` is told the place of each piece that is not needed any more. Nothing is encoded, and
    no more than the times of one piece are held. Raises :class:`Cancelled`, the output abandoned.
    """
    depth = max(piece.depth for piece in pieces)
    try:
        times = chain.from_iterable(_shown(piece) for piece in pieces)
        clock = DecodingClock(depth, islice(times, depth + 1))
        for place, piece in enumerate(pieces):
            for packet in _timed(piece, clock, in_band=output.in_band):
                if should_stop():
                    raise Cancelled
                output.put(packet)
            joined(place)
        output.finish()
    except BaseException:
        output.abandon()
        raise


class DecodingClock:
    """Decoding times for packets of a video whose frames are shown at given times.

    The n-th packet is decoded when the (n - depth)-th frame is shown: strictly one after another,
    and never after its own frame is shown, as no packet comes more than ``depth`` places late.
    The first ones get times before the beginning, at the distances of the first frames.
    """

    def __init__(self, depth: int, first: Iterable[int]) -> None:
        """``first`` are the times of the first depth + 1 frames, in order."""
        head = list(first)
        shift = head[-1] - head[0] if head else 0
        self._waiting = deque(at - shift for at in head[:-1])

    def times(self, shown: Iterable[int]) -> Iterator[int]:
        """For as many packets as frames, whose times are given in order."""
        for at in shown:
            self._waiting.append(at)
            yield self._waiting.popleft()


def _timed(piece: Piece, clock: DecodingClock, *, in_band: bool) -> Iterator[Packet[VideoStream]]:
    """The packets of a piece with decoding times and durations."""
    shown = _shown(piece)
    ends = dict(zip(shown, [*shown[1:], piece.end], strict=True))
    with _open(piece.path) as container:
        video = container.streams.video[0]
        head = (video.codec_context.extradata or b"") if in_band else b""
        late: int | None = None
        for packet, dts in zip(_packets(container), clock.times(shown), strict=True):
            made = _headed(packet, head) if head and packet.is_keyframe else packet
            told = _at(packet, piece)
            late = told - piece.first if late is None else late
            made.time_base = piece.time_base
            made.pts, made.dts = told - late, dts
            made.duration = ends[told - late] - (told - late)
            yield made


def _headed(packet: Packet[VideoStream], head: bytes) -> Packet[VideoStream]:
    """A copy with parameter sets in front; both in the byte stream format (H.264 annex B)."""
    made = Packet(head + bytes(packet))
    made.is_keyframe = True
    return cast("Packet[VideoStream]", made)


def _shown(piece: Piece) -> list[int]:
    """Times of all frames, in order."""
    with _open(piece.path) as container:
        told = sorted(_at(packet, piece) for packet in _packets(container))
    return [at - told[0] + piece.first for at in told]


def _at(packet: Packet[VideoStream], piece: Piece) -> int:
    """When a packet's frame is shown, in ticks of the output, as the file tells."""
    if packet.pts is None:
        raise ValueError("a segment holds a packet without a time")
    return round(packet.pts * packet.time_base / piece.time_base)


def _open(path: Path) -> InputContainer:
    try:
        return av.open(f"file:{path}", "r", format="nut", options=_AS_THEY_ARE)
    except (av.error.FFmpegError, ValueError) as error:
        raise failure(error, "opening a segment") from None


def _packets(container: InputContainer) -> Iterator[Packet[VideoStream]]:
    try:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        raise failure(error, "reading a segment") from None
