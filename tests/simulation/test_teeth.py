"""Programs that do something wrong on purpose: the runs find each of them out."""

import contextlib
import re
from dataclasses import replace
from unittest.mock import patch

import pytest

from bot.feed.inbox import OUTAGES
from bot.feed.inbox import Inbox as Feed
from bot.screen.board import Board
from bot.screen.quoting import Quoting
from controller import policy
from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.renting import Rent
from controller.store.chats import Inbox
from controller.store.machines import Machines
from tests.simulation import loop
from tests.simulation.loop import NoTimePasses
from tests.simulation.plan import draw_plan
from tests.simulation.world import run_seed
from tests.simulation.wrong_handling import HANDLING
from tests.simulation.wrong_handling import SHAPES as HANDLING_SHAPES
from tests.simulation.wrong_programs import MORE, instead
from tests.simulation.wrong_programs import SHAPES as MORE_SHAPES

_SEEDS = range(0, 8)


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


def show_what_was(real):
    """What has ended is shown once more as it was at first."""
    first, again = {}, set()

    async def show(self, bot, exhibit):
        was = first.setdefault(exhibit.subject, exhibit)
        if exhibit.ended and exhibit.subject not in again:
            again.add(exhibit.subject)
            await real(self, bot, replace(exhibit, draw=was.draw))
        return await real(self, bot, exhibit)

    return show


def leave_to_an_outage(real):
    async def feed(self, update):
        with contextlib.suppress(*OUTAGES):
            await real(self, update)

    return feed


def handle_nothing(_):
    async def feed(self, update):
        return

    return feed


def fit_always(_):
    return lambda *_, **__: True


MUTANTS = {
    "nothing is destroyed": ("1:", instead(Reap, "_destroy_all", destroy_nothing)),
    "a foreign machine is destroyed": (
        "8:",
        instead(Reap, "_find_strangers", destroy_what_is_foreign),
    ),
    "a machine is rented twice": ("2:", instead(Rent, "create", rent_twice)),
    "nobody looks at budgets": ("5: more", instead(policy, "fits_budget", fit_always)),
    "an update is dropped": ("6: updates", instead(Inbox, "add", lose_an_update)),
    "nothing is handled": ("6: updates", instead(Feed, "_feed_once", handle_nothing)),
    "what an outage interrupts counts as handled": (
        "6: of message",
        instead(Feed, "_feed_once", leave_to_an_outage),
    ),
    "a card shows what was": ("6: chat", instead(Board, "show", show_what_was)),
    "another object is published": ("4:", instead(Publisher, "_commit", publish_something_else)),
    "a version does not grow": ("9:", instead(Machines, "change", move_without_a_version)),
    **MORE,
    **HANDLING,
}
#: What makes it likely that it matters: much goes wrong, and much is wanted at once.
SHAPES = {
    "nothing is destroyed": {"rate": 0.08, "live_s": 1000.0},
    "nobody looks at budgets": {
        "settings": {"day_budget": 0.12, "max_machines": 3, "job_timeout_s": 3600.0},
        "rate": 0.05,
        "videos": 10,
        "pace_s": 5.0,
        "live_s": 1000.0,
    },
    **MORE_SHAPES,
    **HANDLING_SHAPES,
}


#: With which seed to begin, where others take long and meet nothing.
FIRST = {
    "a batch is taken in twice": 5,
    "a label is misspelt": 1,
    "any price is paid": 2,
    "nothing is destroyed while anything fails": 1,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_program_that_does_it_wrong_is_found_out(name):
    pattern, mutated = MUTANTS[name]
    found = []
    for seed in [*_SEEDS[FIRST.get(name, 0) :], *_SEEDS[: FIRST.get(name, 0)]]:
        with mutated():
            found += run_seed(replace(draw_plan(seed), **SHAPES.get(name, {}))).broken
        if any(re.match(pattern, line) for line in found):
            return
    raise AssertionError(f"{name}, and only this was found: {found}")


def test_a_program_that_goes_on_at_one_moment_is_found_out():
    with (
        patch.object(Quoting, "_was_measured_since", return_value=True),
        patch.object(loop, "_MOST_TURNS", 1000),
        pytest.raises(NoTimePasses, match="turns"),
    ):
        run_seed(draw_plan(0))
