"""The controller's side of a runner that is a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

from remote_runner.protocol import Grant, Mode, Orders, Result, Status, Task, from_json, to_json
from remote_runner.transfer import put_bytes

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
        return wait(
            lambda: self.document(Result, f"{job}/{attempt}/result"),
            timeout_s,
            lambda: self.phase(job, attempt),
        )

    def phase(self, job, attempt):
        status = self.document(Status, f"{job}/{attempt}/status")
        return status and (status.phase, status.done)


def wait(look, timeout_s=40, progress=None):
    """What ``look`` finds. Where others work beside, seconds tell little: while what ``progress``
    tells changes, the time begins anew."""
    end, told = time.monotonic() + timeout_s, None
    while time.monotonic() < end:
        if found := look():
            return found
        if progress is not None and (now := progress()) != told:
            end, told = time.monotonic() + timeout_s, now
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def ended(process, timeout_s=20):
    output, errors = process.communicate(timeout=timeout_s)
    return process.returncode, output.splitlines(), errors


def leftovers(tmp_path):
    return [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
