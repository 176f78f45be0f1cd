import asyncio
import functools
import itertools
import json
import logging

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.feed.inbox import Inbox, Limits
from bot.feed.poller import Backoff
from bot.handlers.errors import tell_crash
from bot.texts import Texts
from controller.records import Actor
from tests.bot.stage import ADMIN, USER, make_video
from tests.bot.updates import resolve, updates

#: Each example meets what those before it left, so a failure is told as it is, not made smaller.
ODD = settings(
    deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
QUICK = Limits(retry_s=0.001, drain_s=0.3, backoff=Backoff(first_s=0.001, longest_s=0.002))


class Errors(logging.Handler):
    """Keeps what was logged as an error, but for updates that nobody could read."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.lines = []

    def emit(self, record):
        text = self.format(record)
        if "cannot be read" not in text:
            self.lines.append(text)


@pytest.fixture
def errors():
    handler = Errors()
    logging.getLogger().addHandler(handler)
    yield handler.lines
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


def known_data(stage):
    """Callback data of every button that is or was on screen."""
    found = set()
    for call in stage.session.calls:
        markup = getattr(call, "reply_markup", None)
        for row in getattr(markup, "inline_keyboard", None) or ():
            found |= {button.callback_data for button in row if button.callback_data}
    return tuple(sorted(found))


async def handle(stage, bodies, numbers):
    controller = stage.house.controller
    give_up = functools.partial(
        tell_crash, stage.bot, controller=controller, texts=Texts(), settings=stage.settings
    )
    known = known_data(stage)
    bodies = [resolve(body, known) for body in bodies]
    inbox = Inbox(stage.bot, stage.dispatcher, controller, give_up, QUICK)
    controller.inbox_add(
        [(number, json.dumps({"update_id": number, **body})) for number, body in
         zip(numbers, bodies, strict=False)]
    )  # fmt: skip
    async with stage.showing():
        working = asyncio.create_task(inbox.run())
        try:
            await stage.until(lambda: not controller.inbox_pending(), limit_s=20)
            await asyncio.sleep(0.02)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


@settings(ODD, max_examples=60)
@given(data=st.data())
def test_odd_updates_are_all_handled_and_none_is_an_error(stage, runner, errors, data):
    numbers = itertools.count(stage.house.controller.inbox_offset() or 1)
    bodies = data.draw(st.lists(updates(), min_size=1, max_size=6))
    runner.run(handle(stage, bodies, numbers))
    assert not errors, errors[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(ODD, max_examples=600)
@given(data=st.data())
def test_many_odd_updates_are_all_handled(stage, runner, errors, data):
    numbers = itertools.count(stage.house.controller.inbox_offset() or 1)
    bodies = data.draw(st.lists(updates(), min_size=1, max_size=8))
    runner.run(handle(stage, bodies, numbers))
    assert not errors, errors[0]


def test_a_video_among_odd_updates_is_never_lost(stage, runner, errors):
    @settings(ODD, max_examples=25)
    @given(data=st.data())
    def run(data):
        user = data.draw(st.sampled_from((USER, ADMIN)))
        before = {job.id for job in stage.house.controller.jobs(owner=user, limit=10_000)}
        numbers = itertools.count(stage.house.controller.inbox_offset() or 1)
        odd = data.draw(st.lists(updates(), max_size=4))
        sent = stage.message(user, video=make_video())
        at = data.draw(st.integers(0, len(odd)))
        runner.run(handle(stage, [*odd[:at], {"message": sent["message"]}, *odd[at:]], numbers))
        after = stage.house.controller.jobs(owner=user, limit=10_000)
        told = [call for call in stage.session.calls if getattr(call, "chat_id", 0) == user]
        made = [job for job in after if job.id not in before]
        assert made or told
        for job in made:
            if not job.state.is_terminal:
                stage.house.controller.cancel(job.id, by=Actor(user, admin=user == ADMIN))

    run()
    assert not errors, errors[0]
