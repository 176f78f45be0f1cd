"""The gate's look at what was carried over beside the video: streams, attachments, chapters."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np

from remote_runner.protocol import Check
from remote_runner.video.payload import Print
from remote_runner.video.scan import Scan, Words

#: Matroska counts milliseconds: two roundings apart.
ROUNDING_S = 0.0015
#: A stream that was encoded anew may begin and end within a packet and a half of where it did,
#: and by this much at least.
_PACKET_S = 0.1
_PACKETS = 1.5


def check_streams(kind: str, old: Scan, new: Scan, *, old_start_s: float) -> list[Check]:
    """Every audio or subtitle stream, in order: same payload, same distance to the video.

    ``old_start_s`` is when the first frame is shown that could be had of the source. Streams that
    hold nothing do not count: MP4 is written without them.
    """
    mine, theirs = (
        [index for index, each in scan.prints.items() if each.kind == kind and each.packets]
        for scan in (old, new)
    )
    if not mine and not theirs:
        return []
    if len(mine) != len(theirs):
        detail = f"{len(theirs)} streams, source {len(mine)}"
        return [Check(name=kind, passed=False, detail=detail)]
    later_s = new.start_s - old_start_s
    checks = []
    for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        name, before, after = f"{kind} {place}", old.prints[a], new.prints[b]
        if before.sha256 == after.sha256 or before.codec == after.codec:
            checks.append(_check_copied(name, before, after, later_s))
        elif a in old.words and b in new.words:
            how = f"converted from {before.codec} to {after.codec}"
            checks.append(_check_words(name, how, old.words[a], new.words[b], later_s))
        else:
            checks.append(_check_converted(name, before, after, later_s))
    return checks


def check_attachments(old: Scan, new: Scan) -> Check:
    """Covers and attachments of the source, byte by byte; the output may have more."""
    lost = Counter(old.pictures) - Counter(new.pictures)
    return Check(
        name="attachments",
        passed=not lost,
        detail=f"{len(new.pictures)} covers and attachments, source {len(old.pictures)}, "
        f"{lost.total()} lost or changed",
    )


def check_chapters(old: Scan, new: Scan, *, old_start_s: float) -> Check:
    """Titles, and starts relative to the video."""
    later_s = new.start_s - old_start_s
    moved = sum(
        before[1] != after[1] or abs(after[0] - later_s - before[0]) > 2 * ROUNDING_S
        for before, after in zip(old.chapters, new.chapters, strict=False)
    )
    return Check(
        name="chapters",
        passed=moved == 0 and len(new.chapters) == len(old.chapters),
        detail=f"{len(new.chapters)}, source {len(old.chapters)}, {moved} moved or renamed",
    )


def _check_copied(name: str, old: Print, new: Print, later_s: float) -> Check:
    same = old.sha256 == new.sha256
    shift_s = _shift(old.times, new.times, later_s)
    return Check(
        name=name,
        passed=same and abs(shift_s) <= ROUNDING_S,
        detail=f"{new.codec}, {new.packets} packets {'identical' if same else 'DIFFER'}, "
        f"shifted by {shift_s * 1000:.1f} ms",
    )


def _check_words(name: str, how: str, old: Words, new: Words, later_s: float) -> Check:
    same = old.sha256 == new.sha256
    shift_s = _shift(old.times, new.times, later_s)
    return Check(
        name=name,
        passed=same and abs(shift_s) <= ROUNDING_S,
        detail=f"{how}, {len(new.times)} texts {'say the same' if same else 'DIFFER'}, "
        f"shifted by {shift_s * 1000:.1f} ms",
    )


def _check_converted(name: str, old: Print, new: Print, later_s: float) -> Check:
    starts_s = ends_s = 0.0
    allowed_s = max(_PACKET_S, _PACKETS * _usual_step(new.times))
    gap_s = _longest_step(new.times) - _longest_step(old.times)
    if old.first_s is not None and new.first_s is not None:
        starts_s = new.first_s - old.first_s - later_s
        ends_s = new.end_s - old.end_s - later_s
    return Check(
        name=name,
        passed=(new.packets > 0) == (old.packets > 0)
        and max(abs(starts_s), abs(ends_s), gap_s) <= allowed_s,
        detail=f"converted from {old.codec} to {new.codec}, starts {starts_s * 1000:+.1f} ms, "
        f"ends {ends_s * 1000:+.1f} ms" + f", a gap of {gap_s:.1f} s" * (gap_s > allowed_s),
    )


def _usual_step(times: array[float]) -> float:
    """Seconds from one packet to the next."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _longest_step(times: array[float]) -> float:
    return float(np.diff(times).max()) if len(times) > 1 else 0.0


def _shift(old: array[float], new: array[float], later_s: float) -> float:
    """The most that a packet moved against the video, seconds.

    Where a container cuts the same bytes into other packets, only the beginning is compared.
    """
    before, after = np.asarray(old), np.asarray(new)
    if not len(before) or not len(after):
        return 0.0
    if len(before) != len(after):
        before, after = before[:1], after[:1]
    moved = after - before - later_s
    return float(moved[np.abs(moved).argmax()])
