"""An excerpt of the source's own packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from remote_runner.errors import Cancelled
from remote_runner.video.containers import discard, family_of, take_after
from remote_runner.video.moments import Stop
from remote_runner.video.segment import REORDERED
from remote_runner.video.source import main_video, open_source, time_base_of

#: Demuxers whose packets have times and say what a key frame is; and what they are written with.
_MUXERS = {"mov": "mp4", "matroska": "matroska", "mpegts": "mpegts"}
#: Before a moment, as far as it takes: MPEG-TS leads to any packet, not to a key frame.
_BACK_S = (0.0, 2.0, 10.0)
#: How far behind the video its sound may lie in a file.
_BEHIND_S = 2.0
#: An excerpt may be so much shorter than was wanted, for its end to stand for itself.
_LEAST_SHARE = 0.6


class Unsuitable(Exception):
    """Packets of this file cannot be taken as they are; the message says why."""


@dataclass(slots=True)
class _Cut:
    """What is taken, in the order of the file."""

    video: list[Packet[Stream]] = field(default_factory=list)
    others: list[Packet[Stream]] = field(default_factory=list)
    end: Fraction = Fraction(0)
    """Seconds, where the last frame ends."""


def copy_excerpt(
    source: Path, folder: Path, start_s: float, seconds: float, should_stop: Stop
) -> Path:
    """Copy the packets from a key frame on, of the video and of all sound; the file.

    :class:`Unsuitable` where that gives no file of its own.
    """
    with open_source(source) as container:
        names = _MUXERS.keys() & set(container.format.name.split(","))
        if not names:
            raise Unsuitable(f"packets of {container.format.name} are not taken")
        muxer = "mov" if family_of(container) == "mov" else _MUXERS[names.pop()]
        video = main_video(container)
        start = round(start_s / time_base_of(video))
        try:
            cut = _find(container, video, start, seconds, should_stop)
            return _write(video, cut, start, folder / "excerpt", muxer)
        except (av.error.FFmpegError, ValueError) as error:
            raise Unsuitable(f"{error}") from None


def _find(
    container: InputContainer, video: VideoStream, start: int, seconds: float, should_stop: Stop
) -> _Cut:
    base = time_base_of(video)
    sounds = [each for each in container.streams.audio if each.codec_context is not None]
    wanted: list[Stream] = [video, *sounds]
    for back_s in _BACK_S:
        container.seek(max(0, start - int(back_s / base)) if start > 0 else start, stream=video)
        cut = _read(container.demux(wanted), video, start, seconds, should_stop)
        if cut is not None:
            break
    else:
        raise Unsuitable("no key frame there")
    times = [packet.pts or 0 for packet in cut.video]
    count = _clean_end(times, start + round(seconds / base))
    if count == 0 or (min(times[count:], default=max(times)) - start) * base < (
        seconds * _LEAST_SHARE
    ):
        raise Unsuitable("no frame there stands for itself")
    last = max(cut.video[:count], key=lambda packet: packet.pts or 0)
    end = min(times[count:]) if times[count:] else max(times) + (last.duration or 0)
    cut.end, first = end * base, start * base
    del cut.video[count:]
    cut.others = [
        packet for packet in cut.others
        if packet.pts is not None and first <= packet.pts * packet.time_base < cut.end
    ]  # fmt: skip
    return cut


def _read(
    packets: Iterator[Packet[Stream]],
    video: VideoStream,
    start: int,
    seconds: float,
    should_stop: Stop,
) -> _Cut | None:
    """All packets that may be wanted; None where the file was entered too late."""
    cut = _Cut()
    base = time_base_of(video)
    end, behind = start + round(seconds / base), 0
    for packet in packets:
        if should_stop():
            raise Cancelled
        if packet.size == 0:
            continue
        if packet.stream_index != video.index:
            cut.others.append(packet)
            continue
        at = packet.pts
        if at is None or packet.is_corrupt or packet.is_discard:
            raise Unsuitable("a packet without a time, or a damaged one")
        if not cut.video and at > start:
            return None
        if cut.video and (start - at) * base > _BEHIND_S:
            raise Unsuitable("times that begin anew")  # it would be read to its end
        if at < start or not (cut.video or packet.is_keyframe):
            continue  # before it, or led by it and shown before it
        cut.video.append(packet)
        behind += at >= end
        if behind > REORDERED and (at - end) * base > _BEHIND_S:
            break
    return cut if cut.video else None


def _clean_end(times: list[int], end: int) -> int:
    """How many packets, in the order of decoding, hold all the frames up to their last one, which
    begins before ``end``; 0 where that is nowhere so."""
    if len(set(times)) != len(times):
        return 0
    least: list[int | None] = [None]
    for at in reversed(times[1:]):
        after = least[-1]
        least.append(at if after is None else min(at, after))
    latest, best = times[0], 0
    for place, (at, after) in enumerate(zip(times, reversed(least), strict=True)):
        latest = max(latest, at)
        if latest < end and (after is None or after > latest):
            best = place + 1
    return best


def _write(video: VideoStream, cut: _Cut, start: int, stem: Path, muxer: str) -> Path:
    path = stem.with_suffix({"matroska": ".mkv", "mpegts": ".ts"}.get(muxer, f".{muxer}"))
    begin = start * time_base_of(video)
    _set_decoding_times(cut.video)
    there = {packet.stream_index for packet in cut.others}
    output = av.open(f"file:{path}", "w", format=muxer)
    try:
        targets = _add_streams(output, video, there)
        for packet in sorted([*cut.video, *cut.others], key=_moment):
            shift = round(begin / packet.time_base)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = targets[packet.stream_index]
            output.mux_one(packet)
        output.close()
    except BaseException:
        discard(output)
        path.unlink(missing_ok=True)
        raise
    return path


def _set_decoding_times(packets: list[Packet[Stream]]) -> None:
    """In order and never behind the time of showing; entered in their middle, not all files tell
    them."""
    shown = [packet.pts or 0 for packet in packets]
    ordered = sorted(shown)
    early = max(first - second for first, second in zip(ordered, shown, strict=True))
    for packet, at in zip(packets, ordered, strict=True):
        packet.dts = at - early


def _add_streams(
    output: OutputContainer, video: VideoStream, there: set[int]
) -> dict[int, Stream]:
    targets: dict[int, Stream] = {}
    for stream in video.container.streams:
        if stream.index == video.index or stream.index in there:
            target: Stream = output.add_stream_from_template(stream, opaque=True)
            take_after(target, stream)
            targets[stream.index] = target
    return targets


def _moment(packet: Packet[Stream]) -> Fraction:
    at = packet.dts if packet.dts is not None else packet.pts
    return (at or 0) * packet.time_base
