import asyncio

import pytest

from bot.sandbox import FaultKind
from controller.states import JobState
from remote_runner.protocol import Phase
from tests.e2e.story import SAMPLE
from tests.e2e.test_story import RESULT_S, is_result, press_start

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]


async def during_intake(story, chat):
    # the download is on its way when the process dies
    await story.driver.inject(FaultKind.DELAY, "getFile", seconds=5)
    sent = await chat.send_video(SAMPLE, as_document=True)
    await chat.wait_until(lambda ms: any(m.from_bot for m in ms), 30)
    await asyncio.sleep(0.5)  # the id of the card is written down when the answer is there
    await story.restart_bot()
    await press_start(chat, "×2 and 2× fps")
    return sent


async def with_a_plan_card(story, chat):
    sent = await chat.send_video(SAMPLE, as_document=True)
    await chat.wait_for("Start", timeout_s=60)
    await story.restart_bot()
    await press_start(chat, "×2 and 2× fps")
    return sent


async def right_after_start(story, chat):
    sent = await chat.send_video(SAMPLE, as_document=True)
    await press_start(chat, "×2 and 2× fps")
    await story.restart_bot()
    return sent


async def in_the_middle(story, chat):
    sent = await chat.send_video(SAMPLE, as_document=True)
    await press_start(chat, "×2 and 2× fps")
    await story.wait_for_job(
        lambda _, attempt: attempt and attempt.status and attempt.status.phase is Phase.PROCESSING
    )
    await story.restart_bot()
    return sent


async def before_the_result_is_told(story, chat):
    sent = await chat.send_video(SAMPLE, as_document=True)
    await press_start(chat, "×2 and 2× fps")
    await story.driver.inject(FaultKind.DELAY, "sendVideo", seconds=5)
    await story.wait_for_job(lambda job, _: job.state is JobState.DONE, timeout_s=RESULT_S)
    await story.restart_bot()
    return sent


@pytest.mark.parametrize(
    "moment",
    [
        during_intake,
        with_a_plan_card,
        right_after_start,
        in_the_middle,
        before_the_result_is_told,
    ],
)
async def test_a_job_survives_the_death_of_its_controller(story, chat, moment):
    sent = await moment(story, chat)
    result = await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
    job = await story.job()
    assert job.state is JobState.DONE
    # killed between the row and the start of its machine, the first one never came to be
    assert job.attempts <= 1 + (moment is right_after_start)
    await story.wait_for_no_runner()
    await asyncio.sleep(1)
    answers = [m for m in await chat.messages() if m.from_bot and m.reply_to_id == sent.id]
    results = [m for m in answers if is_result(sent)(m)]
    cards = [m for m in answers if m not in results]  # a photo by now
    # at most one duplicate per crash, and only where the answer to a send was lost
    assert len(cards) == 1
    assert len(results) <= 1 + (moment is before_the_result_is_told)
    assert result.id in [m.id for m in results]


async def test_a_killed_runner_is_retried_and_the_chat_says_so(story, chat):
    sent = await chat.send_video(SAMPLE, as_document=True)
    await press_start(chat, "×2 and 2× fps")
    await story.wait_for_job(
        lambda _, attempt: attempt and attempt.status and attempt.status.done > 0
    )
    for process in story.runners():
        process.kill()
    await chat.wait_until(
        lambda ms: any(m.from_bot and "Now attempt 2 of 3" in m.text for m in ms), timeout_s=60
    )
    await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
    job = await story.job()
    assert (job.state, job.attempts) == (JobState.DONE, 2)
    await story.wait_for_no_runner()
