"""Steps that Hypothesis chooses, and smaller ones where a promise is broken.

The same steps each time. With ``STATEFUL_EXAMPLES=5000 STATEFUL_STEPS=100`` so many new ones.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.stateful.house import HouseMachine, RentedHouseMachine

HOUSES = {"this computer": HouseMachine, "rented machines": RentedHouseMachine}


def search(machine, examples: int, steps: int) -> None:
    """The numbers are those of the environment where it has some."""
    wanted = os.environ.get("STATEFUL_EXAMPLES")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(wanted or examples),
            stateful_step_count=int(os.environ.get("STATEFUL_STEPS", steps)),
            derandomize=wanted is None, database=None, deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("house", HOUSES)
def test_promises_hold_after_every_step(house):
    search(HOUSES[house], examples=5, steps=25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("house", HOUSES)
def test_promises_hold_after_every_step_of_many(house):
    search(HOUSES[house], examples=100, steps=50)
