"""What was measured of the controller under load, and the lines of the table about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP_S = 60.0
WORST_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """``at``: seconds since the start; ``cpu_s``: user and system so far; ``rss_mb``: of 10⁶."""

    at: float
    cpu_s: float
    rss_mb: float
    unseen_s: float
    """How long ago the controller last noted a sign of life of the machine it noted least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table; without a limit it is told, not judged."""

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool:
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    def __str__(self) -> str:
        limits = [
            f"{sign} {limit:g}"
            for sign, limit in (("≥", self.low), ("≤", self.high))
            if limit is not None
        ]
        verdict = ("PASS" if self.passed else "FAIL") if limits else ""
        return (
            f"{self.name:<52} {self.value:>9.2f} {self.unit:<4} {' '.join(limits):<8} {verdict}"
        ).rstrip()


def mean_cpu(samples: Sequence[Sample]) -> float:
    """Percent of one core."""
    first, last = samples[0], samples[-1]
    return 100 * (last.cpu_s - first.cpu_s) / (last.at - first.at)


def worst_cpu(samples: Sequence[Sample]) -> float:
    """The highest mean of any half minute, or of the whole where it is shorter."""
    spans = [
        [each for each in samples[start:] if each.at <= samples[start].at + WORST_S]
        for start in range(len(samples))
        if samples[-1].at >= samples[start].at + WORST_S
    ]
    return max((mean_cpu(span) for span in spans if len(span) > 1), default=mean_cpu(samples))


def growth_mb(samples: Sequence[Sample]) -> float:
    """What a straight line through the memory gains from the first sample to the last."""
    at = np.array([each.at for each in samples])
    slope, _ = np.polyfit(at, np.array([each.rss_mb for each in samples]), 1)
    return float(slope * (at[-1] - at[0]))


def after_warm_up(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Without the first minute; of a run shorter than two, the later half."""
    begin = min(WARM_UP_S, samples[-1].at / 2)
    return [each for each in samples if each.at >= begin]


def print_table(lines: Iterable[Line]) -> bool:
    """Whether every limit was kept."""
    shown = list(lines)
    for line in shown:
        print(line)  # noqa: T201
    return all(line.passed for line in shown)
