import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remote_runner.protocol import (
    GREETING,
    MARKER,
    Grant,
    Mode,
    Orders,
    Outcome,
    Phase,
    Reason,
    Result,
    Status,
    Task,
    from_json,
    to_json,
)
from remote_runner.transfer import put_bytes
from remote_runner.video.verify import verify
from tests.runner.clips import make_clip
from tests.runner.http_folder import HttpFolder

ROOT = Path(__file__).parents[2]
INTERP = Task(mode=Mode.INTERP)


class Mailbox:
    """The controller's side of a runner: a folder of objects with file:// URLs."""

    def __init__(self, folder):
        self.folder = folder
        self.sequence = 0
        self.deadline_at = time.time() + 120

    def url(self, name):
        return (self.folder / name).as_uri()

    def order(self, *, job=None, attempt=None, idle_s=60.0, cancel=False, stop=False):
        self.sequence += 1
        orders = Orders(
            machine="m1",
            sequence=self.sequence,
            deadline_at=self.deadline_at,
            idle_s=idle_s,
            status_url=self.url("machine/status"),
            job=job,
            attempt=attempt,
            grant_url=self.url(f"{job}/{attempt}/grant") if job else None,
            cancel=cancel,
            stop=stop,
        )
        put_bytes(self.url("orders"), to_json(orders).encode())

    def grant(self, job, attempt, source, *, task=INTERP, **changes):
        here = f"{job}/{attempt}"
        values = {
            "job": job,
            "attempt": attempt,
            "task": task,
            "source_url": source if isinstance(source, str) else source.as_uri(),
            "source_name": "../<b>\u202e.mp4",
            "source_bytes": 0,
            "output_url": self.url(f"{here}/output"),
            "picture_url": self.url(f"{here}/picture.png"),
            "status_url": self.url(f"{here}/status"),
            "log_url": self.url(f"{here}/log"),
            "result_url": self.url(f"{here}/result"),
            "deadline_at": time.time() + 100,
            "device": "cpu",
            **changes,
        }
        put_bytes(self.url(f"{here}/grant"), to_json(Grant(**values)).encode())
        self.order(job=job, attempt=attempt)

    def document(self, kind, name):
        path = self.folder / name
        return from_json(kind, path.read_bytes()) if path.exists() else None

    def result(self, job, attempt, timeout_s=40):
        return wait(lambda: self.document(Result, f"{job}/{attempt}/result"), timeout_s)

    def phase(self, job, attempt):
        status = self.document(Status, f"{job}/{attempt}/status")
        return status and (status.phase, status.done)


def wait(look, timeout_s=40):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


@pytest.fixture
def mailbox(tmp_path):
    folder = tmp_path / "mailbox"
    folder.mkdir()
    return Mailbox(folder)


@pytest.fixture
def start(tmp_path, mailbox):
    """Starts runners, and sees to it that none is left."""
    started = []

    def start_runner(**environment):
        work = tmp_path / "work"
        process = subprocess.Popen(
            [sys.executable, "-m", "remote_runner", mailbox.url("orders")],
            cwd=ROOT,
            env={**os.environ, "NOXFVR_WORK_DIR": str(work), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_runner
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", audio=1)


@pytest.fixture
def long_clip(tmp_path):
    return make_clip(
        tmp_path / "long.mp4", width=320, height=180, count=600, options={"preset": "ultrafast"}
    )


def ended(process, timeout_s=20):
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, output.splitlines(), errors


def leftovers(tmp_path):
    return [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


def test_jobs_are_done_one_after_another_until_told_to_stop(tmp_path, mailbox, start, clip):
    runner = start()
    for job in ("j1", "j2"):
        mailbox.grant(job, 1, clip)
        result = mailbox.result(job, 1)
        assert (result.outcome, result.reason) == (Outcome.DONE, None)
        output = mailbox.folder / job / "1" / "output"
        assert output.stat().st_size == result.bytes
        assert all(check.passed for check in verify(clip, output))
        assert result.facts.fps == "48"
        assert result.extension == "mp4"
        assert (mailbox.folder / job / "1" / "picture.png").read_bytes()[1:4] == b"PNG"
        assert result.kept == ("audio:aac/eng",)
        assert mailbox.phase(job, 1)[0] is Phase.FINISHED
    wait(lambda: (s := mailbox.document(Status, "machine/status")) and s.phase is Phase.IDLE)
    mailbox.order(stop=True)
    code, lines, errors = ended(runner)
    assert (code, errors) == (0, "")
    assert lines[0] == GREETING
    assert lines.count(MARKER) == 2
    assert any(line.startswith("[PROGRESS] 100% |") for line in lines)
    assert "[PROGRESS] 100%" in (mailbox.folder / "j2/1/log").read_text()
    assert leftovers(tmp_path) == []
    assert clip.exists()


def test_a_finished_attempt_is_never_repeated(mailbox, start, clip):
    done = Result(job="j1", attempt=1, outcome=Outcome.FAILED, reason=Reason.INTERNAL)
    put_bytes(mailbox.url("j1/1/result"), to_json(done).encode())
    mailbox.grant("j1", 1, clip)
    runner = start()
    wait(lambda: mailbox.document(Status, "machine/status"))
    mailbox.order(job="j1", attempt=1, idle_s=0.0)
    code, lines, _ = ended(runner)
    assert code == 0
    assert MARKER not in lines
    assert mailbox.result("j1", 1) == done


def test_cancel_ends_the_attempt_and_frees_the_machine(tmp_path, mailbox, start, clip, long_clip):
    runner = start()
    mailbox.grant("j1", 1, long_clip)
    wait(lambda: (mailbox.phase("j1", 1) or ("", 0))[1] > 0)
    asked = time.monotonic()
    mailbox.order(job="j1", attempt=1, cancel=True)
    result = mailbox.result("j1", 1, timeout_s=10)
    assert result.outcome is Outcome.CANCELLED
    assert time.monotonic() - asked < 4
    mailbox.grant("j2", 1, clip)
    assert mailbox.result("j2", 1).outcome is Outcome.DONE
    mailbox.order(stop=True)
    code, lines, _ = ended(runner)
    assert code == 0
    assert lines.count(MARKER) == 1
    assert leftovers(tmp_path) == []
    assert not (mailbox.folder / "j1/1/output").exists()


def test_other_orders_end_the_attempt_too(mailbox, start, clip, long_clip):
    runner = start()
    mailbox.grant("j1", 1, long_clip)
    wait(lambda: (mailbox.phase("j1", 1) or ("", 0))[1] > 0)
    mailbox.grant("j1", 2, clip)
    assert mailbox.result("j1", 1).outcome is Outcome.CANCELLED
    assert mailbox.result("j1", 2).outcome is Outcome.DONE
    mailbox.order(stop=True)
    assert ended(runner)[0] == 0


def test_an_idle_runner_ends_by_itself(mailbox, start):
    mailbox.order(idle_s=0.5)
    assert ended(start())[0] == 0


def test_nothing_outlives_the_deadline(tmp_path, mailbox, start, long_clip):
    mailbox.deadline_at = time.time() + 4
    mailbox.grant("j1", 1, long_clip)
    started = time.monotonic()
    code, lines, _ = ended(start())
    assert code == 3
    assert time.monotonic() - started < 10
    assert MARKER not in lines
    assert leftovers(tmp_path) == []


def test_a_deadline_holds_even_if_no_orders_ever_come(start):
    code, _, _ = ended(start(NOXFVR_DEADLINE_AT=str(time.time() + 1)))
    assert code == 3


def test_an_attempt_out_of_time_says_so(mailbox, start, long_clip):
    runner = start()
    mailbox.grant("j1", 1, long_clip, deadline_at=time.time() + 3.5)
    result = mailbox.result("j1", 1)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.DEADLINE)
    mailbox.order(stop=True)
    assert ended(runner)[0] == 0


def test_sigterm_ends_the_work_quickly_and_cleanly(tmp_path, mailbox, start, long_clip):
    runner = start()
    mailbox.grant("j1", 1, long_clip)
    wait(lambda: (mailbox.phase("j1", 1) or ("", 0))[1] > 0)
    runner.send_signal(signal.SIGTERM)
    code, _, _ = ended(runner, timeout_s=10)
    assert code == 143
    assert mailbox.result("j1", 1).outcome is Outcome.CANCELLED
    assert leftovers(tmp_path) == []


def test_the_death_of_its_parent_does_not_stop_a_runner(mailbox, clip, tmp_path):
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'remote_runner', sys.argv[1]],\n"
        "    start_new_session=True, stdout=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, mailbox.url("orders")],
        cwd=ROOT,
        env={**os.environ, "NOXFVR_WORK_DIR": str(tmp_path / "work")},
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(parent.stdout.readline())
    mailbox.order()
    wait(lambda: mailbox.document(Status, "machine/status"))
    parent.kill()
    parent.communicate()
    mailbox.grant("j1", 1, clip)
    assert mailbox.result("j1", 1).outcome is Outcome.DONE
    mailbox.order(stop=True)
    wait(lambda: not _runs(child))


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_bad_input_is_a_failed_result_with_its_reason(tmp_path, mailbox, start):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("not a video\n" * 50)
    runner = start()
    expected = {
        "j1": (empty, {}, Reason.EMPTY_FILE),
        "j2": (text, {}, Reason.NOT_A_VIDEO),
        "j3": (tmp_path / "gone.mp4", {}, Reason.TRANSFER_FAILED),
        "j4": (text, {"task": Task(scale=3)}, Reason.BAD_TASK),
        "j5": (text, {"device": "cuda"}, Reason.NO_DEVICE),
    }
    for job, (source, changes, reason) in expected.items():
        mailbox.grant(job, 1, source, **changes)
        result = mailbox.result(job, 1)
        assert (result.outcome, result.reason) == (Outcome.FAILED, reason)
        assert str(tmp_path) not in result.detail and "://" not in result.detail
    mailbox.order(stop=True)
    code, lines, _ = ended(runner)
    assert code == 0
    assert MARKER not in lines
    assert leftovers(tmp_path) == []


def test_storage_may_be_a_server(tmp_path, mailbox, start, clip):
    server = HttpFolder()
    try:
        server.objects["clip"] = clip.read_bytes()
        server.failures["PUT", "output"] = [503]
        names = ("output", "picture", "status", "log", "result")
        urls = {f"{name}_url": server.url(name) for name in names}
        runner = start()
        mailbox.grant(
            "j1", 1, server.url("clip"), source_bytes=clip.stat().st_size, device="auto", **urls
        )
        wait(lambda: "result" in server.objects)
        result = from_json(Result, server.objects["result"])
        assert result.outcome is Outcome.DONE
        assert result.bytes == len(server.objects["output"])
        assert any(note.startswith("device_chosen:") for note in result.notes)
        assert server.objects["picture"].startswith(b"\x89PNG")
        assert from_json(Status, server.objects["status"]).phase is Phase.FINISHED
        assert b"s3cret" not in server.objects["log"]
        assert server.requests["GET", "clip"] == 1
        mailbox.order(stop=True)
        code, lines, errors = ended(runner)
        assert code == 0
        assert "s3cret" not in errors + "\n".join(lines)
    finally:
        server.close()


def test_a_source_of_another_size_than_promised_is_refused(mailbox, start, clip):
    server = HttpFolder()
    try:
        server.objects["clip"] = clip.read_bytes()
        runner = start()
        mailbox.grant("j1", 1, server.url("clip"), source_bytes=7)
        assert mailbox.result("j1", 1).reason is Reason.TRANSFER_FAILED
        mailbox.order(stop=True)
        assert ended(runner)[0] == 0
    finally:
        server.close()


def test_a_grant_of_another_version_does_not_stop_the_machine(mailbox, start, clip):
    runner = start()
    put_bytes(mailbox.url("j1/1/grant"), b'{"version": 99}')
    mailbox.order(job="j1", attempt=1)
    time.sleep(1)
    mailbox.grant("j2", 1, clip)
    assert mailbox.result("j2", 1).outcome is Outcome.DONE
    mailbox.order(stop=True)
    code, _, errors = ended(runner)
    assert code == 0
    assert "the grant could not be read" in errors
