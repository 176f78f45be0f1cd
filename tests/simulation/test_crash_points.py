from unittest.mock import patch

import pytest

from controller.loops.reap import Reap
from controller.providers.vast import VastProvider
from tests.simulation.crashes import all_deaths, draw_pair, examine, survey
from tests.simulation.scenes import SCENES, Death, Fate, Spot, play

PARTS = 12
PAIRS = 12
#: Where a program that does it wrong leaks, loses or doubles something.
TENDER = (
    "after commit @ Place._rent_for",
    "before vast PUT asks/N @ Rent.create",
    "after vast PUT asks/N @ Rent.create",
    "before vast DELETE instances/N @ Reap._destroy_all",
    "after storage copy_object @ Publisher._copy",
    "before commit @ Publisher._commit",
    "before commit @ Memory.inbox_add",
    "after telegram sendVideo @ Delivery._send_file",
)
CREATE = Spot("result", "before vast PUT asks/N @ Rent.create")


@pytest.mark.parametrize("fate", [Fate.CLEAN, Fate.ANSWER_LOST, Fate.IN_FLIGHT])
def test_the_program_may_die_while_it_rents(fate):
    assert not examine(Death(CREATE, fate))


def test_a_scene_is_the_same_each_time_it_is_played():
    death = Death(CREATE, Fate.ANSWER_LOST)
    runs = [play("result", (death,))[0] for _ in range(2)]
    assert runs[0].digest == runs[1].digest
    assert runs[0].counts["died"] == 1


def test_a_point_that_is_never_come_to_is_no_success():
    assert examine(Death(Spot("result", "before commit @ nowhere"), Fate.CLEAN))


@pytest.mark.slow
def test_calm_scenes_keep_all_promises_and_pass_many_points():
    found = survey()
    assert not found.broken
    assert len(found.spots) > 150
    assert {spot.point for spot in found.spots}.issuperset(TENDER)
    assert {spot.scene for spot in found.spots} == set(SCENES)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_program_that_never_looks_for_what_it_created_is_found_out():
    async def look_away(self, machine, instances):
        return

    with patch.object(Reap, "_resolve", look_away):
        broken = examine(Death(CREATE, Fate.ANSWER_LOST))
    assert any("for ever" in line for line in broken), broken


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_program_that_gives_a_create_up_too_early_is_found_out():
    with (
        patch.object(VastProvider, "settle_s", 0.0),
        patch.object(Reap, "_find_strangers", lambda self, by_label: []),
    ):
        broken = examine(Death(CREATE, Fate.IN_FLIGHT))
    # it lives where nothing wants it, or costs what nothing was reserved for
    assert any("nothing wants" in line or "billed" in line for line in broken), broken


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_program_may_die_at_every_point_whatever_becomes_of_its_call(part):
    broken = [line for death in all_deaths()[part::PARTS] for line in examine(death)]
    assert not broken, "\n".join(broken)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(PAIRS))
def test_the_program_may_die_twice(seed):
    broken = examine(*draw_pair(seed))
    assert not broken, "\n".join(broken)
