"""What the tests of one trouble at a time have in common: a video's way, and a look at its end."""

import asyncio
import re

from controller.states import JobState
from remote_runner.protocol import Phase
from tests.chaos.deployment import Deployment
from tests.e2e.chatting import is_result, see_plan, see_result, tap
from tests.e2e.story import ADMIN
from tests.secrecy import find_leaks

WORK_S = 150


async def enter(deployment: Deployment):
    """Ann's chat."""
    return (await deployment.driver.person(ADMIN, "Ann", language_code="en")).chat


async def begin(chat, path):
    """Send a video and start it; its message."""
    sent = await chat.send_video(path, as_document=True)
    card = await see_plan(chat, sent, WORK_S)
    await tap(chat, "Start", card, WORK_S)
    return sent


async def wait_for_work(deployment: Deployment) -> None:
    """Until frames come out."""
    await deployment.wait_for_job(
        lambda _, attempt: attempt and attempt.status and attempt.status.done > 0, WORK_S
    )


async def wait_for_phase(deployment: Deployment, phase: Phase) -> None:
    await deployment.wait_for_job(
        lambda _, attempt: attempt and attempt.status and attempt.status.phase is phase, WORK_S
    )


async def expect_done(deployment: Deployment, chat, sent, *, attempts: int | None = 1):
    """The result comes, once; its job is done after so many attempts. The job."""
    await see_result(chat, sent, WORK_S)
    (job,) = (each for each in jobs_of(deployment) if each.reply_to == sent.id)
    assert job.state is JobState.DONE
    assert attempts is None or job.attempts == attempts, deployment.log()
    answers = [m for m in await chat.messages() if m.from_bot and m.reply_to_id == sent.id]
    assert sum(is_result(m) for m in answers) == 1
    return job


def jobs_of(deployment: Deployment):
    return deployment.store.jobs.select(states=tuple(JobState))


async def expect_rest(deployment: Deployment, timeout_s: float = 60) -> None:
    """No machine is left, and nothing crashed."""
    for _ in range(int(timeout_s / 0.2)):
        if not deployment.remains():
            break
        await asyncio.sleep(0.2)
    assert deployment.remains() == [], deployment.log()
    assert not re.search("^Traceback", deployment.log(), re.MULTILINE), deployment.log()
    assert not find_leaks(deployment.home)
    assert deployment.is_up()
