import asyncio
import dataclasses

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError

from bot.cards.callbacks import Act, JobPress, Place
from controller.states import JobState
from remote_runner.protocol import Facts, Reason, from_json
from tests.bot.stage import OTHER, USER, buttons
from tests.bot.taps import find_button, last_toast, press_data, tap_card, tap_on
from tests.controller.conftest import video
from tests.controller.standins import _put

PICTURE, CLIP = b"picture", b"clip"


async def sampled(stage, job, label="Сначала проба"):
    """The sample of a draft, on a machine that has reported once."""
    await tap_card(stage, job, label)
    await stage.house.tick()
    stage.house.runner.heartbeat(stage.house.machine(), done=30, total=60)
    await stage.house.tick()
    return stage.house.controller.newest_sample(job)


async def finish(stage, sample, *, picture=PICTURE, clip=CLIP, **changes):
    machine, output = (
        stage.house.machine(),
        video(width=640, height=360, duration_s=3.0, frames=72),
    )
    grant = stage.house.runner.grant(machine)
    if picture:
        _put(grant.picture_url, picture)
    if clip:
        _put(grant.clip_url, clip)
    values = {
        "facts": from_json(Facts, output), "clip_bytes": len(clip), "fps": 12.5,
        "device": "RTX 3060",
    }  # fmt: skip
    stage.house.runner.finish(machine, output, **values | changes)
    for _ in range(5):
        await stage.house.tick()
        if stage.house.job(sample).state.is_terminal:
            return stage.house.job(sample)
    raise AssertionError(stage.house.job(sample))


def is_told(stage, sample):
    card = stage.house.controller.card
    return lambda: card(sample.id) and card(sample.id).finished


async def test_one_tap_after_the_video_makes_a_sample_whose_progress_is_on_the_plan(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        assert last_toast(stage) == "Делаю пробу"
        await stage.until(stage.shows(job, "🧪 Делаю пробу:\n▰▰▰▰▰▰▱▱▱▱▱▱ 50 %"))
        assert "Отменить пробу" in buttons(stage.card_of(job))
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
        await stage.until(stage.shows(job, "🧪 Проба готова, скорость — 12,5 к/с."))
        # and the quote is one by measurement, without another tap
        await stage.until(stage.shows(job, "(по прошлым запускам)"))
    assert stage.house.job(job).state is JobState.DRAFT
    shown = buttons(stage.card_of(job))
    assert "Обработать всё" in shown and "Сначала проба" not in shown


async def test_a_sample_comes_with_picture_clip_speed_and_the_price_of_the_whole(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
    (photo,) = stage.session.named("sendPhoto")
    (clip,) = stage.session.named("sendVideo")
    assert photo.disable_notification and not clip.disable_notification
    assert photo.reply_parameters.message_id == clip.reply_parameters.message_id == job.reply_to
    lines = clip.caption.split("\n")
    assert lines[0] == "🧪 Проба: clip.mp4 · ×2"
    assert lines[1] == "Скорость: 12,5 к/с на RTX 3060"
    assert lines[2].startswith("Всё видео: ")
    assert buttons(clip) == ["Обработать всё", "Изменить"]
    # the plan card and these two: nothing else was sent
    assert len(stage.session.named("sendMessage")) == 1


@pytest.mark.parametrize(("picture", "clip"), [(PICTURE, b""), (b"", CLIP), (b"", b"")])
async def test_what_there_is_of_a_sample_is_shown_and_one_message_rings(stage, picture, clip):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        before = len(stage.session.calls)
        await finish(stage, sample, picture=picture, clip=clip)
        await stage.until(is_told(stage, sample))
    names = ("sendPhoto", "sendVideo", "sendMessage")
    sent = [each for each in stage.session.calls[before:] if each.__api_method__ in names]
    assert [bool(each.disable_notification) for each in sent] == [False]
    assert buttons(sent[0]) == ["Обработать всё", "Изменить"]


async def test_run_all_starts_the_draft_and_takes_the_buttons_away(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
        (clip,) = stage.session.named("sendVideo")
        assert await tap_on(stage, clip, "Обработать всё", number=1002) == "Поехали!"
        assert stage.house.job(job).state is JobState.QUEUED
        (dropped,) = stage.session.named("editMessageReplyMarkup")
        assert (dropped.message_id, dropped.reply_markup) == (1002, None)
        # again, by somebody with an old screen
        assert await tap_on(stage, clip, "Обработать всё", number=1002) == "Поехали!"
        assert stage.house.kinds(job).count("queued") == 1
        assert await tap_on(stage, clip, "Изменить") == "Эта кнопка уже не действует."


async def test_change_shows_the_plan_anew_below_and_another_task_is_sampled_anew(stage):
    async with stage.showing():
        job = await stage.plan()
        first = await sampled(stage, job)
        await finish(stage, first)
        await stage.until(is_told(stage, first))
        (clip,) = stage.session.named("sendVideo")
        await tap_on(stage, clip, "Изменить", number=1002)
        await stage.until(lambda: (stage.house.controller.card(job.id).message or 0) > 1002)
        await tap_card(stage, job, "×4")
        await stage.until(lambda: "Сначала проба" in buttons(stage.card_of(job)))
        assert "Проба готова" not in stage.card_of(job).text
        second = await sampled(stage, job)
        assert second.id != first.id
        assert second.task.scale == 4


async def test_two_taps_make_one_sample(stage):
    async with stage.showing():
        job = await stage.plan()
        data = JobPress(act=Act.SAMPLE, job=job.id).pack()
        await press_data(stage, data)
        assert await press_data(stage, data) == "Делаю пробу"
    samples = stage.house.store.jobs.samples_of(job.id)
    assert len(samples) == 1
    assert [each.id for each in stage.house.controller.jobs(owner=USER)].count(job.id) == 1


async def test_a_sample_is_cancelled_and_the_plan_stays(stage):
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Сначала проба")
        assert await tap_card(stage, job, "Отменить пробу") == "Проба отменена"
        await stage.until(lambda: "Сначала проба" in buttons(stage.card_of(job)))
        stop = JobPress(act=Act.STOP_SAMPLE, job=job.id).pack()
        assert await press_data(stage, stop) == "Проба отменена"
        await asyncio.sleep(0.05)
    assert stage.house.job(job).state is JobState.DRAFT
    assert len(stage.session.sent) == 1


async def test_a_sample_that_fails_says_why_and_its_buttons_stay(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        stage.house.runner.fail(stage.house.machine(), Reason.CORRUPT)
        for _ in range(4):
            await stage.house.tick()
        await stage.until(is_told(stage, sample))
        await stage.until(stage.shows(job, "🧪 Проба не получилась: файл повреждён."))
    told = stage.session.named("sendMessage")[-1]
    assert told.text == "🧪 Проба не получилась: clip.mp4\nПричина: файл повреждён."
    assert not told.disable_notification
    assert buttons(told) == ["Обработать всё", "Изменить"]
    assert "Сначала проба" in buttons(stage.card_of(job))


async def test_presses_of_strangers_and_late_ones_change_nothing(stage):
    async with stage.showing():
        job = await stage.plan()
        for act in (Act.SAMPLE, Act.STOP_SAMPLE, Act.CHANGE, Act.START):
            data = JobPress(act=act, job=job.id, at=Place.RESULT).pack()
            assert await press_data(stage, data, OTHER) == "Такой задачи нет, или она не ваша."
        assert stage.house.store.jobs.samples_of(job.id) == []
        assert (
            await press_data(stage, JobPress(act=Act.STOP_SAMPLE, job=job.id).pack())
            == "Эта кнопка уже не действует."
        )
        await stage.tap(job)
        for act in (Act.SAMPLE, Act.CHANGE):
            data = JobPress(act=act, job=job.id).pack()
            assert await press_data(stage, data) == "Эта кнопка уже не действует."
        await stage.tap(job, Act.ASK)
        await stage.tap(job, Act.YES)
        await press_data(stage, JobPress(act=Act.SAMPLE, job=job.id).pack())
    assert last_toast(stage) == "Эта кнопка уже не действует."


async def test_a_sample_that_ends_while_the_bot_is_down_is_told_once(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        await stage.until(stage.shows(job, "50 %"))
    await finish(stage, sample)
    stage.restart()
    async with stage.showing():
        await stage.until(is_told(stage, sample))
    stage.restart()
    async with stage.showing():
        await asyncio.sleep(0.1)
    assert len(stage.session.named("sendVideo")) == 1
    assert len(stage.session.named("sendMessage")) == 1


async def test_an_outage_while_a_sample_is_sent_sends_it_again(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        stage.session.faults["sendVideo"].append(
            TelegramNetworkError(method=None, message="reset")
        )
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
    assert len(stage.session.named("sendVideo")) == 2


async def test_a_sample_that_is_refused_as_media_comes_as_text(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        for name in ("sendPhoto", "sendVideo"):
            stage.session.faults[name].append(
                TelegramBadRequest(method=None, message="Bad Request: IMAGE_PROCESS_FAILED")
            )
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
    told = stage.session.named("sendMessage")[-1]
    assert told.text.startswith("🧪 Проба: clip.mp4")
    assert find_button(told, "Обработать всё")


async def test_a_picture_that_is_refused_does_not_take_the_clip_with_it(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        stage.session.faults["sendPhoto"].append(
            TelegramBadRequest(method=None, message="Bad Request: PHOTO_INVALID_DIMENSIONS")
        )
        await finish(stage, sample)
        await stage.until(is_told(stage, sample))
    (clip,) = stage.session.named("sendVideo")
    assert clip.caption.startswith("🧪 Проба: clip.mp4")


async def test_who_starts_before_the_sample_is_done_hears_no_more_of_it(stage):
    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        await tap_card(stage, job, "Старт")
        assert stage.house.job(job).state is JobState.QUEUED
        for _ in range(20):
            await stage.house.tick()
            if stage.house.job(sample).state.is_terminal:
                break
            stage.house.runner.cancelled(stage.house.machine())
        await asyncio.sleep(0.05)
    assert stage.session.named("sendVideo") == []


async def test_the_machine_that_waits_is_named_where_it_costs_money(texts, house):
    from bot.cards.results import draw_sample

    draft = await house.draft()
    done = dataclasses.replace(draft, state=JobState.DONE)
    view = draw_sample(draft, done, texts["en"], quote=None, waits_until=160.0, now=100.0)
    text, entities = view.text.render()
    assert "The machine waits for you; it is given back in 1 min." in text
    assert [each.unix_time for each in entities if each.type == "date_time"] == [160]
    late = draw_sample(draft, done, texts["en"], quote=None, waits_until=90.0, now=100.0)
    assert "waits" not in late.text.render()[0]


async def test_a_clock_that_was_set_back_after_a_sample_is_no_reason_to_ask_without_end(
    stage, monkeypatch
):
    asked = []
    plan = stage.house.controller.plan

    async def count(*job):
        asked.append(job)
        return await plan(*job)

    async with stage.showing():
        job = await stage.plan()
        sample = await sampled(stage, job)
        await finish(stage, sample)
        await stage.until(stage.shows(job, "(по прошлым запускам)"))
        monkeypatch.setattr(stage.house.controller, "plan", count)
        stage.house.clock.advance(-7200)
        stage.notifier.poke(job.id)
        await stage.until(lambda: asked)
        await asyncio.sleep(0.2)
    assert len(asked) == 1
