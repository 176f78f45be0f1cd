"""The command ``process``: one file by hand, which goes on where it was interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from remote_runner.errors import Cancelled
from remote_runner.pipeline import Progress, Report, process
from remote_runner.plan import Equipment
from remote_runner.protocol import Phase, Task
from remote_runner.report import Reporter, log_to, say
from remote_runner.sampling import process_sample, work_folder
from remote_runner.segments import FolderStore

#: How long the work may take to wind up after a signal.
GRACE_S = 8.0

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "mkv"}
_EXIT_USAGE = 2


def sample_locally(
    source: Path, output: Path, task: Task, *, equipment: Equipment, seconds: float
) -> int:
    """Carry out a task on the busiest seconds of a file; everything else as
    :func:`process_locally` has it, but that nothing is saved on the way."""
    with work_folder(output) as folder, _follow_signals() as (stop, reporter):
        try:
            report, _ = process_sample(
                source,
                output,
                task,
                seconds,
                folder=Path(folder),
                equipment=equipment,
                container=_CONTAINERS.get(output.suffix.lower()),
                progress=_follower(reporter),
                should_stop=stop.came,
            )
        except Cancelled:
            return _cancelled(stop)
    _tell(report)
    return 0


def process_locally(
    source: Path,
    output: Path,
    task: Task,
    *,
    equipment: Equipment,
    segment_s: float,
    fresh: bool = False,
) -> int:
    """Carry out a task, following its progress on standard output; the exit code.

    Finished segments lie in a folder beside the output until the output is right. SIGTERM and
    SIGINT leave that folder alone behind, with exit code 128 + number.
    """
    store = FolderStore(output.with_name(f".{output.name}.segments"))
    with store.locked() as mine:
        if not mine:
            print(f"error: another process works on {output}", file=sys.stderr)  # noqa: T201
            return _EXIT_USAGE
        if fresh:
            store.forget()
        with _follow_signals() as (stop, reporter):
            try:
                report = process(
                    source,
                    output,
                    task,
                    equipment=equipment,
                    container=_CONTAINERS.get(output.suffix.lower()),
                    progress=_follower(reporter),
                    should_stop=stop.came,
                    store=store,
                    segment_s=segment_s,
                )
            except Cancelled:
                return _cancelled(stop)
            finally:
                store.remove_if_empty()
        store.remove()
    _tell(report)
    return 0


class _Signals:
    """SIGTERM and SIGINT as something to ask for."""

    def __init__(self) -> None:
        self.number = 0
        self._timer = threading.Timer(GRACE_S, self._end)
        self._timer.daemon = True
        self._before = {
            each: signal.signal(each, self._take) for each in (signal.SIGTERM, signal.SIGINT)
        }

    def came(self) -> bool:
        return self.number != 0

    def close(self) -> None:
        self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            self._end()
        self.number = number
        # A single frame of a heavy network can take longer than a host waits before it kills.
        self._timer.start()

    def _end(self) -> None:
        os._exit(128 + self.number)


@contextlib.contextmanager
def _follow_signals() -> Iterator[tuple[_Signals, Reporter]]:
    stop = _Signals()
    reporter = Reporter()
    log_to(reporter)
    try:
        yield stop, reporter
    finally:
        stop.close()
        reporter.close()


def _cancelled(stop: _Signals) -> int:
    print("cancelled", file=sys.stderr)  # noqa: T201
    return 128 + stop.number


def _follower(reporter: Reporter) -> Callable[[Progress], None]:
    """Tells once behind how many frames the work goes on, then how far it is."""
    started = False

    def follow(progress: Progress) -> None:
        nonlocal started
        if progress.phase is not Phase.PROCESSING:
            reporter.enter(progress.phase)
            return
        if not started and progress.resumed:
            reporter.tell(f"Resumed behind {progress.resumed} finished frames")
        started = True
        reporter.advance(progress.done, progress.total)

    return follow


def _tell(report: Report) -> None:
    facts = report.facts
    say(f"{report.output}: {facts.width}x{facts.height}, {facts.fps} fps, {facts.codec}")
    if report.resumed_frames:
        say(f"  resumed {report.resumed_frames} of {report.frames} frames")
    for label, items in (
        ("kept", report.kept),
        ("dropped", report.dropped),
        ("note", report.notes),
    ):
        for item in items:
            say(f"  {label} {item}")
