"""A day of two hundred jobs, and of all that can go wrong: nothing grows that should not.

What the program holds is measured by its end. All objects are weighed after a full collection, the
program is killed, and they are weighed once more: what is missing then that life held, and nothing
else did. The books of the world around it grow as the day does (messages, works, versions), and
are there both times. What modules keep outlives a life here, and is weighed beside it: all that is
reached from those of the program and of the libraries, but not through anything of these tests,
when memories that have a bound are empty. What is not Python's, as SQLite's pages, is not weighed.

A life that is short cannot grow. In the first hours the program is killed as often as anything
else goes wrong; then one life lasts for three hours, and one for eighteen.
"""

import asyncio
import gc
import json
import linecache
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import _lru_cache_wrapper
from pathlib import Path
from types import FrameType, FunctionType, MethodType, ModuleType
from unittest.mock import patch

import pytest
from fluent.runtime import FluentBundle

from controller import policy
from controller.service import Controller
from tests.simulation.plan import Plan
from tests.simulation.world import World

_HOUR_S = 3600.0
_KILLED_S, _WARM_S, _DAY_S = 3 * _HOUR_S, 6 * _HOUR_S, 24 * _HOUR_S
_ALONE_S = 1800.0
_MOST_GROWTH = 0.05
#: Of what modules keep, which is a hundred times as much.
_MOST_KEPT_KIB = 64
_OF_TESTS = (
    "tests",
    "__main__",
    "conftest",
    "_pytest",
    "pytest",
    "pluggy",
    "hypothesis",
    "unittest",
)
_SOAK = """
import json
from tests.simulation.test_soak import DAY, Soaked
from tests.simulation.world import run_seed
outcome = run_seed(DAY, make=Soaked)
print(json.dumps([outcome.broken, dict(outcome.counts)]))
"""
_NAMED = (type, FunctionType, MethodType)
#: Modules have each its turn; a frame is of who runs.
_NOT_HELD = (ModuleType, FrameType)

DAY = Plan(
    seed=2400,
    rate=0.05,
    live_s=_DAY_S,
    settings={"poll_s": 30.0, "max_machines": 3, "day_budget": 100.0, "idle_s": 60.0},
    videos=300,
    spoilt=0.02,
    with_samples=True,
    with_batches=True,
    with_group=True,
    with_webhook=True,
    crashes=0.001,
    power_losses=True,
    disk_faults=True,
    clock_jumps=True,
    stalls=True,
    second_controller=True,
    pace_s=85.0,
    step_s=30.0,
    edits_s=120.0,
)


class Soaked(World):
    """Remembers what the program held, early and late, in bytes: a life, and the modules."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.held, self.kept = [], []
        self._act = self.people.act
        # it stands still for minutes, not for a day: this is one
        self.computer._is_all_waiting = lambda states: False

    async def live(self, seconds):
        await super().live(_KILLED_S)
        await self.deployment.stop()
        self._spare_the_program()
        for ends_s in (_WARM_S, seconds):
            before, left_s = self.deployment.lives, ends_s - self.loop.time()
            self._let_others(come=True)
            self.loop.call_later(left_s - _ALONE_S, lambda: self._let_others(come=False))
            await super().live(left_s)
            assert self.deployment.lives == before + 1, "it has ended by itself"
            await self._weigh()
        self.deployment.start()

    def outcome(self):
        outcome = super().outcome()
        (early, late), (kept_early, kept_late) = self.held, self.kept
        outcome.counts.update(
            {
                "KiB held": late // 1024,
                "growth permille": round(1000 * (late / early - 1)),
                "KiB more kept": (kept_late - kept_early) // 1024,
            }
        )
        return outcome

    def _spare_the_program(self):
        """It is neither killed nor asked to stop any more; all else goes on."""

        async def go_on():
            return

        self.plan = replace(self.plan, crashes=0.0, power_losses=False)
        self.deployment.restart = go_on

    def _let_others(self, *, come):
        """For a while before it is weighed nobody wants anything, as what is under way is held as
        well, and no other process is there to go on in its place."""
        self.plan = replace(self.plan, second_controller=come)
        self.people.act = self._act if come else lambda seconds: None

    async def _weigh(self):
        """The life ends for it."""
        with_it = weigh_all()
        await self.deployment.stop()
        await asyncio.sleep(1)  # what is called back at its end has been called
        self.held.append(with_it - weigh_all())
        assert not any(isinstance(each, Controller) for each in gc.get_objects())
        forget()
        self.kept.append(weigh_modules())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_two_hundred_jobs_leaks_nothing():
    # in a process of its own: what other tests have left there would be weighed as well
    done = subprocess.run(
        [sys.executable, "-c", _SOAK],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    broken, counts = json.loads(done.stdout.splitlines()[-1])
    assert not broken, broken
    jobs = sum(count for name, count in counts.items() if name.startswith("jobs "))
    assert jobs >= 200
    ended = {"jobs done", "jobs failed", "jobs cancelled"}
    assert {name for name in counts if name.startswith("jobs ")} <= ended
    assert counts["jobs done"] > 50
    assert counts["resumed"] > 3
    assert counts["growth permille"] < 1000 * _MOST_GROWTH
    assert counts["KiB more kept"] < _MOST_KEPT_KIB


def test_what_is_held_is_weighed_with_all_that_is_in_it():
    # much beside what tests before this one have left, which may go meanwhile
    before = weigh_all()
    held = [{"a list": ["of texts" * 100_000]}, b"of bytes" * 100_000]
    assert 1_500_000 < weigh_all() - before < 1_700_000
    del held
    assert abs(weigh_all() - before) < 100_000


# libraries that other tests have loaded warn when some of their names are looked at
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_what_a_module_keeps_is_found():
    before = weigh_modules()
    with patch.object(policy, "_kept", ["x" * 1_000_000], create=True):
        assert weigh_modules() - before > 900_000
    assert abs(weigh_modules() - before) < 100_000


def forget() -> None:
    """Empty the memories that have a bound, of patterns, addresses and lines of code for instance;
    and have all texts compiled, as otherwise each is when it is shown for the first time."""
    re.purge()
    linecache.clearcache()
    for each in gc.get_objects():
        if isinstance(each, _lru_cache_wrapper) and each.cache_parameters()["maxsize"]:
            each.cache_clear()
        elif isinstance(each, FluentBundle):
            for name in each._messages:
                each.get_message(name)


def weigh_all() -> int:
    """Bytes of all objects that there are."""
    gc.collect()
    return _weigh(gc.get_objects(), lambda each: not gc.is_tracked(each))


def weigh_modules() -> int:
    """Bytes of what is reached from modules, but for those of tests."""
    gc.collect()
    modules = [
        vars(module) for name, module in sys.modules.items() if not name.startswith(_OF_TESTS)
    ]
    return _weigh(modules, lambda each: not isinstance(each, _NOT_HELD) and not _is_of_tests(each))


def _weigh(roots: Iterable[object], goes_on: Callable[[object], bool]) -> int:
    """Bytes of these and of what they refer to, each once, as far as ``goes_on`` says."""
    waiting = list(roots)
    seen = {id(each) for each in waiting}
    total = 0
    while waiting:
        each = waiting.pop()
        total += sys.getsizeof(each)
        for other in gc.get_referents(each):
            if id(other) not in seen and goes_on(other):
                seen.add(id(other))
                waiting.append(other)
    return total


def _is_of_tests(each: object) -> bool:
    module = getattr(each if isinstance(each, _NAMED) else type(each), "__module__", None)
    return isinstance(module, str) and module.startswith(_OF_TESTS)
