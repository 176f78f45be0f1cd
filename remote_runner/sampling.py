"""A sample: the busiest seconds of a video, made as the whole of it would be."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from remote_runner.errors import InputError
from remote_runner.pipeline import Progress, Report, process
from remote_runner.plan import Equipment
from remote_runner.protocol import Phase, Reason, Task
from remote_runner.video.containers import MUXERS
from remote_runner.video.excerpt import cut_excerpt

#: The note that tells where in the source the sample begins, in seconds.
NOTE = "sample"


def process_sample(
    source: Path,
    output: Path,
    task: Task,
    seconds: float,
    *,
    folder: Path,
    equipment: Equipment,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    container: str | None = None,
) -> tuple[Report, Path]:
    """Carry out a task on the busiest seconds of a file; what came of it, and the excerpt that it
    was made of, which lies in ``folder`` unless it is the source.

    Everything else is as with :func:`~remote_runner.pipeline.process`. The speed that is told is
    the one that a long run reaches.
    """
    for extension in MUXERS:
        final = output.with_suffix(f".{extension}")
        if final.exists() and final.samefile(source):
            raise InputError(Reason.BAD_TASK, "the output would replace its source")
    progress(Progress(phase=Phase.STARTING))
    started = time.monotonic()
    excerpt = cut_excerpt(source, folder, seconds, should_stop)
    cut_s = time.monotonic() - started
    report = process(
        excerpt.path,
        output,
        task,
        equipment=equipment,
        progress=progress,
        should_stop=should_stop,
        container=container or excerpt.container,
        # one piece, whatever the lengths of segments are
        segment_s=max(60.0, 10 * seconds),
    )
    took_s = report.timings.get("processing") or report.timings["process"]
    report = replace(
        report,
        notes=tuple(sorted({*report.notes, f"{NOTE}:{excerpt.start_s:.1f}"})),
        fps=report.frames / max(1e-3, took_s),
        timings={**report.timings, "excerpt": round(cut_s, 3)},
    )
    return report, excerpt.path


def work_folder(output: Path) -> tempfile.TemporaryDirectory[str]:
    """A folder for the excerpt beside the output, removed when its context ends."""
    return tempfile.TemporaryDirectory(".sample", f".{output.name}.", output.parent)
