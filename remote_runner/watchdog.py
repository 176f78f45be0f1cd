"""The runner's own end: whatever hangs, this process does not outlive its deadline."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

from remote_runner.report import say

EXIT_CODE = 3

_CLEANING_S = 5.0


class Watchdog:
    """A thread that ends the process at an absolute time, which only ever comes nearer."""

    def __init__(self, deadline_at: float | None = None) -> None:
        self._deadline_at = deadline_at
        self._work_dir: Path | None = None
        self._changed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @property
    def deadline_at(self) -> float | None:
        return self._deadline_at

    def tighten(self, deadline_at: float) -> None:
        """End at this time, unless an earlier one is known."""
        if self._deadline_at is None or deadline_at < self._deadline_at:
            self._deadline_at = deadline_at
            self._changed.set()

    def clean(self, work_dir: Path) -> None:
        """Remove this folder when the time has come."""
        self._work_dir = work_dir

    def _watch(self) -> None:
        # In short naps, so that a clock that is set does not move the end.
        while self._deadline_at is None or time.time() < self._deadline_at:
            left_s = 60.0 if self._deadline_at is None else self._deadline_at - time.time()
            self._changed.wait(min(1.0, max(0.01, left_s)))
            self._changed.clear()
        say("[ERROR] The deadline has come, the runner ends")
        threading.Timer(_CLEANING_S, os._exit, (EXIT_CODE,)).start()
        if self._work_dir is not None:
            shutil.rmtree(self._work_dir, ignore_errors=True)
        os._exit(EXIT_CODE)
