"""Cards that become pictures, show their log, and go on after a kill in every stage."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiogram.exceptions import TelegramBadRequest

from bot.cards.callbacks import BatchAct, DetailsPress
from bot.handlers import batch as batch_handlers
from bot.screen.shown import Shown
from controller.records import Actor
from controller.states import JobState, Reason
from tests.bot.crowd import album, all_cards, deliver, handling, press, put
from tests.bot.crowd import shows as batch_shows
from tests.bot.stage import OTHER, USER, buttons
from tests.bot.test_batch_card import work_off
from tests.bot.test_group_card import running as running_in_group
from tests.bot.test_notifier import NOT_FOUND, beat, finish, is_finished, running, started


@pytest.fixture
def framed(stage, monkeypatch, tmp_path):
    """A stage whose machines have made a picture of the first segment."""
    picture = tmp_path / "frame.png"
    picture.write_bytes(b"png")
    opened = []

    @asynccontextmanager
    async def open_frame(job):
        opened.append(job.id)
        yield picture

    def has_frame(job):
        attempt = stage.house.controller.attempt(job.id)
        return attempt is not None and attempt.status is not None

    monkeypatch.setattr(stage.house.controller, "has_frame", has_frame)
    monkeypatch.setattr(stage.house.controller, "frame_file", open_frame)
    stage.opened = opened
    return stage


async def test_the_card_becomes_a_photo_and_goes_on_by_its_caption(framed):
    async with framed.showing():
        job = await running(framed, done=60)
        await framed.until(lambda: framed.session.named("editMessageMedia"))
        (media,) = framed.session.named("editMessageMedia")
        assert "▰" in media.media.caption
        assert "Отменить" in buttons(media)
        beat(framed.house, 120)
        await framed.house.tick()
        await framed.until(lambda: framed.session.named("editMessageCaption"))
        assert "50 %" in framed.session.named("editMessageCaption")[-1].caption
        texts = len(framed.session.named("editMessageText"))
        await finish(framed, job)
        await framed.until(is_finished(framed, job))
        assert "✅ Готово" in framed.session.named("editMessageCaption")[-1].caption
    assert len(framed.session.named("editMessageText")) == texts
    assert framed.opened == [job.id]


@pytest.mark.parametrize("words", ["Bad Request: IMAGE_PROCESS_FAILED", "Bad Request: no such"])
async def test_a_refused_picture_leaves_a_text_and_is_not_tried_again(framed, words):
    framed.session.faults["editMessageMedia"].append(
        TelegramBadRequest(method=None, message=words)
    )
    async with framed.showing():
        job = await running(framed, done=60)
        await framed.until(framed.shows(job, "60 из 240"))
        beat(framed.house, 120)
        await framed.house.tick()
        await framed.until(framed.shows(job, "120 из 240"))
    assert len(framed.session.named("editMessageMedia")) == 1
    assert framed.session.named("editMessageCaption") == []


async def test_a_photo_that_was_deleted_comes_back_once(framed):
    async with framed.showing():
        job = await running(framed, done=60)
        await framed.until(lambda: framed.session.named("editMessageMedia"))
        framed.session.faults["editMessageCaption"].append(NOT_FOUND)
        beat(framed.house, 120)
        await framed.house.tick()
        await framed.until(lambda: framed.session.named("editMessageCaption"))
        await framed.until(lambda: len(framed.session.named("sendMessage")) == 2)
        assert "120 из 240" in framed.session.sent[-1].text
        beat(framed.house, 180)
        await framed.house.tick()
        await framed.until(lambda: len(framed.session.named("editMessageMedia")) == 2)
    assert len(framed.session.named("sendMessage")) == 2
    assert Shown.read(framed.house.controller.card(job.id).shown).resent


async def test_a_card_that_became_a_photo_unheard_goes_on_by_its_caption(stage):
    """The answer to the call that made it one was lost."""
    stage.session.faults["editMessageText"].append(
        TelegramBadRequest(
            method=None, message="Bad Request: there is no text in the message to edit"
        )
    )
    async with stage.showing():
        job = await running(stage, done=60)
        await stage.until(lambda: stage.session.named("editMessageCaption"))

        def is_photo():
            return Shown.read(stage.house.controller.card(job.id).shown).media == "photo"

        await stage.until(is_photo)


async def test_details_show_the_end_of_the_log_and_go_away_again(stage, monkeypatch):
    lines = [f"line {number} " + "x" * 90 for number in range(40)]

    async def read(job_id, *, by):
        return lines

    monkeypatch.setattr(stage.house.controller, "logs", read)
    async with stage.showing():
        job = await running(stage, done=60)
        await stage.until(stage.shows(job, "60 из 240"))
        assert buttons(stage.card_of(job)) == ["Подробности", "Отменить"]
        data = DetailsPress(job=job.id).pack()
        await stage.feed(stage.press(data, OTHER))
        assert "нет" in stage.session.named("answerCallbackQuery")[-1].text
        await stage.feed(stage.press(data))
        await stage.until(stage.shows(job, "line 39"))
        card = stage.card_of(job)
        (quote,) = [e for e in card.entities if e.type == "expandable_blockquote"]
        assert quote.length <= 900
        assert "line 27" not in card.text
        await stage.feed(stage.press(data))
        await stage.until(lambda: "line 39" not in stage.card_of(job).text)


async def test_a_card_can_be_brought_down(stage):
    async with stage.showing():
        job = await started(stage)
        await stage.until(stage.shows(job, "В очереди"))
        old = stage.house.controller.card(job.id).message
        stage.notifier.resend(job.id)
        await stage.until(lambda: (stage.house.controller.card(job.id).message or old) != old)
        await stage.until(lambda: stage.session.named("editMessageReplyMarkup"))
    (edit,) = stage.session.named("editMessageReplyMarkup")
    assert (edit.message_id, edit.reply_markup) == (old, None)
    assert "В очереди" in stage.card_of(job).text


async def _draft(stage):
    return await stage.plan()


async def _hold(stage):
    job = await stage.plan()
    store = stage.house.store.jobs
    store.move(
        store.get(job.id), JobState.HELD, event="held", held_for=Reason.BUDGET,
        held_data={"usd": 2.0}, deadline_at=stage.house.clock() + 1000,
    )  # fmt: skip
    return job


async def _queue(stage):
    return await started(stage)


async def _run(stage):
    return await running(stage, done=60)


async def _finish(stage):
    job = await running(stage, done=60)
    await finish(stage, job)
    return job


async def _group(stage):
    (job,) = await running_in_group(stage, "a.mp4")
    return job


async def _batch(stage):
    await put(stage, "a.mp4", "b.mp4")
    await stage.say(text="/batch input/c1")
    await press(stage, BatchAct.START)


STAGES = {
    "draft": _draft, "held": _hold, "queued": _queue, "running": _run, "done": _finish,
    "group": _group, "batch": _batch,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STAGES))
async def test_a_kill_in_any_stage_leaves_one_card_and_asks_nothing_again(stage, name):
    async with stage.showing():
        await STAGES[name](stage)
        await stage.until(lambda: all(card.message for card in stage.house.controller.cards()))
        await asyncio.sleep(0.15)
    sent, answers = len(stage.session.sent), len(stage.session.named("answerCallbackQuery"))
    messages = {card.subject: card.message for card in all_cards(stage)}
    stage.restart()
    async with stage.showing():
        await asyncio.sleep(0.2)
    assert {card.subject: card.message for card in all_cards(stage)} == messages
    assert len(stage.session.sent) == sent
    assert len(stage.session.named("answerCallbackQuery")) == answers


async def test_a_kill_while_an_album_comes_in_makes_no_second_card(stage, monkeypatch):
    monkeypatch.setattr(batch_handlers, "SILENCE_S", 0.05)
    raws = album(stage, "a.mp4", "b.mp4", "c.mp4")
    hang = asyncio.Event()

    async def wait(method):
        await hang.wait()

    async def go_on(method):
        return None

    stage.session.faults["getFile"].extend([go_on, wait])
    deliver(stage, *raws)
    async with handling(stage):
        await stage.until(lambda: len(stage.session.named("getFile")) == 2)
        await stage.until(batch_shows(stage, "Смотрю файлы: 1 из 3"))
    stage.session.faults.clear()
    stage.restart()
    async with handling(stage):
        await stage.until(batch_shows(stage, "3 файла", "a.mp4", "b.mp4", "c.mp4"))
    assert len(stage.session.named("sendMessage")) == 1
    assert len(stage.house.controller.jobs(owner=USER)) == 3


async def test_an_end_between_two_kills_is_told_once(stage):
    async with stage.showing():
        await _batch(stage)
        await stage.until(batch_shows(stage, "🕓 2"))
    stage.restart()
    await work_off(stage)
    for _ in range(3):
        stage.restart()
        async with stage.showing():
            await stage.until(lambda: all(card.finished for card in all_cards(stage)))
    assert len([each for each in stage.session.sent if "🏁" in (each.text or "")]) == 1


async def test_admins_are_asked_about_a_hold_once_and_told_how_it_ended(stage):
    async with stage.showing():
        job = await _hold(stage)
        await stage.until(lambda: [each for each in stage.session.sent if each.chat_id == 1])
        await stage.until(stage.shows(job, "Ждёт"))
    stage.restart()
    async with stage.showing():
        await asyncio.sleep(0.1)
        (ask,) = [each for each in stage.session.sent if each.chat_id == 1]
        assert not ask.disable_notification
        assert len(buttons(ask)) == 2
        stage.house.controller.cancel(job.id, by=Actor(USER))
        subject = f"ask:{job.id}:1"
        await stage.until(lambda: stage.house.controller.card(subject).finished)
    message = stage.house.controller.card(f"ask:{job.id}:1").message
    assert buttons(stage.session.screen[1, message]) == []
