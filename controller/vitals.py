"""What the parts of this process tell of themselves: when each last worked, what it counts, how
long it took, and the last figure of something that is measured.

Any part may be given one, and nothing here is kept over a restart. By it is decided what people
are warned of, and how long an update may wait while Telegram is away.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

#: Upper bounds of the classes that times are sorted into, seconds.
BOUNDS_S = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)


@dataclass(slots=True)
class Times:
    """How long something took, each time."""

    classes: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """How many were within each bound and above the one before; the last ones above all."""
    sum_s: float = 0.0
    longest_s: float = 0.0

    def add(self, seconds: float) -> None:
        self.classes[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds
        self.longest_s = max(self.longest_s, seconds)


class Vitals:
    """Beats, figures and times by name, counts by name and label."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._counted_at: dict[str, float] = {}
        self._figures: dict[str, float] = {}
        self._times: dict[tuple[str, str], Times] = {}

    def beat(self, name: str) -> None:
        """This part has just done what it is for."""
        self._beats[name] = self._clock()

    def ages(self, group: str) -> dict[str, float]:
        """Seconds since each beat whose name begins with ``group:``, by the rest of the name."""
        now, prefix = self._clock(), f"{group}:"
        return {
            name.removeprefix(prefix): now - at
            for name, at in self._beats.items()
            if name.startswith(prefix)
        }

    def age(self, name: str) -> float | None:
        """Seconds since a beat; None before the first one."""
        at = self._beats.get(name)
        return None if at is None else self._clock() - at

    def count(self, name: str, label: str = "", n: int = 1) -> None:
        self._counts[name, label] += n
        self._counted_at[name] = self._clock()

    def counts(self, name: str) -> Mapping[str, int]:
        """By label."""
        return {label: n for (each, label), n in self._counts.items() if each == name}

    def counted_age(self, name: str) -> float | None:
        """Seconds since something was counted last; None before."""
        at = self._counted_at.get(name)
        return None if at is None else self._clock() - at

    def note(self, name: str, value: float) -> None:
        """What something is now, in the place of what it was."""
        self._figures[name] = value

    def figure(self, name: str) -> float | None:
        """What was noted last; None before."""
        return self._figures.get(name)

    def time(self, name: str, seconds: float, label: str = "") -> None:
        """Something took so long."""
        self._times.setdefault((name, label), Times()).add(seconds)

    @contextmanager
    def timing(self, name: str, label: str = "") -> Iterator[None]:
        """Time what happens inside, however it ends."""
        began_at = self._clock()
        try:
            yield
        finally:
            self.time(name, self._clock() - began_at, label)

    def times(self, name: str) -> Mapping[str, Times]:
        """By label."""
        return {label: times for (each, label), times in self._times.items() if each == name}
