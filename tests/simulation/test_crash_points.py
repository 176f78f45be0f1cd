from unittest.mock import patch

import pytest

from controller.loops.reap import Reap
from controller.providers.vast import VastProvider
from tests.simulation.crashes import all_deaths, all_recoveries, draw_pair, examine, survey
from tests.simulation.playing import play
from tests.simulation.scenes import ANY, Death, Fate, Spot
from tests.simulation.scripts import SCENES

PARTS = 12
PAIRS, PAIRS_A_TEST = 60, 5
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
    "before commit @ Reap._lose",
    "before storage get_object @ Reap._has_result",
    "after local create @ Rent.create",
    "before local destroy @ Reap._destroy_all",
    "before storage list_object_versions @ Strays._settle_one",
    "before disk sync @ Backup._back_up",
    "before commit @ Approvals.approve_price",
    "before commit @ People.accept",
    "before commit @ Queue.drain",
)
#: Points of a life that has something to mend.
MENDING = ("before commit @ Reap._resolve", "after commit @ Reap._resolve")
CREATE = Spot("result", "before vast PUT asks/N @ Rent.create")


@pytest.mark.parametrize("fate", [Fate.CLEAN, Fate.ANSWER_LOST, Fate.IN_FLIGHT])
def test_the_program_may_die_while_it_rents(fate):
    assert not examine(Death(CREATE, fate)).broken


def test_a_scene_is_the_same_each_time_it_is_played():
    death = Death(CREATE, Fate.ANSWER_LOST)
    runs = [play("result", (death,)) for _ in range(2)]
    assert runs[0].outcome.digest == runs[1].outcome.digest
    assert runs[0].died_at == runs[1].died_at == [CREATE.point]
    assert runs[0].passed == runs[1].passed


def test_a_point_that_is_never_come_to_is_no_success():
    nowhere = Death(Spot("result", "before commit @ nowhere"), Fate.CLEAN)
    assert examine(nowhere).broken
    assert examine(Death(CREATE, Fate.CLEAN), nowhere).broken


def test_the_second_death_is_counted_from_the_first():
    death = Death(CREATE, Fate.CLEAN)
    passed = play("result", (death,)).passed
    again = examine(death, Death(Spot("result", ANY), Fate.CLEAN))
    assert not again.broken
    assert len(again.died_at) == 2
    assert again.died_at[1] in passed
    beyond = Death(Spot("result", ANY, passed.total()), Fate.CLEAN)
    assert len(examine(death, beyond).died_at) == 1


@pytest.mark.slow
def test_calm_scenes_keep_all_promises_and_pass_many_points():
    found = survey()
    assert not found.broken
    assert len(found.spots) > 400
    assert {spot.point for spot in found.spots}.issuperset(TENDER)
    assert {spot.scene for spot in found.spots} == set(SCENES)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_program_may_die_while_it_mends_what_a_death_has_left():
    recoveries = all_recoveries()
    assert {second.spot.point for _, second in recoveries}.issuperset(MENDING)
    broken = [line for deaths in recoveries for line in examine(*deaths).broken]
    assert not broken, "\n".join(broken)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_program_that_never_looks_for_what_it_created_is_found_out():
    async def look_away(self, machine, instances):
        return

    with patch.object(Reap, "_resolve", look_away):
        broken = examine(Death(CREATE, Fate.ANSWER_LOST)).broken
    assert any("for ever" in line for line in broken), broken


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_program_that_gives_a_create_up_too_early_is_found_out():
    with (
        patch.object(VastProvider, "settle_s", 0.0),
        patch.object(Reap, "_find_strangers", lambda self, by_label: []),
    ):
        broken = examine(Death(CREATE, Fate.IN_FLIGHT)).broken
    # it lives where nothing wants it, or costs what nothing was reserved for
    assert any("nothing wants" in line or "billed" in line for line in broken), broken


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_program_may_die_at_every_point_whatever_becomes_of_its_call(part):
    broken = [line for death in all_deaths()[part::PARTS] for line in examine(death).broken]
    assert not broken, "\n".join(broken)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(0, PAIRS, PAIRS_A_TEST))
def test_the_program_may_die_twice(first):
    seeds = range(first, first + PAIRS_A_TEST)
    broken = [line for seed in seeds for line in examine(*draw_pair(seed)).broken]
    assert not broken, "\n".join(broken)
