"""What a file holds, found in its packets and first frames rather than in its headers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import InputError, from_os_error
from remote_runner.protocol import Facts, Reason
from remote_runner.video import signal as signals
from remote_runner.video.census import Census, count_packets, rate_of, span_of
from remote_runner.video.envelope import Track, missing_part, payload_of, tracks_of
from remote_runner.video.fields import Fields, judge_fields
from remote_runner.video.remote import RemoteFile
from remote_runner.video.source import (
    Orientation,
    bound_decoder,
    check_size,
    codec_name,
    is_still,
    language_of,
    main_video,
    open_source,
    orientation_of,
    siting_of,
    size_of,
    time_base_of,
)
from remote_runner.video.timing import rate_text

#: A file whose packets end this much before its declared duration was cut off.
TRUNCATED_S = 0.5
TRUNCATED_SHARE = 0.02

#: What no video is, whatever the limits: a month of it, or a day at 240 frames a second.
LONGEST_S = 30 * 86_400.0
MOST_FRAMES = 20_000_000
#: What FFmpeg indexes one by one beside the video, in a hundred bytes each: seven minutes of
#: sound, where each of its values is a sample, take two of our three gigabytes.
MOST_SAMPLES = 20_500_000
#: What no camera does: a rate beyond is a mistake.
HIGHEST_FPS = 100_000
#: What nobody cuts a film into. FFmpeg makes the index anew for each edit.
MOST_EDITS = 10_000

_LOOKED_AT = 8
_NEVER_PARSED = (
    "h264",
    "hevc",
    "av1",
    "vp9",
    "prores",
    "aac",
    "ac3",
    "alac",
    "flac",
    "opus",
    "pcm_",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the prober refuses; none means no limit of one's own."""

    max_bytes: int | None = None
    max_seconds: float | None = None
    max_pixels: int | None = None


def probe(
    source: Path | RemoteFile,
    limits: Limits | None = None,
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> Facts:
    """Look into a file and describe its video.

    Demuxes all of it and decodes its first frames; what is remote is read once, in bounded memory.
    Raises :class:`InputError` with the reason for which the file cannot be worked on, and
    :class:`~remote_runner.errors.Cancelled`.
    """
    limits = limits or Limits()
    size = size_of(source)
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise InputError(Reason.FILE_TOO_LARGE, f"{size} bytes, {limits.max_bytes} are allowed")
    _check_tables(source)
    try:
        container = open_source(source)
    except InputError as error:
        missing = missing_part(source) if error.reason is Reason.NOT_A_VIDEO else None
        if missing:
            raise InputError(Reason.TRUNCATED, missing) from None
        raise
    with container:
        return _describe(container, source, size, limits, should_stop)


def _check_tables(source: Path | RemoteFile) -> None:
    """Before FFmpeg makes an index of them, which takes gigabytes or minutes."""
    try:
        tracks = tracks_of(source)
    except OSError as error:
        raise from_os_error(error, "opening the file") from None
    for track in tracks:
        if track.edits > MOST_EDITS:
            raise InputError(Reason.UNSUPPORTED, f"{track.edits} edits, as declared")
        _check_samples(track)


def _check_samples(track: Track) -> None:
    if track.kind == b"vide":
        if track.samples > MOST_FRAMES:
            raise InputError(Reason.VIDEO_TOO_LONG, f"{track.samples} frames, as declared")
    elif track.samples > MOST_SAMPLES and not track.is_plain:
        what = "of sound" if track.kind == b"soun" else "beside the video"
        raise InputError(Reason.UNSUPPORTED, f"{track.samples} samples {what}, as declared")


def _describe(
    container: InputContainer,
    source: Path | RemoteFile,
    size: int,
    limits: Limits,
    should_stop: Callable[[], bool],
) -> Facts:
    if missing := missing_part(source):
        raise InputError(Reason.TRUNCATED, missing)
    stream = main_video(container)
    _check_picture(stream.codec_context.width, stream.codec_context.height, limits)
    declared_s = (container.duration or 0) / 1_000_000
    longest_s = LONGEST_S if limits.max_seconds is None else min(LONGEST_S, limits.max_seconds)
    if declared_s > longest_s * 1.01 + 1:
        raise InputError(Reason.VIDEO_TOO_LONG, f"{declared_s:.0f} s, as declared")
    if stream.frames > MOST_FRAMES:
        raise InputError(Reason.VIDEO_TOO_LONG, f"{stream.frames} frames, as declared")
    with _read_sparingly(source, container):
        census = count_packets(container, stream, longest_s, MOST_FRAMES, should_stop)
    _check_whole(container, census, declared_s)
    with open_source(source) as again:
        frames = _first_frames(again, main_video(again))
    for frame in frames:
        _check_picture(frame.width, frame.height, limits)
    rate = rate_of(census, stream)[0]
    if rate > HIGHEST_FPS:
        raise InputError(Reason.UNSUPPORTED, f"{float(rate):.3g} frames per second")
    fields = _judge_fields(source, census, frames, rate)
    return _facts(container, stream, census, frames, fields, size)


def _read_sparingly(
    source: Path | RemoteFile, container: InputContainer
) -> AbstractContextManager[None]:
    """Leave out the content of packets that the container's own index describes in full.

    It does so in MP4 and MOV, unless FFmpeg parses the content to find the packets in it.
    """
    streams = (*container.streams.video, *container.streams.audio)
    is_plain = all(codec_name(stream).startswith(_NEVER_PARSED) for stream in streams)
    if isinstance(source, RemoteFile) and container.format.name.startswith("mov") and is_plain:
        return source.skipping(payload_of(source))
    return nullcontext()


def _check_picture(width: int, height: int, limits: Limits) -> None:
    check_size(width, height)
    if limits.max_pixels is not None and width * height > limits.max_pixels:
        raise InputError(
            Reason.PICTURE_TOO_LARGE, f"{width}x{height}, {limits.max_pixels} pixels are allowed"
        )


def _check_whole(container: InputContainer, census: Census, declared_s: float) -> None:
    if census.ends_corrupt:
        raise InputError(Reason.TRUNCATED, "the last packet is incomplete")
    # Some containers count their duration from zero, some from the first packet.
    early_s = min(0.0, (container.start_time or 0) / 1_000_000)
    missing_s = early_s + declared_s - census.end_s
    if missing_s > max(TRUNCATED_S, TRUNCATED_SHARE * declared_s):
        raise InputError(
            Reason.TRUNCATED, f"packets end {missing_s:.1f} s before the declared duration"
        )


def _first_frames(container: InputContainer, stream: VideoStream) -> list[VideoFrame]:
    bound_decoder(stream, threads=1)
    frames: list[VideoFrame] = []
    failure: av.error.FFmpegError | None = None
    for packets, packet in enumerate(container.demux(stream)):
        try:
            frames += packet.decode()
        except av.error.FFmpegError as error:
            failure = error
        if len(frames) >= _LOOKED_AT or packets > 300:
            break
    if frames:
        return frames
    detail = f"no frame could be decoded: {failure.strerror if failure else 'no data'}"
    if isinstance(failure, av.error.MemoryError):
        raise InputError(Reason.PROBE_LIMIT, detail)
    raise InputError(Reason.CORRUPT, detail)


def _judge_fields(
    source: Path | RemoteFile, census: Census, frames: list[VideoFrame], rate: Fraction
) -> Fields:
    """What is far away is not looked into at several places for this alone."""
    if isinstance(source, RemoteFile):
        return Fields(interlaced=any(frame.interlaced_frame for frame in frames))
    return judge_fields(source, frames, (min(census.times), census.longest), rate)


def _facts(  # noqa: PLR0917 - one call, right above
    container: InputContainer,
    stream: VideoStream,
    census: Census,
    frames: list[VideoFrame],
    fields: Fields,
    size: int,
) -> Facts:
    first = frames[0]
    signal = signals.of_frame(first, stream, siting_of(container, stream))
    turn = orientation_of(first)
    width, height = first.width, first.height
    sar = stream.sample_aspect_ratio or Fraction(1)
    if turn.transposed:
        width, height, sar = height, width, 1 / sar
    rate, vfr = rate_of(census, stream)
    unusual = _unusual(container, census, turn)
    return Facts(
        container=container.format.name,
        bytes=size,
        duration_s=float(span_of(census) * time_base_of(stream)),
        width=width,
        height=height,
        rotation=turn.degrees,
        sar=f"{sar.numerator}:{sar.denominator}",
        fps=rate_text(rate),
        vfr=vfr,
        frames=len(census.times),
        codec=codec_name(stream),
        pix_fmt=first.format.name,
        bit_depth=max(part.bits for part in first.format.components),
        matrix=signal.matrix_name,
        range="full" if signal.full_range else "limited",
        transfer=signals.transfer_name(signal.transfer),
        interlaced=fields.interlaced,
        audio=_labels(container.streams.audio, census),
        subtitles=_labels(container.streams.subtitles, census),
        chapters=len(container.chapters()),
        notes=(*signal.notes, *fields.notes, *unusual),
    )


def _unusual(container: InputContainer, census: Census, turn: Orientation) -> tuple[str, ...]:
    unusual = {
        "mirrored": turn.is_mirrored,
        "timestamps_guessed": census.guessed > 0,
        "several_video_streams": sum(not is_still(each) for each in container.streams.video) > 1,
    }
    return tuple(note for note, holds in unusual.items() if holds)


def _labels(streams: Iterable[Stream], census: Census) -> tuple[str, ...]:
    return tuple(_label(each) for each in streams if each.index in census.seen)


def _label(stream: Stream) -> str:
    codec, language = codec_name(stream), language_of(stream)
    return f"{codec}/{language}" if language else codec
