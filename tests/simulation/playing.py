"""Runs of the scenes."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.simulation.copies import simulated_copies
from tests.simulation.plan import Plan
from tests.simulation.scenes import Death, Scene
from tests.simulation.scripts import SCENES
from tests.simulation.world import Outcome, run_seed


@dataclass(frozen=True, slots=True)
class Played:
    """A run of a scene."""

    outcome: Outcome
    passed: Counter[str]
    """How often it was at each point, since the last death where there was one."""
    died_at: list[str]
    """The points of its deaths."""


def play(scene: str, deaths: tuple[Death, ...] = (), *, surveys: bool = True) -> Played:
    """A run of one scene in which the program dies so often, one death after another."""
    script, shape = SCENES[scene]
    shape = dict(shape)
    settings = {"idle_s": 20.0, **shape.pop("settings", {})}
    attributes = {
        "script": script, "deaths": deaths, "surveys": surveys, "ages": shape.pop("ages", False),
    }  # fmt: skip
    plan = Plan(seed=1, rate=0.0, shuffles=False, settings=settings, **shape)
    made: list[Scene] = []

    def make(*arguments: Any, **options: Any) -> Scene:
        made.append(type("Scene", (Scene,), attributes)(*arguments, **options))
        return made[0]

    with simulated_copies():
        outcome = run_seed(plan, make=make)
    return Played(outcome, made[0].passed, made[0].died_at)
