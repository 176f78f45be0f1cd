"""The chat while nothing can be written down: nothing that comes is lost, and none doubled."""

import asyncio

import pytest

from bot.feed.poller import Backoff, Poller
from tests.bot.stage import buttons
from tests.bot.test_inbox import is_empty, make_inbox, running, store
from tests.bot.test_poller import asks, polling
from tests.controller.test_backups_full import held, no_room


@pytest.fixture
def poller(stage):
    backoff = Backoff(first_s=0.01, longest_s=0.02)
    return Poller(stage.bot, stage.house.controller, lambda: None, timeout_s=1, backoff=backoff)


@pytest.mark.parametrize("prevented", [no_room, held])
async def test_updates_that_cannot_be_kept_are_not_confirmed_and_come_again(
    stage, poller, prevented
):
    stage.session.updates.extend([[{"update_id": 5}]] * 4)
    async with polling(poller):
        with prevented(stage.house):
            await stage.until(lambda: len(asks(stage)) >= 3)
        await stage.until(stage.house.controller.inbox_pending)
        await stage.until(lambda: asks(stage)[-1].offset == 6)
    assert [each.offset for each in asks(stage)[:3]] == [None] * 3


@pytest.mark.parametrize("prevented", [no_room, held])
async def test_an_update_waits_for_room_and_uses_up_no_try(stage, prevented):
    store(stage, *(stage.message(text="/start") for _ in range(2)))
    with prevented(stage.house):
        async with running(make_inbox(stage)):
            await asyncio.sleep(0.2)
            pending = stage.house.controller.inbox_pending()
    assert len(pending) == 2
    assert {each.tries for each in pending} == {0}
    async with running(make_inbox(stage)):
        await stage.until(is_empty(stage))
    assert len(stage.session.sent) == 2


async def test_what_was_handled_as_the_disk_filled_up_is_not_handled_again(stage):
    seen = []

    async def feed(bot, update, **_):
        seen.append(update.update_id)
        stage.house.store._db._db.execute("PRAGMA query_only=ON")

    stage.dispatcher.feed_update = feed
    store(stage, stage.message(text="/start"))
    async with running(make_inbox(stage)):
        await stage.until(lambda: seen)
        await asyncio.sleep(0.1)
        stage.house.store._db._db.execute("PRAGMA query_only=OFF")
        await stage.until(is_empty(stage))
    assert len(seen) == 1


async def test_the_notifier_outlives_it_and_shows_what_it_missed(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.until(lambda: stage.house.controller.card(job.id).message)
        await stage.tap(job)
        with no_room(stage.house):
            await asyncio.sleep(0.1)
        await stage.until(stage.shows(job, "очеред"), limit_s=8)
    # a card that could not be noted was not sent again and again
    assert len(stage.session.sent) <= 2
    assert buttons(stage.card_of(job))
