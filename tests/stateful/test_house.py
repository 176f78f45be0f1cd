"""Steps that Hypothesis chooses, and smaller ones where a promise is broken.

The same steps each time. With ``STATEFUL_EXAMPLES=5000 STATEFUL_STEPS=100`` so many new ones.
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from pysqlite3 import IntegrityError

from controller.states import JobState
from tests.stateful.house import HouseMachine, RentedHouseMachine

HOUSES = {"this computer": HouseMachine, "rented machines": RentedHouseMachine}
#: Programs that are wrong on purpose: what is replaced by what.
WRONG = {
    "any output will do": ("controller.loops.publish.mismatch", lambda job, found: None),
    "what is not listed is gone": ("controller.loops.reap._PROOF", 0),
    "whatever is listed is ours": (
        "controller.loops.reap.Reap._find_strangers",
        lambda loop, by_label: [each for group in by_label.values() for each in group],
    ),
}


def search(machine, examples: int, steps: int, phases=(Phase.generate, Phase.shrink)) -> Counter:
    """How jobs ended in all that was tried. The numbers are those of the environment where it has
    some."""
    wanted = os.environ.get("STATEFUL_EXAMPLES")
    machine.ends.clear()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(wanted or examples),
            stateful_step_count=int(os.environ.get("STATEFUL_STEPS", steps)),
            derandomize=wanted is None, database=None, deadline=None, phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    return machine.ends


@pytest.mark.parametrize("house", HOUSES)
def test_promises_hold_after_every_step(house):
    assert search(HOUSES[house], examples=5, steps=25).total() >= 5


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("house", HOUSES)
def test_promises_hold_after_every_step_of_many(house):
    ends = search(HOUSES[house], examples=100, steps=50)
    assert all(ends[state] >= 20 for state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_program_that_breaks_a_promise_is_found_out(wrong, monkeypatch):
    """Else the searches above would show nothing."""
    monkeypatch.setattr(*WRONG[wrong])
    with pytest.raises((AssertionError, IntegrityError)):
        search(RentedHouseMachine, examples=30, steps=50, phases=[Phase.generate])
