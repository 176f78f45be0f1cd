"""The shape of one run: who takes part, what may happen, how much of it. Chosen by its seed."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.faults import Theme
from tests.simulation.themes import draw_themes, find_most_rate, find_settings, find_shape

#: Budgets, caps and times under which most starts need somebody's yes, each for another reason.
TIGHT: tuple[dict[str, Any], ...] = (
    {"max_price": 0.02},
    {"max_price": 0.04},
    {"job_timeout_s": 600.0},
    {"job_budget": 0.05},
    {"day_budget": 0.15},
    {"max_price": 0.042, "day_budget": 0.2},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``rate`` is that of every fault; times in seconds of the world."""

    seed: int
    rate: float = 0.05
    live_s: float = 1500.0
    settings: dict[str, Any] = field(default_factory=dict)
    videos: int = 5
    """So many are sent at most, alone or in albums and batches."""
    spoilt: float = 0.0
    """Share of the films in which nothing can be decoded, which only shows at work."""
    with_samples: bool = False
    with_batches: bool = False
    with_group: bool = False
    with_webhook: bool = False
    crashes: float = 0.0
    """Weight of a kill at a point of the program."""
    power_losses: bool = False
    disk_faults: bool = False
    clock_jumps: bool = False
    stalls: bool = False
    second_controller: bool = False
    old_backup: bool = False
    ends_dead: bool = False
    """In the end the program is killed and never comes back."""
    shuffles: bool = True
    edits_s: float = 3.0
    """Between two edits of a card for its progress."""
    step_s: float = 5.0
    """Between two looks at everything that was promised."""
    pace_s: float = 20.0
    """Between two deeds of people, on average."""
    long_work: bool = False
    themes: tuple[Theme, ...] = ()
    """Faults that come more often than by their rate while a state holds."""

    def calm(self) -> "Plan":
        """The same people, and nothing goes wrong."""
        return replace(
            self, rate=0.0, crashes=0.0, power_losses=False, disk_faults=False,
            clock_jumps=False, stalls=False, second_controller=False, old_backup=False,
            ends_dead=False, themes=(), spoilt=0.0,
        )  # fmt: skip


def draw_plan(seed: int, rate: float | None = None) -> Plan:
    """What a seed stands for; ``rate`` in the place of its own."""
    rng = random.Random(f"plan {seed}")

    def chance(probability: float) -> bool:
        return rng.random() < probability

    crashes = rng.choice([0.0, 0.002, 0.004, 0.01])
    settings: dict[str, Any] = {
        "poll_s": rng.choice([10.0, 10.0, 20.0]),
        "idle_s": rng.choice([20.0, 60.0, 120.0]),
        "max_machines": rng.choice([1, 2, 3]),
        "segment_s": rng.choice([1.0, 5.0, 20.0]),
        "job_timeout_s": rng.choice([3600.0, 7200.0]),
    }
    if chance(0.3):
        settings |= rng.choice(TIGHT)
    own_rate = rng.choice([0.02, 0.03, 0.05, 0.08, 0.15])
    plan = Plan(
        seed=seed,
        rate=own_rate if rate is None else rate,
        live_s=rng.choice([300.0, 600.0, 1000.0]),
        settings=settings,
        videos=rng.choice([2, 4, 6]),
        with_samples=chance(0.35),
        with_batches=chance(0.3),
        with_group=chance(0.2),
        with_webhook=chance(0.15),
        crashes=crashes,
        power_losses=chance(0.15),
        disk_faults=chance(0.2),
        clock_jumps=chance(0.15),
        stalls=chance(0.2),
        second_controller=chance(0.1),
        old_backup=chance(0.05),
        ends_dead=chance(0.1),
        shuffles=chance(0.9),
        pace_s=rng.choice([8.0, 15.0, 30.0]),
        long_work=chance(0.2),
        edits_s=rng.choice([3.0, 30.0, 60.0, 60.0]),
    )
    # a chance of its own: no other seed becomes another story by it
    if random.Random(f"spoilt {seed}").random() < 0.15:
        plan = replace(plan, spoilt=0.3)
    themes = draw_themes(rng)
    shape: dict[str, Any] = {"themes": themes, **find_shape(themes)}
    if rate is None:
        shape["rate"] = min(own_rate, find_most_rate(themes))
    settings |= find_settings(themes)
    if chance(0.1):  # one machine, and a slow one
        settings["provider"] = "local"
        shape["long_work"] = False
    return replace(plan, settings=settings, **shape)
