"""One run of pytest in a copy of the tree."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Exit codes of pytest: all passed, and some failed. All others are no verdict of a test.
_PASSED, _FAILED = 0, 1
QUICK = "not slow and not gpu and not reference"
LOG_FILES = "tests/secrecy.py"
"""Searches log files for secrets when a run ends, in no test's name."""
_TAIL = 4000
_WHOSE = "PYTHONPATH"
"""Names the copy, in the environment of everything that is started in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a run: it passed, tests failed, or it was no run (``trouble``)."""

    failed: tuple[str, ...] = ()
    trouble: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.failed and not self.trouble


def run_tests(
    copy: Path,
    selection: Sequence[str],
    *,
    limit_s: float,
    stop: bool = True,
    processes: int = 1,
    marks: str = "",
    leave_out: Sequence[str] = (),
) -> Trial:
    """Run tests in a copy; with ``stop`` until the first one fails. ``leave_out`` are node ids."""
    place = Path(tempfile.mkdtemp(prefix="run-", dir=copy.parent))
    report, printed = place / "failed.json", place / "printed"
    command = [
        sys.executable, "-m", "pytest", *selection, "-q", "-p", "no:cacheprovider",
        "-p", "tests.mutants.witness", "--failed-to", str(report),
        "--basetemp", str(place / "t"), "--ignore", "tests/mutants",
        *(["-x"] if stop else []), *(["-n", str(processes)] if processes > 1 else []),
        *(["-m", marks] if marks else []), *(f"--deselect={each}" for each in leave_out),
    ]  # fmt: skip
    started = time.monotonic()
    try:
        code = _run(command, copy, printed, limit_s)
        failed = tuple(json.loads(report.read_text())) if report.exists() else ()
        told = printed.read_text(errors="replace")[-_TAIL:]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    seconds = time.monotonic() - started
    if code == _PASSED:
        return Trial(seconds=seconds)
    if code == _FAILED:
        return Trial(failed=failed or (LOG_FILES,), seconds=seconds)
    end = f"no end in {limit_s:.0f} s" if code is None else f"pytest ended with {code}"
    return Trial(trouble=f"{end}:\n{told}", seconds=seconds)


def _run(command: Sequence[str], copy: Path, printed: Path, limit_s: float) -> int | None:
    """Exit code, None where it took too long."""
    with printed.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=copy,
            # before the folder that an editable installation names
            env=os.environ | {_WHOSE: str(copy)},
            stdin=subprocess.DEVNULL,
            # a pipe would be held open by whatever a test leaves alive
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.kill()
        process.wait()
        _end_left(copy)


def _end_left(copy: Path) -> None:
    """Kill what tests started and a bug left alive: a runner has a session of its own."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(_WHOSE) == str(copy):
                process.kill()
