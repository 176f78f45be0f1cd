"""The gate's look at time: is every frame shown when it should be?"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from remote_runner.protocol import Check
from remote_runner.video.scan import Scan, Seconds
from remote_runner.video.timing import grid_frames

#: Times are rounded to the ticks of the output's container, but to nothing coarser than
#: Matroska's milliseconds.
_COARSEST_S = 0.001
_FLOAT_S = 1e-6


def keeps_times(old: Scan, new: Scan) -> bool:
    """Whether frames of the output are shown at all times of the source's, and the others are as
    many for each."""
    return _lost(old, new) == 0 and len(new.times) % max(1, len(old.times)) == 0


def check_order(new: Scan) -> Check:
    """Strictly increasing times."""
    return Check(
        name="timestamps",
        passed=new.backwards == 0,
        detail=f"{new.backwards} of {len(new.times)} frames do not follow the one before",
    )


def check_kept_times(shown: Scan, new: Scan, *, packets: int) -> Check:
    """Every frame of the source at its time, and as many between each two; ``packets`` of the
    source tell how many frames there should have been."""
    lost = _lost(shown, new)
    detail = f"{len(shown.times) - lost} of {len(shown.times)} source frames at their times"
    detail += f", {len(new.times)} in all"
    if missing := packets - len(shown.times):
        detail += f"; {missing} packets of the source give no frame"
    return Check(name="times", passed=keeps_times(shown, new), detail=detail)


def check_grid(new: Scan, rate: Fraction, *, span_s: float) -> Check:
    """Frame n exactly at n / rate; as many as fill the time, one more or less."""
    times = new.since_first()
    off_s = np.abs(times - np.arange(len(times)) / float(rate))
    late = int((off_s > _tolerance(new)).sum())
    wanted = grid_frames(Fraction(span_s), rate)
    return Check(
        name="times",
        passed=late == 0 and abs(len(times) - wanted) <= 1,
        detail=f"{len(times)} frames at {rate} a second, {wanted} fill the time, "
        f"{late} not on the grid",
    )


def _lost(old: Scan, new: Scan) -> int:
    """Frames of the source at whose time the output has none."""
    wanted, found = old.since_first(), new.since_first()
    if not len(found):
        return len(wanted)
    return int((_distance(wanted, found) > _tolerance(new)).sum())


def _distance(wanted: Seconds, found: Seconds) -> Seconds:
    """To the nearest of the sorted times found."""
    place = np.searchsorted(found, wanted)
    below = np.abs(found[np.maximum(place - 1, 0)] - wanted)
    above = np.abs(found[np.minimum(place, len(found) - 1)] - wanted)
    return np.minimum(below, above)


def _tolerance(new: Scan) -> float:
    return min(float(new.time_base), _COARSEST_S) + _FLOAT_S
