from __future__ import annotations

import asyncio
import time

import pytest
from aiogram import Bot, Dispatcher
from aiogram.exceptions import TelegramConflictError
from aiogram.types import Message

from bot.sandbox import Driver, Person, Rules, Sandbox

from .conftest import connect, polling


async def test_idle_polling_waits_instead_of_asking_again(bot: Bot, driver: Driver) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def ignore(message: Message) -> None:
        pass

    async with polling(dispatcher, bot):
        await asyncio.sleep(1.2)
        assert len(await driver.calls("getUpdates")) <= 1


async def test_waiting_poll_returns_at_once_when_something_happens(
    bot: Bot, driver: Driver
) -> None:
    eve = await driver.person(9, "Eve")
    waiting = asyncio.create_task(bot.get_updates(timeout=5))
    await asyncio.sleep(0.1)
    started_at = time.monotonic()
    await eve.chat.send_text("now")
    updates = await waiting
    assert time.monotonic() - started_at < 1
    assert updates[0].message.text == "now"


async def test_poll_ends_empty_after_its_timeout(bot: Bot) -> None:
    started_at = time.monotonic()
    assert await bot.get_updates(timeout=1) == []
    assert 0.9 < time.monotonic() - started_at < 2


async def test_unconfirmed_update_comes_again_to_the_next_poller(
    sandbox: Sandbox, ann: Person
) -> None:
    async with connect(sandbox.base_url) as dying:
        before = await dying.get_updates()
    async with connect(sandbox.base_url) as reborn:
        again = await reborn.get_updates()
        assert [u.update_id for u in again] == [u.update_id for u in before]
        assert await reborn.get_updates(offset=again[-1].update_id + 1) == []
        assert await reborn.get_updates() == []


async def test_poll_that_died_while_waiting_swallows_nothing(
    sandbox: Sandbox, ann: Person
) -> None:
    async with connect(sandbox.base_url) as dying:
        (last,) = await dying.get_updates(offset=-1)
        waiting = asyncio.create_task(dying.get_updates(offset=last.update_id + 1, timeout=30))
        await asyncio.sleep(0.1)
        waiting.cancel()
    await ann.chat.send_text("nobody hears this yet")
    async with connect(sandbox.base_url) as reborn:
        assert [u.message.text for u in await reborn.get_updates()] == ["nobody hears this yet"]


async def test_second_poller_ends_the_first_with_a_conflict(sandbox: Sandbox, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=5))
    await asyncio.sleep(0.1)
    async with connect(sandbox.base_url) as other:
        second = asyncio.create_task(other.get_updates(timeout=1))
        with pytest.raises(TelegramConflictError) as caught:
            await first
        assert caught.value.message == (
            "Conflict: terminated by other getUpdates request; "
            "make sure that only one bot instance is running"
        )
        assert await second == []


async def test_limit_and_negative_offset_choose_from_the_queue(bot: Bot, ann: Person) -> None:
    for number in range(4):
        await ann.chat.send_text(str(number))
    assert [u.message.text for u in await bot.get_updates(limit=2)] == ["/start", "0"]
    assert [u.message.text for u in await bot.get_updates(offset=-2)] == ["2", "3"]
    assert [u.message.text for u in await bot.get_updates()] == ["2", "3"]


async def test_update_kinds_that_were_not_asked_for_are_not_queued(bot: Bot, ann: Person) -> None:
    await bot.get_updates(offset=-1, allowed_updates=["callback_query"])
    await ann.chat.send_text("unheard")
    assert [u.message.text for u in await bot.get_updates()] == ["/start"]
    await bot.get_updates(allowed_updates=["message"])
    await ann.chat.send_text("heard")
    assert [u.message.text for u in await bot.get_updates()] == ["/start", "heard"]


async def test_webhook_is_refused_and_deleting_it_can_drop_updates(bot: Bot, ann: Person) -> None:
    with pytest.raises(Exception, match="getUpdates only"):
        await bot.set_webhook("https://example.org/hook")
    assert (await bot.get_webhook_info()).pending_update_count == 1
    assert await bot.delete_webhook(drop_pending_updates=True)
    assert (await bot.get_webhook_info()).pending_update_count == 0


async def test_stopping_the_sandbox_lets_go_of_a_waiting_poll() -> None:
    sandbox = Sandbox()
    base_url = await sandbox.start()
    async with connect(base_url) as bot:
        waiting = asyncio.create_task(bot.get_updates(timeout=30))
        await asyncio.sleep(0.1)
        started_at = time.monotonic()
        await sandbox.stop()
        assert await waiting == []
        assert time.monotonic() - started_at < 1.5


async def test_offset_far_past_the_newest_update_drops_nothing(bot: Bot, ann: Person) -> None:
    (last,) = await bot.get_updates(offset=-1)
    assert [u.update_id for u in await bot.get_updates(offset=last.update_id + 11)] == [
        last.update_id
    ]
    assert await bot.get_updates(offset=last.update_id + 10) == []
    assert await bot.get_updates() == []


async def test_first_update_id_can_be_chosen() -> None:
    async with Sandbox(rules=Rules(first_update_id=5)) as sandbox, sandbox.driver() as driver:
        eve = await driver.person(9, "Eve")
        await eve.chat.send_text("now")
        async with connect(sandbox.base_url) as bot:
            assert (await bot.get_updates())[0].update_id == 5
