import asyncio
import dataclasses
import time

import pytest
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
)

from bot.cards.callbacks import Act
from bot.feed.poller import Backoff
from bot.screen.board import Shown
from bot.screen.notifier import CURSOR
from bot.screen.pace import Pace
from controller.states import MachineState
from remote_runner.protocol import Facts, Reason, from_json
from tests.bot.stage import FAST, OTHER, USER, Stage, buttons
from tests.controller.conftest import video

OUTAGE = TelegramNetworkError(method=None, message="down")
NOT_FOUND = TelegramBadRequest(method=None, message="Bad Request: message to edit not found")
NOT_MODIFIED = TelegramBadRequest(
    method=None, message="Bad Request: message is not modified: specified new message content"
)
BLOCKED = TelegramForbiddenError(method=None, message="Forbidden: bot was blocked by the user")


async def started(stage, user=USER, name="clip.mp4"):
    job = await stage.plan(user, name=name)
    await stage.tap(job, Act.START, user)
    return job


async def running(stage, **progress):
    """A job on a machine that has reported once."""
    job = await started(stage)
    await stage.house.tick()
    stage.house.runner.heartbeat(stage.house.machine(), **progress)
    await stage.house.tick()
    return job


async def finish(stage, job, **changes):
    output = video(width=640, height=360)
    facts = from_json(Facts, output)
    values = {"facts": facts, "extension": "mp4"} | changes
    stage.house.runner.finish(stage.house.machine(), output, **values)
    for _ in range(5):
        await stage.house.tick()
        if stage.house.job(job).state.is_terminal:
            return
    raise AssertionError(stage.house.job(job))


def edits(stage):
    return [each.text for each in stage.session.named("editMessageText")]


def is_finished(stage, job):
    return lambda: stage.house.controller.card(job.id).finished


async def test_one_card_follows_a_job_to_its_end(stage):
    async with stage.showing():
        job = await started(stage)
        await stage.until(stage.shows(job, "В очереди: 1-е место"))
        await stage.house.tick()
        await stage.until(stage.shows(job, "Готовлю машину"))
        stage.house.runner.heartbeat(stage.house.machine(), done=60)
        await stage.house.tick()
        await stage.until(stage.shows(job, "60 из 240 кадров"))
        stage.house.runner.heartbeat(stage.house.machine(), done=120)
        await stage.house.tick()
        await stage.until(stage.shows(job, "▰▰▰▰▰▰▱▱▱▱▱▱ 50 %"))
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
    card = stage.card_of(job)
    assert card.text.startswith("✅ Готово: clip.mp4\n320×180 24 к/с → 640×360 24 к/с\nЗаняло ")
    assert buttons(card) == []
    assert len(stage.session.named("sendMessage")) == 1
    (result,) = stage.session.named("sendVideo")
    assert not result.disable_notification
    assert result.reply_parameters.message_id == job.reply_to


async def test_unchanged_content_is_not_sent(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        before = len(edits(stage))
        for _ in range(5):
            stage.notifier.poke(job.id)
            await asyncio.sleep(0.02)
        assert len(edits(stage)) == before


async def test_not_modified_is_success(stage, caplog):
    async with stage.showing():
        stage.session.faults["editMessageText"].append(NOT_MODIFIED)
        job = await stage.plan()
        await stage.until(
            lambda: Shown.read(stage.house.controller.card(job.id).shown).fingerprint
        )
        await asyncio.sleep(0.05)
    assert len(stage.session.named("sendMessage")) == 1
    assert "refused" not in caplog.text


async def test_a_deleted_card_is_sent_anew_once(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        stage.session.faults["editMessageText"].append(NOT_FOUND)
        stage.house.runner.heartbeat(stage.house.machine(), done=90)
        await stage.house.tick()
        await stage.until(stage.shows(job, "90 из 240"))
        assert stage.house.controller.card(job.id).message == 1001
        stage.session.faults["editMessageText"].append(NOT_FOUND)
        stage.house.runner.heartbeat(stage.house.machine(), done=95)
        await stage.house.tick()
        await stage.until(lambda: stage.house.controller.card(job.id).message is None)
        stage.house.runner.heartbeat(stage.house.machine(), done=99)
        await stage.house.tick()
        await asyncio.sleep(0.1)
        assert len(stage.session.named("sendMessage")) == 2
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_deleted_card_is_sent_anew_through_an_outage(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        stage.session.faults["editMessageText"].extend([NOT_FOUND] * 2)
        stage.session.faults["sendMessage"].append(OUTAGE)
        stage.house.runner.heartbeat(stage.house.machine(), done=90)
        await stage.house.tick()
        await stage.until(stage.shows(job, "90 из 240"))
    assert stage.house.controller.card(job.id).message == 1001


async def test_429_freezes_that_chat_only_and_nothing_is_lost(stage):
    async with stage.showing():
        mine, theirs = await stage.plan(), await stage.plan(OTHER)
        await stage.until(stage.shows(mine, "Старт"))
        await stage.until(stage.shows(theirs, "Старт"))

        async def refuse(method):
            if method.chat_id != USER:
                stage.session.faults["editMessageText"].append(refuse)
                return None
            return TelegramRetryAfter(method=None, message="Too Many Requests", retry_after=1)

        stage.session.faults["editMessageText"].append(refuse)
        at = time.monotonic()
        await stage.tap(mine)
        await stage.until(lambda: not stage.session.faults["editMessageText"])
        await stage.tap(theirs, Act.START, OTHER)
        await stage.until(stage.shows(theirs, "В очереди"))
        assert time.monotonic() - at < 0.9
        assert "Старт" in stage.card_of(mine).text
        await stage.until(stage.shows(mine, "В очереди"))
        assert time.monotonic() - at >= 1.0


async def test_an_outage_is_waited_out(stage):
    async with stage.showing():
        stage.session.faults["editMessageText"].extend(
            [TelegramNetworkError(method=None, message="reset")] * 5
        )
        job = await stage.plan()
        await stage.until(stage.shows(job, "Старт"))
    assert len(edits(stage)) == 6


async def test_a_slow_chat_does_not_hold_up_another(stage):
    hang = asyncio.Event()

    async def wait(method):
        await hang.wait()

    async with stage.showing():
        stage.session.faults["editMessageText"].append(wait)
        await stage.plan()
        await stage.until(lambda: edits(stage))
        other = await stage.plan(OTHER)
        await stage.until(stage.shows(other, "Старт"))
        hang.set()


async def test_a_refused_card_does_not_stop_the_end(stage, caplog):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        stage.session.faults["editMessageText"].append(
            TelegramBadRequest(method=None, message="Bad Request: ENTITY_TEXT_INVALID")
        )
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
    assert "was refused" in caplog.text
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_group_that_moved_gets_its_card_there(stage):
    async with stage.showing():
        job = await started(stage)
        await stage.until(stage.shows(job, "В очереди"))
        stage.session.faults["editMessageText"].append(
            TelegramMigrateToChat(method=None, message="upgraded", migrate_to_chat_id=-1009)
        )
        await stage.house.tick()
        await stage.until(lambda: stage.house.controller.card(job.id).chat == -1009)
        await stage.until(lambda: stage.house.controller.card(job.id).message)
        await stage.until(lambda: "Ход работы" in stage.card_of(job).text)
        await stage.until(lambda: stage.house.controller.card("group:-1009"))
        await stage.until(lambda: stage.house.controller.card("group:-1009").message)
        card = stage.house.controller.card("group:-1009")
        assert "готовлюсь" in stage.session.screen[-1009, card.message].text
    assert stage.house.job(job).chat == -1009


async def test_retries_and_failure_are_told_with_the_reason(stage):
    async with stage.showing():
        job = await running(stage)
        stage.house.runner.fail(stage.house.machine(), Reason.OUT_OF_MEMORY)
        await stage.house.tick()
        await stage.until(stage.shows(job, "⚠️ Попытка 1: машине не хватило памяти."))
        assert "Скоро попробую ещё раз" in stage.card_of(job).text
        for _ in range(5):  # the machine that failed is given back, another one comes
            await stage.house.tick(3)
        await stage.until(stage.shows(job, "Идёт попытка 2 из 3."))
        stage.house.runner.fail(stage.house.machine(), Reason.OUT_OF_MEMORY)
        await stage.house.tick()
        await stage.until(is_finished(stage, job))
    card = stage.card_of(job)
    assert "Причина: машине не хватило памяти." in card.text
    assert "Сделано 2 попытки." in card.text
    assert buttons(card) == ["Повторить"]
    notice = stage.session.sent[-1]
    assert notice.text.startswith("❌ Не получилось: clip.mp4")
    assert not notice.disable_notification


async def test_what_happened_while_the_bot_was_down_is_told(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
    await finish(stage, job)
    stage.restart()
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    assert stage.card_of(job).text.startswith("✅ Готово")
    assert len(stage.session.named("sendVideo")) == 1
    stage.restart()
    before = len(stage.session.calls)
    async with stage.showing():
        await asyncio.sleep(0.05)
    assert len(stage.session.calls) == before


async def test_a_kill_between_sending_and_remembering_repeats_the_result_once(stage, monkeypatch):
    job = await running(stage)
    await finish(stage, job)
    save = stage.house.controller.save_card

    def die(card):
        if card.finished:
            raise asyncio.CancelledError
        save(card)

    monkeypatch.setattr(stage.house.controller, "save_card", die)
    async with stage.showing():
        await stage.until(lambda: stage.session.named("sendVideo"))
        await asyncio.sleep(0.05)
    assert stage.house.controller.card(job.id).delivering_at is not None
    stage.restart()
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    assert len(stage.session.named("sendVideo")) == 2


async def test_cursors_move_when_everything_is_shown(stage):
    async with stage.showing():
        job = await started(stage)
        await stage.until(stage.shows(job, "В очереди"))
        newest = stage.house.store.events.newest()
        await stage.until(lambda: stage.house.controller.cursor(f"chat:{USER}") == newest)
        await stage.house.tick()
        await stage.until(lambda: stage.house.controller.cursor(CURSOR) >= newest)


async def test_the_cursor_waits_for_a_chat_that_is_held_up(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.until(stage.shows(job, "Старт"))
        held = stage.house.controller.cursor(CURSOR)
        stage.session.faults["editMessageText"].append(
            TelegramRetryAfter(method=None, message="Too Many Requests", retry_after=60)
        )
        await stage.tap(job)
        await stage.until(lambda: not stage.session.faults["editMessageText"])
        await asyncio.sleep(0.05)
        newest = stage.house.store.events.newest()
        assert held <= stage.house.controller.cursor(CURSOR) < newest
    stage.restart()
    async with stage.showing():
        await stage.until(stage.shows(job, "В очереди"))
        await stage.until(lambda: stage.house.controller.cursor(CURSOR) == newest)


async def test_progress_keeps_the_interval_and_changes_do_not_wait(house, bot_settings):
    pace = dataclasses.replace(FAST, steps=((1e12, 0.5),))
    stage = Stage(house, bot_settings, pace=pace)
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        before = len(edits(stage))
        for done in range(20, 60, 2):
            stage.house.runner.heartbeat(stage.house.machine(), done=done)
            await stage.house.tick()
            await asyncio.sleep(0.01)
        assert len(edits(stage)) - before <= 1
        await stage.tap(job, Act.ASK)
        await stage.until(stage.shows(job, "Отменить задачу?"), limit_s=0.4)
        assert "58 из 240" in stage.card_of(job).text


async def test_jobs_of_a_chat_share_its_interval_by_turns(house, bot_settings):
    pace = dataclasses.replace(FAST, steps=((1e12, 0.2),))
    stage = Stage(house, bot_settings, pace=pace)
    async with stage.showing():
        jobs = [await started(stage, name=f"{number}.mp4") for number in range(3)]
        for _ in range(4):
            await house.tick()
        for _ in range(3):
            beat(house, 10)
            await house.tick()
        for job in jobs:
            await stage.until(stage.shows(job, "из 240"))
        before, at = len(edits(stage)), time.monotonic()
        for done in range(20, 70):
            beat(house, done)
            await house.tick()
            await asyncio.sleep(0.02)
        shown = [each.message_id for each in stage.session.named("editMessageText")[before:]]
        allowed = 1 + (time.monotonic() - at) / 0.2
    assert 3 <= len(shown) <= allowed
    assert len(set(shown)) == 3


def beat(house, done):
    for machine in house.store.machines.select([MachineState.BUSY, MachineState.BOOTING]):
        if house.runner.orders(machine).job:
            house.runner.heartbeat(machine, done=done)


def test_intervals_grow_with_age_and_in_groups():
    pace = Pace(backoff=Backoff())
    ages = (0, 59, 61, 601, 3601, 20_000)
    assert [pace.interval_s(age, group=False) for age in ages] == [3, 3, 5, 15, 30, 60]
    assert [pace.interval_s(age, group=True) for age in ages] == [15, 15, 15, 15, 30, 60]


@pytest.mark.parametrize(
    ("chance", "alone", "group"), [(0, 4.5, 15), (0.5, 5, 15), (1, 5.5, 16.5)]
)
def test_jitter_is_a_tenth_and_never_below_what_groups_need(chance, alone, group):
    pace = Pace()
    assert pace.shake(5, lambda: chance, group=False) == pytest.approx(alone)
    assert pace.shake(15, lambda: chance, group=True) == pytest.approx(group)


@pytest.mark.parametrize("shown", [Shown(), Shown("abc", True, 1_800_000_000, True)])
def test_what_is_shown_survives_its_row(shown):
    assert Shown.read(str(shown)) == shown


def test_a_row_of_an_earlier_version_is_read():
    assert Shown.read("abc|1|5") == Shown("abc", True, 5)
