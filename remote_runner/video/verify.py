"""The gate before "done": is the output what was promised?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from remote_runner.errors import Cancelled
from remote_runner.protocol import Check, Facts
from remote_runner.video.payload import Print
from remote_runner.video.probe import probe
from remote_runner.video.source import (
    as_runner_error,
    bound_decoder,
    codec_name,
    is_still,
    main_video,
    open_source,
)

#: Matroska counts milliseconds: two roundings apart.
_ROUNDING_S = 0.0015


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is known of an output beforehand."""

    width: int
    height: int
    frames: int
    frames_tolerance: int = 0
    kept: tuple[int, ...] = ()
    """Indices of the source's streams that were promised, apart from the video."""


@dataclass(slots=True)
class _Scan:
    """What one pass over a file found."""

    prints: dict[int, Print] = field(default_factory=dict)
    video_start_s: float | None = None
    frames: int = 0
    backwards: int = 0
    damaged: int = 0
    pictures: int = 0
    """Covers and attachments."""
    chapters: list[tuple[float, str]] = field(default_factory=list)


def verify(
    source: Path,
    output: Path,
    *,
    expectation: Expectation | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Check]:
    """Compare an output with its source, item by item.

    Without an expectation every audio and subtitle stream must be there, and size and number of
    frames are not judged. Raises :class:`~remote_runner.errors.InputError` when one of the files
    cannot be read at all.
    """
    before, after = probe(source), probe(output)
    old = _scan(source, should_stop, decodes=False, kept=expectation.kept if expectation else None)
    new = _scan(output, should_stop, decodes=True, kept=None)
    checks = [
        _decodes(new, after),
        _timestamps(new),
        _duration(before, after),
        _colour(before, after),
        *_copied("audio", old, new),
        *_copied("subtitle", old, new),
        _extras(old, new),
        _chapters(old, new),
    ]
    if expectation is not None:
        checks[1:1] = [_frames(new, expectation), _size(after, expectation)]
    return checks


def _scan(
    path: Path,
    should_stop: Callable[[], bool],
    *,
    decodes: bool,
    kept: tuple[int, ...] | None,
) -> _Scan:
    scan = _Scan()
    with open_source(path) as container:
        video = main_video(container)
        bound_decoder(video)
        wanted = {video.index}
        for stream in container.streams:
            if stream.index == video.index or (kept is not None and stream.index not in kept):
                continue
            if stream.type == "attachment" or is_still(stream):
                scan.pictures += 1
            elif stream.type in ("audio", "subtitle"):
                scan.prints[stream.index] = Print(codec_name(stream), stream.type)
                wanted.add(stream.index)
        scan.chapters = [
            (float(each["start"] * (each["time_base"] or 0)), each["metadata"].get("title", ""))
            for each in container.chapters()
        ]
        try:
            _read(container, scan, video.index, wanted, should_stop, decodes=decodes)
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "reading packets") from None
    return scan


def _read(
    container: InputContainer,
    scan: _Scan,
    video: int,
    wanted: set[int],
    should_stop: Callable[[], bool],
    *,
    decodes: bool,
) -> None:
    latest: Fraction | None = None
    for packet in container.demux([container.streams[index] for index in sorted(wanted)]):
        if should_stop():
            raise Cancelled
        if packet.stream_index != video:
            if packet.size:
                scan.prints[packet.stream_index].add(packet)
            continue
        if packet.pts is not None and not packet.is_discard:
            at_s = float(packet.pts * packet.time_base)
            scan.video_start_s = (
                at_s if scan.video_start_s is None else min(at_s, scan.video_start_s)
            )
        if decodes:
            latest = _decode(packet, scan, latest)


def _decode(packet: Packet[Stream], scan: _Scan, latest: Fraction | None) -> Fraction | None:
    try:
        frames = packet.decode()
    except av.error.InvalidDataError:
        scan.damaged += 1
        return latest
    for frame in frames:
        if not isinstance(frame, VideoFrame):
            continue
        scan.frames += 1
        scan.damaged += frame.is_corrupt
        at: Fraction | None = None
        if frame.pts is not None and frame.time_base is not None:
            at = frame.pts * frame.time_base
        if at is None or (latest is not None and at <= latest):
            scan.backwards += 1
        latest = at if at is not None else latest
    return latest


def _decodes(new: _Scan, after: Facts) -> Check:
    return Check(
        name="decodes",
        passed=new.damaged == 0 and new.frames == after.frames,
        detail=f"{new.frames} of {after.frames} frames, {new.damaged} damaged",
    )


def _frames(new: _Scan, expectation: Expectation) -> Check:
    off = abs(new.frames - expectation.frames)
    return Check(
        name="frames",
        passed=off <= expectation.frames_tolerance,
        detail=f"{new.frames}, expected {expectation.frames}",
    )


def _size(after: Facts, expectation: Expectation) -> Check:
    return Check(
        name="size",
        passed=(after.width, after.height) == (expectation.width, expectation.height),
        detail=f"{after.width}x{after.height}, expected {expectation.width}x{expectation.height}",
    )


def _timestamps(new: _Scan) -> Check:
    return Check(
        name="timestamps",
        passed=new.backwards == 0,
        detail=f"{new.backwards} of {new.frames} frames do not follow the one before",
    )


def _duration(before: Facts, after: Facts) -> Check:
    frame_s = float(max(1 / Fraction(before.fps), 1 / Fraction(after.fps)))
    off_s = abs(after.duration_s - before.duration_s)
    return Check(
        name="duration",
        passed=off_s <= frame_s + _ROUNDING_S,
        detail=f"{after.duration_s:.3f} s, source {before.duration_s:.3f}, frame {frame_s:.3f}",
    )


def _colour(before: Facts, after: Facts) -> Check:
    found = (after.matrix, after.range, after.transfer, str(after.bit_depth))
    wanted = (before.matrix, before.range, before.transfer, str(min(10, max(8, before.bit_depth))))
    if before.bit_depth == 9:
        wanted = (*wanted[:3], "10")
    return Check(
        name="colour",
        passed=found == wanted,
        detail=f"{'/'.join(found)}, source {'/'.join(wanted)}",
    )


def _copied(kind: str, old: _Scan, new: _Scan) -> list[Check]:
    """Every stream of a kind, in order: same payload, same distance to the video."""
    mine = [each for each in old.prints.values() if each.kind == kind]
    theirs = [each for each in new.prints.values() if each.kind == kind]
    if not mine and not theirs:
        return []
    if len(mine) != len(theirs):
        detail = f"{len(theirs)} streams, source {len(mine)}"
        return [Check(name=kind, passed=False, detail=detail)]
    return [
        _same_stream(f"{kind} {place}", a, b, _offset(old, a), _offset(new, b))
        for place, (a, b) in enumerate(zip(mine, theirs, strict=True))
    ]


def _same_stream(
    name: str, old: Print, new: Print, old_offset_s: float, new_offset_s: float
) -> Check:
    shift_s = new_offset_s - old_offset_s
    same = old.sha256 == new.sha256
    return Check(
        name=name,
        passed=same and abs(shift_s) <= _ROUNDING_S,
        detail=f"{new.codec}, {new.packets} packets {'identical' if same else 'DIFFER'}, "
        f"shifted by {shift_s * 1000:.1f} ms",
    )


def _offset(scan: _Scan, stream: Print) -> float:
    """Start of a stream relative to the video; 0 for an empty one."""
    if stream.first_s is None or scan.video_start_s is None:
        return 0.0
    return stream.first_s - scan.video_start_s


def _extras(old: _Scan, new: _Scan) -> Check:
    return Check(
        name="attachments",
        passed=new.pictures >= old.pictures,
        detail=f"{new.pictures} covers and attachments, source {old.pictures}",
    )


def _chapters(old: _Scan, new: _Scan) -> Check:
    same = len(old.chapters) == len(new.chapters) and all(
        a[1] == b[1] and abs(a[0] - b[0]) < 0.01
        for a, b in zip(old.chapters, new.chapters, strict=True)
    )
    return Check(
        name="chapters",
        passed=same,
        detail=f"{len(new.chapters)}, source {len(old.chapters)}",
    )
