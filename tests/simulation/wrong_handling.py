"""Programs that are wrong about what comes to them: updates, errors, and no answer at all.

See :mod:`test_teeth`.
"""

import itertools
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

from bot.feed.inbox import Inbox as Feed
from bot.handlers import batch, taking
from controller.memory import Memory
from tests.simulation.loop import LIFE
from tests.simulation.outside.telegram import SimTelegram
from tests.simulation.wrong_programs import instead

_LIVE_S = 1000.0


def know_no_request(real):
    numbers = itertools.count()
    return lambda message: f"{real(message)}:{next(numbers)}"


def feed_twice(real):
    async def feed(self, update):
        await real(self, update)
        return await real(self, update)

    return feed


def ask_for_no_column(real):
    """It looks for something that is not there, once the disk has failed."""

    def add(self, updates):
        try:
            return real(self, updates)
        except Exception as error:
            raise self._store._db.row("SELECT no_such FROM jobs") from error

    return add


def stumble_over_the_disk(real):
    """A mistake of its own, made while it handles an error that is none."""

    def add(self, updates):
        try:
            return real(self, updates)
        except Exception:
            return {}["nothing"]

    return add


def stumble_unseen(real):
    """A stand-in that is wrong itself, where nobody waits for its answer."""

    def serve(self, method, *each):
        return {}["nothing"] if LIFE.get() is None else real(self, method, *each)

    return serve


@contextmanager
def taken_in_twice(handler):
    with (
        patch.object(Feed, "_feed_once", feed_twice(Feed._feed_once)),
        patch.object(handler, "make_key", know_no_request(handler.make_key)),
    ):
        yield


HANDLING = {
    "the same update is taken in twice": ("7: . jobs", partial(taken_in_twice, taking)),
    "a batch is taken in twice": ("7: . batches", partial(taken_in_twice, batch)),
    "a statement is wrong, on a disk that fails": (
        "10: .*no such column",
        instead(Memory, "inbox_add", ask_for_no_column),
    ),
    "an error of the disk is handled wrong": (
        "10: .*KeyError",
        instead(Memory, "inbox_add", stumble_over_the_disk),
    ),
    "a stand-in is wrong where nobody hears it": (
        "10: nobody caught.*KeyError",
        instead(SimTelegram, "serve", stumble_unseen),
    ),
}
SHAPES = {
    "the same update is taken in twice": {"rate": 0.0, "pace_s": 5.0},
    "a batch is taken in twice": {
        "rate": 0.0,
        "with_batches": True,
        "videos": 30,
        "live_s": 200.0,
        "pace_s": 1.5,
    },
    "a statement is wrong, on a disk that fails": {
        "disk_faults": True,
        "live_s": _LIVE_S,
        "pace_s": 5.0,
    },
    "an error of the disk is handled wrong": {
        "disk_faults": True,
        "live_s": _LIVE_S,
        "pace_s": 5.0,
    },
    "a stand-in is wrong where nobody hears it": {"rate": 0.15},
}
