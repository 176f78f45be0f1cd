"""More of them: what only one of the stricter looks finds. See :mod:`test_teeth`."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from aiogram import Bot

from bot.screen.board import Board
from bot.screen.delivery import Delivery
from controller import bootstrap, policy
from controller.loops import publish
from controller.loops.reap import Reap
from controller.loops.renting import Rent
from controller.loops.watch import Watch
from controller.mailbox import Mailbox
from controller.providers import vast_api
from controller.providers.vast_api import VastApi
from controller.storage.s3 import S3Storage
from tests.simulation.faults import Fault
from tests.simulation.house import START, VAST_KEY
from tests.simulation.outside import work
from tests.simulation.people import ADMIN

_LIVE_S = 1000.0


def instead(owner, name, make):
    """A context in which ``owner.name`` is what ``make`` makes of the real one."""

    @contextmanager
    def mutated():
        with patch.object(owner, name, make(getattr(owner, name))):
            yield

    return mutated


def destroy_in_calm_only(real):
    async def destroy(self, ids):
        if self._context.clock() < START + _LIVE_S:
            return set(ids)
        return await real(self, ids)

    return destroy


def reserve_too_little(real):
    return lambda *each, **named: 0.05 * real(*each, **named)


def mind_no_cancel(real):
    def check(self, job, attempt):
        return real(self, replace(job, cancel_requested_at=None), attempt)

    return check


def pay_any_price(_):
    return lambda self, machine: False


def arm_too_late(real):
    return lambda *each, deadline_at, **named: real(*each, deadline_at=deadline_at + 9e3, **named)


def misspell_the_label(real):
    async def create(self, offer, machine):
        return await real(self, offer, replace(machine, label=machine.label[:-4] + "!"))

    return create


def make_it_wider(real):
    return lambda *each: real(*each).replace(b'"width": ', b'"width": 1')


@contextmanager
def no_failure_told():
    """Neither on its card nor by a message of its own."""

    async def show(self, bot, exhibit):
        if exhibit.job is not None and exhibit.job.state == "failed":
            return False
        return await real_show(self, bot, exhibit)

    async def tell(self, bot, job, card):
        return None if job.state == "failed" else await real_tell(self, bot, job, card)

    real_show, real_tell = Board.show, Delivery._tell
    with patch.object(Board, "show", show), patch.object(Delivery, "_tell", tell):
        yield


def send_it_twice(real):
    async def send(self, *each):
        await real(self, *each)
        return await real(self, *each)

    return send


def write_the_key_into_orders(real):
    async def write(self, key, data, *each, **named):
        if key.endswith("orders"):
            data = data[:-1] + f', "note": "{VAST_KEY}"}}'.encode()
        return await real(self, key, data, *each, **named)

    return write


def log_the_answer(real):
    """A new instance's own key is in it, which no settings name."""

    async def call_once(self, route, **named):
        answer = await real(self, route, **named)
        vast_api.log.info("%s: %s", route.path, answer.body)
        return answer

    return call_once


def show_it_to_the_admin(real):
    async def send(self, bot, job, card, path):
        await real(self, bot, job, replace(card, chat=ADMIN), path)
        return await real(self, bot, job, card, path)

    return send


def write_the_key_below(real):
    async def edit(self, text, *each, **named):
        return await real(self, f"{text} {VAST_KEY}", *each, **named)

    return edit


def give_it_to_another(real):
    """Whoever has nothing to do is told to do what another machine does."""
    given = []

    async def write(self, machine, *, attempt, **named):
        if attempt is not None:
            given.append(attempt)
        elif given and given[-1].machine != machine.id:
            attempt = given[-1]
        await real(self, machine, attempt=attempt, **named)

    return write


@contextmanager
def cancels_ignored():
    """Neither passed on to the machine nor enforced."""

    async def order(self, machine_id):
        store = self._context.store
        attempt = store.attempts.open_on(machine_id)
        job = store.jobs.get(attempt.job) if attempt else None
        if job is None or job.cancel_requested_at is None:
            await real_order(self, machine_id)

    real_order = Watch._order
    with (
        patch.object(Watch, "_order", order),
        patch.object(Watch, "_check_deadlines", mind_no_cancel(Watch._check_deadlines)),
    ):
        yield


@contextmanager
def wrong_videos_published():
    with (
        patch.object(publish, "mismatch", lambda *_: None),
        patch.object(work, "make_output", make_it_wider(work.make_output)),
    ):
        yield


MORE = {
    "nothing is destroyed while anything fails": (
        "1: nothing",
        instead(Reap, "_destroy_all", destroy_in_calm_only),
    ),
    "too little is reserved": ("5: nox1", instead(policy, "reservation_usd", reserve_too_little)),
    "a cancel is ignored": ("1: nothing", cancels_ignored),
    "any price is paid": ("1: nothing", instead(Reap, "_is_overpriced", pay_any_price)),
    "a switch is set too late": ("1: .* behind", instead(bootstrap, "first_script", arm_too_late)),
    "a label is misspelt": ("1: instance", instead(Rent, "create", misspell_the_label)),
    "a wrong video is published": ("4: job", wrong_videos_published),
    "no failure is told": ("6: chat", no_failure_told),
    "a key is in all orders": ("9:", instead(S3Storage, "write", write_the_key_into_orders)),
    "an answer is logged whole": (
        "9: a secret is in a log",
        instead(VastApi, "call_once", log_the_answer),
    ),
    "each result is shown to the admin": (
        "9: chat 1 was shown",
        instead(Delivery, "_send_file", show_it_to_the_admin),
    ),
    "each result is sent twice": ("6:", instead(Delivery, "_send_file", send_it_twice)),
    "a key is in what is edited": (
        "9: a secret is in a message",
        instead(Bot, "edit_message_text", write_the_key_below),
    ),
    "two machines work at one attempt": (
        "2: attempt",
        instead(Mailbox, "write_orders", give_it_to_another),
    ),
}
SHAPES = {
    "nothing is destroyed while anything fails": {
        "rate": 0.02,
        "live_s": _LIVE_S,
        "pace_s": 8.0,
        "settings": {"idle_s": 20.0, "job_timeout_s": 3600.0},
    },
    "too little is reserved": {"rate": 0.0},
    "a cancel is ignored": {"rate": 0.02, "live_s": _LIVE_S, "long_work": True, "pace_s": 8.0},
    "any price is paid": {
        "rate": 0.02,
        "live_s": _LIVE_S,
        "long_work": True,
        "settings": {"max_price": 0.1, "job_timeout_s": 3600.0},
        "themes": ((Fault.PRICE_RISES, "busy"), (Fault.PRICE_RISES, "booting")),
    },
    "a label is misspelt": {"rate": 0.0, "live_s": 300.0, "pace_s": 8.0},
    "a switch is set too late": {
        "rate": 0.02,
        "ends_dead": True,
        "live_s": 300.0,
        "pace_s": 5.0,
        "themes": ((Fault.RUNNER_HANGS, "running"), (Fault.RUNNER_HANGS, "assigned")),
    },
    "a wrong video is published": {"rate": 0.0},
    "no failure is told": {"rate": 0.02, "spoilt": 0.7},
    "a key is in all orders": {"rate": 0.0},
    "an answer is logged whole": {"rate": 0.0},
    "each result is shown to the admin": {"rate": 0.0},
    "each result is sent twice": {"rate": 0.0},
    "a key is in what is edited": {"rate": 0.0},
    "two machines work at one attempt": {
        "rate": 0.0,
        "live_s": _LIVE_S,
        "pace_s": 8.0,
        "settings": {"max_machines": 3, "idle_s": 120.0},
    },
}
