"""The output file: the new video, and every other stream of the source as it was.

Streams are copied packet by packet with their own times. What a container cannot hold decides
the container before the first frame: MP4 stays MP4 if it can hold everything, all else becomes
Matroska. What neither holds is listed as dropped, never lost silently.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Stream
from av.video.stream import VideoStream

from remote_runner.errors import MachineError, RunnerError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.payload import mov_text_as_subrip
from remote_runner.video.render import Timed
from remote_runner.video.source import codec_name, is_still, main_video, open_source

log = logging.getLogger(__name__)

_MUXERS = {"mp4": "mp4", "mkv": "matroska"}

#: Written by muxers themselves, or about a file that the output no longer is.
_STALE_TAGS = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "rotate",
    "bps",
    "number_of_frames",
    "number_of_bytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MuxPlan:
    """Where the source's other streams go."""

    extension: str
    kept: tuple[int, ...]
    """Indices of copied streams of the source, in order."""
    kept_labels: tuple[str, ...]
    dropped_labels: tuple[str, ...]
    notes: tuple[str, ...]


def plan_mux(source: Path, plan: EncoderPlan, wish: str | None = None) -> MuxPlan:
    """Find the container that holds the most, by letting it write a header.

    It is of the source's family, or ``wish`` (``mp4`` or ``mkv``), unless Matroska holds more.
    """
    with open_source(source) as container:
        video = main_video(container)
        others = [each for each in container.streams if each.index != video.index]
        family = wish or ("mp4" if "mp4" in container.format.name.split(",") else "mkv")
        held = _held(others, family, plan, source)
        notes = []
        if family == "mp4" and any(_matters(each) for each in others if each.index not in held):
            in_mkv = _held(others, "mkv", plan, source)
            if len(in_mkv) > len(held):
                family, held = "mkv", in_mkv
                notes.append("container_changed:mkv")
        kept = [each for each in others if each.index in held]
        if family == "mkv" and any(_is_mov_text(each) for each in kept):
            notes.append("subtitles_converted:subrip")
        dropped = [each for each in others if each.index not in held and _matters(each)]
        return MuxPlan(
            extension=family,
            kept=tuple(each.index for each in kept),
            kept_labels=tuple(stream_label(each) for each in kept),
            dropped_labels=tuple(stream_label(each) for each in dropped),
            notes=tuple(notes),
        )


def stream_label(stream: Stream) -> str:
    """``audio:aac/rus``, ``subtitle:ass``, ``attachment:font.ttf``, ``cover:mjpeg``."""
    kind = "cover" if stream.type == "video" and is_still(stream) else stream.type
    if stream.type == "attachment":
        return f"{kind}:{stream.name or 'unnamed'}"
    codec = codec_name(stream)
    language = stream.metadata.get("language")
    return f"{kind}:{codec}/{language}" if language and language != "und" else f"{kind}:{codec}"


def _matters(stream: Stream) -> bool:
    """Chapter titles and timecodes of MP4 are data streams that muxers write anew themselves."""
    return stream.type != "data" or stream.name not in ("bin_data", None)


def _is_mov_text(stream: Stream) -> bool:
    return codec_name(stream) == "mov_text"


def _held(others: list[Stream], extension: str, plan: EncoderPlan, source: Path) -> set[int]:
    """Streams that a container accepts: all together, or those that it takes one by one."""
    wanted = [each for each in others if each.type != "data"]
    if _header_works(wanted, extension, plan, source):
        return {each.index for each in wanted}
    fine = [each for each in wanted if _header_works([each], extension, plan, source)]
    if not _header_works(fine, extension, plan, source):
        raise MachineError(
            Reason.ENCODER_FAILED, f"{extension} refuses {plan.codec} or its copies"
        )
    return {each.index for each in fine}


def _header_works(streams: list[Stream], extension: str, plan: EncoderPlan, source: Path) -> bool:
    # Matroska's header needs what only an opened encoder knows; a small one opens quickly.
    small = replace(plan, width=64, height=64, options={**plan.options, "preset": "ultrafast"})
    trial = av.open(io.BytesIO(), "w", format=_MUXERS[extension])
    try:
        video = cast(VideoStream, trial.add_stream(plan.encoder, rate=plan.rate))
        configure(video, small)
        for stream in streams:
            _add_copy(trial, stream, extension, source)
        trial.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        log.info("%s does not take %s: %s", extension, [each.type for each in streams], error)
        return False
    finally:
        _discard(trial)
    return True


def _discard(container: OutputContainer) -> None:
    try:
        container.close()
    except (av.error.FFmpegError, ValueError) as error:
        log.debug("closing an unfinished container: %s", error)


def _add_copy(
    container: OutputContainer, stream: Stream, extension: str, source: Path
) -> Stream | None:
    """Add a stream like the source's; none where it travels in the header alone."""
    if isinstance(stream, AttachmentStream):
        container.add_attachment(
            stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
        )
        return None
    if extension == "mkv" and is_still(stream):
        _add_cover(container, stream, source)
        return None
    if extension == "mkv" and _is_mov_text(stream):
        copy = container.add_mux_stream("subrip", time_base=stream.time_base)
    else:
        copy = container.add_stream_from_template(stream, opaque=True)
    copy.disposition = stream.disposition
    copy.metadata.update(lasting_tags(stream.metadata))
    return copy


def _add_cover(container: OutputContainer, stream: Stream, source: Path) -> None:
    """Matroska keeps cover art as an attachment of this name (Matroska specification 21.1)."""
    png = codec_name(stream) == "png"
    name, mimetype = ("cover.png", "image/png") if png else ("cover.jpg", "image/jpeg")
    with open_source(source) as again:
        packet = next(again.demux(again.streams[stream.index]))
        container.add_attachment(name, mimetype, bytes(packet))


def lasting_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Tags that still hold for the output."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().split("-")[0] not in _STALE_TAGS and not key.startswith("_STATISTICS")
    }


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
        self._texts = {index for index in targets if _is_mov_text(container.streams[index])}
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
                f"file:{path}", "w", format=_MUXERS[mux.extension], options=options
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
            copy = _add_copy(self._container, stream, mux.extension, source)
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
        _discard(self._container)
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
