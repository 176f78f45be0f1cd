"""The output file: the new video, and every other stream of the source as it was.

Streams are copied packet by packet with their own times.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from remote_runner.errors import MachineError, RunnerError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video.containers import (
    MUXERS,
    MuxPlan,
    add_copy,
    discard,
    is_mov_text,
    lasting_tags,
)
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.payload import mov_text_as_subrip
from remote_runner.video.render import Timed
from remote_runner.video.source import main_video, open_source


class _Companions:
    """The copied streams of the source, read alongside the video so that nothing piles up."""

    def __init__(
        self, container: InputContainer, targets: dict[int, Stream], *, convert: bool
    ) -> None:
        for stream in container.streams:
            if stream.index not in targets:
                stream.discard = Discard.all
        wanted = [container.streams[index] for index in targets]
        self._packets = iter(container.demux(wanted)) if wanted else iter(())
        self._targets = targets
        self._texts = {index for index in targets if is_mov_text(container.streams[index])}
        self._convert = convert
        self._ahead: Packet[Stream] | None = None

    def until(self, moment: Fraction | None) -> Iterator[Packet[Stream]]:
        """Packets up to a moment in seconds; all that are left without one."""
        while True:
            packet = self._ahead or next(self._packets, None)
            self._ahead = None
            if packet is None:
                return
            if moment is not None and _moment(packet) > moment:
                self._ahead = packet
                return
            if packet.size == 0 and packet.dts is None:
                continue
            index = packet.stream_index
            if index in self._texts:
                if not mov_text_as_subrip(bytes(packet)):
                    continue  # the muxer fills the gaps between texts itself
                packet = _as_subrip(packet) if self._convert else packet
            packet.stream = self._targets[index]
            yield packet


def _moment(packet: Packet[Stream]) -> Fraction:
    at = packet.dts if packet.dts is not None else packet.pts
    return at * packet.time_base if at is not None else Fraction(-1)


def _as_subrip(packet: Packet[Stream]) -> Packet[Stream]:
    made: Packet[Stream] = Packet(mov_text_as_subrip(bytes(packet)))
    made.time_base = packet.time_base
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    return made


class Writer:
    """Encodes frames into a file and copies the source's other streams beside them.

    Use in one thread. Frames come in order through :meth:`write`; :meth:`finish` completes the
    file; :meth:`abandon` lets go of it, complete or not. Failures are :class:`RunnerError`.
    """

    def __init__(self, path: Path, source: Path, mux: MuxPlan, plan: EncoderPlan) -> None:
        self._plan = plan
        self._source = open_source(source)
        self._pending: Timed | None = None
        self._durations: dict[int, int] = {}
        self.frames = 0
        try:
            options = {"movflags": "+faststart"} if mux.extension == "mp4" else {}
            self._container = av.open(
                f"file:{path}", "w", format=MUXERS[mux.extension], options=options
            )
            self._add_streams(mux, source)
        except (av.error.FFmpegError, ValueError) as error:
            self._source.close()
            raise _failure(error, "starting the output file") from None

    def _add_streams(self, mux: MuxPlan, source: Path) -> None:
        plan = self._plan
        added = self._container.add_stream(plan.encoder, rate=plan.rate, time_base=plan.time_base)
        video = cast(VideoStream, added)
        configure(video, plan)
        old = main_video(self._source)
        video.metadata.update(lasting_tags(old.metadata))
        video.disposition = old.disposition
        self._video = video
        targets = {}
        for index in mux.kept:
            stream = self._source.streams[index]
            copy = add_copy(self._container, stream, mux.extension, source)
            if copy is not None:
                targets[index] = copy
        self._container.metadata.update(lasting_tags(self._source.metadata))
        self._container.set_chapters(self._source.chapters())
        self._companions = _Companions(self._source, targets, convert=mux.extension == "mkv")

    def write(self, timed: Timed) -> None:
        """Encode the next frame. It is held until the one after tells how long it is shown."""
        previous, self._pending = self._pending, timed
        if previous is not None:
            self._encode(previous, timed.at)

    def finish(self) -> None:
        """Encode what is held, drain the encoder, copy the rest and close the file."""
        if self._pending is not None:
            last, self._pending = self._pending, None
            self._encode(last, last.end if last.end is not None else last.at + 1)
        try:
            self._mux(self._video.encode(None))
            for packet in self._companions.until(None):
                self._container.mux_one(packet)
            self._container.close()
        except (av.error.FFmpegError, ValueError) as error:
            raise _failure(error, "finishing the output file") from None
        self._source.close()

    def abandon(self) -> None:
        """Close everything, whatever state it is in."""
        discard(self._container)
        self._source.close()

    def _encode(self, timed: Timed, end: int) -> None:
        frame = timed.frame
        frame.pts, frame.time_base = timed.at, self._plan.time_base
        frame.pict_type = 0  # a decoded frame would force its own type on the encoder
        self._durations[timed.at] = end - timed.at
        try:
            packets = self._video.encode(frame)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.MemoryError):
                raise MachineError(Reason.OUT_OF_MEMORY, "no memory left while encoding") from None
            raise MachineError(Reason.ENCODER_FAILED, f"{self._plan.encoder}: {error}") from None
        self.frames += 1
        try:
            self._mux(packets)
        except (av.error.FFmpegError, ValueError) as error:
            raise _failure(error, "writing the output file") from None

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, packet.duration)
            for companion in self._companions.until(_moment(packet)):  # type: ignore[arg-type]
                self._container.mux_one(companion)
            self._container.mux_one(packet)


def _failure(error: Exception, doing: str) -> RunnerError:
    if isinstance(error, OSError):
        return from_os_error(error, doing)
    if isinstance(error, av.error.MemoryError):
        return MachineError(Reason.OUT_OF_MEMORY, f"no memory left while {doing}")
    return MachineError(Reason.ENCODER_FAILED, f"{doing}: {error}")
