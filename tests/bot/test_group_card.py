import asyncio
import dataclasses

from bot.cards.callbacks import Act, GroupPress
from bot.cards.group import GroupSnapshot, draw_group
from bot.texts import LANGUAGES
from controller.records import Actor
from controller.states import JobState
from remote_runner.protocol import Phase, Status
from tests.bot.stage import ADMIN, OTHER, USER, buttons, make_video
from tests.bot.test_cards import attempt
from tests.bot.test_notifier import beat

GROUP = -5


async def started(stage, name, user=USER):
    """A job of a group, begun by its owner."""
    await stage.say(user, video=make_video(name), chat=GROUP, kind="group")
    job = stage.house.controller.jobs(owner=user)[0]
    return stage.house.controller.start(job.id, by=Actor(user))


def group_card(stage):
    card = stage.house.controller.card(f"group:{GROUP}")
    return stage.session.screen.get((GROUP, card.message)) if card and card.message else None


def shows(stage, *texts):
    return lambda: (card := group_card(stage)) and all(each in card.text for each in texts)


async def press(stage, user=USER, **values):
    raw = stage.press(GroupPress(**values).pack(), user, chat=GROUP)
    await stage.feed(raw)


def last_toast(stage):
    return stage.session.named("answerCallbackQuery")[-1].text


async def running(stage, *names):
    jobs = [await started(stage, name) for name in names]
    for _ in range(4):
        await stage.house.tick()
    beat(stage.house, 120)
    await stage.house.tick()
    return jobs


async def test_a_group_has_one_card_for_all_that_runs(stage):
    async with stage.showing():
        jobs = await running(stage, "a.mp4", "b.mp4")
        await stage.until(shows(stage, "В работе 2 видео", "a.mp4", "b.mp4", "50 %"))
        for job in jobs:
            await stage.until(stage.shows(job, "на общей карточке"))
        sent = len(stage.session.named("sendMessage"))
        beat(stage.house, 180)
        await stage.house.tick()
        await stage.until(shows(stage, "75 %"))
        assert len(stage.session.named("sendMessage")) == sent
        assert "75 %" not in stage.card_of(jobs[0]).text
    assert [each[:1] for each in buttons(group_card(stage))] == ["✖", "✖"]


async def test_the_card_ends_with_the_last_job_and_begins_anew_below(stage):
    async with stage.showing():
        (job,) = await running(stage, "a.mp4")
        await stage.until(shows(stage, "a.mp4"))
        first = stage.house.controller.card(f"group:{GROUP}").message
        stage.house.controller.cancel(job.id, by=Actor(USER))
        stage.house.runner.cancelled(stage.house.machine())
        for _ in range(4):
            await stage.house.tick()
        await stage.until(lambda: stage.house.controller.card(f"group:{GROUP}").finished)
        assert "Всё закончено" in group_card(stage).text
        assert "🚫 a.mp4" in group_card(stage).text
        assert buttons(group_card(stage)) == []
        await started(stage, "b.mp4")
        await stage.until(shows(stage, "В работе", "b.mp4"))
    assert stage.house.controller.card(f"group:{GROUP}").message > first


async def test_only_owner_and_admin_cancel_there_and_after_a_yes(stage):
    async with stage.showing():
        job, other = await running(stage, "a.mp4", "b.mp4")
        await stage.until(shows(stage, "50 %"))
        await press(stage, OTHER, act=Act.ASK, job=job.id)
        assert last_toast(stage) == "Такой задачи нет, или она не ваша."
        await press(stage, USER, act=Act.ASK, job=job.id)
        await stage.until(shows(stage, "Отменить a.mp4?"))
        await press(stage, USER, act=Act.NO, job=job.id)
        await stage.until(lambda: "Отменить a.mp4?" not in group_card(stage).text)
        assert stage.house.job(job).cancel_requested_at is None
        await press(stage, ADMIN, act=Act.ASK, job=other.id)
        await press(stage, ADMIN, act=Act.YES, job=other.id)
        assert last_toast(stage) == "Отменяю…"
        await stage.until(shows(stage, "🛑"))
    assert stage.house.job(other).cancel_requested_at is not None


async def test_a_question_on_a_card_of_a_group_goes_away_again(stage):
    async with stage.showing():
        (job,) = await running(stage, "a.mp4")
        await stage.until(stage.shows(job, "на общей карточке"))
        stage.notifier.ask_to_confirm(job.id)
        await stage.until(lambda: "Да, отменить" in buttons(stage.card_of(job)))
        stage.house.clock.advance(61)
        await stage.until(lambda: "Отменить" in buttons(stage.card_of(job)))


async def test_forged_and_stale_presses_are_answered(stage):
    (job,) = await running(stage, "a.mp4")
    for act in Act:
        if act not in (Act.ASK, Act.YES, Act.NO):
            await press(stage, USER, act=act, job=job.id)
            assert last_toast(stage) == "Эта кнопка уже не действует."
    await press(stage, USER, act=Act.YES, job="Z" * 26)
    assert last_toast(stage) == "Такой задачи нет, или она не ваша."
    await press(stage, USER, page=7)
    assert last_toast(stage) is None


async def test_more_than_eight_jobs_have_pages(texts, house):
    jobs = []
    for number in range(11):
        job = await house.draft(f"{number}.mp4")
        jobs.append(dataclasses.replace(job, state=JobState.RUNNING, started_at=1.0))
    for language in LANGUAGES:
        first = draw_group(GroupSnapshot(jobs=tuple(jobs), now=5.0), texts[language])
        last = draw_group(GroupSnapshot(jobs=tuple(jobs), now=5.0, page=1), texts[language])
        assert "7.mp4" in first.text.render()[0]
        assert "8.mp4" not in first.text.render()[0]
        assert "10.mp4" in last.text.render()[0]
        assert [each.text for each in first.keyboard.inline_keyboard[-1]] == ["‹", "1/2", "›"]


async def test_a_job_has_bar_and_end_on_the_common_card(texts, house):
    job = dataclasses.replace(await house.draft(), state=JobState.RUNNING, started_at=1.0)
    status = Status(
        sequence=1, heartbeat_at=0, phase=Phase.PROCESSING, done=120, total=240, eta_s=95.0
    )
    view = draw_group(
        GroupSnapshot(jobs=(job,), now=1001.0, attempts={job.id: attempt(status=status)}),
        texts["en"],
    )
    text, entities = view.text.render()
    assert "▰▰▰▰▰▰▱▱▱▱▱▱ 50% · Ready in 1 min 34 s" in text
    assert [each.unix_time for each in entities if each.type == "date_time"] == [1095]


async def test_a_restart_makes_no_second_card_of_a_group(stage):
    async with stage.showing():
        await running(stage, "a.mp4")
        await stage.until(shows(stage, "50 %"))
    sent = len(stage.session.named("sendMessage"))
    stage.restart()
    async with stage.showing():
        beat(stage.house, 180)
        await stage.house.tick()
        await stage.until(shows(stage, "75 %"))
        await asyncio.sleep(0.05)
    assert len(stage.session.named("sendMessage")) == sent
