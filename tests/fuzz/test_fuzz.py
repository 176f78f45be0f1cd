"""Five thousand inputs that nobody would send: each is refused in a typed way or answered right.

The same ones each time. ``python -m tests.fuzz`` tries them all and prints how they were answered;
what failed tells how to see it again.
"""

import pytest

from tests.fuzz.kinds import KINDS
from tests.fuzz.tally import Tally

#: At least so many of each sort, as the names of kinds tell them.
WANTED = {
    ("probe", "command", "process"): 1200, ("updates",): 1500, ("provider",): 800,
    ("documents", "readers", "grants"): 800, ("storage",): 300, ("pages",): 400,
    ("settings",): 200, ("commands",): 100,
}  # fmt: skip
QUICK = [kind for kind in KINDS if kind.quick]
SLOW = [(kind, part) for kind in KINDS for part in range(kind.parts)]


def test_there_are_enough_of_each_sort():
    counts = {kind.name: kind.count for kind in KINDS}
    for names, wanted in WANTED.items():
        assert sum(counts[name] for name in names) >= wanted, names
    assert sum(counts.values()) >= 5000
    assert {name for names in WANTED for name in names} == set(counts)


@pytest.mark.parametrize("kind", QUICK, ids=lambda kind: kind.name)
def test_some_are_answered(kind, tmp_path):
    tally = Tally(kind.name)
    kind.run(tally, range(kind.quick), tmp_path)
    tally.check(kind, kind.quick)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "part"), SLOW, ids=lambda value: getattr(value, "name", str(value))
)
def test_all_are_answered(kind, part, tmp_path):
    tally = Tally(kind.name)
    numbers = kind.numbers(part)
    kind.run(tally, numbers, tmp_path)
    tally.check(kind, len(numbers))
