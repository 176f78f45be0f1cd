import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.rented import Rented
from tests.e2e.story import ROOT, SAMPLE
from tests.runner.clips import make_clip
from tests.standins.vast import make_offer

pytestmark = pytest.mark.timeout(240)

LINE = re.compile(r"\[\d\d:\d\d:\d\d\] \[(INFO|WARN|ERROR)\] (.*)")


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4")


def environment(data_dir, **env):
    return {
        **os.environ, "NOXFVR_DATA_DIR": str(data_dir), "LC_ALL": "C", "NOXFVR_POLL_S": "0.2",
        **env,
    }  # fmt: skip


def noxfvr(data_dir, *arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments], env=environment(data_dir, **env),
        capture_output=True, text=True, timeout=200, check=False, cwd=ROOT,
    )  # fmt: skip


def told(output):
    """The lines without their times; log and progress lines left out."""
    lines = [LINE.fullmatch(line) for line in output.splitlines()]
    assert all(lines), output
    texts = [line[2] for line in lines]
    return [t for t in texts if not t.startswith(("  [LOG] ", "[PROGRESS] "))]


def test_a_batch_in_a_pipe_prints_the_lines_that_scripts_know(clip, tmp_path):
    done = noxfvr(tmp_path / "data", "batch", str(clip), "--json", str(tmp_path / "rows.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = told(done.stdout)
    patterns = [
        r"\[DIR\] Processing batch from: .*clip\.mp4",
        r"\[LIST\] Listing files from file: .*",
        r"\[OK\] Found 1 video files",
        r"\[RUN\] Processing file: clip\.mp4",
        r"\[OK\] Selected offer: .+ @ \$0\.000/hr",
        r"\[OK\] Created instance: #[\d.-]+",
        r"\[OK\] Instance running",
        r"\[MONITOR\] Monitoring instance #[\d.-]+\.\.\.",
        r"\[OK\] Processing completed successfully!",
        r"\[RESULT\] Download URL: file://.+_x2_[0-9a-z]{6}\.mp4",
        r"\[CLEANUP\] Destroying instance #[\d.-]+\.\.\.",
        r"\[OK\] Instance destroyed",
        r"\[OK\] File 1/1 completed",
        r"\[OK\] Total: 1 file, 1 completed, \d+:\d\d, \$0\.000",
    ]
    assert len(lines) == len(patterns), lines
    for line, pattern in zip(lines, patterns, strict=True):
        assert re.fullmatch(pattern, line), line
    assert "  [LOG] === Remote Runner Starting ===" in done.stdout

    document = json.loads((tmp_path / "rows.json").read_text())
    assert list(document) == ["results", "cost_usd", "seconds"]
    (row,) = document["results"]
    assert list(row) == [
        "instance_id", "input_url", "output_name", "result_url", "status", "error", "cost_usd",
        "seconds", "attempts", "resumed_frames", "clip_url",
    ]  # fmt: skip
    assert (row["status"], row["error"], row["attempts"]) == ("completed", None, 1)
    assert row["input_url"] == str(clip)
    shown = json.loads(noxfvr(tmp_path / "data", "status", "--json").stdout)
    assert shown["results"][0]["result_url"] == row["result_url"]
    assert shown["machines"] == []


def test_a_folder_pays_for_its_machine_once(clip, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", ".hidden.mp4", "notes.txt"):
        (folder / name).write_bytes(clip.read_bytes())
    done = noxfvr(tmp_path / "data", "batch", str(folder))
    assert done.returncode == 0, done.stdout
    lines = told(done.stdout)
    assert sum("Created instance" in line for line in lines) == 1
    assert sum("[MONITOR]" in line for line in lines) == 2
    assert lines[-4].startswith("[CLEANUP]")
    assert lines[-2] == "[OK] File 2/2 completed"
    assert lines[-1].startswith("[OK] Total: 2 files, 2 completed, ")


def test_a_dry_run_starts_nothing(clip, tmp_path):
    done = noxfvr(tmp_path / "data", "batch", str(clip), "--dry-run", "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["results"][0]["status"] == "skipped"
    assert "[PLAN] clip.mp4: " in done.stderr
    assert not (tmp_path / "data" / "storage" / "machines").exists()


def test_an_interrupt_cancels_and_gives_the_machine_back(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "batch", str(SAMPLE), "--mode", "both", "--scale", "4"],
        env=environment(tmp_path / "data"), stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    seen = ""
    while "[PROGRESS]" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    lines = told(seen + rest)
    assert "[OK] Instance destroyed" in lines
    assert lines[-2] == "[END] File 1/1 cancelled"
    assert lines[-1].startswith("[END] Total: 1 file, 1 cancelled, ")
    status = noxfvr(tmp_path / "data", "status")
    assert "cancelled" in status.stdout


@pytest.mark.slow
def test_a_job_that_ended_is_run_once_more_by_its_short_id(clip, tmp_path):
    data_dir = tmp_path / "data"
    (tmp_path / "broken.pth").write_bytes(b"no network")
    failed = noxfvr(data_dir, "batch", str(clip), "--model", str(tmp_path / "broken.pth"))
    assert failed.returncode == 1
    assert "broken.pth" in failed.stdout
    short_id = noxfvr(data_dir, "status").stdout.split()[0]
    again = noxfvr(data_dir, "retry", short_id)
    assert again.returncode == 1
    assert "[RUN] Processing file: clip.mp4" in told(again.stdout)
    lines = noxfvr(data_dir, "logs", short_id).stdout
    assert "=== Remote Runner Starting ===" in lines
    assert noxfvr(data_dir, "cancel", short_id).returncode == 1
    unknown = noxfvr(data_dir, "cancel", "zzzzzz")
    assert unknown.returncode == 2
    assert unknown.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("batch", str(SAMPLE), "--fps", "60"),
        ("batch", str(SAMPLE), "--size", "17x20"),
        ("batch", str(SAMPLE), "--model", "no-such-model"),
        ("batch", str(SAMPLE), "--model", "input/models/none.pth"),
        ("batch", str(SAMPLE), "--fit", "crop"),
        ("batch", str(SAMPLE), "--mode", "interp", "--fps", "0"),
        ("batch", "no/such/file.mp4"),
        ("cancel",),
        ("reap",),
        ("reap", "--deployment", "NOT ONE"),
        ("retry", "abc"),
        ("demo", "--video", "nothing.mp4"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments, tmp_path):
    done = noxfvr(tmp_path / "data", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_doctor_finds_nothing_wrong_here_and_says_what_the_bot_lacks(tmp_path):
    done = noxfvr(tmp_path / "data", "doctor", TELEGRAM_BOT_TOKEN="", TELEGRAM_ADMINS="")
    assert done.returncode == 0, done.stdout
    assert "[OK  ] runner: reads video (h264, 320x180)" in done.stdout
    assert "[WARN] telegram: TELEGRAM_BOT_TOKEN is missing" in done.stdout
    broken = noxfvr(tmp_path / "data", "doctor", NOXFVR_DEVICE="gpu")
    assert broken.returncode == 1
    assert "NOXFVR_DEVICE must be one of" in broken.stdout


@pytest.mark.slow
async def test_the_doctor_looks_at_the_rental_account_and_the_bucket(tmp_path):
    dear = make_offer(dph_base=0.4)
    async with Rented(tmp_path, offers=[make_offer(dph_base=0.05), dear]) as world:
        env = {"NOXFVR_WEBHOOK_URL": "http://127.0.0.1:9/hook/path-that-is-a-secret",
               "NOXFVR_WEBHOOK_SECRET": "signs-the-webhook"}  # fmt: skip
        code, output, errors = await world.noxfvr("doctor", **env)
        assert code == 0, output + errors
        assert "[OK  ] vast key: accepted" in output
        assert "[OK  ] vast credit: $25.00" in output
        assert "[OK  ] machines: 0 of this deployment, 0 on the account" in output
        assert "[OK  ] market: 1 offers fit under $0.100/hr, the best: RTX 3060" in output
        assert f"[OK  ] bucket: {world.b2.bucket} can be listed, read, written" in output
        assert "[WARN] bucket lifecycle: no rule removes old versions" in output
        assert "[WARN] webhook: 127.0.0.1 does not answer" in output
        assert world.b2.keys() == []

        world.vast.credit = 0.05
        code, output, errors = await world.noxfvr("doctor", NOXFVR_MAX_PRICE="0.01", **env)
        assert code == 1
        assert "[FAIL] vast credit: $0.05: nothing will be rented" in output
        assert "[FAIL] market: none of 2 offers fits under $0.010/hr: price 2" in output
        broken = {"VAST_API_KEY": "x" * 40, "B2_SECRET": "y" * 40}
        code, output, errors = await world.noxfvr("doctor", **broken, **env)
        assert code == 1
        assert "[FAIL] vast key: the key is not accepted" in output
        assert "[FAIL] bucket: " in output
        secrets = [
            *world.account_secrets,
            *broken.values(),
            *env.values(),
            "path-that-is-a-secret",
        ]
        assert [each for each in secrets if each in output + errors] == []


@pytest.mark.slow
def test_the_demo_tells_the_whole_story(tmp_path):
    started = time.monotonic()
    done = noxfvr(tmp_path / "data", "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 120
    result, picture = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"RESULT /.+_x2_48fps_\w{6}\.mp4", result)
    assert re.fullmatch(r"PICTURE /.+\.png", picture)
    for line in (result, picture):
        assert Path(line.partition(" ")[2]).stat().st_size > 10_000
    assert "[Start]" in done.stdout
    assert "The machine was given back." in done.stdout
