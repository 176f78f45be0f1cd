from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

from bot.sandbox import Driver, FaultKind, Person, Sandbox


async def test_burst_is_allowed_then_429_says_how_long_and_then_it_works(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.set_rates({"private_burst": 3, "private_per_s": 0.5})
    card = await bot.send_message(ann.id, "1")
    await card.edit_text("2")
    await card.edit_text("3")
    with pytest.raises(TelegramRetryAfter) as caught:
        await card.edit_text("4")
    assert caught.value.retry_after == 2
    assert "Too Many Requests: retry after 2" in caught.value.message
    await driver.advance(2)
    await card.edit_text("5")
    refused = [call for call in await driver.calls() if call["code"] == 429]
    assert [(c["method"], c["retry_after"]) for c in refused] == [("editMessageText", 2)]


async def test_each_chat_has_its_own_budget_and_a_group_a_smaller_one(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    group_id = await driver.group(-5, "Films", [ann])
    await driver.set_rates({"global_burst": 100})
    for number in range(20):
        await bot.send_message(group_id, str(number))
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(group_id, "one too many")
    assert caught.value.retry_after == 3
    await bot.send_message(ann.id, "unaffected")


async def test_whole_bot_shares_one_budget(bot: Bot, driver: Driver, ann: Person) -> None:
    bob = await driver.person(8, "Bob")
    await bob.chat.send_text("hi")
    await driver.set_rates({"global_burst": 2, "global_per_s": 1})
    await bot.send_message(ann.id, "1")
    await bot.send_message(bob.id, "2")
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message(ann.id, "3")


async def test_answers_reactions_and_actions_are_free(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.set_rates({"private_burst": 1, "private_per_s": 0.001})
    await bot.send_message(ann.id, "the only one")
    for _ in range(5):
        await bot.send_chat_action(ann.id, "typing")
        await bot.set_message_reaction(ann.id, 1)


async def test_injected_429_hits_the_next_calls_of_that_method_only(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.inject(FaultKind.RETRY_AFTER, "sendMessage", times=2, seconds=7)
    await bot.send_chat_action(ann.id, "typing")
    for _ in range(2):
        with pytest.raises(TelegramRetryAfter) as caught:
            await bot.send_message(ann.id, "hi")
        assert caught.value.retry_after == 7
    assert (await bot.send_message(ann.id, "hi")).message_id == 2


async def test_server_error_and_proxy_page_leave_nothing_behind(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.inject(FaultKind.SERVER_ERROR)
    with pytest.raises(TelegramServerError):
        await bot.send_message(ann.id, "hi")
    await driver.inject(FaultKind.BAD_GATEWAY)
    with pytest.raises(ClientDecodeError):
        await bot.send_message(ann.id, "hi")
    assert len(await ann.chat.messages()) == 1


async def test_lost_answer_means_it_happened_and_lost_call_that_it_did_not(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.inject(FaultKind.DROP_AFTER, "sendMessage")
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(ann.id, "happened")
    await driver.inject(FaultKind.DROP_BEFORE, "sendMessage")
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(ann.id, "did not")
    assert [m.text for m in await ann.chat.messages()] == ["/start", "happened"]


async def test_delay_holds_one_chat_back_and_faults_can_be_cleared(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.inject(FaultKind.DELAY, seconds=0.3, chat_id=ann.id)
    started_at = time.monotonic()
    await bot.send_message(ann.id, "late")
    assert time.monotonic() - started_at >= 0.3
    await driver.inject(FaultKind.SERVER_ERROR, times=100)
    await driver.clear_faults()
    await bot.send_message(ann.id, "fine")


async def test_lost_answer_of_getupdates_does_not_lose_the_update(
    bot: Bot, driver: Driver, ann: Person
) -> None:
    await driver.inject(FaultKind.DROP_AFTER, "getUpdates")
    with pytest.raises(TelegramNetworkError):
        await bot.get_updates()
    assert [u.message.text for u in await bot.get_updates()] == ["/start"]


async def test_an_upload_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    async with Sandbox(root=tmp_path) as sandbox:
        port = int(sandbox.base_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        part = b'--x\r\nContent-Disposition: form-data; name="file0"; filename="a.mp4"\r\n\r\n'
        head = (
            f"POST /bot{sandbox.token}/sendVideo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n"
        )
        writer.write(head.encode() + part + bytes(600_000))
        await writer.drain()
        spool = tmp_path / sandbox.token / "temp"
        await until(lambda: list(spool.iterdir()))
        writer.close()
        await until(lambda: not list(spool.iterdir()))


async def until(condition: Callable[[], object]) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")
