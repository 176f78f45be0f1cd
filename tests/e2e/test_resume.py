import asyncio

import pytest

from controller.records import TERMINAL
from controller.states import JobState
from controller.wiring import open_controller
from tests.e2e.story import ADMIN, Story
from tests.e2e.test_story import RESULT_S, describe, is_result, press_start
from tests.runner.clips import make_clip

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]

SECONDS = 6


@pytest.fixture
async def story(tmp_path):
    async with Story(tmp_path, NOXFVR_SEGMENT_S="1") as story:
        yield story


async def wait_for_segments(story, attempt, count):
    """Numbers of segments that are whole in storage."""
    jobs = story.settings.storage_dir / "jobs"
    for _ in range(int(RESULT_S / 0.05)):
        found = [path.name for path in jobs.glob(f"*/parts/*-{attempt}.json")]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {count} segments of attempt {attempt}\n{story.log()}")


async def kill_runner(story):
    for process in story.runners():
        process.kill()
    await story.wait_for_no_runner()


async def test_a_killed_runner_loses_nothing_that_is_in_storage(story, tmp_path):
    source = make_clip(tmp_path / "long.mp4", count=24 * SECONDS, width=320, height=180, audio=1)
    before = describe(source)
    chat = (await story.driver.person(ADMIN, "Ann", language_code="en")).chat
    sent = await chat.send_video(source, as_document=True)
    await press_start(chat, "×2")
    safe = await wait_for_segments(story, 1, 2)
    await kill_runner(story)
    await wait_for_segments(story, 2, 1)
    await kill_runner(story)
    result = await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
    job = await story.job()
    assert (job.state, job.attempts) == (JobState.DONE, 3)
    assert job.result.resumed_frames >= 24 * (len(safe) + 1)
    assert f"Went on behind {job.result.resumed_frames} frames" in result.text
    after = describe(await chat.download(result, tmp_path / "result.mp4"))
    assert (after["width"], after["height"]) == (640, 360)
    assert after["frames"] == before["frames"] == 24 * SECONDS
    assert after["audio"] == before["audio"]
    assert abs(after["duration"] - before["duration"]) < 1 / 24
    async with open_controller(story.settings, only_look=True) as controller:
        lines = await controller.logs(job.id, by=TERMINAL)
    assert any("going on behind" in line for line in lines)
