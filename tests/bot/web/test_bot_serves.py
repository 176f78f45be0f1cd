"""The bot as it runs: one process with chat and pages."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from bot.dispatcher import run_bot
from bot.sandbox import DEFAULT_TOKEN, Sandbox
from bot.settings import BotSettings
from controller.errors import SettingsError
from controller.records import Request
from tests.bot.stage import FAST, USER
from tests.bot.web.conftest import VIDEO


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
async def sandbox(tmp_path):
    async with Sandbox(root=tmp_path / "telegram") as sandbox:
        yield sandbox


@pytest.fixture
def settings(sandbox):
    return BotSettings(token=DEFAULT_TOKEN, api_url=sandbox.base_url, users=frozenset({USER}))


@asynccontextmanager
async def serving(house, settings):
    running = asyncio.create_task(run_bot(house.controller, settings, pace=FAST))
    try:
        yield
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def fetch(session, url, limit_s=5.0):
    """What is served there, as soon as it is."""
    async with asyncio.timeout(limit_s):
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status, await answer.text()
            except OSError:
                await asyncio.sleep(0.02)


async def test_a_file_of_the_page_gets_its_card_in_the_chat(house, sandbox, settings, session):
    url = f"http://127.0.0.1:{free_port()}"
    house.change(public_url=url, bind=url.removeprefix("http://"))
    request = Request(key="tg:7:1", owner=USER, chat=USER, language="ru")
    async with sandbox.driver() as driver, serving(house, settings):
        ann = await driver.person(USER, "Ann", language_code="ru")
        await ann.chat.send_text("/start")
        await ann.chat.wait_for("Пришлите")
        page = house.controller.uploads.offer(request).url
        assert (await fetch(session, page))[0] == 200
        body = {"name": "Кот.mp4", "bytes": len(VIDEO), "type": ""}
        async with session.post(f"{page}/open", json=body) as answer:
            assert answer.status == 200
        async with session.put(f"{page}/parts/1", data=VIDEO) as answer:
            assert answer.status == 200
        async with session.post(f"{page}/complete", json={}) as answer:
            assert (await answer.json())["state"] == "taken"
        card = await ann.chat.wait_for("Кот.mp4")
        assert any("Старт" in button.text for button in card.buttons)
        _, figures = await fetch(session, f"{url}/metrics")
    assert 'noxfvr_telegram_calls_total{method="getUpdates"}' in figures
    assert "noxfvr_poller_age_seconds" in figures


async def test_a_bot_whose_port_is_taken_says_so_and_ends(house, settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        house.change(bind=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(SettingsError, match="NOXFVR_BIND"):
            await run_bot(house.controller, settings, pace=FAST)
