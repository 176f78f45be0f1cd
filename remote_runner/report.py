"""What the runner says while it works: lines on standard output, status and log in storage.

A thread of its own writes the status, so that a long frame does not look like a dead machine.
Standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from remote_runner import transfer
from remote_runner.errors import RunnerError
from remote_runner.protocol import Phase, Status, to_json

log = logging.getLogger(__name__)

FILE_BEAT_S = 2.0
HTTPS_BEAT_S = 5.0
LOG_LINES = 200

_WINDOW_S = 8.0
_LINE_S = 1.0


def say(line: str) -> None:
    """Print one line at once; a reader that went away is no reason to stop working.

    What a film has in it, as the name of a language, may not move the reader's cursor.
    """
    shown = "".join(each if each.isprintable() else " " for each in line)
    with contextlib.suppress(OSError, ValueError):
        print(shown, flush=True)  # noqa: T201 - standard output is the product here


def progress_line(done: int, total: int, fps: float, eta_s: float | None) -> str:
    """``[PROGRESS] 45% | 12.3 fps | ETA 0:31``."""
    percent = min(100, done * 100 // total) if total else 0
    return f"[PROGRESS] {percent}% | {fps:.1f} fps | ETA {_clock(eta_s)}"


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "-:--"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Pace:
    """Frames per second over the last few seconds, and how long the rest will take."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, done: int) -> None:
        self._points.append((now_s, done))
        while len(self._points) > 2 and now_s - self._points[0][0] > _WINDOW_S:
            self._points.popleft()

    @property
    def fps(self) -> float:
        if len(self._points) < 2:
            return 0.0
        (start_s, first), (end_s, last) = self._points[0], self._points[-1]
        return (last - first) / (end_s - start_s) if end_s > start_s else 0.0

    def eta_s(self, total: int) -> float | None:
        if not self._points or self.fps <= 0:
            return None
        return max(0, total - self._points[-1][1]) / self.fps


class Reporter:
    """Keeps the status of the runner and writes it regularly to wherever it belongs right now."""

    def __init__(self, *, say: Callable[[str], None] = say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._status = Status(sequence=0, heartbeat_at=time.time(), phase=Phase.STARTING)
        self._pace = Pace()
        self._said_s = 0.0
        self._urls: tuple[str | None, str | None] = (None, None)
        self._probe_memory: Callable[[], int | None] = lambda: None
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self._logged = 0
        self._sent = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._beat, name="status", daemon=True)
        self._thread.start()

    def aim(
        self, status_url: str, log_url: str | None, job: str | None, attempt: int | None
    ) -> None:
        """Write to these URLs, for this attempt, from now on."""
        with self._lock:
            self._urls = status_url, log_url
            self._status = replace(
                self._status,
                job=job,
                attempt=attempt,
                done=0,
                total=0,
                fps=0.0,
                eta_s=None,
                segments=0,
                preview=False,
                frame=False,
            )
            self._pace = Pace()
            self._sent = 0

    def use(self, device: str, memory: Callable[[], int | None]) -> None:
        """Name the device, and how to ask for its free memory."""
        with self._lock:
            self._status = replace(self._status, device=device)
            self._probe_memory = memory

    def enter(self, phase: Phase) -> None:
        """A new phase: its status is written at once."""
        with self._lock:
            changed = self._status.phase is not phase
            self._status = replace(self._status, phase=phase)
        if changed:
            self._wake.set()

    def advance(self, done: int, total: int) -> None:
        """Frames finished; prints a line at most once a second, and at the end."""
        now_s = time.monotonic()
        with self._lock:
            self._pace.add(now_s, done)
            fps, eta_s = self._pace.fps, self._pace.eta_s(total)
            self._status = replace(self._status, done=done, total=total, fps=fps, eta_s=eta_s)
            due = now_s - self._said_s >= _LINE_S or done == total
            if due:
                self._said_s = now_s
        if due:
            self.tell(progress_line(done, total, fps, eta_s))

    def count(self, segments: int) -> None:
        """Finished segments of the new video."""
        with self._lock:
            self._status = replace(self._status, segments=segments)

    def show_preview(self) -> None:
        """The preview lies at its URL now."""
        with self._lock:
            self._status = replace(self._status, preview=True)
        self._wake.set()

    def show_frame(self) -> None:
        """The picture from the first segment lies at its URL now."""
        with self._lock:
            self._status = replace(self._status, frame=True)
        self._wake.set()

    def tell(self, line: str) -> None:
        """A line for people: on standard output and in the log."""
        self._say(line)
        self.note(line)

    def note(self, line: str) -> None:
        """A line for the log alone."""
        with self._lock:
            self.lines.append(line)
            self._logged += 1

    def flush(self) -> None:
        """Write status and log now, in this thread; a failure is logged, not raised."""
        self._write()

    def close(self) -> None:
        """Stop writing."""
        self._ended = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _beat(self) -> None:
        while not self._ended:
            url = self._urls[0]
            self._wake.wait(HTTPS_BEAT_S if url and not url.startswith("file:") else FILE_BEAT_S)
            self._wake.clear()
            if not self._ended:
                self._write()

    def _write(self) -> None:
        # One at a time: an older status must not arrive after a newer one.
        with self._writing:
            self._write_alone()

    def _free_memory(self) -> int | None:
        try:
            return self._probe_memory()
        except RuntimeError:
            # a card that died must not take the sign of life and the result with it
            log.exception("the device does not tell its free memory")
            return None

    def _write_alone(self) -> None:
        memory = self._free_memory()
        with self._lock:
            status_url, log_url = self._urls
            self._status = replace(
                self._status,
                sequence=self._status.sequence + 1,
                heartbeat_at=time.time(),
                vram_free=memory,
            )
            document = to_json(self._status)
            lines, logged = list(self.lines), self._logged
        if status_url:
            _try_put(status_url, document.encode())
        if (
            log_url
            and logged != self._sent
            # a name that is no text must not end the signs of life
            and _try_put(log_url, ("\n".join(lines) + "\n").encode(errors="replace"))
        ):
            self._sent = logged


def _try_put(url: str, data: bytes) -> bool:
    """Whether it worked. The next beat brings the same again: one retry is enough."""
    try:
        transfer.put_bytes(url, data, attempts=2)
    except (RunnerError, OSError) as error:
        log.debug("a status could not be written: %s", error)
        return False
    return True


class LineHandler(logging.Handler):
    """Passes log records on to a reporter's log."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter
        self.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._reporter.note(self.format(record))
        except (ValueError, TypeError):
            self.handleError(record)


def log_to(reporter: Reporter) -> None:
    """Send everything that is logged to the reporter, and warnings to standard error."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(LineHandler(reporter))
    errors = logging.StreamHandler(sys.stderr)
    errors.setLevel(logging.WARNING)
    root.addHandler(errors)
