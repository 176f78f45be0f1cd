"""What the terminal shows of jobs: plain lines in a pipe, bars on a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from controller.foreign import tidy
from remote_runner.protocol import Status


class Reporter(Protocol):
    """Told of everything in the order in which it happens."""

    def say(self, tag: str, text: str) -> None:
        """One line: ``DIR``, ``LIST``, ``OK``, ``RUN``, ``MONITOR``, ``RESULT``, ``CLEANUP``,
        ``PROGRESS``, ``SKIP``, ``PLAN``, ``OFFERS``, ``END``."""

    def warn(self, text: str) -> None: ...

    def fail(self, text: str) -> None: ...

    def log(self, line: str) -> None:
        """A line that a runner printed."""

    def progress(self, name: str, status: Status) -> None: ...

    def close(self) -> None: ...


class PlainReporter:
    """``[HH:MM:SS] [INFO] [OK] …`` lines, as scripts read them."""

    def __init__(
        self, output: TextIO, *, now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    ) -> None:
        self._output = output
        self._now = now
        self._shown: dict[str, str] = {}

    def say(self, tag: str, text: str) -> None:
        self._line("INFO", f"[{tag}] {text}")

    def warn(self, text: str) -> None:
        self._line("WARN", text)

    def fail(self, text: str) -> None:
        self._line("ERROR", text)

    def log(self, line: str) -> None:
        self._line("INFO", f"  [LOG] {line}")

    def progress(self, name: str, status: Status) -> None:
        line = f"[PROGRESS] {describe_progress(status)}"
        if self._shown.get(name) != line:
            self._shown[name] = line
            self._line("INFO", line)

    def close(self) -> None:
        self._output.flush()

    def _line(self, level: str, text: str) -> None:
        text = show_plainly(text)
        try:
            print(f"[{self._now():%H:%M:%S}] [{level}] {text}", file=self._output, flush=True)
        except BrokenPipeError:
            # nobody reads any more; the work and its clean-up go on
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())


class BarReporter:
    """A bar for each video that is being worked on, and the other lines above them."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[fps]:.1f} fps"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}

    def say(self, tag: str, text: str) -> None:
        colour = {"OK": "green", "RESULT": "bold green", "RUN": "bold"}.get(tag, "cyan")
        self._print(f"[{tag}] {text}", colour)

    def warn(self, text: str) -> None:
        self._print(f"[WARN] {text}", "yellow")

    def fail(self, text: str) -> None:
        self._print(f"[ERROR] {text}", "red")

    def log(self, line: str) -> None:
        self._print(f"  {line}", "dim")

    def progress(self, name: str, status: Status) -> None:
        if name not in self._bars:
            self._progress.start()  # not before: a question may have to be asked
            self._bars[name] = self._progress.add_task(show_plainly(name), total=None, fps=0.0)
        self._progress.update(
            self._bars[name],
            total=status.total or None,
            completed=status.done,
            fps=status.fps,
            description=f"{show_plainly(name)} · {status.phase}",
        )

    def close(self) -> None:
        self._progress.stop()

    def _print(self, text: str, style: str) -> None:
        shown = show_plainly(text)
        self._progress.console.print(shown, style=style, markup=False, highlight=False)


def open_reporter(json_file: str | None = None) -> Reporter:
    """Bars where somebody looks, lines where a program reads; out of the way of printed JSON."""
    output = sys.stderr if json_file == "-" else sys.stdout
    return BarReporter(Console(file=output)) if output.isatty() else PlainReporter(output)


def show_plainly(text: str) -> str:
    """As one line that moves no cursor: there are names in it that strangers chose."""
    return tidy(text, len(text))


def describe_progress(status: Status) -> str:
    """``45% | 12.3 fps | ETA 0:31``, with the phase where nothing is counted."""
    if not status.total:
        return str(status.phase)
    percent = 100 * status.done // status.total
    parts = [f"{percent}%", f"{status.fps:.1f} fps"]
    if status.eta_s is not None:
        minutes, seconds = divmod(round(status.eta_s), 60)
        parts.append(f"ETA {minutes}:{seconds:02d}")
    return " | ".join(parts)
