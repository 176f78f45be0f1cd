import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from remote_runner import lifecycle
from remote_runner.lifecycle import Lifecycle
from remote_runner.protocol import (
    GREETING,
    MARKER,
    Outcome,
    Phase,
    Reason,
    Result,
    Status,
    Task,
    from_json,
    to_json,
)
from remote_runner.report import Reporter
from remote_runner.transfer import put_bytes
from remote_runner.video.verify import verify
from remote_runner.watchdog import Watchdog
from tests.runner.http_folder import HttpFolder
from tests.runner.mailbox import ROOT, ended, leftovers, wait


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


def test_a_signal_waits_for_no_lock_of_what_it_interrupts(mailbox, tmp_path, monkeypatch):
    begun = []

    class Timer:
        def __init__(self, delay_s, end):
            begun.append(delay_s)

        def start(self):
            pass

    reporter = Reporter(say=lambda _: None)
    life = Lifecycle(mailbox.url("orders"), tmp_path, reporter, Watchdog())
    monkeypatch.setattr(lifecycle.threading, "Timer", Timer)
    with life._feed._changed._cond:  # as it is held in the middle of a wait
        life._terminate(signal.SIGTERM, None)
    life.close()
    assert begun == [0.0, lifecycle.GRACE_S, lifecycle.LAST_S]
    assert life.follow() == 143


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


def test_an_odd_deadline_or_url_is_wrong_usage(mailbox, start):
    for odd in ("soon", "nan", "1e999"):
        code, _, errors = ended(start(NOXFVR_DEADLINE_AT=odd))
        assert code == 2
        assert errors.startswith("error: NOXFVR_DEADLINE_AT") and errors.count("\n") == 1
    for url in ("http://[::1", "https://host:port/orders", "file://host/x"):
        done = subprocess.run(
            [sys.executable, "-m", "remote_runner", url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
