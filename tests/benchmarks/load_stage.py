"""The stage of the load benchmark: the controller on one core, its world on the others."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.settings import Settings, load_settings
from tests.benchmarks.load_rows import enter_instances, write_rows

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The processes around the controller, and the controller's own."""

    settings: Settings
    vast: subprocess.Popen[str]
    bucket: subprocess.Popen[str]
    controller: subprocess.Popen[str]

    def order(self, line: str) -> None:
        """To the controller, which gives no answer."""
        _write(self.controller, line)

    def count(self, table: str, where: str) -> float:
        return self.ask(f"SELECT count(*) FROM {table} WHERE {where}")

    def ask(self, query: str) -> float:
        """One number out of the database, which the controller goes on to write."""
        uri = f"file:{self.settings.database}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as database:
            return float(database.execute(query).fetchone()[0] or 0)


@contextmanager
def open_stage(
    folder: Path, jobs: int, *, idle_s: float, profile: Path | None = None
) -> Iterator[Stage]:
    """Everything that it starts has ended when it is left."""
    data_dir, key = folder / "data", secrets.token_hex(32)
    env = {
        "NOXFVR_PROVIDER": "vast", "NOXFVR_STORAGE": "s3", "NOXFVR_DEVICE": "cpu",
        "NOXFVR_DATA_DIR": str(data_dir), "NOXFVR_MAX_MACHINES": str(jobs),
        "NOXFVR_IDLE_S": str(idle_s), "NOXFVR_JOB_BUDGET": "100", "NOXFVR_DAY_BUDGET": "10000",
        "VAST_API_KEY": key, "B2_BUCKET": "videos", "B2_KEY": "none", "B2_SECRET": "none",
        "B2_ENDPOINT": "http://127.0.0.1:9", "VAST_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    seats = write_rows(load_settings(env), jobs)
    ours, others = _split(cores())
    with contextlib.ExitStack() as stack:
        stack.enter_context(_on(others))
        vast = _start(stack, folder, "vast", "tests.benchmarks.load_world", "vast")
        told = tell(vast, {"key": key, "labels": [seat.label for seat in seats]})
        enter_instances(load_settings(env), told["instances"])
        bucket = _start(stack, folder, "bucket", "tests.benchmarks.load_world", "bucket")
        env |= tell(bucket, {"machines": [seat.machine for seat in seats]})
        env |= {"VAST_URL": told["url"]}
        with _on(ours):
            controller = _start(
                stack, folder, "controller", "tests.benchmarks.load_subject",
                *([str(profile)] if profile else []), env=env,
            )  # fmt: skip
        assert controller.stdout
        if controller.stdout.readline() != "ready\n":
            raise RuntimeError(f"no controller:\n{(folder / 'controller.log').read_text()}")
        yield Stage(settings=load_settings(env), vast=vast, bucket=bucket, controller=controller)


def _start(
    stack: contextlib.ExitStack,
    folder: Path,
    name: str,
    module: str,
    *arguments: str,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    passed_on = {each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ}
    log = stack.enter_context((folder / f"{name}.log").open("w"))
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=passed_on | (env or {}),
    )  # fmt: skip
    stack.callback(_end, process)
    return process


def tell(process: subprocess.Popen[str], plan: dict[str, Any] | None = None) -> dict[str, Any]:
    """Orders as a line, the answer as a line."""
    _write(process, json.dumps(plan or {}))
    assert process.stdout
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """By closing its standard input, and by force where that does not help."""
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def cores() -> Set[int]:
    return os.sched_getaffinity(0)


def _split(given: Set[int]) -> tuple[Set[int], Set[int]]:
    """One core for the controller, the others for everything else; the same one if need be."""
    first, *rest = sorted(given)
    return {first}, set(rest) or {first}


@contextmanager
def _on(wanted: Set[int]) -> Iterator[None]:
    """What is started meanwhile stays on these cores."""
    before = cores()
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
