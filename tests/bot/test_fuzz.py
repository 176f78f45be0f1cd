"""A quick look at odd updates; many more are in :mod:`tests.fuzz`."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.records import Actor
from tests.bot.stage import ADMIN, USER, make_video
from tests.bot.updates import updates
from tests.bot.virtual_time import VirtualLoop
from tests.fuzz.updates import ODD, take


@pytest.fixture
def runner():
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        yield runner


@settings(ODD, max_examples=60)
@given(bodies=st.lists(updates(), min_size=1, max_size=6))
def test_odd_updates_are_all_handled_and_none_is_an_error(stage, runner, bodies):
    errors = take(stage, runner, bodies)
    assert not errors.lines, errors.lines[0]


def test_a_video_among_odd_updates_is_never_lost(stage, runner):
    @settings(ODD, max_examples=25)
    @given(data=st.data())
    def run(data):
        user = data.draw(st.sampled_from((USER, ADMIN)))
        before = {job.id for job in stage.house.controller.jobs(owner=user, limit=10_000)}
        odd = data.draw(st.lists(updates(), max_size=4))
        sent = stage.message(user, video=make_video())
        at = data.draw(st.integers(0, len(odd)))
        errors = take(stage, runner, [*odd[:at], {"message": sent["message"]}, *odd[at:]])
        assert not errors.lines, errors.lines[0]
        after = stage.house.controller.jobs(owner=user, limit=10_000)
        told = [call for call in stage.session.calls if getattr(call, "chat_id", 0) == user]
        made = [job for job in after if job.id not in before]
        assert made or told
        for job in made:
            if not job.state.is_terminal:
                stage.house.controller.cancel(job.id, by=Actor(user, admin=user == ADMIN))

    run()
