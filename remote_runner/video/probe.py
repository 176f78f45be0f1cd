"""What a file holds, found in its packets and first frames rather than in its headers."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import InputError
from remote_runner.protocol import Facts, Reason
from remote_runner.video import signal as signals
from remote_runner.video.envelope import missing_part
from remote_runner.video.source import (
    as_runner_error,
    bound_decoder,
    check_size,
    codec_name,
    is_still,
    main_video,
    open_source,
    orientation_of,
    time_base_of,
)
from remote_runner.video.timing import USUAL_RATES, rate_text

#: A file whose packets end this much before its declared duration was cut off.
TRUNCATED_S = 0.5
TRUNCATED_SHARE = 0.02

_LOOKED_AT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the prober refuses; none means no limit."""

    max_bytes: int | None = None
    max_seconds: float | None = None
    max_pixels: int | None = None


@dataclass(slots=True)
class _Census:
    """What one pass over all packets counted; times of the video in its own time base."""

    times: array[int] = field(default_factory=lambda: array("q"))
    longest: int = 0
    last_duration: int = 0
    guessed: int = 0
    end_s: float = 0.0
    ends_corrupt: bool = False


def probe(path: Path, limits: Limits | None = None) -> Facts:
    """Look into a file and describe its video.

    Demuxes all of it and decodes its first frames. Raises :class:`InputError` with the reason for
    which the file cannot be worked on.
    """
    limits = limits or Limits()
    size = path.stat().st_size
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise InputError(Reason.FILE_TOO_LARGE, f"{size} bytes, {limits.max_bytes} are allowed")
    try:
        container = open_source(path)
    except InputError as error:
        missing = missing_part(path) if error.reason is Reason.NOT_A_VIDEO else None
        if missing:
            raise InputError(Reason.TRUNCATED, missing) from None
        raise
    with container:
        return _describe(container, path, size, limits)


def _describe(container: InputContainer, path: Path, size: int, limits: Limits) -> Facts:
    if missing := missing_part(path):
        raise InputError(Reason.TRUNCATED, missing)
    stream = main_video(container)
    _check_picture(stream.codec_context.width, stream.codec_context.height, limits)
    declared_s = (container.duration or 0) / 1_000_000
    if limits.max_seconds is not None and declared_s > limits.max_seconds * 1.01 + 1:
        raise InputError(Reason.VIDEO_TOO_LONG, f"{declared_s:.0f} s, as declared")
    census = _count(container, stream, limits)
    _check_whole(container, census, declared_s)
    with open_source(path) as again:
        frames = _first_frames(again, main_video(again))
    for frame in frames:
        _check_picture(frame.width, frame.height, limits)
    return _facts(container, stream, census, frames, size)


def _check_picture(width: int, height: int, limits: Limits) -> None:
    check_size(width, height)
    if limits.max_pixels is not None and width * height > limits.max_pixels:
        raise InputError(
            Reason.PICTURE_TOO_LARGE, f"{width}x{height}, {limits.max_pixels} pixels are allowed"
        )


def _count(container: InputContainer, stream: VideoStream, limits: Limits) -> _Census:
    census = _Census()
    longest_s = limits.max_seconds
    try:
        for packet in container.demux():
            if packet.size == 0 or packet.is_discard or is_still(packet.stream):
                continue
            census.ends_corrupt = packet.is_corrupt
            _note_end(census, packet)
            if packet.stream_index == stream.index:
                _note_time(census, packet)
                if longest_s is not None and _duration(census, stream) > longest_s:
                    raise InputError(Reason.VIDEO_TOO_LONG, f"more than {longest_s:.0f} s")
    except av.error.EOFError:
        raise InputError(Reason.TRUNCATED, "the file ends inside a packet") from None
    except av.error.FFmpegError as error:
        raise as_runner_error(error, "reading packets") from None
    if not census.times:
        raise InputError(Reason.NO_VIDEO_STREAM, "the video stream has no packets")
    return census


def _note_end(census: _Census, packet: Packet[Stream]) -> None:
    at = packet.pts if packet.pts is not None else packet.dts
    if at is not None and packet.time_base:
        end = float((at + (packet.duration or 0)) * packet.time_base)
        census.end_s = max(census.end_s, end)


def _note_time(census: _Census, packet: Packet[Stream]) -> None:
    at = packet.pts if packet.pts is not None else packet.dts
    if at is None:
        at = census.times[-1] + max(1, packet.duration or 0) if census.times else 0
        census.guessed += 1
    if not census.times or at >= census.longest:
        census.longest, census.last_duration = at, packet.duration or 0
    census.times.append(at)


def _duration(census: _Census, stream: VideoStream) -> float:
    return float((census.longest + census.last_duration - census.times[0]) * time_base_of(stream))


def _check_whole(container: InputContainer, census: _Census, declared_s: float) -> None:
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


def _facts(
    container: InputContainer,
    stream: VideoStream,
    census: _Census,
    frames: list[VideoFrame],
    size: int,
) -> Facts:
    first = frames[0]
    signal = signals.of_frame(first, stream)
    turn = orientation_of(first)
    width, height = first.width, first.height
    sar = stream.sample_aspect_ratio or Fraction(1)
    if turn.transposed:
        width, height, sar = height, width, 1 / sar
    rate, vfr = _rate(census, stream)
    unusual = {
        "mirrored": turn.is_mirrored,
        "timestamps_guessed": census.guessed > 0,
        "several_video_streams": sum(not is_still(each) for each in container.streams.video) > 1,
    }
    return Facts(
        container=container.format.name,
        bytes=size,
        duration_s=float(_span(census) * time_base_of(stream)),
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
        interlaced=any(frame.interlaced_frame for frame in frames),
        audio=tuple(_label(each) for each in container.streams.audio),
        subtitles=tuple(_label(each) for each in container.streams.subtitles),
        chapters=len(container.chapters()),
        notes=(*signal.notes, *(note for note, holds in unusual.items() if holds)),
    )


def _span(census: _Census) -> int:
    """End of the last frame minus start of the first, in ticks."""
    first = min(census.times)
    return census.longest - first + (census.last_duration or _usual_step(census))


def _usual_step(census: _Census) -> int:
    steps = _steps(census)
    return steps[len(steps) // 2] if steps else 1


def _steps(census: _Census) -> list[int]:
    ordered = sorted(census.times)
    return sorted(b - a for a, b in pairwise(ordered))


def _rate(census: _Census, stream: VideoStream) -> tuple[Fraction, bool]:
    """The exact rate of a file with constant steps, else the average and that it varies."""
    span_s = _span(census) * time_base_of(stream)
    average = len(census.times) / span_s if span_s else Fraction(25)
    claimed = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    near = [rate for rate in USUAL_RATES if abs(rate / average - 1) < 0.002]
    rounded = max(Fraction(1, 1001), average.limit_denominator(1001))
    for rate in [each for each in claimed if each] + near + [rounded]:
        if _fits(census, rate, time_base_of(stream)):
            return rate, False
    return rounded, True


def _fits(census: _Census, rate: Fraction, time_base: Fraction) -> bool:
    """Whether every frame lies within one tick of its place on an even grid of this rate."""
    ordered = sorted(census.times)
    step = 1 / (rate * time_base)
    num, den = step.numerator, step.denominator
    return all(
        abs((at - ordered[0]) * den - place * num) <= den for place, at in enumerate(ordered)
    )


def _label(stream: Stream) -> str:
    codec = codec_name(stream)
    language = stream.metadata.get("language")
    return f"{codec}/{language}" if language and language != "und" else codec
