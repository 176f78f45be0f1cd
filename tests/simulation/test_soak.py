"""A day of the world with two hundred jobs: nothing grows that should not."""

import gc

import psutil
import pytest

from tests.simulation.plan import Plan
from tests.simulation.world import World, run_seed

_DAY_S = 24 * 3600.0
_WARM_S = 6 * 3600.0
_MOST_GROWTH = 0.05

DAY = Plan(
    seed=2400,
    rate=0.05,
    live_s=_DAY_S,
    settings={"poll_s": 30.0, "max_machines": 3, "day_budget": 100.0, "idle_s": 60.0},
    videos=300,
    crashes=0.001,
    pace_s=85.0,
    step_s=30.0,
    edits_s=120.0,
)


class Soaked(World):
    """Remembers how much memory was used, early and late."""

    async def live(self, seconds):
        await super().live(_WARM_S)
        self.early = _used()
        await self.deployment.stop()
        await super().live(seconds - _WARM_S)
        self.late = _used()

    def outcome(self):
        outcome = super().outcome()
        outcome.counts["growth permille"] = round(1000 * (self.late / self.early - 1))
        return outcome


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_two_hundred_jobs_leaks_nothing():
    outcome = run_seed(DAY, make=Soaked)
    assert not outcome.broken, outcome.broken
    jobs = sum(count for name, count in outcome.counts.items() if name.startswith("jobs "))
    assert jobs >= 200
    ended = {"jobs done", "jobs failed", "jobs cancelled"}
    assert {name for name in outcome.counts if name.startswith("jobs ")} <= ended
    assert outcome.counts["jobs done"] > 50
    assert outcome.counts["resumed"] > 3
    assert outcome.counts["growth permille"] < 1000 * _MOST_GROWTH


def _used() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss
