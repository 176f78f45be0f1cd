"""What the output's container can hold of the source's other streams, found by trying.

What a container cannot hold decides
the container before the first frame: MP4 stays MP4 if it can hold everything, all else becomes
Matroska. What neither holds is listed as dropped, never lost silently.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import OutputContainer
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from remote_runner.errors import MachineError
from remote_runner.protocol import Reason
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.source import codec_name, is_still, main_video, open_source

log = logging.getLogger(__name__)

MUXERS = {"mp4": "mp4", "mkv": "matroska"}

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
        if family == "mkv" and any(is_mov_text(each) for each in kept):
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


def is_mov_text(stream: Stream) -> bool:
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
    trial = av.open(io.BytesIO(), "w", format=MUXERS[extension])
    try:
        video = cast(VideoStream, trial.add_stream(plan.encoder, rate=plan.rate))
        configure(video, small)
        for stream in streams:
            add_copy(trial, stream, extension, source)
        trial.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        log.info("%s does not take %s: %s", extension, [each.type for each in streams], error)
        return False
    finally:
        discard(trial)
    return True


def discard(container: OutputContainer) -> None:
    try:
        container.close()
    except (av.error.FFmpegError, ValueError) as error:
        log.debug("closing an unfinished container: %s", error)


def add_copy(
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
    if extension == "mkv" and is_mov_text(stream):
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
