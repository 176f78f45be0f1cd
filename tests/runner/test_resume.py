import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from remote_runner.errors import Cancelled
from remote_runner.pipeline import process
from remote_runner.protocol import Mode, Task, to_json
from remote_runner.segments import FolderStore
from remote_runner.video import decode
from tests.runner.clips import make_clip, moving_texture, payloads

ROOT = Path(__file__).parents[2]
#: Lossless and quick: what the encoder is given is what is compared.
EXACT = Task(crf=0, preset="ultrafast")
#: The first as users have it, with loss: what an encoder makes of equal frames is equal too.
TASKS = (
    Task(),
    replace(EXACT, mode=Mode.INTERP, factor=3),
    replace(EXACT, mode=Mode.BOTH, fps="60"),
    replace(EXACT, mode=Mode.INTERP, fps="10"),
)

_PROCESS = """
import os, random, signal, sys, threading, time
from pathlib import Path
from remote_runner import local
from remote_runner.models.base import identity_upscaler
from remote_runner.plan import Equipment
from remote_runner.protocol import Phase, Task, from_json
from tests.runner.clips import Blend

source, output, task, kill_at, jitter_s, slow_s = sys.argv[1:]
follower, seen = local._follower, []

def counting(reporter):
    follow = follower(reporter)
    def count(progress):
        follow(progress)
        seen.append(progress)
        time.sleep(float(slow_s))
        if len(seen) == int(kill_at):
            end = lambda: os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(float(jitter_s), end).start() if float(jitter_s) else end()
    return count

local._follower = counting
sys.exit(local.process_locally(Path(source), Path(output), from_json(Task, task), segment_s=0.5,
    equipment=Equipment(device="cpu", upscaler=identity_upscaler(2), interpolator=Blend())))
"""


def scenes(count):
    first, second = moving_texture(count, 64, 48, step=3), moving_texture(count, 64, 48, seed=3)
    third = count // 3
    return first[:third] + [first[third]] * 4 + second[: count - third - 4]


def film(path, count=72, **options):
    """23.976 fps with a cut, standing pictures, sound, and a key frame every ten."""
    return make_clip(
        path,
        count=count,
        rate=Fraction(24000, 1001),
        frames=scenes(count),
        audio=1,
        options={"crf": "10", "g": "10"},
        **options,
    )


def phone(path, count=72):
    """A variable frame rate."""
    times = [n * 40 + n % 5 * 7 for n in range(count)]
    return make_clip(
        path,
        frames=scenes(count),
        times=times,
        time_base="1/1000",
        audio=1,
        options={"crf": "10", "g": "10"},
    )


def shown(path):
    """Every decoded frame with its time, and the sound."""
    with av.open(str(path)) as container:
        frames = [
            (
                frame.pts * frame.time_base,
                hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest(),
            )
            for frame in container.decode(video=0)
        ]
    return frames, payloads(path, "audio")


def run_process(source, output, task, *, kill_at=-1, jitter_s=0.0, slow_s=0.0):
    arguments = (source, output, to_json(task), kill_at, jitter_s, slow_s)
    return subprocess.Popen(
        [sys.executable, "-c", _PROCESS, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_and_go_on(folder, source, task, rng, equipment):
    whole = process(
        source,
        folder / "whole.mkv",
        task,
        equipment=equipment,
        segment_s=0.5,
        container="mkv",
    )
    total = whole.frames
    output = folder / "out.mkv"
    kill_at = rng.randrange(2, total + 3)  # the last ones: while it is joined and checked
    jitter_s = rng.random() * 0.05 if kill_at < total - 20 else 0
    killed = run_process(source, output, task, kill_at=kill_at, jitter_s=jitter_s, slow_s=0.005)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    assert {path.name for path in folder.iterdir()} <= {
        source.name,
        "whole.mkv",
        ".out.mkv.segments",
    }
    again = run_process(source, output, task)
    text, errors = again.communicate(timeout=60)
    assert (again.returncode, errors) == (0, "")
    assert not (folder / ".out.mkv.segments").exists()
    assert shown(output) == shown(whole.output)
    output.unlink()
    return "Resumed behind" in text


def test_a_killed_process_goes_on_where_it_was(tmp_path, equipment):
    rng = random.Random(11)
    source = film(tmp_path / "in.mp4")
    kill_and_go_on(tmp_path, source, TASKS[2], rng, equipment)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("make", [film, phone])
def test_a_process_killed_at_any_moment_goes_on_where_it_was(tmp_path, equipment, make):
    rng = random.Random(7)
    source = make(tmp_path / ("in.mp4" if make is film else "in.mkv"))
    resumed = [
        kill_and_go_on(tmp_path, source, TASKS[n % len(TASKS)], rng, equipment) for n in range(20)
    ]
    assert sum(resumed) >= 8


@pytest.mark.parametrize("make", [film, phone])
@pytest.mark.parametrize("task", TASKS)
def test_stopped_again_and_again_the_frames_stay_the_same(tmp_path, equipment, make, task):
    rng = random.Random(3)
    source = make(tmp_path / ("in.mp4" if make is film else "in.mkv"))
    whole = process(source, tmp_path / "whole.mkv", task, equipment=equipment, segment_s=0.5)
    store, stops = FolderStore(tmp_path / "segments"), 0
    for _ in range(40):
        seen, limit = [], rng.randrange(whole.frames // 3, whole.frames // 2)
        try:
            report = process(
                source,
                tmp_path / "out.mkv",
                task,
                equipment=equipment,
                store=store,
                segment_s=0.5,
                progress=seen.append,
                should_stop=lambda seen=seen, limit=limit: len(seen) > limit,
            )
            break
        except Cancelled:
            stops += 1
    assert stops >= 1
    assert 0 < report.resumed_frames <= whole.frames
    assert shown(report.output) == shown(whole.output)
    assert report.notes == whole.notes
    assert report.frames == whole.frames


@pytest.mark.parametrize("fault", ["two frames at one time", "a frame of a month"])
def test_a_left_segment_that_no_output_takes_is_made_anew(tmp_path, equipment, fault):
    """Whoever left it wrote its manifest too: all that shows is that it cannot be joined."""
    source = film(tmp_path / "in.mp4")
    store = FolderStore(tmp_path / "segments")
    task = replace(EXACT, mode=Mode.INTERP)

    def work(name):
        return process(
            source, tmp_path / name, task, equipment=equipment, store=store, segment_s=0.5
        )

    whole = work("whole.mp4")
    spoil(store, max(int(path.stem) for path in store.folder.glob("*.nut")), fault)
    again = work("again.mp4")
    assert again.resumed_frames == 0
    assert shown(again.output) == shown(whole.output)
    assert work("third.mp4").resumed_frames == whole.frames


def spoil(store, number, fault):
    """Give the last frame of a segment another time, and let its manifest say so."""
    path, manifest = store.path(number), store.folder / f"{number}.json"
    spoiled = path.with_suffix(".spoiled")
    with av.open(str(path)) as old, av.open(str(spoiled), "w", format="nut") as new:
        stream = new.add_stream_from_template(old.streams.video[0], opaque=True)
        packets = [packet for packet in old.demux(video=0) if packet.size]
        last, before = packets[-1], packets[-2].pts
        month = int(30 * 86_400 / last.time_base)
        last.pts = before if fault == "two frames at one time" else last.pts + month
        begin = packets[0].pts - len(packets)
        for place, packet in enumerate(packets):
            packet.stream = stream
            packet.dts = begin + place  # what a segment tells of decoding only has to be in order
            new.mux_one(packet)
    spoiled.replace(path)
    data = path.read_bytes()
    told = json.loads(manifest.read_text())
    told |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest.write_text(json.dumps(told))


@pytest.mark.parametrize("name", ["in.mp4", "in.mkv", "in.ts", "in.avi"])
def test_a_decoder_that_jumps_gives_the_same_pictures(tmp_path, name):
    source = film(tmp_path / name) if name != "in.avi" else make_clip(tmp_path / name, count=72)
    everything = list(pictures(source))
    jumps = 0
    for place in (0, 1, 9, 10, 31, 50, 71):
        at = everything[place][0]
        for seek in (False, True):
            decoder = decode.Decoder(source, packets=72)
            decoder.skip_to(at, seek=seek)
            jumps += decoder._sought
            found = [(each.at, each.duration, digest(each)) for each in decoder]
            decoder.close()
            assert found == everything[place:]
    assert jumps == (3 if name in ("in.mp4", "in.mkv") else 0)


def pictures(source):
    decoder = decode.Decoder(source, packets=72)
    for each in decoder:
        yield each.at, each.duration, digest(each)
    decoder.close()


def digest(picture):
    return hashlib.sha256(picture.frame.to_ndarray().tobytes()).hexdigest()


@pytest.mark.parametrize("seek", [True, False])
def test_what_is_skipped_does_not_delay_a_stop(tmp_path, seek):
    decoder = decode.Decoder(film(tmp_path / "in.mp4"), packets=72)
    decoder.should_stop = lambda: True
    try:
        with pytest.raises(Cancelled):
            decoder.skip_to(1 << 40, seek=seek)
            list(decoder)
    finally:
        decoder.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_segments_alone_behind(tmp_path, number):
    source = film(tmp_path / "in.mp4")
    output = tmp_path / "out.mkv"
    running = run_process(source, output, TASKS[2], slow_s=0.05)
    folder = tmp_path / ".out.mkv.segments"
    end = time.monotonic() + 30
    while not list(folder.glob("*.json")) and time.monotonic() < end:
        time.sleep(0.05)
    asked = time.monotonic()
    running.send_signal(number)
    _, errors = running.communicate(timeout=15)
    assert time.monotonic() - asked < 10
    assert (running.returncode, errors) == (128 + number, "cancelled\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, "in.mp4"]
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".nut", ".json", ""}  # the last one is the lock


def test_two_processes_do_not_work_on_one_output(tmp_path, equipment):
    from remote_runner.local import process_locally

    source = film(tmp_path / "in.mp4", count=12)
    store = FolderStore(tmp_path / ".out.mkv.segments")
    with store.locked() as mine:
        assert mine
        other = run_process(source, tmp_path / "out.mkv", EXACT)
        _, errors = other.communicate(timeout=30)
        assert other.returncode == 2
        assert "another process works on" in errors
    assert process_locally(
        source, tmp_path / "out.mkv", EXACT, equipment=equipment, segment_s=1
    ) == 0  # fmt: skip
    shutil.rmtree(store.folder, ignore_errors=True)
