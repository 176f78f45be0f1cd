import asyncio

from controller.states import JobState
from tests.bot.test_notifier import BLOCKED, edits, finish, is_finished, running


async def block(stage, job):
    """The user blocks the bot while the job runs."""
    stage.session.faults["editMessageText"].append(BLOCKED)
    before = len(edits(stage))
    stage.house.runner.heartbeat(stage.house.machine(), done=90)
    await stage.house.tick()
    await stage.until(lambda: len(edits(stage)) > before)
    await asyncio.sleep(0.02)


async def test_a_blocked_user_gets_no_more_edits_and_the_end_is_tried_once(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        await block(stage, job)
        before = len(edits(stage))
        for done in (95, 99):
            stage.house.runner.heartbeat(stage.house.machine(), done=done)
            await stage.house.tick()
            await asyncio.sleep(0.03)
        assert len(edits(stage)) == before
        assert not stage.house.controller.card(job.id).finished
        stage.session.faults["sendVideo"].append(BLOCKED)
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
        await asyncio.sleep(0.03)
    assert stage.house.job(job).state is JobState.DONE
    assert len(stage.session.named("sendVideo")) == 1
    assert len(edits(stage)) == before


async def test_a_user_who_unblocked_in_time_gets_the_end_once_and_the_card_catches_up(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        await block(stage, job)
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
        await stage.until(stage.shows(job, "✅ Готово"))
        await stage.say(text="/status")
        await asyncio.sleep(0.05)
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_user_who_comes_back_is_told_what_was_missed(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        await block(stage, job)
        stage.session.faults["sendVideo"].append(BLOCKED)
        await finish(stage, job)
        await stage.until(is_finished(stage, job))
    stage.restart()
    async with stage.showing():
        await stage.say(text="/start")
        await stage.until(stage.shows(job, "✅ Готово"))
        await stage.until(is_finished(stage, job))
        await stage.say(text="/start")
        await asyncio.sleep(0.05)
    assert len(stage.session.named("sendVideo")) == 2


async def test_a_user_who_comes_back_early_sees_progress_again(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))
        await block(stage, job)
        await stage.say(text="/status")
        await stage.until(stage.shows(job, "90 из 240"))
