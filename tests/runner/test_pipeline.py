import subprocess
import sys
import threading
import time
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

from remote_runner.devices import choose_device
from remote_runner.errors import Cancelled, InputError, MachineError
from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Phase, Reason, Task
from remote_runner.video import segment
from remote_runner.video.picture import draw_picture
from tests.runner.clips import make_clip, video_times


def failure_of(source, output, task=None, **options):
    with pytest.raises((InputError, MachineError)) as error:
        process(source, output, task or Task(), **options)
    assert not [path for path in output.parent.iterdir() if path.name.endswith(".part")]
    assert not output.exists()
    return error.value


def work_threads():
    return [each.name for each in threading.enumerate() if each.name in ("decode", "encode")]


def test_phases_and_frames_are_reported_in_order(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4")
    seen = []
    report = process(
        source, tmp_path / "out.mp4", Task(), equipment=equipment, progress=seen.append
    )
    assert [each.phase for each in seen] == [
        Phase.STARTING,
        *[Phase.PROCESSING] * 12,
        Phase.VERIFYING,
    ]
    assert [each.done for each in seen[1:13]] == list(range(1, 13))
    assert {each.total for each in seen[1:13]} == {12}
    assert set(report.timings) == {"prepare", "process", "processing", "join", "verify"}
    assert report.model == "identity"
    assert work_threads() == []


def test_cancelling_leaves_nothing_behind(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", count=200)
    done = []
    started = time.monotonic()
    with pytest.raises(Cancelled):
        process(
            source,
            tmp_path / "out.mp4",
            Task(),
            equipment=equipment,
            progress=done.append,
            should_stop=lambda: len(done) > 20,
        )
    assert time.monotonic() - started < 5
    assert len(done) < 30
    assert list(tmp_path.iterdir()) == [source]
    assert work_threads() == []


def test_a_full_disk_is_a_typed_failure(small_disk, tmp_path, equipment):
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (180, 320, 3), dtype=np.uint8) for _ in range(40)]
    source = make_clip(tmp_path / "in.mkv", width=320, height=180, count=40, frames=frames)
    for name in ("out.mkv", "out.mp4"):
        error = failure_of(
            source, small_disk / name, Task(crf=1), equipment=equipment, container=name[-3:]
        )
        assert error.reason is Reason.DISK_FULL
    assert list(small_disk.iterdir()) == []
    assert work_threads() == []


def test_an_encoder_that_fails_in_the_middle_ends_everything(tmp_path, equipment, monkeypatch):
    source = make_clip(tmp_path / "in.mp4", count=100)
    whole = segment.SegmentWriter.write

    def fail_later(self, timed):
        if len(self.shown) == 10:
            raise MachineError(Reason.ENCODER_FAILED, "it died")
        whole(self, timed)

    monkeypatch.setattr(segment.SegmentWriter, "write", fail_later)
    error = failure_of(source, tmp_path / "out.mp4", equipment=equipment)
    assert error.reason is Reason.ENCODER_FAILED
    assert work_threads() == []


def test_an_encoder_that_refuses_is_found_before_the_first_frame(tmp_path, equipment, monkeypatch):
    from remote_runner.video import encode

    source = make_clip(tmp_path / "in.mp4")
    monkeypatch.setitem(encode._ENCODERS, "h264", "no_such_encoder")
    seen = []
    error = failure_of(source, tmp_path / "out.mp4", equipment=equipment, progress=seen.append)
    assert error.reason is Reason.ENCODER_FAILED
    assert [each.phase for each in seen] == [Phase.STARTING]


def test_a_network_that_never_fits_in_memory_is_told(tmp_path):
    def too_much(frames):
        raise torch.OutOfMemoryError("no")

    source = make_clip(tmp_path / "in.mp4")
    network = replace(identity_upscaler(2), network=too_much)
    error = failure_of(
        source, tmp_path / "o.mp4", equipment=Equipment(device="cpu", upscaler=network)
    )
    assert error.reason is Reason.OUT_OF_MEMORY


def test_a_broken_network_does_not_hang(tmp_path):
    def broken(frames):
        raise ZeroDivisionError

    source = make_clip(tmp_path / "in.mp4", count=100)
    network = replace(identity_upscaler(2), network=broken)
    with pytest.raises(ZeroDivisionError):
        process(
            source,
            tmp_path / "out.mp4",
            Task(),
            equipment=Equipment(device="cpu", upscaler=network),
        )
    assert list(tmp_path.iterdir()) == [source]
    assert work_threads() == []


def test_damage_is_counted_and_too_much_of_it_refused(tmp_path, equipment):
    clip = make_clip(tmp_path / "clip.mkv", count=300, options={"crf": "20", "g": "12"})
    data = bytearray(clip.read_bytes())
    rng = np.random.default_rng(5)
    few, many = bytearray(data), bytearray(data)
    few[len(data) // 2 : len(data) // 2 + 40] = rng.bytes(40)
    for start in range(len(data) // 8, len(data) - 3000, 700):
        many[start : start + 60] = rng.bytes(60)
    (tmp_path / "few.mkv").write_bytes(few)
    (tmp_path / "many.mkv").write_bytes(many)
    report = process(tmp_path / "few.mkv", tmp_path / "out.mkv", Task(), equipment=equipment)
    assert any(note.startswith(("damaged_packets:", "frames_missing:")) for note in report.notes)
    error = failure_of(tmp_path / "many.mkv", tmp_path / "no.mkv", equipment=equipment)
    assert error.reason in (Reason.CORRUPT, Reason.TRUNCATED)


def test_an_impossible_task_is_refused(tmp_path, equipment):
    source = make_clip(tmp_path / "in.mp4", width=3000, height=64, count=2)
    for task, reason in (
        (Task(scale=3), Reason.BAD_TASK),
        (Task(scale=4), Reason.PICTURE_TOO_LARGE),
        (Task(scale=2, codec="h264"), Reason.BAD_TASK),
    ):
        assert failure_of(source, tmp_path / "o.mp4", task, equipment=equipment).reason is reason


def test_a_card_that_is_not_there_is_never_replaced_by_the_processor():
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(MachineError) as error:
        choose_device("cuda")
    assert error.value.reason is Reason.NO_DEVICE
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(MachineError):
        choose_device("quantum")


def test_an_output_that_fails_the_gate_is_not_kept(tmp_path, equipment, monkeypatch):
    source = make_clip(tmp_path / "in.mp4", count=24)
    whole = segment.SegmentWriter.write
    monkeypatch.setattr(
        segment.SegmentWriter,
        "write",
        lambda self, timed: None if timed.at == 512 * 5 else whole(self, timed),
    )
    error = failure_of(source, tmp_path / "out.mp4", equipment=equipment)
    assert error.reason is Reason.GATE_FAILED
    assert "frames: 23, expected 24" in error.detail


def test_before_and_after_are_drawn_in_one_picture(tmp_path, equipment):
    import cv2

    source = make_clip(tmp_path / "in.mp4", width=160, height=90, rotation=90)
    report = process(source, tmp_path / "out.mp4", Task(mode=Mode.BOTH), equipment=equipment)
    png = tmp_path / "picture.png"
    draw_picture(source, report.output, png)
    image = cv2.imread(str(png))
    assert image.shape == (22 + 320 + 160, 180, 3)
    assert image.std() > 20


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    """Ten seconds against five minutes, in a process of their own each."""
    peaks = []
    for seconds in (10, 300):
        source = make_clip(
            tmp_path / f"{seconds}.mp4",
            width=320,
            height=180,
            count=seconds * 24,
            planes=_noise_bar,
            options={"preset": "ultrafast", "crf": "28"},
            audio=1,
        )
        peaks.append(_peak_rss(source, tmp_path / "out.mp4"))
    print("peak RSS in MiB:", [round(each / 1024, 1) for each in peaks])  # noqa: T201
    assert abs(peaks[1] / peaks[0] - 1) < 0.10


def _noise_bar(i, frame):
    luma, *chroma = [torch.from_dlpack(plane) for plane in frame.planes]
    luma.fill_(60)
    luma[:, i % 300 : i % 300 + 20] = 200
    for plane in chroma:
        plane.fill_(128)


_ONE_TASK = """
import os, re, sys
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
from pathlib import Path
from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Task
process(Path(sys.argv[1]), Path(sys.argv[2]), Task(preset="ultrafast"),
    equipment=Equipment(device="cpu", upscaler=identity_upscaler(2)))
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


def _peak_rss(source, output):
    """Peak resident memory in KiB of a process that carries out one task."""
    done = subprocess.run(
        [sys.executable, "-c", _ONE_TASK, str(source), str(output)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_shuffled_times_of_avi_are_put_in_order(tmp_path):
    source = make_clip(tmp_path / "in.avi", count=40, options={"bf": "2"})
    with av.open(str(source)) as container:
        told = [frame.pts for frame in container.decode(video=0)]
    assert told != sorted(told)
    equipment = Equipment(device="cpu", upscaler=identity_upscaler(2))
    report = process(source, tmp_path / "out.mkv", Task(), equipment=equipment)
    assert "timestamps_repaired" not in report.notes
    steps = np.diff(video_times(report.output))
    assert len(steps) == 39
    assert np.allclose(steps.astype(float), 1 / 24, atol=0.0015)


def test_an_output_never_replaces_its_source(tmp_path):
    source = make_clip(tmp_path / "in.mkv")
    before = source.read_bytes()
    with pytest.raises(InputError, match="replace its source"):
        process(source, tmp_path / "in.avi", Task(), equipment=Equipment(device="cpu"))
    assert source.read_bytes() == before


@pytest.mark.parametrize("task", [Task(), Task(mode=Mode.INTERP, fps="60")])
def test_a_capture_that_begins_amid_a_group_is_judged_by_what_could_be_decoded(
    tmp_path, equipment, task
):
    whole = make_clip(tmp_path / "whole.ts", count=96, options={"g": "24", "crf": "10"})
    data = whole.read_bytes()
    source = tmp_path / "in.ts"
    source.write_bytes(data[len(data) // 188 // 6 * 188 :])
    report = process(source, tmp_path / "out.mkv", task, equipment=equipment)
    assert any(note.startswith("frames_missing:") for note in report.notes)
    assert report.facts.duration_s < report.source.duration_s - 0.2
    assert all(check.passed for check in report.checks)
