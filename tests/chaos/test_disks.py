"""A disk that is full, and one that cannot be written to, under everything that is kept."""

import asyncio
import subprocess
import sys

import pytest

from bot.sandbox import DEFAULT_TOKEN
from bot.texts import Texts
from remote_runner.protocol import Reason
from tests.chaos.deployment import LocalDeployment
from tests.chaos.disks import failing_disk, mounted_disk
from tests.chaos.steps import (
    WORK_S,
    begin,
    enter,
    expect_done,
    expect_rest,
    jobs_of,
    wait_for_work,
)
from tests.e2e.chatting import see_plan, tap
from tests.e2e.story import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
#: Below what the storage keeps free for itself, and more than enough for the database.
LITTLE_BYTES = 20_000_000
MORE_S = 8.0
REFUSAL = Texts()["en"]("error-storage_full")


@pytest.fixture
def disk(tmp_path):
    """What the data directory lies on."""
    with mounted_disk(tmp_path / "home" / "data", "160m") as disk:
        yield disk


@pytest.fixture
async def small(disk):
    """A deployment on that disk."""
    async with LocalDeployment(disk.path.parent) as deployment:
        yield deployment


async def test_little_space_refuses_what_comes_in_and_says_so(small, disk, clip):
    chat = await enter(small)
    disk.fill(LITTLE_BYTES)
    sent = await chat.send_video(clip, as_document=True)
    await chat.wait_for(lambda m: m.reply_to_id == sent.id and m.text == REFUSAL, WORK_S)
    assert jobs_of(small) == []
    disk.free()
    await expect_done(small, chat, await begin(chat, clip))
    await expect_rest(small)


async def test_a_full_disk_rents_nothing_loses_nothing_and_is_survived(
    small, disk, clip, long_clip
):
    chat = await enter(small)
    waiting = await chat.send_video(clip, as_document=True)
    card = await see_plan(chat, waiting, WORK_S)
    running = await begin(chat, long_clip)
    await wait_for_work(small)
    disk.fill()
    created = small.log().count("Created instance")
    await tap_unheard(chat, card)
    later = await chat.send_video(clip, as_document=True)
    # what runs has nowhere to put its work: its machine ends, and no other one is begun
    await asyncio.sleep(MORE_S)
    assert small.is_up()
    assert small.log().count("Created instance") == created
    disk.free()
    job = await expect_done(small, chat, running, attempts=None)
    *lost, _ = small.store.attempts.of_job(job.id)
    assert len(lost) <= 1
    assert all(each.reason is Reason.DISK_FULL for each in lost), lost
    await expect_done(small, chat, waiting, attempts=None)
    # a database may have had room for that message, and then the answer is that the file has none
    answer = await chat.wait_for(lambda m: answers(m, later), WORK_S)
    if answer.text != REFUSAL:
        await tap(chat, "Start", answer, WORK_S)
        await expect_done(small, chat, later, attempts=None)
    await expect_rest(small)


async def test_a_disk_that_turns_read_only_stops_everything_and_loses_nothing(tmp_path, clip):
    with failing_disk(tmp_path / "home" / "data", "160M") as disk:
        async with LocalDeployment(tmp_path / "home") as deployment:
            chat = await enter(deployment)
            await expect_done(deployment, chat, await begin(chat, clip))
            await expect_rest(deployment)
            disk.fail()
            created = deployment.log().count("Created instance")
            sent = await chat.send_video(clip, as_document=True)
            await asyncio.sleep(MORE_S)
            assert deployment.is_up()
            assert deployment.log().count("Created instance") == created
            await deployment.stop_bot()
            deployment.forget_store()
            disk.mend()
            await deployment.start_bot()
            await tap(chat, "Start", await see_plan(chat, sent, WORK_S), WORK_S)
            await expect_done(deployment, chat, sent)
            await expect_rest(deployment)
            await deployment.stop_bot()
            deployment.forget_store()


def test_a_data_directory_that_cannot_be_written_to_is_one_clear_line(tmp_path):
    env = {
        "PATH": "/usr/bin", "NOXFVR_DATA_DIR": str(tmp_path / "data"), "TELEGRAM_ADMINS": "1",
        "TELEGRAM_BOT_TOKEN": DEFAULT_TOKEN, "TELEGRAM_API_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    with mounted_disk(tmp_path / "data", "2m", mode="ro"):
        done = subprocess.run(
            [sys.executable, "-m", "bot", "bot"], env=env, cwd=ROOT, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert str(tmp_path / "data") in line
    assert "Read-only file system" in line


def answers(message, sent) -> bool:
    """A plan, or that there is no room."""
    return message.reply_to_id == sent.id and (
        message.text == REFUSAL or message.button("Start") is not None
    )


async def tap_unheard(chat, card):
    """Press Start; there may be nobody who can write down that it was."""
    await chat.press(card, "Start")
