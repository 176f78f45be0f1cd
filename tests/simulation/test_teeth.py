"""Programs that do something wrong on purpose: the runs find each of them out."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest

from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.renting import Rent
from controller.store.chats import Inbox
from controller.store.machines import Machines
from tests.simulation.plan import draw_plan
from tests.simulation.world import run_seed

_SEEDS = range(0, 8)


def instead(owner, name, make):
    """A context in which ``owner.name`` is what ``make`` makes of the real one."""

    @contextmanager
    def mutated():
        with patch.object(owner, name, make(getattr(owner, name))):
            yield

    return mutated


def destroy_nothing(_):
    async def destroy(self, ids):
        return set(ids)

    return destroy


def destroy_what_is_foreign(real):
    def find(self, by_label):
        others = [each for label in by_label if "otherdep" in label for each in by_label[label]]
        return [*real(self, by_label), *others]

    return find


def rent_twice(real):
    async def create(self, offer, machine):
        await real(self, offer, machine)
        offers = await self._context.provider.offers(self._need(machine))
        return await real(self, offers[-1], machine)

    return create


def lose_an_update(real):
    def add(self, updates):
        real(self, updates)
        self._db.run("DELETE FROM updates WHERE id % 5 = 0 AND handled_at IS NULL")

    return add


def publish_something_else(real):
    def commit(self, job, attempt, result, final_key, look):
        return real(self, job, attempt, result, f"{final_key}.part", look)

    return commit


def move_without_a_version(real):
    def change(self, machine, **columns):
        changed = real(self, machine, **columns)
        if changed and columns.get("state") == "booting":
            self._db.run("UPDATE machines SET version = 1 WHERE id = :id", id=machine.id)
        return changed

    return change


MUTANTS = {
    "nothing is destroyed": ("1:", instead(Reap, "_destroy_all", destroy_nothing)),
    "a foreign machine is destroyed": (
        "8:",
        instead(Reap, "_find_strangers", destroy_what_is_foreign),
    ),
    "a machine is rented twice": ("2:", instead(Rent, "create", rent_twice)),
    "an update is dropped": ("6:", instead(Inbox, "add", lose_an_update)),
    "another object is published": ("4:", instead(Publisher, "_commit", publish_something_else)),
    "a version does not grow": ("9:", instead(Machines, "change", move_without_a_version)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_program_that_does_it_wrong_is_found_out(name):
    number, mutated = MUTANTS[name]
    found = []
    for seed in _SEEDS:
        with mutated():
            found += run_seed(draw_plan(seed)).broken
        if any(line.startswith(number) for line in found):
            return
    raise AssertionError(f"{name}, and only this was found: {found}")
