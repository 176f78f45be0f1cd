"""What the parts of this process tell of themselves: when each last worked, and what it counts.

Any part may be given one; nothing here is kept over a restart, and nothing decides by it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping


class Vitals:
    """Beats by name, counts by name and label."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: dict[str, float] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

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

    def counts(self, name: str) -> Mapping[str, int]:
        """By label."""
        return {label: n for (each, label), n in self._counts.items() if each == name}
