"""Samples, the source that is kept between attempts, and the picture while the work goes on."""

import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from remote_runner import shelf as shelves
from remote_runner.protocol import Mode, Outcome, Status, Task
from remote_runner.shelf import Shelf
from remote_runner.speed import Speed
from remote_runner.video.picture import draw_frame
from remote_runner.video.probe import probe
from tests.runner.clips import make_clip
from tests.runner.mailbox import ROOT, ended, leftovers, wait

LARGER = Task(mode=Mode.UPSCALE, preset="ultrafast")


@pytest.fixture
def film(tmp_path):
    return make_clip(tmp_path / "film.mp4", count=72, audio=1, options={"g": "24", "crf": "18"})


@pytest.mark.slow
def test_a_sample_comes_first_and_the_whole_needs_no_second_fetch(
    tmp_path, mailbox, start, server, film
):
    server.objects["film"] = film.read_bytes()
    source = {"source_bytes": film.stat().st_size, "source_id": "input/film#1", "task": LARGER}
    runner = start()
    mailbox.grant(
        "j1", 1, server.url("film"), sample_s=1.5, clip_url=mailbox.url("clip"), **source
    )
    result = mailbox.result("j1", 1)
    assert (result.outcome, result.reason) == (Outcome.DONE, None)
    assert [note for note in result.notes if note.startswith("sample:")]
    assert 1.2 < result.facts.duration_s <= 1.5 + 1 / 24
    assert (result.facts.width, result.facts.audio) == (128, ("aac/eng",))
    assert all(check.passed for check in result.checks)
    assert result.timings["processing"] > 0
    assert (mailbox.folder / "j1/1/picture.png").read_bytes()[1:4] == b"PNG"
    assert mailbox.folder.joinpath("clip").stat().st_size == result.clip_bytes > 0

    mailbox.grant("j2", 1, server.url("film"), **source)
    assert mailbox.result("j2", 1).facts.frames == 72
    assert server.requests["GET", "film"] == 1
    assert "still here" in (mailbox.folder / "j2/1/log").read_text()
    mailbox.grant("j3", 1, server.url("film"), **{**source, "source_id": "input/film#2"})
    assert mailbox.result("j3", 1).outcome is Outcome.DONE
    assert server.requests["GET", "film"] == 2
    assert len([path for path in leftovers(tmp_path) if path.name == "source"]) == 1
    mailbox.order(stop=True)
    assert ended(runner)[0] == 0
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_picture_is_there_while_the_work_goes_on(tmp_path, mailbox, start):
    long_clip = make_clip(
        tmp_path / "in.mp4", width=320, height=180, count=300, options={"preset": "ultrafast"}
    )
    start()
    mailbox.grant(
        "j1", 1, long_clip, task=LARGER, segment_s=0.5, frame_url=mailbox.url("frame"),
        preview_url=mailbox.url("preview"),
    )  # fmt: skip
    wait(lambda: (s := mailbox.document(Status, "j1/1/status")) and s.frame)
    status = mailbox.document(Status, "j1/1/status")
    assert status.done < status.total
    picture = cv2.imdecode(np.frombuffer((mailbox.folder / "frame").read_bytes(), np.uint8), 1)
    assert picture.shape[1] == 640
    assert picture.shape[0] == 360 + 180 + 22
    left, right = picture[22:380, :318], picture[22:380, 322:]
    assert left.std() > 10 and right.std() > 10
    mailbox.order(job="j1", attempt=1, cancel=True)
    assert mailbox.result("j1", 1).outcome is Outcome.CANCELLED


@pytest.mark.slow
def test_no_picture_never_costs_the_work(mailbox, start, server, clip):
    server.failures["PUT", "frame"] = [403] * 50
    runner = start()
    mailbox.grant("j1", 1, clip, frame_url=server.url("frame"))
    assert mailbox.result("j1", 1).outcome is Outcome.DONE
    assert not mailbox.document(Status, "j1/1/status").frame
    mailbox.order(stop=True)
    assert ended(runner)[0] == 0


def test_a_large_picture_becomes_small_enough_for_a_chat(tmp_path):
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8) for _ in range(3)]
    source = make_clip(
        tmp_path / "in.mp4", width=1280, height=720, frames=noise, count=3,
        options={"crf": "20", "preset": "ultrafast"},
    )  # fmt: skip
    draw_frame(source, source, tmp_path / "frame.png")
    assert (tmp_path / "frame.png").stat().st_size <= 1_000_000
    assert 160 <= cv2.imread(str(tmp_path / "frame.png")).shape[1] <= 1280


def test_the_command_makes_a_sample(tmp_path, film):
    done = subprocess.run(
        [
            sys.executable, "-m", "remote_runner", "process", str(film), str(tmp_path / "o.mkv"),
            "--sample", "1", "--device", "cpu", "--preset", "ultrafast",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "note sample:" in done.stdout
    assert probe(tmp_path / "o.mkv").duration_s <= 1 + 1 / 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "o.mkv"]


def test_a_shelf_keeps_one_source_and_only_a_whole_one(tmp_path, monkeypatch):
    shelf = Shelf(tmp_path / "kept")
    (tmp_path / "a").write_bytes(b"12345")
    kept = shelf.keep("a", tmp_path / "a")
    assert (shelf.find("a", 5), shelf.find("a", 0)) == (kept, kept)
    assert (shelf.find("a", 6), shelf.find("b", 5), shelf.find("", 5)) == (None, None, None)
    (tmp_path / "b").write_bytes(b"1")
    assert shelf.keep("", tmp_path / "b") == tmp_path / "b"
    assert not kept.exists()
    kept = shelf.keep("b", tmp_path / "b")
    shelf.tidy()
    assert kept.exists()
    monkeypatch.setattr(shelves, "LEAST_FREE", 1 << 60)
    shelf.tidy()
    assert not kept.exists()
    assert shelf.find("b", 1) is None


def test_a_speed_leaves_the_warm_up_out(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    speed = Speed()
    assert speed.seconds_for(10) is None
    for number in range(72):
        now[0] += 5.0 if number == 0 else 0.1
        speed.note()
    assert speed.seconds_for(720) == pytest.approx(72.0)


def test_the_few_frames_that_were_missing_tell_no_speed():
    speed = Speed()
    for _ in range(3):
        speed.note()
    assert speed.seconds_for(8) is not None
    assert speed.seconds_for(10_000) is None
    for _ in range(61):
        speed.note()
    assert speed.seconds_for(10_000) is not None
