"""The time of day without the jumps that a computer's clock takes when somebody sets it.

All waits, silences and deadlines are told by one clock. Were it set an hour forward, every machine
would look silent and every deadline past; an hour back, nothing idle would be given back for an
hour.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Clock = Callable[[], float]

SLEW = 0.25
"""Seconds that are made up for in each second: an hour takes four."""
FOLLOWED_S = 2 * 3600.0
"""A larger difference is no clock that was set: the whole computer stood still, so all is late."""
_TOLD_S = 10.0
_APART_S = 1.0
"""Less is what passes between two looks."""


class SteadyClock:
    """Epoch seconds: the ``wall`` clock's, reached evenly by what ``steady`` measures."""

    def __init__(self, wall: Clock = time.time, steady: Clock | None = None) -> None:
        self.wall = wall
        self._steady = steady or _elapsed
        self._now = wall()
        self._read_at = self._steady()
        self._behind_s = 0.0

    def __call__(self) -> float:
        read_at = self._steady()
        passed_s = read_at - self._read_at
        self._read_at = read_at
        self._now += passed_s
        behind_s = self.wall() - self._now
        if abs(behind_s - self._behind_s) > _TOLD_S:
            log.warning("The computer's clock was set by %+.0f s", behind_s - self._behind_s)
        most_s = passed_s * SLEW if abs(behind_s) <= FOLLOWED_S else abs(behind_s)
        step_s = max(-most_s, min(most_s, behind_s))
        self._now += step_s
        self._behind_s = behind_s - step_s
        return self._now


def wall_of(clock: Clock) -> Clock:
    """For what others compare with their own clocks: signatures are refused where they differ."""
    return clock.wall if isinstance(clock, SteadyClock) else clock


def latest_of(clock: Clock) -> float:
    """For deadlines that others hold against their own clocks: now by the clock that is further.

    While a clock that was set is made up for, either may be the right one: it was wrong before, or
    it is now. So a time that begins here is over by neither before it was long enough.
    """
    return max(clock(), wall_of(clock)())


def doubt_s(clock: Clock) -> float:
    """How much longer such a time may last than it is meant to, :data:`FOLLOWED_S` at most: as far
    as both clocks are apart."""
    apart_s = abs(clock() - wall_of(clock)())
    return apart_s if apart_s >= _APART_S else 0.0


def _elapsed() -> float:
    """Seconds of this computer, those asleep included where the system can tell."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)
