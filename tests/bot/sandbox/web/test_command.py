"""``noxfvr sandbox`` as the program that a user starts."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from bot.sandbox import Driver
from bot.texts import Texts
from tests.browser import open_page

ROOT = Path(__file__).parents[4]
SAMPLE = ROOT / "data" / "samples" / "sample.mp4"

pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def started(data_dir, *options, **env):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "sandbox", "--no-open", *options, cwd=ROOT,
        env={**os.environ, "NOXFVR_DATA_DIR": str(data_dir), **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 60)


async def read_url(process):
    line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    return found[0]


def helpers(data_dir):
    """Processes that work below a data directory: the bot and its workers."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        home = str(data_dir / "sandbox")
        if env.get("NOXFVR_DATA_DIR") == home or env.get("NOXFVR_WORK_DIR", "").startswith(home):
            found.append(process.pid)
    return found


async def test_a_taken_port_is_wrong_usage_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with started(tmp_path, "--port", port) as process:
            _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert f"port {port} is taken" in said.decode()
    assert "Traceback" not in said.decode()


@pytest.mark.slow
async def test_a_bot_that_dies_is_told_on_the_page_and_by_the_exit_code(tmp_path, browser):
    async with started(tmp_path) as process:
        page, _ = await open_page(browser, await read_url(process))
        await page.get_by_role("button", name="Start").wait_for()
        (bot,) = psutil.Process(process.pid).children()
        bot.kill()
        banner = page.get_by_role("alert")
        await banner.wait_for(timeout=10_000)
        log_path = str(tmp_path / "sandbox" / "bot.log")
        assert log_path in await banner.inner_text()
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert log_path in said.decode()
    assert helpers(tmp_path) == []


@pytest.mark.slow
async def test_a_second_run_goes_on_with_the_data_of_the_first(tmp_path):
    first_ids = []
    for _ in range(2):
        async with started(tmp_path) as process, Driver(await read_url(process)) as driver:
            ann = await driver.person(100, "Ann", language_code="en")
            said = await ann.chat.send_text("/status")
            await ann.chat.wait_for(lambda message: True, timeout_s=20, after=said)
            first_ids.append(said.id)
    assert first_ids[0] < first_ids[1]


@pytest.mark.slow
async def test_the_sample_is_sent_through_the_page_and_its_result_plays_there(tmp_path, browser):
    start = Texts()["en"]("button-start")
    async with started(tmp_path) as process:
        page, complaints = await open_page(browser, await read_url(process))
        await page.get_by_role("button", name="Start").click()
        await page.locator("article.theirs").first.wait_for()
        await page.locator("#files").set_input_files(SAMPLE)
        await page.get_by_role("button", name="Send").last.click()
        await page.locator(".key", has_text=start).first.click(timeout=60_000)
        player = page.locator("article.theirs video").first
        await player.wait_for(timeout=240_000)
        played = await player.evaluate(
            """async (video) => {
              video.muted = true;
              video.currentTime = 1;
              await video.play();
              await new Promise((resolve) => video.addEventListener("timeupdate", resolve));
              return [video.videoWidth, video.videoHeight, video.currentTime > 0.9];
            }"""
        )
        assert played == [640, 360, True]
        assert complaints == []
        # a warm worker waits for the next job: it has to go as well
        assert len(helpers(tmp_path)) >= 2
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert helpers(tmp_path) == []
