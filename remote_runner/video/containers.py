"""What the output's container can hold of the source's other streams, found by trying.

What a container cannot hold decides the container before the first frame: the source's family
stays if it can hold everything, all else becomes Matroska. In a container that was asked for
outright, sound and text that it cannot hold are converted. What cannot be had either way is listed
as dropped, never lost silently.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Reason
from remote_runner.video.convert import add_converter, target_codec
from remote_runner.video.encode import EncoderPlan, configure, hurried
from remote_runner.video.source import (
    codec_name,
    is_still,
    language_of,
    main_video,
    open_source,
)

log = logging.getLogger(__name__)

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}

_LONGEST_NAME = 100

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
    """Indices of the source's streams that go with the video, in order."""
    kept_labels: tuple[str, ...]
    dropped_labels: tuple[str, ...]
    notes: tuple[str, ...]
    converted: Mapping[int, str] = field(default_factory=dict)
    """Format by index, of those that are not copied."""


def plan_mux(
    source: Path, plan: EncoderPlan, hint: str | None = None, *, wish: str = "auto"
) -> MuxPlan:
    """Find the container that holds the most, by letting it write a header.

    ``wish`` is the one that it must be. With ``auto``, it is ``hint`` or of the source's family,
    unless another holds more.
    """
    with open_source(source) as container:
        video = main_video(container)
        others = [each for each in container.streams if each.index != video.index]
        trial = _Trial(source, plan, family_of(container))
        families = _candidates(trial.family, plan, hint) if wish == "auto" else [wish]
        held = {family: trial.held(others, family) for family in families}
        family = max(families, key=lambda each: _worth(others, held[each]))  # the first of equals
        _check_samples(plan, family)
        taken = trial.confirm(others, held[family], family)
        kept = [each for each in others if each.index in taken]
        dropped = [each for each in others if each.index not in taken and _matters(each)]
        names = {"audio": "audio_converted", "subtitle": "subtitles_converted"}
        notes = [f"{names[each.type]}:{taken[each.index]}" for each in kept if taken[each.index]]
        if family not in (families[0], hint or trial.family):
            notes.append(f"container_changed:{family}")
        return MuxPlan(
            extension=family,
            kept=tuple(each.index for each in kept),
            kept_labels=tuple(stream_label(each) for each in kept),
            dropped_labels=tuple(stream_label(each) for each in dropped),
            notes=tuple(dict.fromkeys(notes)),
            converted={index: codec for index, codec in taken.items() if codec},
        )


def stream_label(stream: Stream) -> str:
    """``audio:aac/rus``, ``subtitle:ass``, ``attachment:font.ttf``, ``cover:mjpeg``."""
    kind = "cover" if stream.type == "video" and is_still(stream) else stream.type
    if stream.type == "attachment":
        name = "".join(filter(str.isprintable, stream.name or ""))[:_LONGEST_NAME]
        return f"{kind}:{name or 'unnamed'}"
    codec, language = codec_name(stream), language_of(stream)
    return f"{kind}:{codec}/{language}" if language else f"{kind}:{codec}"


def is_mov_text(stream: Stream) -> bool:
    return codec_name(stream) == "mov_text"


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
    copy = container.add_stream_from_template(stream, opaque=True)
    take_after(copy, stream)
    return copy


def take_after(copy: Stream, stream: Stream) -> None:
    """Give a new stream what was said of the old one."""
    copy.disposition = stream.disposition
    copy.metadata.update(lasting_tags(stream.metadata))


def lasting_tags(metadata: dict[str, str]) -> dict[str, str]:
    """Tags that still hold for the output."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().split("-")[0] not in _STALE_TAGS and not key.startswith("_STATISTICS")
    }


def discard(container: OutputContainer) -> None:
    try:
        container.close()
    except (av.error.FFmpegError, ValueError) as error:
        log.debug("closing an unfinished container: %s", error)


def family_of(container: InputContainer) -> str:
    """The container here that is like the source's: a key of :data:`MUXERS`."""
    names = container.format.name.split(",")
    if "mp4" in names:
        # QuickTime has this brand, files from before there were brands have none
        brand = container.metadata.get("major_brand", "qt").strip()
        return "mov" if brand == "qt" else "mp4"
    if "webm" in names and _is_webm(container):
        return "webm"
    return "mkv"


def _is_webm(container: InputContainer) -> bool:
    """One demuxer reads both: what holds nothing but what WebM may hold is taken for WebM."""
    allowed = {
        "video": ("vp8", "vp9", "av1"),
        "audio": ("opus", "vorbis"),
        "subtitle": ("webvtt",),
    }
    return all(
        codec_name(each) in allowed.get(each.type, ()) and not is_still(each)
        for each in container.streams
    )


def _candidates(family: str, plan: EncoderPlan, hint: str | None) -> list[str]:
    """Containers to try, the best first."""
    first = hint or ("mp4" if family == "mov" else family)
    if first == "webm" and plan.codec != "av1":
        first = "mkv"
    middle = ["mov"] if family == "mov" else []
    return list(dict.fromkeys([first, *middle, "mkv"]))


def _check_samples(plan: EncoderPlan, extension: str) -> None:
    """AV1 as made here does not tell the shape of its samples, nor does our Matroska."""
    if plan.codec == "av1" and plan.sar != 1 and extension in ("mkv", "webm"):
        why = f"{extension} with av1 holds square samples alone, not {plan.sar}: mp4 holds these"
        raise InputError(Reason.BAD_TASK, why)


def _worth(others: list[Stream], held: Mapping[int, str]) -> int:
    return sum(each.index in held and _matters(each) for each in others)


def _matters(stream: Stream) -> bool:
    """Chapter titles and timecodes of MP4 are data streams that muxers write anew themselves."""
    return stream.type != "data" or stream.name not in ("bin_data", None)


class _Trial:
    """Lets containers write headers."""

    def __init__(self, source: Path, plan: EncoderPlan, family: str) -> None:
        self._source = source
        # Matroska's header needs what only an opened encoder knows; a small one opens quickly.
        self._plan = replace(hurried(plan), width=64, height=64)
        self.family = family

    def held(self, others: list[Stream], extension: str) -> dict[int, str]:
        """Streams that a container accepts: all together, or those that it takes one by one.

        Timed text is at home in MP4 alone; as SubRip, Matroska has the same text.
        """
        wanted = {
            each.index: "subrip" if extension == "mkv" and is_mov_text(each) else ""
            for each in others
            if each.type != "data" and not self._is_out_of_place(each, extension)
        }
        if self._works(others, wanted, extension):
            return wanted
        return {
            index: codec
            for index, codec in wanted.items()
            if self._works(others, {index: codec}, extension)
        }

    def confirm(
        self, others: list[Stream], held: Mapping[int, str], extension: str
    ) -> dict[int, str]:
        """What a container holds in the end: all that it accepts, and more by conversion."""
        taken = dict(held)
        for stream in others:
            codec = None if stream.index in held else target_codec(stream, extension)
            if codec and self._works(others, {stream.index: codec}, extension):
                taken[stream.index] = codec
        if not self._works(others, taken, extension):
            raise MachineError(
                Reason.ENCODER_FAILED, f"{extension} refuses {self._plan.codec} or its companions"
            )
        return taken

    def _is_out_of_place(self, stream: Stream, extension: str) -> bool:
        """What the muxer would leave out without a word, or few players know: plain samples in
        MP4, unless they are there already."""
        if extension == "webm":
            return stream.type == "attachment"
        is_plain = stream.type == "audio" and codec_name(stream).startswith("pcm_")
        return is_plain and extension == "mp4" and self.family != "mp4"

    def _works(self, others: list[Stream], taken: Mapping[int, str], extension: str) -> bool:
        trial = av.open(io.BytesIO(), "w", format=MUXERS[extension])
        try:
            video = cast(VideoStream, trial.add_stream(self._plan.encoder, rate=self._plan.rate))
            configure(video, self._plan)
            for stream in others:
                codec = taken.get(stream.index)
                if codec:
                    add_converter(trial, stream, codec)
                elif codec is not None:
                    add_copy(trial, stream, extension, self._source)
            trial.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            log.info("%s does not take %s: %s", extension, taken, error)
            return False
        finally:
            discard(trial)
        return True


def _add_cover(container: OutputContainer, stream: Stream, source: Path) -> None:
    """Matroska keeps cover art as an attachment of this name (Matroska specification 21.1)."""
    png = codec_name(stream) == "png"
    name, mimetype = ("cover.png", "image/png") if png else ("cover.jpg", "image/jpeg")
    with open_source(source) as again:
        packet = next(again.demux(again.streams[stream.index]))
        container.add_attachment(name, mimetype, bytes(packet))
