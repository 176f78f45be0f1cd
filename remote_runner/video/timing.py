"""When output frames are shown: exact integer arithmetic on presentation timestamps.

Times are integers in a time base of their own. A :class:`Timeline` is asked between every two
neighbouring source frames, and once more at the end, which moments it wants; it never counts
frames to tell the time, so a variable frame rate stays as it is unless a grid is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from remote_runner.protocol import Facts, Task

#: Frames per second that cameras, films and screen recorders use, the likeliest first.
USUAL_RATES = (
    *(Fraction(rate, 1001) for rate in (24_000, 30_000, 60_000, 120_000, 48_000, 15_000, 12_000)),
    *(Fraction(rate) for rate in (24, 25, 30, 50, 60, 48, 100, 120, 12, 15, 10, 5, 8)),
)

#: Frames further apart than this are a slide show: the picture stands instead of morphing.
HOLD_S = Fraction(1)

#: Many files were made of such that count milliseconds.
_ROUNDING_S = Fraction(1, 1000)

#: Containers keep the time base as a 32-bit divisor of a second.
_FINEST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Slot:
    """One output frame: when, in ticks of the timeline, and where between two source frames."""

    at: int
    t: Fraction
    """0 is the first source frame, 1 the second."""


class Timeline(Protocol):
    """Decides which moments get an output frame."""

    @property
    def time_base(self) -> Fraction: ...

    def enter(self, first: int, second: int) -> None:
        """Go on at ``second``, as if all up to it had been asked for; ``first`` is the neighbour
        before it."""

    def between(self, first: int, second: int) -> Iterator[Slot]:
        """Moments in [first, second), source ticks, for two neighbours; take them all."""

    def last(self, first: int, end: int) -> Iterator[Slot]:
        """Moments of the last source frame, shown from ``first`` to ``end``, source ticks."""

    def end(self, end: int) -> int:
        """When the last output frame stops being shown, in ticks of the timeline."""


def plan_timeline(task: Task, rate: Fraction, source_base: Fraction, start: int) -> Timeline:
    """The timeline that a task asks for; ``rate`` counts for a grid, ``start`` is the first
    source timestamp."""
    if not task.mode.interpolates:
        return Multiplied(source_base, 1)
    if task.fps is None:
        return Multiplied(source_base, task.factor)
    return Grid(source_base, rate, start)


def expected_frames(task: Task, facts: Facts) -> int:
    """How many frames a task makes of a file, as far as its facts tell."""
    if not task.mode.interpolates:
        return facts.frames
    if task.fps is None:
        return facts.frames * task.factor
    return max(1, round(facts.duration_s * task.target_fps(Fraction(facts.fps))))


def grid_frames(duration_s: Fraction, rate: Fraction) -> int:
    """Frames of a constant rate that cover a duration, to the nearest; at least one."""
    return max(1, math.floor(duration_s * rate + Fraction(1, 2)))


def rate_text(rate: Fraction) -> str:
    """``24`` or ``24000/1001``."""
    return str(rate)


class Multiplied:
    """Every source frame keeps its time; ``factor`` − 1 frames are spread evenly behind each.

    The last frame is repeated over its own duration, so that the rate is multiplied exactly and
    the duration stays.
    """

    def __init__(self, source_base: Fraction, factor: int) -> None:
        self._factor = factor
        self._ticks, self.time_base = _exact_base(source_base / factor)

    def enter(self, first: int, second: int) -> None:
        """Nothing: every frame's time comes from its own neighbours."""

    def between(self, first: int, second: int) -> Iterator[Slot]:
        step = second - first
        for k in range(self._factor):
            yield Slot(self._at(first * self._factor + k * step), Fraction(k, self._factor))

    def last(self, first: int, end: int) -> Iterator[Slot]:
        for slot in self.between(first, end):
            if slot.at < self.end(end):
                yield Slot(slot.at, Fraction(0))

    def end(self, end: int) -> int:
        return self._at(end * self._factor)

    def _at(self, ticks: int) -> int:
        return round(ticks * self._ticks)


class Grid:
    """A constant rate from the first source frame on, whatever the source's own steps are.

    Frame n is shown at start + n / rate. Moments within a tick or a millisecond (an eighth of the
    step at most), or a thousandth of the step, of a source frame take that frame as it is.
    """

    def __init__(self, source_base: Fraction, rate: Fraction, start: int) -> None:
        self._source = source_base
        self._rate = rate
        self._start = start
        self._next = 0
        base = Fraction(
            math.gcd(
                source_base.numerator * rate.numerator, rate.denominator * source_base.denominator
            ),
            source_base.denominator * rate.numerator,
        )
        self._ticks, self.time_base = _exact_base(base)
        self._unit = base

    def enter(self, first: int, second: int) -> None:
        limit = second - self._snap(second - first) - self._start
        self._next = max(0, math.ceil(limit * self._rate * self._source))

    def between(self, first: int, second: int) -> Iterator[Slot]:
        while (place := self._place()) < second - self._snap(second - first):
            slot = Slot(self._at(), self._share(place, first, second))
            self._next += 1
            yield slot

    def last(self, first: int, end: int) -> Iterator[Slot]:
        wanted = grid_frames((end - self._start) * self._source, self._rate)
        while self._next < wanted:
            slot = Slot(self._at(), Fraction(0))
            self._next += 1
            yield slot

    def end(self, end: int) -> int:
        return self._at()

    def _place(self) -> Fraction:
        """Where the next moment lies, in source ticks."""
        return self._start + self._next / (self._rate * self._source)

    def _share(self, place: Fraction, first: int, second: int) -> Fraction:
        if place - first <= self._snap(second - first):
            return Fraction(0)
        return (place - first) / (second - first)

    def _snap(self, step: int) -> Fraction:
        rounding = max(Fraction(1), _ROUNDING_S / self._source)
        return max(Fraction(step, 1000), min(rounding, Fraction(step, 8)))

    def _at(self) -> int:
        moment = self._start * self._source + self._next / self._rate
        return round(moment / self._unit * self._ticks)


def _exact_base(unit: Fraction) -> tuple[Fraction, Fraction]:
    """A time base 1/n that holds multiples of ``unit`` exactly, and units per tick.

    Units finer than containers can keep are rounded to 1/90000 s, the clock of MPEG systems.
    """
    denominator = unit.denominator if unit.denominator <= _FINEST else 90_000
    base = Fraction(1, denominator)
    return unit / base, base
