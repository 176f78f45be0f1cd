"""The output file: packets of the new video, and every other stream of the source as it was.

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

from remote_runner.errors import InputError, MachineError, RunnerError
from remote_runner.protocol import Reason
from remote_runner.video.containers import (
    MUXERS,
    MuxPlan,
    add_copy,
    discard,
    is_mov_text,
    lasting_tags,
    take_after,
)
from remote_runner.video.convert import Converter, add_converter
from remote_runner.video.encode import EncoderPlan
from remote_runner.video.payload import mov_text_as_subrip
from remote_runner.video.segment import configure_closed, digest, failure
from remote_runner.video.source import main_video, open_source


class _Companions:
    """The other streams of the source, read alongside the video so that nothing piles up."""

    def __init__(
        self,
        container: InputContainer,
        targets: dict[int, Stream],
        converters: dict[int, Converter],
    ) -> None:
        wanted = [each for each in container.streams if each.index in {*targets, *converters}]
        for stream in container.streams:
            if stream not in wanted:
                stream.discard = Discard.all
        self.exist = bool(wanted)
        self._packets = iter(container.demux(wanted)) if wanted else iter(())
        self._targets = targets
        self._converters = converters
        self._texts = {each.index for each in wanted if is_mov_text(each)}
        self._ahead: Packet[Stream] | None = None

    def until(self, moment: Fraction | None) -> Iterator[Packet[Stream]]:
        """Packets up to a moment in seconds; all that are left without one."""
        while True:
            packet = self._ahead or next(self._packets, None)
            self._ahead = None
            if packet is None:
                break
            if moment is not None and _moment(packet) > moment:
                self._ahead = packet
                return
            if packet.size == 0 and packet.dts is None:
                continue
            yield from self._made_of(packet)
        if moment is None:
            for converter in self._converters.values():
                yield from converter.finish()

    def _made_of(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        index = packet.stream_index
        if index in self._converters:
            yield from self._converters[index].take(packet)
        elif index not in self._texts or mov_text_as_subrip(bytes(packet)):
            # the muxer fills the gaps between timed texts itself
            packet.stream = self._targets[index]
            yield packet


def _moment(packet: Packet[Stream]) -> Fraction:
    at = packet.dts if packet.dts is not None else packet.pts
    return at * packet.time_base if at is not None else Fraction(-1)


class Output:
    """A file that packets of the new video are put into, beside the source's other streams.

    Use in one thread. Packets come in the order of decoding through :meth:`put`, with all their
    times; :meth:`finish` completes the file; :meth:`abandon` lets go of it, complete or not.
    Failures are :class:`RunnerError`. The header is that of an encoder opened with ``plan``;
    ``extradata`` are the hashes of what the encoders of the packets have.
    """

    def __init__(
        self, path: Path, source: Path, mux: MuxPlan, plan: EncoderPlan, extradata: set[str]
    ) -> None:
        self._source = open_source(source)
        self._decoded: int | None = None
        try:
            options = {"movflags": "+faststart"} if mux.extension in ("mp4", "mov") else {}
            self._container = av.open(
                f"file:{path}", "w", format=MUXERS[mux.extension], options=options
            )
            self._add_streams(mux, plan, source, extradata)
        except (av.error.FFmpegError, ValueError) as error:
            self._source.close()
            raise failure(error, "starting the output file") from None

    def _add_streams(
        self, mux: MuxPlan, plan: EncoderPlan, source: Path, extradata: set[str]
    ) -> None:
        added = self._container.add_stream(plan.encoder, rate=plan.rate, time_base=plan.time_base)
        video = cast(VideoStream, added)
        configure_closed(video, plan)
        context = video.codec_context
        context.open(strict=False)
        #: Whether parameter sets must stand in front of every key frame.
        self.in_band = plan.codec in ("h264", "hevc") and extradata != {digest(context.extradata)}
        if self.in_band and plan.codec == "hevc":
            context.codec_tag = "hev1"
        old = main_video(self._source)
        video.metadata.update(lasting_tags(old.metadata))
        video.disposition = old.disposition
        self._video = video
        targets: dict[int, Stream] = {}
        converters: dict[int, Converter] = {}
        for index in mux.kept:
            stream = self._source.streams[index]
            if index in mux.converted:
                converter = add_converter(self._container, stream, mux.converted[index])
                take_after(converter.target, stream)
                converters[index] = converter
            elif copy := add_copy(self._container, stream, mux.extension, source):
                targets[index] = copy
        self._container.metadata.update(lasting_tags(self._source.metadata))
        self._container.set_chapters(self._source.chapters())
        self._companions = _Companions(self._source, targets, converters)

    def put(self, packet: Packet[VideoStream]) -> None:
        """Write the next packet, and before it what goes with it."""
        self._copy(_moment(packet))  # type: ignore[arg-type]
        in_order = self._follows(packet)
        try:
            packet.stream = self._video
            self._container.mux_one(packet)
        except av.error.ArgumentError as error:
            if not in_order:
                detail = f"the packets of the new video are out of order: {error}"
                raise MachineError(Reason.ENCODER_FAILED, detail) from None
            # the times are the file's: an encoder gives back those that it was given
            raise InputError(Reason.CORRUPT, f"times that no output can have: {error}") from None
        except (av.error.FFmpegError, ValueError) as error:
            raise failure(error, "writing the output file") from None

    def _follows(self, packet: Packet[VideoStream]) -> bool:
        """Whether a packet is decoded after the one before it, and shown no sooner than that. The
        times of a file never break this order; an encoder, or who left a segment, may."""
        before, self._decoded = self._decoded, packet.dts
        if packet.dts is None or packet.pts is None:
            return False
        return packet.dts <= packet.pts and (before is None or before < packet.dts)

    def finish(self) -> None:
        """Copy the rest and close the file."""
        self._copy(None)
        try:
            self._container.close()
        except (av.error.FFmpegError, ValueError) as error:
            raise self._blame(error, "finishing the output file") from None
        self._source.close()

    def _copy(self, until: Fraction | None) -> None:
        """Packets of the other streams."""
        try:
            for packet in self._companions.until(until):
                self._container.mux_one(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._blame(error, "copying what is beside the video") from None

    def _blame(self, error: Exception, doing: str) -> RunnerError:
        """What a muxer does not take of what is copied, no machine would make it take."""
        found = failure(error, doing)
        if found.reason is Reason.ENCODER_FAILED and self._companions.exist:
            return InputError(Reason.CORRUPT, found.detail)
        return found

    def abandon(self) -> None:
        """Close everything, whatever state it is in."""
        discard(self._container)
        self._source.close()
