"""What admins do, over HTTP against the strict stand-in for Telegram."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from bot.dispatcher import run_bot
from bot.sandbox import DEFAULT_TOKEN, Sandbox
from bot.settings import BotSettings
from controller.records import TERMINAL, Request
from tests.bot.stage import ADMIN, FAST, STRANGER, USER
from tests.controller.conftest import write_video


@pytest.fixture
async def sandbox(tmp_path):
    async with Sandbox(root=tmp_path / "telegram", limited=False) as sandbox:
        yield sandbox


@asynccontextmanager
async def serving(house, sandbox):
    settings = BotSettings(
        token=DEFAULT_TOKEN, api_url=sandbox.base_url, users=frozenset({USER}),
        admins=frozenset({ADMIN}),
    )  # fmt: skip
    running = asyncio.create_task(run_bot(house.controller, settings, pace=FAST))
    try:
        yield
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_admin_looks_around_and_invites_somebody(rented, sandbox):
    await fill(rented, 7)
    async with sandbox.driver() as driver, serving(rented, sandbox):
        boss = await driver.person(ADMIN, "Boss", language_code="en")
        guest = await driver.person(STRANGER, "Guest", language_code="ru")
        await boss.chat.send_text("/start")
        await boss.chat.wait_for("Send me a video")
        await boss.chat.send_text("/status")
        card = await boss.chat.wait_for("All jobs: 7")
        await (await boss.chat.press(card, "2 ›")).answer()
        await boss.chat.wait_for("page 2 of 2")
        await boss.chat.send_text("/spend")
        card = await boss.chat.wait_for("💸 Spending")
        assert card.media == "photo"
        await (await boss.chat.press(card, "7 days")).answer()
        await boss.chat.wait_for(lambda m: "✓ 7 days" in labels_of(m))
        await boss.chat.send_text("/queue")
        card = await boss.chat.wait_for("Queue: 7")
        await (await boss.chat.press(card, "⏫ 5")).answer()
        await boss.chat.wait_for("1. 4.mp4")
        await boss.chat.send_text("/users")
        card = await boss.chat.wait_for("👥 People: 2")
        await (await boss.chat.press(card, "➕ Invite")).answer()
        invitation = await boss.chat.wait_for("t.me/noxfvr")
        code = re.search(r"start=(inv_\S+)", invitation.text)[1]
        await guest.chat.send_text(f"/start {code}")
        await guest.chat.wait_for("👋 Guest, вас пригласили")
        await boss.chat.wait_for("Guest (666) uses the bot now")
        for command, text in (("machines", "There are no"), ("drain", "Finish"), ("health", "V")):
            await boss.chat.send_text(f"/{command}")
            await boss.chat.wait_for(text)
        refused = [call for call in await driver.calls() if call["code"] != 200]
    # at the start the admin may have no chat yet
    assert {call["method"].lower() for call in refused} <= {"setmycommands"}


def labels_of(message):
    return [button.text for button in message.buttons]


async def fill(house, count):
    """Jobs of the terminal, so that no chat has their cards."""
    for number in range(count):
        job = await house.controller.accept_upload(
            Request(key=f"cli:{number}", owner=0), name=f"{number}.mp4", size=100,
            fetch=write_video,
        )  # fmt: skip
        house.controller.start(job.id, by=TERMINAL)
