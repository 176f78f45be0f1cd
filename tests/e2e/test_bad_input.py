import json
import os
import struct
import subprocess
import sys

import av
import numpy as np
import pytest

from bot.sandbox import Item
from tests.e2e.story import SAMPLE, Story

pytestmark = pytest.mark.timeout(300)


def make_empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("I am not a video.\n" * 100)


def make_truncated(path):
    data = SAMPLE.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def make_cover_only(path):
    with av.open(str(path), "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=44100)
        picture = container.add_stream("mjpeg")
        picture.width = picture.height = 64
        picture.pix_fmt = "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        still = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        for packet in picture.encode(still.reformat(format="yuvj420p")):
            container.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        frame.rate = 44100
        for packet in (*audio.encode(frame), *audio.encode()):
            container.mux(packet)


def make_tiny(path):
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width = stream.height = 1
        stream.pix_fmt = "gray"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((1, 1), np.uint8), "gray")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def make_absurd(path):
    # a raw AVI that says it is 60,000 pixels wide and high
    width = height = 60_000
    avih = struct.pack("<14I", 41666, 0, 0, 0, 10, 0, 1, 0, width, height, 0, 0, 0, 0)
    strh = b"vids" + b"DIB " + struct.pack("<10I4H", 0, 0, 0, 1, 24, 0, 10, 0, 0, 0, 0, 0, 0, 0)
    strf = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    strl = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", strf))
    hdrl = chunk(b"LIST", b"hdrl" + chunk(b"avih", avih) + strl)
    movi = chunk(b"LIST", b"movi" + chunk(b"00db", b"\0" * 64) * 3)
    path.write_bytes(chunk(b"RIFF", b"AVI " + hdrl + movi))


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


BAD = {
    "empty.mp4": make_empty, "text.mp4": make_text, "truncated.mp4": make_truncated,
    "cover.m4v": make_cover_only, "tiny.mkv": make_tiny, "absurd.avi": make_absurd,
}  # fmt: skip


@pytest.fixture(params=BAD)
def bad_file(request, tmp_path):
    path = tmp_path / request.param
    BAD[request.param](path)
    return path


def noxfvr(data_dir, *arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        env={**os.environ, "NOXFVR_DATA_DIR": str(data_dir), "LC_ALL": "C", **env},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def left_in(data_dir):
    if not data_dir.exists():
        return []
    names = (p.relative_to(data_dir).as_posix() for p in data_dir.rglob("*") if p.is_file())
    return [n for n in names if not n.startswith(("noxfvr.", "logs/"))]


def test_the_terminal_refuses_it_in_one_line_with_code_1(bad_file, tmp_path):
    done = noxfvr(tmp_path / "data", "batch", str(bad_file), "--json", str(tmp_path / "rows"))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert f"[ERROR] {bad_file.name}: " in done.stdout
    (row,) = json.loads((tmp_path / "rows").read_text())["results"]
    assert row["status"] == "failed"
    assert row["error"]
    assert left_in(tmp_path / "data") == []


async def test_the_chat_refuses_each_of_them_in_the_users_words(story, chat, tmp_path):
    texts = {}
    for name, make in BAD.items():
        make(tmp_path / name)
        if (tmp_path / name).stat().st_size:
            sent = await chat.send_video(tmp_path / name, as_document=True)
        else:  # Telegram itself takes no empty file: it can only lie in storage
            stored = story.settings.storage_dir / "input" / name
            stored.parent.mkdir(parents=True)
            stored.touch()
            sent = await chat.send_text(f"input/{name}")
        card = await chat.wait_until(
            lambda ms, sent=sent: next(
                (
                    m for m in ms
                    if m.from_bot and m.reply_to_id == sent.id and m.edited_at and not m.buttons
                ),
                None,
            ),
            timeout_s=60,
        )  # fmt: skip
        texts[name] = card.text
    assert len(set(texts.values())) == len(texts), texts
    assert not any("Traceback" in text or "error" in text.lower() for text in texts.values())
    assert story.files() == ["storage/input/empty.mp4"]


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/passwd.mp4", "input/../../x.mp4"])
async def test_a_path_that_leaves_the_storage_is_refused_in_the_chat(story, chat, path):
    await chat.send_text(path)
    answer = await chat.wait_until(
        lambda ms: next((m for m in ms if m.from_bot and not m.buttons), None)
    )
    assert "Start" not in answer.text
    assert story.files() == []


async def test_a_file_over_the_platforms_limit_is_told_its_way(story, chat):
    await chat.send_album([Item(path=SAMPLE, size=25 * 1024**2)])
    answer = await chat.wait_for("20 MB", timeout_s=30)
    assert not answer.buttons
    assert story.files() == []


def test_a_file_over_the_limit_is_refused(tmp_path):
    done = noxfvr(tmp_path / "data", "batch", str(SAMPLE), NOXFVR_MAX_INPUT_GB="0.0001")
    assert done.returncode == 1
    assert left_in(tmp_path / "data") == []


def test_a_full_disk_is_refused_and_nothing_is_left(small_disk):
    (small_disk / "fill").write_bytes(b"\0" * 1_800_000)
    done = noxfvr(small_disk / "data", "batch", str(SAMPLE))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert left_in(small_disk / "data") == []


def test_a_path_that_does_not_exist_is_wrong_usage(tmp_path):
    done = noxfvr(tmp_path / "data", "batch", str(tmp_path / "nothing.mp4"))
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "nothing.mp4" in done.stderr


def test_wrong_settings_are_all_told_in_one_go(tmp_path):
    done = noxfvr(
        tmp_path / "data", "batch", str(SAMPLE), NOXFVR_MAX_PRICE="x", NOXFVR_IDLE_S="-1"
    )
    assert done.returncode == 2
    assert "NOXFVR_MAX_PRICE" in done.stderr
    assert "NOXFVR_IDLE_S" in done.stderr


@pytest.mark.slow
def test_one_bad_file_does_not_stop_the_others(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_text(folder / "a.mp4")
    (folder / "b.mp4").write_bytes(SAMPLE.read_bytes())
    done = noxfvr(
        tmp_path / "data", "batch", str(folder), "--mode", "interp", "--json",
        str(tmp_path / "rows"),
    )  # fmt: skip
    rows = json.loads((tmp_path / "rows").read_text())["results"]
    assert [row["status"] for row in rows] == ["failed", "completed"]
    assert done.returncode == 1


async def test_strangers_get_nothing(tmp_path):
    async with Story(tmp_path) as story:
        mallory = await story.driver.person(666, "Mallory <b>&", language_code="en")
        owner = await story.driver.person(100, "Ann", language_code="en")
        await owner.chat.send_video(SAMPLE)
        card = await owner.chat.wait_for("Start", timeout_s=60)
        for text in ("/start", "/status", "input/c1/a.mp4"):
            await mallory.chat.send_text(text)
        await mallory.chat.send_video(SAMPLE)
        data = card.button("Start").callback_data
        press = await story.driver.press_raw(666, card.chat_id, card.id, data)
        await owner.chat.send_text("/status")
        await owner.chat.wait_for("sample", timeout_s=30, after=card)
        assert [m for m in await mallory.chat.messages() if m.from_bot] == []
        with pytest.raises(TimeoutError):
            await press.answer(timeout_s=1)
        assert (await story.job()).started_at is None
