"""Whether frames are woven of two fields each, judged over the whole of a file.

What the file says of its frames counts where it says one thing. Where it says nothing, or now this
and now that, pictures are looked at: FFmpeg's idet tells which of two fields is the earlier one,
but takes fine texture that moves up or down for fields; so only what is combed as well counts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from remote_runner.video.source import bound_decoder, codec_name, main_video, open_source

log = logging.getLogger(__name__)

#: The note that says which field was found to be the earlier one.
FOUND = "fields_found"

#: Formats that know no fields, or are never used with any; HEVC says so where it is.
_NEVER = {"hevc", "vp8", "vp9", "av1", "gif", "png", "apng", "webp", "qtrle", "theora", "cinepak"}
#: No format of more rows was ever recorded in fields (1080i is coded in 1088).
_MOST_ROWS = 1152

_PLACES = 6
_FRAMES = 50
"""Frames looked at in each place where the file leaves it open, else a few."""
_FEW = 8
_MOST_PIXELS = 400e6

#: Of film that was brought to NTSC.
_TELECINED_RATE = Fraction(30_000, 1001)

#: Difference to both neighbouring rows, of 255, that makes a pixel look combed.
_EDGE = 12
#: Share of combed pixels from which a frame is, and how many times that of its single fields.
_COMBED_SHARE = 0.004
_COMBED_TIMES = 3.0
#: Share of frames that must look interlaced.
_ENOUGH = 0.1

_PROGRESSIVE = 1
"""AV_FIELD_PROGRESSIVE; 0 is unknown, all others are interlaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """How the frames of a file are made."""

    interlaced: bool = False
    parity: str = ""
    """``tff`` or ``bff`` where that was found by looking: the frames themselves do not tell."""
    telecined: bool = False
    """Whether two of every five frames are woven, as film is shown at 30 frames per second."""

    @property
    def notes(self) -> tuple[str, ...]:
        found = (f"{FOUND}:{self.parity}",) if self.parity else ()
        return (*found, "telecined") if self.telecined else found


@dataclass(slots=True)
class _Seen:
    """What was seen of frames, place by place."""

    frames: int = 0
    flagged: int = 0
    looked_at: int = 0
    woven: int = 0
    top_first: int = 0
    bottom_first: int = 0
    places: int = 0
    telecined: int = 0
    """Places where the pattern was plain."""


def parity_of(notes: Iterable[str]) -> str:
    """The parity that a probe noted, if it had to look for one."""
    return next((note.partition(":")[2] for note in notes if note.startswith(FOUND)), "")


def judge_fields(
    source: Path, first: list[VideoFrame], times: tuple[int, int], rate: Fraction
) -> Fields:
    """Look at frames in several places of a file between two ``times`` in ticks.

    ``first`` are its first frames. What cannot be decoded is left out.
    """
    with open_source(source) as container:
        stream = main_video(container)
        height, width = first[0].height, first[0].width
        if codec_name(stream) in _NEVER or height > _MOST_ROWS or first[0].format.is_rgb:
            return Fields(interlaced=any(each.interlaced_frame for each in first))
        order = int(stream.codec_context.field_order)
    seen = _Seen()
    for run in _runs(source, times, _FEW):
        _count_flags(run, seen)
    unanimous = seen.flagged in (0, seen.frames) and order != 0
    agrees = (seen.flagged == 0) == (order == _PROGRESSIVE)
    from_film = seen.flagged > 0 and abs(rate - _TELECINED_RATE) < Fraction(1, 10)
    if not (unanimous and agrees) or from_film:
        count = min(_FRAMES, max(2, int(_MOST_PIXELS / _PLACES / (width * height))))
        for run in _runs(source, times, count):
            _look_at(run, seen)
    return _judge(seen, order)


def _judge(seen: _Seen, order: int) -> Fields:
    telecined = seen.telecined * 2 > seen.places
    if seen.flagged == seen.frames and order != _PROGRESSIVE:
        return Fields(interlaced=seen.frames > 0, telecined=telecined)
    woven = seen.woven >= max(2, _ENOUGH * seen.looked_at)
    if seen.flagged:
        return Fields(interlaced=woven or not seen.looked_at, telecined=telecined)
    parity = "bff" if seen.bottom_first > seen.top_first else "tff"
    return Fields(interlaced=woven, parity=parity if woven else "", telecined=telecined)


def _runs(source: Path, times: tuple[int, int], count: int) -> Iterator[list[VideoFrame]]:
    """Neighbouring frames from several places; the beginning alone where nothing can be sought."""
    for place in range(_PLACES):
        at = times[0] + (times[1] - times[0]) * place // _PLACES
        with open_source(source) as container:
            stream = main_video(container)
            bound_decoder(stream, threads=1)
            frames: list[VideoFrame] = []
            try:
                if place:
                    container.seek(at, stream=stream)
                for packet in container.demux(stream):
                    frames += packet.decode()
                    if len(frames) >= count:
                        break
            except av.error.FFmpegError as error:
                log.info("looking for fields at %d: %s", at, error.strerror)
                if place and not frames:
                    return
        yield frames[:count]
        if len(frames) < count:
            return


def _count_flags(frames: list[VideoFrame], seen: _Seen) -> None:
    seen.frames += len(frames)
    seen.flagged += sum(frame.interlaced_frame for frame in frames)


def _look_at(frames: list[VideoFrame], seen: _Seen) -> None:
    combed = []
    for frame, order in zip(frames, _orders(frames), strict=False):
        is_woven = order in ("tff", "bff") and _is_combed(frame)
        combed.append(is_woven)
        seen.woven += is_woven
        seen.top_first += is_woven and order == "tff"
        seen.bottom_first += is_woven and order == "bff"
    seen.looked_at += len(frames)
    seen.places += 1
    seen.telecined += _is_telecined(combed)


def _orders(frames: list[VideoFrame]) -> list[str]:
    """``tff``, ``bff``, ``progressive`` or ``undetermined`` for each frame."""
    graph = Graph()
    first = frames[0]
    buffer = graph.add(
        "buffer",
        video_size=f"{first.width}x{first.height}",
        pix_fmt="gray",
        time_base="1/1000",
        pixel_aspect="1/1",
    )
    idet, sink = graph.add("idet"), graph.add("buffersink")
    graph.link_nodes(buffer, idet, sink).configure()
    orders: list[str] = []
    for place, frame in enumerate([*frames, None]):
        grey = None
        if frame is not None:
            grey = frame.reformat(width=first.width, height=first.height, format="gray")
            grey.pts = place
        graph.vpush(grey)
        orders += _drain(graph)
    return orders


def _drain(graph: Graph) -> Iterator[str]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        yield frame.metadata.get("lavfi.idet.single.current_frame", "undetermined")


def _is_combed(frame: VideoFrame) -> bool:
    """Whether neighbouring rows differ to and fro, and the rows of one field do not."""
    rows = frame.to_ndarray(format="gray").astype(np.int16)
    whole = _combed_share(rows)
    return whole > _COMBED_SHARE and whole > _COMBED_TIMES * _combed_share(rows[::2])


def _combed_share(rows: npt.NDArray[np.int16]) -> float:
    above, below = rows[1:-1] - rows[:-2], rows[1:-1] - rows[2:]
    both = ((above > _EDGE) & (below > _EDGE)) | ((above < -_EDGE) & (below < -_EDGE))
    return float(both.mean()) if both.size else 0.0


def _is_telecined(combed: list[bool]) -> bool:
    """Two neighbours of every five, always the same two."""
    if len(combed) < 20:
        return False
    shares = [sum(combed[phase::5]) / len(combed[phase::5]) for phase in range(5)]
    return any(
        min(shares[p], shares[(p + 1) % 5]) > 0.8
        and max(shares[(p + n) % 5] for n in (2, 3, 4)) < 0.2
        for p in range(5)
    )
