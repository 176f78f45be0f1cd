import asyncio
import hashlib
import json
import os
import subprocess
import sys

import av
import pytest

from controller.states import JobState
from tests.e2e.story import SAMPLE

pytestmark = pytest.mark.timeout(300)

RESULT_S = 240


def is_result(sent):
    return lambda m: m.media in ("video", "document") and m.reply_to_id == sent.id


async def press_start(chat, preset=None):
    card = await chat.wait_for("Start", timeout_s=60)
    if preset:
        await chat.press(card, preset)
        card = await chat.wait_for("✓", timeout_s=20)
    await (await chat.press(card, "Start")).answer()
    return card


async def test_a_video_comes_back_twice_as_large_and_twice_as_smooth(story, chat, tmp_path):
    sent = await chat.send_video(SAMPLE, as_document=True)
    card = await press_start(chat, "×2 and 2× fps")
    result = await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
    path = await chat.download(result, tmp_path / "result.mp4")

    before, after = describe(SAMPLE), describe(path)
    assert (after["width"], after["height"]) == (640, 360)
    assert after["frames"] == 2 * before["frames"]
    assert abs(after["duration"] - before["duration"]) <= 1 / 24
    assert after["audio"] == before["audio"]
    assert after["subtitles"] == before["subtitles"] == 1

    messages = await chat.messages()
    assert [m.id for m in messages if m.from_bot and m.reply_to_id == sent.id] == [
        card.id, result.id,
    ]  # fmt: skip
    clip = await chat.wait_for(lambda m: m.media and m.reply_to_id == result.id, timeout_s=20)
    look = describe(await chat.download(clip, tmp_path / "clip.mp4"))
    assert look["width"] > look["height"]
    assert 0 < look["duration"] <= 4
    assert "👀" in next(m for m in messages if m.id == sent.id).reactions
    job = await story.job()
    assert job.state is JobState.DONE
    await story.wait_for_no_runner()


@pytest.mark.slow
async def test_a_path_in_storage_is_processed_and_stays(story, chat):
    key = story.settings.storage_dir / "input" / "c1" / "клип.mp4"
    key.parent.mkdir(parents=True)
    key.write_bytes(SAMPLE.read_bytes())
    sent = await chat.send_text("input/c1/клип.mp4")
    await press_start(chat, "2× fps")
    await chat.wait_for(is_result(sent), timeout_s=RESULT_S)
    assert key.read_bytes() == SAMPLE.read_bytes()


async def test_a_job_is_cancelled_from_its_card(story, chat):
    await chat.send_video(SAMPLE)
    card = await press_start(chat, "×4")
    await story.wait_for_job(
        lambda job, attempt: attempt and attempt.status and attempt.status.done
    )
    card = await chat.wait_until(
        lambda messages: next(
            (m for m in messages if m.id == card.id and m.button("Cancel")), None
        )
    )
    await chat.press(card, "Cancel")
    card = await chat.wait_until(
        lambda messages: next((m for m in messages if m.id == card.id and m.button("Yes")), None)
    )
    await chat.press(card, "Yes")
    job = await story.wait_for_job(lambda job, _: job.state.is_terminal)
    assert job.state is JobState.CANCELLED
    await chat.wait_until(lambda ms: next((m for m in ms if "ancelled" in m.text), None), 30)
    await story.wait_for_no_runner()


@pytest.mark.slow
async def test_a_second_process_is_a_client_of_the_first(story, chat):
    await chat.send_video(SAMPLE)
    await story.wait_for_job(lambda job, _: True)
    found = await run_noxfvr(story, "batch", str(SAMPLE), "--mode", "interp", "--json", "-")
    rows = json.loads(found.stdout)["results"]
    assert (found.returncode, rows[0]["status"]) == (0, "completed")
    refused = await run_noxfvr(story, "bot")
    assert refused.returncode == 1
    assert "another process" in refused.stderr


async def run_noxfvr(story, *arguments):
    env = {
        **os.environ, "NOXFVR_DATA_DIR": str(story.settings.data_dir),
        "TELEGRAM_BOT_TOKEN": "1234567:" + "x" * 35, "TELEGRAM_ADMINS": "1", "LC_ALL": "C",
    }  # fmt: skip
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "bot", *arguments],
        env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def describe(path):
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = {"audio": hashlib.sha256(), "video": 0}
        for packet in container.demux():
            if packet.size and packet.stream.type == "audio":
                packets["audio"].update(bytes(packet))
            elif packet.size and packet.stream is video:
                packets["video"] += 1
        return {
            "width": video.width, "height": video.height, "frames": packets["video"],
            "duration": float(video.duration * video.time_base),
            "audio": packets["audio"].hexdigest(), "subtitles": len(container.streams.subtitles),
        }  # fmt: skip
