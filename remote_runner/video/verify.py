"""The gate before "done": is the output what was promised?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from remote_runner.errors import InputError
from remote_runner.protocol import Check, Facts, Fit
from remote_runner.video.copies import ROUNDING_S, check_attachments, check_chapters, check_streams
from remote_runner.video.look import (
    check_colour,
    check_hdr,
    check_rotation,
    check_shape,
    ratio_of,
    read_tags,
)
from remote_runner.video.moments import busiest_frame
from remote_runner.video.placement import find_placement
from remote_runner.video.probe import probe
from remote_runner.video.scan import Scan, scan_decoded, scan_file
from remote_runner.video.schedule import (
    check_grid,
    check_kept_times,
    check_order,
    keeps_times,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is known of an output beforehand."""

    width: int
    height: int
    frames: int
    frames_tolerance: int = 0
    kept: tuple[int, ...] = ()
    """Indices of the source's streams that were promised, apart from the video."""
    start_s: float | None = None
    """Begin and end of what could be decoded of the source's video; none: all of it could."""
    end_s: float | None = None
    rate: Fraction | None = None
    """Of the grid that the frames were put on; none: the source's frames keep their times."""
    picture: tuple[int, int] | None = None
    """Width and height of the enlarged picture, before borders were added or rims cut off."""


@dataclass(slots=True, kw_only=True)
class _Files:
    """Both files as they were found."""

    before: Facts
    after: Facts
    old: Scan
    new: Scan
    shown: Scan
    """The frames of the source: of its packets, or what could be decoded where these differ."""
    span_s: float = 0.0
    """How long they are shown."""
    rate: Fraction | None = None
    """Of the grid that the output's frames lie on, if they do not keep the source's times."""


def verify(
    source: Path,
    output: Path,
    *,
    expectation: Expectation | None = None,
    facts: Facts | None = None,
    fit: Fit = Fit.LETTERBOX,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Check]:
    """Compare an output with its source, item by item.

    Without an expectation every audio and subtitle stream must be there, the size is not judged,
    and the frames must keep the source's times or lie on an even grid; ``fit`` tells what was done
    to a picture of another shape. ``facts`` of the source save a pass over it. An output that
    cannot be read is a failed check. Raises :class:`~remote_runner.errors.InputError` when the
    source cannot be read, and :class:`~remote_runner.errors.Cancelled`.

    Costs one decoding of the output; and one of the source where its packets do not tell which
    frames come of it (damage, no or repeated times, a beginning amid a group of pictures; without
    an expectation also where the output lies on a grid).
    """
    before = facts or probe(source, should_stop=should_stop)
    kept = expectation.kept if expectation else None
    old = scan_file(source, decodes=False, kept=kept, should_stop=should_stop)
    try:
        after = probe(output, should_stop=should_stop)
        new = scan_file(output, decodes=True, should_stop=should_stop)
    except InputError as error:
        detail = f"{error.reason}: {error.detail}"
        return [Check(name="decodes", passed=False, detail=detail)]
    files = _Files(before=before, after=after, old=old, new=new, shown=old)
    _schedule(files, source, expectation, should_stop)
    return [
        *_frame_checks(files, expectation),
        *_picture_checks(source, output, files, expectation, fit),
        *_other_checks(files),
    ]


def _schedule(
    files: _Files,
    source: Path,
    expectation: Expectation | None,
    should_stop: Callable[[], bool],
) -> None:
    """Find out which frames should be shown, when, and for how long in all."""
    before, old, new = files.before, files.old, files.new
    rate = expectation.rate if expectation else _own_rate(before, files.after, old, new)
    files.rate, files.span_s = rate, before.duration_s
    if not _is_told_by_packets(old, new, rate, expectation):
        files.shown, until = scan_decoded(source, before, should_stop)
        files.span_s = float((until - (files.shown.start or 0)) * files.shown.time_base)
    if expectation and expectation.start_s is not None and expectation.end_s is not None:
        files.span_s = expectation.end_s - expectation.start_s


def _own_rate(before: Facts, after: Facts, old: Scan, new: Scan) -> Fraction | None:
    """Without an expectation: the rate of the output where it plainly is a grid of its own."""
    if after.vfr or keeps_times(old, new) or (after.fps == before.fps and not before.vfr):
        return None
    return Fraction(after.fps)


def _is_told_by_packets(
    old: Scan, new: Scan, rate: Fraction | None, expectation: Expectation | None
) -> bool:
    """Whether the packets of the source tell which frames come of it, and when."""
    start_s = expectation.start_s if expectation else None
    if start_s is not None and abs(start_s - old.start_s) > ROUNDING_S:
        return False
    on_known_grid = rate is not None and expectation is not None
    return old.timeless == 0 and (on_known_grid or (rate is None and keeps_times(old, new)))


def _frame_checks(files: _Files, expectation: Expectation | None) -> list[Check]:
    new = files.new
    checks = [_decodes(new, files.after)]
    if expectation is not None:
        checks.append(_frames(new, expectation))
    if files.rate is not None:
        times = check_grid(new, files.rate, span_s=files.span_s)
    else:
        times = check_kept_times(files.shown, new, packets=files.before.frames)
    return [*checks, check_order(new), times, _duration(files)]


def _picture_checks(
    source: Path, output: Path, files: _Files, expectation: Expectation | None, fit: Fit
) -> list[Check]:
    before, after = files.before, files.after
    picture = expectation.picture if expectation else _inner_size(output, before, after, fit)
    old, new = read_tags(source, before), read_tags(output, after)
    checks = [_size(after, expectation)] if expectation is not None else []
    return [
        *checks,
        check_shape(before, after, picture),
        check_rotation(after),
        check_colour(before, after, old.signal, new.signal),
        *check_hdr(old.side_data, new.side_data),
    ]


def _inner_size(output: Path, before: Facts, after: Facts, fit: Fit) -> tuple[int, int] | None:
    """Size of the enlarged picture as it seems to be, where the file has another shape."""
    if check_shape(before, after, None).passed:
        return None
    frame = busiest_frame(output).rgb
    shape = before.width * ratio_of(before) / before.height
    placement = find_placement(shape, frame, ratio_of(after))
    if placement.is_cut and fit is not Fit.CROP:
        return None
    return placement.width, placement.height


def _other_checks(files: _Files) -> list[Check]:
    start_s = files.shown.start_s
    return [
        *check_streams("audio", files.old, files.new, old_start_s=start_s),
        *check_streams("subtitle", files.old, files.new, old_start_s=start_s),
        check_attachments(files.old, files.new),
        check_chapters(files.old, files.new, old_start_s=start_s),
    ]


def _decodes(new: Scan, after: Facts) -> Check:
    found = len(new.times) + new.timeless
    return Check(
        name="decodes",
        passed=new.damaged == 0 and found == after.frames,
        detail=f"{found} of {after.frames} frames, {new.damaged} damaged",
    )


def _frames(new: Scan, expectation: Expectation) -> Check:
    found = len(new.times) + new.timeless
    return Check(
        name="frames",
        passed=abs(found - expectation.frames) <= expectation.frames_tolerance,
        detail=f"{found}, expected {expectation.frames}",
    )


def _duration(files: _Files) -> Check:
    before, after = files.before, files.after
    frame_s = float(max(1 / Fraction(before.fps), 1 / Fraction(after.fps)))
    return Check(
        name="duration",
        passed=abs(after.duration_s - files.span_s) <= frame_s + ROUNDING_S,
        detail=f"{after.duration_s:.3f} s, source {files.span_s:.3f}, frame {frame_s:.3f}",
    )


def _size(after: Facts, expectation: Expectation) -> Check:
    return Check(
        name="size",
        passed=(after.width, after.height) == (expectation.width, expectation.height),
        detail=f"{after.width}x{after.height}, expected {expectation.width}x{expectation.height}",
    )
