import dataclasses

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError

from bot.cards.callbacks import Act, JobPress, Place, PresetPress
from bot.cards.presets import Preset, apply_preset, find_preset
from controller.states import JobState
from remote_runner.protocol import Mode, Task
from tests.bot.stage import ADMIN, OTHER, USER, buttons
from tests.bot.test_notifier import finish, is_finished, running


def last_toast(stage):
    return stage.session.named("answerCallbackQuery")[-1].text


async def test_a_preset_is_remembered_in_the_draft(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.feed(stage.press(PresetPress(job=job.id, preset=Preset.BOTH).pack()))
        await stage.until(stage.shows(job, "640×360, 48 к/с"))
    assert stage.house.job(job).task == Task(mode=Mode.BOTH, scale=2, factor=2)
    assert "✓ ×2 и кадры ×2" in buttons(stage.card_of(job))


async def test_a_preset_after_the_start_is_stale(stage):
    job = await stage.plan()
    await stage.tap(job)
    await stage.feed(stage.press(PresetPress(job=job.id, preset=Preset.X4).pack()))
    assert last_toast(stage) == "Эта кнопка уже не действует."
    assert stage.house.job(job).task.scale == 2


def test_presets_are_found_again():
    for preset in Preset:
        assert find_preset(apply_preset(preset, Task(size="640x360", fps="60"))) is preset
    assert find_preset(Task(fps="60", mode=Mode.INTERP)) is None


async def test_start_twice_starts_once(stage):
    job = await stage.plan()
    await stage.tap(job)
    await stage.tap(job)
    assert stage.house.kinds(job).count("queued") == 1
    assert last_toast(stage) == "Поехали!"


async def test_a_draft_is_cancelled_without_asking(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job, Act.ASK)
        await stage.until(stage.shows(job, "🚫 Отменено: clip.mp4"))
    assert buttons(stage.card_of(job)) == []
    assert "пришлите видео ещё раз" in stage.card_of(job).text
    await stage.tap(job, Act.START)
    assert last_toast(stage) == "Эта задача уже завершилась."
    await stage.tap(job, Act.RETRY)
    assert last_toast(stage) == "Эта кнопка уже не действует."
    assert len(stage.house.controller.jobs()) == 1


async def test_cancel_asks_and_no_takes_it_back(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job)
        await stage.tap(job, Act.ASK)
        await stage.until(stage.shows(job, "Отменить задачу?"))
        assert buttons(stage.card_of(job)) == ["Да, отменить", "Нет, продолжать"]
        await stage.tap(job, Act.NO)
        await stage.until(lambda: buttons(stage.card_of(job)) == ["Отменить"])
        assert stage.house.job(job).state is JobState.QUEUED
        await stage.tap(job, Act.ASK)
        await stage.tap(job, Act.YES)
        await stage.until(stage.shows(job, "🚫 Отменено"))
    await stage.tap(job, Act.YES)
    assert last_toast(stage) == "Отменено"


async def test_the_question_survives_a_restart_and_ends_by_itself(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job)
        await stage.tap(job, Act.ASK)
        await stage.until(stage.shows(job, "Отменить задачу?"))
    stage.restart()
    async with stage.showing():
        await stage.feed(stage.message(text="/help"))
        assert "Отменить задачу?" in stage.card_of(job).text
        stage.house.clock.advance(61)
        await stage.until(lambda: "Отменить задачу?" not in stage.card_of(job).text)


async def test_retry_pressed_twice_makes_one_new_job_with_its_card(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job, Act.START)
        await stage.tap(job, Act.ASK)
        await stage.tap(job, Act.YES)
        await stage.tap(job, Act.RETRY)
        await stage.tap(job, Act.RETRY)
        again, _ = stage.house.controller.jobs(owner=USER)
        await stage.until(lambda: stage.house.controller.card(again.id))
        await stage.until(lambda: stage.house.controller.card(again.id).message)
    assert len(stage.house.controller.jobs(owner=USER)) == 2
    assert "В очереди" in stage.card_of(again).text


async def test_unknown_and_old_buttons_get_a_short_notice(stage):
    await stage.feed(stage.press("from an older version"))
    assert last_toast(stage) == "Эта кнопка уже не действует."
    stage.session.faults["answerCallbackQuery"].append(
        TelegramBadRequest(
            method=None,
            message="Bad Request: query is too old and response timeout expired or query ID is"
            " invalid",
        )
    )
    await stage.feed(stage.press("from an older version"))


async def test_status_lists_ones_own_jobs(stage):
    job = await stage.plan(name="mine.mp4")
    await stage.plan(OTHER, name="theirs.mp4")
    await stage.tap(job)
    await stage.say(text="/status")
    text = stage.session.sent[-1].text
    assert "🕓 mine.mp4 · ×2 · в очереди, 1-е место" in text
    assert job.short_id in text
    assert "theirs" not in text


async def test_status_without_jobs_says_so(stage):
    await stage.say(text="/status", language="en")
    assert stage.session.sent[-1].text.startswith("Nothing is being done")


async def test_an_admins_status_has_everybody_and_the_machines(stage):
    job = await stage.plan(name="theirs.mp4")
    await stage.tap(job)
    await stage.house.tick()
    await stage.say(ADMIN, text="/status", language="en")
    text = stage.session.sent[-1].text
    assert text.startswith("All jobs: 1\n")
    assert "by A" in text
    assert "RTX 3060 — starting, $0.05/h" in text


async def test_an_admins_status_in_a_group_shows_no_other_people(stage):
    await stage.plan(name="theirs.mp4")
    await stage.say(ADMIN, text="/status", chat=-5, kind="group")
    assert "theirs" not in stage.session.sent[-1].text


async def test_cancel_by_short_id(stage):
    job = await stage.plan()
    await stage.say(text=f"/cancel {job.short_id}")
    assert stage.session.sent[-1].text == "🚫 Отменено: clip.mp4"
    assert stage.house.job(job).state is JobState.CANCELLED


async def test_cancel_of_anothers_job_is_refused_unless_admin(stage):
    job = await stage.plan()
    await stage.say(OTHER, text=f"/cancel {job.short_id}")
    assert stage.session.sent[-1].text == "Такой задачи нет, или она не ваша."
    await stage.say(ADMIN, text=f"/cancel {job.short_id}")
    assert stage.house.job(job).state is JobState.CANCELLED


async def test_cancel_by_reply_to_the_card_or_the_video(stage):
    for which in ("card", "video"):
        job = await stage.plan(name=f"{which}.mp4")
        card = stage.house.controller.card(job.id)
        target = card.message if which == "card" else job.reply_to
        meant = {"message_id": target, "date": 1, "chat": {"id": USER, "type": "private"}}
        await stage.say(text="/cancel", reply_to_message=meant)
        assert stage.house.job(job).state is JobState.CANCELLED


async def test_cancel_by_reply_to_something_else_is_explained(stage):
    await stage.plan()
    meant = {"message_id": 99999, "date": 1, "chat": {"id": USER, "type": "private"}}
    await stage.say(text="/cancel", reply_to_message=meant)
    assert stage.session.sent[-1].text.startswith("Ответьте этой командой")


async def test_cancel_by_menu(stage):
    job = await stage.plan(name="one.mp4")
    await stage.plan(name="two.mp4")
    await stage.tap(job)
    await stage.say(text="/cancel")
    assert buttons(stage.session.sent[-1]) == ["two.mp4", "one.mp4"]
    await stage.tap(job, Act.ASK, at=Place.MENU)
    asked = stage.session.named("editMessageText")[-1]
    assert asked.text == "Отменить one.mp4?"
    await stage.tap(job, Act.NO, at=Place.MENU)
    assert stage.house.job(job).state is JobState.QUEUED
    await stage.tap(job, Act.YES, at=Place.MENU)
    assert stage.session.named("editMessageText")[-1].text == "🚫 Отменено: one.mp4"


async def test_a_cancel_that_is_repeated_says_the_same(stage):
    job = await stage.plan()
    raw = await stage.say(text=f"/cancel {job.short_id}")
    await stage.feed(raw)
    assert [each.text for each in stage.session.sent[-2:]] == ["🚫 Отменено: clip.mp4"] * 2


async def test_a_menu_press_that_is_repeated_shows_the_same(stage):
    job = await stage.plan()
    await stage.tap(job)
    press = stage.press(JobPress(act=Act.YES, job=job.id, at=Place.MENU).pack())
    stage.session.faults["editMessageText"].append(
        TelegramNetworkError(method=None, message="reset")
    )
    with pytest.raises(TelegramNetworkError):
        await stage.feed(press)
    await stage.feed(press)
    assert stage.session.named("editMessageText")[-1].text == "🚫 Отменено: clip.mp4"
    assert last_toast(stage) is None


async def test_a_job_that_is_done_is_not_cancelled_and_the_menu_says_so(stage):
    job = await running(stage)
    await finish(stage, job)
    for act in (Act.YES, Act.NO):
        await stage.tap(job, act, at=Place.MENU)
        shown = stage.session.named("editMessageText")[-1]
        assert shown.text == "Эта задача уже завершилась: clip.mp4"
        assert buttons(shown) == []


async def test_cancel_by_reply_to_a_finished_card_says_that_it_has_ended(stage):
    job = await running(stage)
    await finish(stage, job)
    card = stage.house.controller.card(job.id)
    meant = {"message_id": card.message, "date": 1, "chat": {"id": USER, "type": "private"}}
    await stage.say(text="/cancel", reply_to_message=meant)
    assert stage.session.sent[-1].text == "Эта задача уже завершилась: clip.mp4"


async def test_a_press_on_a_finished_card_draws_it_anew(stage):
    async with stage.showing():
        job = await running(stage)
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
    stage.house.controller.save_card(
        dataclasses.replace(stage.house.controller.card(job.id), shown="")
    )
    async with stage.showing():
        before = len(stage.session.named("editMessageText"))
        await stage.tap(job, Act.YES)
        assert last_toast(stage) == "Эта задача уже завершилась."
        await stage.until(lambda: len(stage.session.named("editMessageText")) > before)
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_retry_takes_the_button_off_and_tells_of_its_end(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job)
        await stage.tap(job, Act.YES)
        await stage.until(lambda: buttons(stage.card_of(job)) == ["Повторить"])
        await stage.tap(job, Act.RETRY)
        assert last_toast(stage) == "Поставил ещё раз"
        await stage.until(lambda: buttons(stage.card_of(job)) == [])
        again, _ = stage.house.controller.jobs(owner=USER)
        await stage.tap(again, Act.YES)
        notice = stage.press(JobPress(act=Act.RETRY, job=job.id).pack(), message=1999)
        await stage.feed(notice)
    assert last_toast(stage) == "Повтор уже был и тоже завершился. Смотрите его карточку."
    (edit,) = stage.session.named("editMessageReplyMarkup")
    assert (edit.message_id, edit.reply_markup) == (1999, None)
    assert len(stage.house.controller.jobs(owner=USER)) == 2


async def test_cancel_with_nothing_to_cancel(stage):
    await stage.say(text="/cancel")
    assert stage.session.sent[-1].text.startswith("Отменять нечего")


async def test_help_names_no_bucket_where_the_storage_is_a_folder(stage):
    await stage.say(text="/help")
    assert "input/c1/film.mp4" in stage.session.sent[-1].text
    assert "b2://" not in stage.session.sent[-1].text
