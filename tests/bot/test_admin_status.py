import pytest

from bot.cards.admin_callbacks import Sieve, StatusAct, StatusPress
from bot.cards.lists import Line, StatusList, draw_status
from bot.texts import LANGUAGES
from controller.states import JobState, Reason
from remote_runner.protocol import Phase
from tests.bot.pages import find_data, labels, newest_message, press, shown, tap
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, Stage
from tests.controller.conftest import video


async def fill(stage, count, owner=USER, start=True):
    """So many jobs of somebody, in their private chat."""
    jobs = []
    for number in range(count):
        job = await stage.plan(owner, name=f"{owner}-{number}.mp4", duration=number + 1)
        if start:
            await stage.tap(job, user=owner)
        jobs.append(job)
        stage.house.clock.advance(1)
    return jobs


async def test_five_jobs_a_page_and_pages_survive_a_restart(stage):
    await fill(stage, 12)
    await stage.say(text="/status", language="en")
    text = shown(stage, USER).text
    assert text.startswith("Your jobs\nUpdated ") and "page 1 of 3" in text
    assert "1. 🕓 7-0.mp4 · ×2 · queued, number 1 · " in text
    assert "7-4.mp4" in text and "7-5.mp4" not in text
    stage.restart()
    await tap(stage, "2 ›", USER)
    await tap(stage, "3 ›", USER)
    text = shown(stage, USER).text
    assert "7-10.mp4" in text and "7-11.mp4" in text and "7-9.mp4" not in text
    assert len(stage.session.named("sendMessage")) == 13


async def test_a_page_that_is_no_more_shows_the_last_one(stage):
    jobs = await fill(stage, 6)
    await stage.say(text="/status")
    data = find_data(stage, "2 ›", USER)
    await stage.tap(jobs[5], user=USER, act="yes")
    await press(stage, data, USER)
    assert "7-4.mp4" in shown(stage, USER).text
    assert not [each for each in labels(stage, USER) if "›" in each or "‹" in each]


async def test_a_user_cancels_from_the_list_after_a_question(stage):
    job, other = await fill(stage, 2)
    await stage.say(text="/status")
    await tap(stage, "✖ 1", USER)
    assert shown(stage, USER).text.endswith("Отменить 7-0.mp4?")
    await tap(stage, "Нет", USER)
    assert stage.house.job(job).state is JobState.QUEUED
    await tap(stage, "✖ 1", USER)
    data = find_data(stage, "Да", USER)
    answer = await tap(stage, "Да", USER)
    assert answer.text == "Отменено"
    assert stage.house.job(job).state is JobState.CANCELLED
    assert stage.house.job(other).state is JobState.QUEUED
    assert "7-0.mp4" not in shown(stage, USER).text
    assert (await press(stage, data, USER)).text == "Эта задача уже завершилась."


async def test_nobody_reaches_anothers_jobs_by_made_up_data(stage):
    (job,) = await fill(stage, 1)
    await stage.say(OTHER, text="/status")
    for act in StatusAct:
        for owner in (USER, None):
            data = StatusPress(act=act, owner=owner, job=job.id).pack()
            answer = await press(stage, data, OTHER)
            assert answer.text == "Такой задачи нет, или она не ваша."
    data = StatusPress(sieve=Sieve.FAILED, owner=USER).pack()
    await press(stage, data, OTHER)
    assert "7-0.mp4" not in shown(stage, OTHER).text
    before = len(stage.session.calls)
    await stage.feed(stage.press(data, STRANGER))
    assert len(stage.session.calls) == before
    assert stage.house.job(job).state is JobState.QUEUED


async def test_opening_brings_the_card_down(stage):
    async with stage.showing():
        (job,) = await fill(stage, 1, start=False)
        first = await stage.until(lambda: stage.house.controller.card(job.id).message)
        await stage.say(text="/status")
        answer = await tap(stage, "↗ 1", USER)
        assert answer.text == "Карточка — внизу чата"
        await stage.until(lambda: stage.house.controller.card(job.id).message > first + 1)


async def test_ended_jobs_are_a_filter_away(stage):
    (job, failed) = await fill(stage, 2)
    end(stage, job, JobState.DONE, output_key="output/a.mp4", output_sha256="0" * 64)
    end(stage, failed, JobState.FAILED, reason=Reason.SILENT)
    await stage.say(text="/status")
    assert shown(stage, USER).text == "Сейчас ничего не делается. Пришлите видео."
    await tap(stage, "Завершённые", USER)
    text = shown(stage, USER).text
    assert "✅ 7-0.mp4" in text and "❌ 7-1.mp4" in text
    assert "✖ 1" not in labels(stage, USER) and "↗ 2" in labels(stage, USER)


def end(stage, job, state, **columns):
    """A queued job runs and ends."""
    store, now = stage.house.store, stage.house.clock()
    job = store.jobs.move(store.jobs.get(job.id), JobState.RUNNING, event="assigned")
    store.jobs.move(job, state, event=str(state), ended_at=now, **columns)


async def test_an_admin_sees_everybody_by_filter_and_by_user(stage):
    mine, theirs, third = (
        *(await fill(stage, 1)),
        *(await fill(stage, 1, OTHER)),
        *(await fill(stage, 1, OTHER, start=False)),
    )
    end(stage, mine, JobState.FAILED, reason=Reason.SILENT)
    await stage.say(ADMIN, text="/status")
    assert shown(stage).text.startswith("Все задачи: 2\n")
    assert "8-0.mp4" in shown(stage).text and "от A" in shown(stage).text
    for label, names in (
        ("Сбои сегодня", ["7-0.mp4"]),
        ("В очереди", ["8-0.mp4"]),
        ("В работе", []),
        ("Ждут", []),
        ("Активные", ["8-0.mp4"]),
    ):
        await tap(stage, label)
        assert [f"✓ {label}" in each for each in labels(stage)].count(True) <= 1
        for name in ("7-0.mp4", "8-0.mp4"):
            assert (name in shown(stage).text) is (name in names), label
    await tap(stage, "Чьи")
    assert labels(stage)[0] == "A · 2"
    await tap(stage, "A · 2")
    assert shown(stage).text.startswith("A: 2\n")
    assert theirs.short_id in shown(stage).text and third.short_id in shown(stage).text


async def test_failures_of_yesterday_are_not_todays(stage):
    (job,) = await fill(stage, 1)
    end(stage, job, JobState.FAILED, reason=Reason.SILENT)
    stage.house.clock.advance(86400)
    await stage.say(ADMIN, text="/status")
    await tap(stage, "Сбои")
    assert "Таких задач нет." in shown(stage).text


async def test_an_admin_opens_and_cancels_anothers_job_in_the_list(stage):
    (job,) = await fill(stage, 1)
    await stage.house.tick()
    await stage.say(ADMIN, text="/status")
    await tap(stage, "↗ 1")
    text = shown(stage).text
    assert text.startswith(f"7-0.mp4\nОт A · {job.short_id}\n×2 · ")
    assert "Машина: RTX 3060" in text
    await tap(stage, "Назад")
    assert shown(stage).text.startswith("Все задачи: 1")
    await tap(stage, "↗ 1")
    await tap(stage, "Отменить")
    assert shown(stage).text.endswith("Отменить 7-0.mp4?")
    assert (await tap(stage, "Да")).text == "Отменяю…"
    assert stage.house.job(job).cancel_requested_at is not None


async def test_a_cancel_is_asked_about_wherever_the_job_is_by_now(stage):
    await fill(stage, 1)
    await stage.say(ADMIN, text="/status")
    await tap(stage, "В очереди")
    await tap(stage, "↗ 1")
    await stage.house.tick()
    await tap(stage, "Отменить")
    assert shown(stage).text.endswith("Отменить 7-0.mp4?")
    assert (await tap(stage, "Да")).text == "Отменяю…"


async def test_an_owner_sees_a_job_of_a_group_without_what_only_admins_may(stage):
    await stage.house.storage.write("input/group.mp4", video())
    await stage.feed(stage.message(USER, chat=-5, kind="group", text="input/group.mp4"))
    await stage.say(text="/status")
    await tap(stage, "↗ 1", USER)
    assert shown(stage, USER).text.startswith("group.mp4\n")
    assert labels(stage, USER) == ["Отменить", "‹ Назад", "🔄 Обновить"]


async def test_a_job_page_shows_what_was_spent_so_far(rented, bot_settings):
    stage = Stage(rented, bot_settings)
    await fill(stage, 1)
    await rented.tick()
    rented.clock.advance(7200)
    await stage.say(ADMIN, text="/status")
    await tap(stage, "↗ 1")
    assert "Потрачено: 0,12 $" in shown(stage).text


async def test_the_log_of_a_job_is_a_button_away(stage):
    (job,) = await fill(stage, 1)
    await stage.say(ADMIN, text="/status")
    await tap(stage, "↗ 1")
    page = newest_message(stage, ADMIN)
    await tap(stage, "Журнал")
    assert stage.session.sent[-1].text.startswith(f"📜 7-0.mp4 · {job.short_id}")
    assert newest_message(stage, ADMIN) > page


async def test_a_groups_status_is_short_and_has_the_groups_jobs_only(stage):
    await fill(stage, 1)
    raw = stage.message(USER, chat=-5, kind="group", text="input/group.mp4")
    await stage.house.storage.write("input/group.mp4", video())
    await stage.feed(raw)
    for user in (ADMIN, USER, OTHER):
        await stage.say(user, text="/status", chat=-5, kind="group", language="en")
        text = shown(stage, -5).text
        assert text.startswith("Jobs of this group\n")
        assert "group.mp4" in text and "7-0.mp4" not in text and "Machines" not in text
        assert labels(stage, -5) == ["🔄 Refresh"]
    # stays so whatever is made up
    job = stage.house.controller.jobs(owner=USER)[0]
    for act in StatusAct:
        data = StatusPress(act=act, sieve=Sieve.QUEUED, owner=USER).pack()
        raw = stage.press(data, ADMIN, message=newest_message(stage, -5), chat=-5)
        raw["callback_query"]["message"]["chat"]["type"] = "group"
        await stage.feed(raw)
        assert "7-0.mp4" not in shown(stage, -5).text
    assert stage.house.job(job).state is not JobState.CANCELLED


async def test_a_running_job_shows_its_share_and_its_end(stage):
    (job,) = await fill(stage, 1)
    house = stage.house
    await house.tick()
    house.runner.boot(house.machine())
    house.runner.heartbeat(house.machine(), phase=Phase.PROCESSING, done=108)
    await house.tick()
    await stage.say(text="/status", language="en")
    assert f"⚙️ 7-0.mp4 · ×2 · 45% · {job.short_id}" in shown(stage, USER).text.replace(
        ", ready in 0 s", ""
    )


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_line_of_any_state_can_be_drawn(house, texts, language):
    import dataclasses

    draft = await house.draft()
    for state in JobState:
        for reason in (None, Reason.NO_OFFER):
            job = dataclasses.replace(draft, state=state, waits_for=reason, held_for=reason)
            for line in (Line(job=job), Line(job=job, owner="x", share=0.5, ends_at=5e9)):
                status = StatusList(place=StatusPress(), now=1.8e9, lines=[line], total=1)
                view = draw_status(status, texts[language])
                assert draft.short_id in view.text.render()[0]
