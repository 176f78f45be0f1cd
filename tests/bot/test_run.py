import asyncio
from contextlib import asynccontextmanager

import pytest

from bot.dispatcher import run_bot
from bot.sandbox import DEFAULT_TOKEN, FaultKind, Sandbox
from bot.settings import BotSettings
from controller.errors import SettingsError
from controller.states import JobState
from remote_runner.protocol import Facts, from_json
from tests.bot.stage import FAST, OTHER, STRANGER, USER, VIDEO_BYTES
from tests.controller.conftest import video


@pytest.fixture
async def sandbox(tmp_path):
    async with Sandbox(root=tmp_path / "telegram") as sandbox:
        yield sandbox


@pytest.fixture
def settings(sandbox):
    return BotSettings(
        token=DEFAULT_TOKEN, api_url=sandbox.base_url, users=frozenset({USER, OTHER}),
        admins=frozenset({1}),
    )  # fmt: skip


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(VIDEO_BYTES)
    return path


@asynccontextmanager
async def serving(house, settings):
    running = asyncio.create_task(run_bot(house.controller, settings, pace=FAST))
    try:
        yield
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def finish(house, width=640, height=360):
    output = video(width=width, height=height)
    house.runner.finish(house.machine(), output, facts=from_json(Facts, output), extension="mkv")
    for _ in range(5):
        await house.tick()


async def test_a_whole_conversation_over_http(house, sandbox, settings, clip, tmp_path):
    async with sandbox.driver() as driver, serving(house, settings):
        ann = await driver.person(USER, "Ann", language_code="ru")
        sent = await ann.chat.send_video(clip, as_document=True)
        card = await ann.chat.wait_for("Старт")
        await (await ann.chat.press(card, "×4")).answer()
        card = await ann.chat.wait_for("1280×720")
        assert (await (await ann.chat.press(card, "Старт")).answer()).text == "Поехали!"
        await house.tick()
        house.runner.heartbeat(house.machine(), done=120)
        await house.tick()
        await ann.chat.wait_for("120 из 240 кадров")
        await finish(house, 1280, 720)
        result = await ann.chat.wait_for(lambda m: m.from_bot and m.media == "document")
        await ann.chat.wait_for("✅ Готово")
        got = await ann.chat.download(result, tmp_path / "result")
        messages = await ann.chat.messages()
    assert result.reply_to_id == sent.id
    assert from_json(Facts, got.read_bytes()).width == 1280
    assert [each.id for each in messages if each.from_bot] == [card.id, result.id]


async def test_a_restart_goes_on_with_the_same_card(house, sandbox, settings, clip):
    async with sandbox.driver() as driver:
        ann = await driver.person(USER, "Ann", language_code="en")
        async with serving(house, settings):
            await ann.chat.send_video(clip, as_document=True)
            card = await ann.chat.wait_for("Start")
        press = await ann.chat.press(card, "Start")
        house.restart()
        async with serving(house, settings):
            await press.answer()
            await ann.chat.wait_for("In the queue")
            await house.tick()
        house.runner.heartbeat(house.machine())
        await house.tick()
        await finish(house)
        house.restart()
        async with serving(house, settings):
            await ann.chat.wait_for("✅ Done")
            await ann.chat.wait_for(lambda m: m.media == "document" and m.from_bot)
            messages = await ann.chat.messages()
    assert len([each for each in messages if each.from_bot]) == 2
    (job,) = house.controller.jobs()
    assert job.state is JobState.DONE


async def test_two_users_and_a_stranger_at_once(house, sandbox, settings, clip):
    async with sandbox.driver() as driver, serving(house, settings):
        people = [await driver.person(each, "P") for each in (USER, OTHER, STRANGER)]
        for person in people:
            await person.chat.send_text("/start")
            await person.chat.send_video(clip, as_document=True)
        for person in people[:2]:
            await person.chat.wait_for("Start”")
            card = await person.chat.wait_for("🎬")
        await driver.press_raw(STRANGER, OTHER, card.id, card.button("Start").callback_data)
        await (await people[1].chat.press(card, "×2 and 2× fps")).answer()
        assert [m for m in await people[2].chat.messages() if m.from_bot] == []
    assert {job.owner for job in house.controller.jobs()} == {USER, OTHER}
    assert {job.state for job in house.controller.jobs()} == {JobState.DRAFT}


async def test_faults_of_the_platform_lose_nothing(house, sandbox, settings, clip):
    async with sandbox.driver() as driver:
        ann = await driver.person(USER, "Ann", language_code="en")
        await driver.inject(FaultKind.RETRY_AFTER, "sendMessage", seconds=1)
        await driver.inject(FaultKind.RETRY_AFTER, "editMessageText", seconds=1)
        async with serving(house, settings):
            await ann.chat.send_video(clip, as_document=True)
            await ann.chat.wait_for("Start", timeout_s=10)
            messages = await ann.chat.messages()
    assert len([each for each in messages if each.from_bot]) == 1


async def test_a_wrong_token_is_a_settings_error(house, sandbox):
    settings = BotSettings(
        token="1:" + "B" * 35, api_url=sandbox.base_url, users=frozenset({USER})
    )
    with pytest.raises(SettingsError, match="TELEGRAM_BOT_TOKEN"):
        await asyncio.wait_for(run_bot(house.controller, settings, pace=FAST), 10)
