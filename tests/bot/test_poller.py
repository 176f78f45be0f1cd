import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramConflictError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from bot.feed.poller import ALLOWED_UPDATES, Backoff, Poller
from controller.errors import SettingsError


@pytest.fixture
def news():
    return []


@pytest.fixture
def poller(stage, news):
    backoff = Backoff(first_s=0.01, longest_s=0.02)
    return Poller(
        stage.bot, stage.house.controller, lambda: news.append(1), timeout_s=1, backoff=backoff
    )


@asynccontextmanager
async def polling(poller):
    running = asyncio.create_task(poller.run())
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def asks(stage):
    return stage.session.named("getUpdates")


async def test_updates_are_committed_before_the_next_request_confirms_them(stage, poller, news):
    committed = []

    async def look(method):
        committed.append((method.offset, [u.id for u in stage.house.controller.inbox_pending()]))

    stage.session.faults["getUpdates"].extend([look, look])
    stage.session.updates.append([{"update_id": 10}, {"update_id": 11}])
    async with polling(poller):
        await stage.until(lambda: len(committed) == 2)
    assert committed == [(None, []), (12, [10, 11])]
    assert news == [1]
    assert asks(stage)[0].allowed_updates == ALLOWED_UPDATES


async def test_fields_of_the_future_are_kept(stage, poller):
    raw = {"update_id": 5, "message_of_2031": {"deep": [1, {"ё": None}]}, "big": 2**60}
    stage.session.updates.append([raw, {"no": "id"}])
    async with polling(poller):
        (update,) = await stage.until(stage.house.controller.inbox_pending)
    assert json.loads(update.body) == raw


async def test_a_batch_that_comes_again_is_stored_once(stage, poller):
    stage.session.updates.extend([[{"update_id": 5, "a": 1}], [{"update_id": 5, "a": 2}]])
    async with polling(poller):
        await stage.until(lambda: len(asks(stage)) == 3)
    (update,) = stage.house.controller.inbox_pending()
    assert json.loads(update.body)["a"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        TelegramNetworkError(method=None, message="reset"),
        TelegramServerError(method=None, message="Bad Gateway"),
        TelegramConflictError(method=None, message="Conflict: terminated by other getUpdates"),
        ClientDecodeError("no JSON", ValueError(), "<html>"),
        TelegramRetryAfter(method=None, message="Too Many Requests", retry_after=0.01),
    ],
)
async def test_trouble_passes(stage, poller, fault):
    stage.session.faults["getUpdates"].extend([fault] * 3)
    stage.session.updates.append([{"update_id": 1}])
    async with polling(poller):
        await stage.until(stage.house.controller.inbox_pending)


async def test_a_forgotten_webhook_is_removed(stage, poller):
    stage.session.faults["getUpdates"].append(
        TelegramConflictError(
            method=None, message="Conflict: can't use getUpdates method while webhook is active"
        )
    )
    async with polling(poller):
        await stage.until(lambda: len(asks(stage)) == 2)
    (call,) = stage.session.named("deleteWebhook")
    assert call.drop_pending_updates is False


async def test_a_refused_token_ends_the_bot_with_a_clear_word(stage, poller):
    stage.session.faults["getUpdates"].append(
        TelegramUnauthorizedError(method=None, message="Unauthorized")
    )
    with pytest.raises(SettingsError, match="TELEGRAM_BOT_TOKEN is not accepted"):
        await poller.run()


def test_backoff_doubles_up_to_a_limit():
    backoff = Backoff(first_s=1, longest_s=30)
    assert [backoff.wait_s(n) for n in (1, 2, 3, 9, 10_000)] == [1, 2, 4, 30, 30]
