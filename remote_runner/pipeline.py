"""One video from a file to a file: plan, make, check, keep."""

from __future__ import annotations

import gc
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from remote_runner.devices import describe_device
from remote_runner.errors import InputError, MachineError, RunnerError, from_os_error
from remote_runner.memory import peak_memory
from remote_runner.plan import Equipment, Plan, plan_work
from remote_runner.production import (
    Product,
    Progress,
    join_segments,
    make_segments,
    prepare,
)
from remote_runner.protocol import Check, Facts, Phase, Reason, Task
from remote_runner.segments import FolderStore, SegmentStore
from remote_runner.video.probe import probe
from remote_runner.video.render import OutOfStep
from remote_runner.video.timing import grid_frames
from remote_runner.video.verify import Expectation, verify

__all__ = ["Progress", "Report", "process", "write_video"]

log = logging.getLogger(__name__)

#: Length of a segment, seconds of the source.
SEGMENT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it."""

    output: Path
    extension: str
    facts: Facts
    """Of the output."""
    source: Facts
    frames: int
    resumed_frames: int
    """Those of them that an earlier run had finished."""
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]
    model: str
    device: str
    fps: float
    """Output frames per second of processing, earlier runs left out."""
    timings: dict[str, float]
    peak_memory: int | None = None
    """Most memory in use on the card, bytes."""


def process(
    source: Path,
    output: Path,
    task: Task,
    *,
    equipment: Equipment | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    container: str | None = None,
    store: SegmentStore | None = None,
    segment_s: float = SEGMENT_S,
) -> Report:
    """Carry out a task on a file.

    The result appears at ``output`` only after it passed the gate; its suffix becomes that of the
    container, which ``container`` may choose where it holds all streams. With a ``store``, the
    work goes on behind what it has, and what was finished stays there if the work does not end.
    Raises :class:`~remote_runner.errors.RunnerError`, or
    :class:`~remote_runner.errors.Cancelled` within about one frame of ``should_stop`` turning
    true; nothing else is left behind then.
    """
    job = _Job(
        source=source,
        output=output,
        task=task,
        equipment=equipment or Equipment(),
        progress=progress,
        should_stop=should_stop,
        container=container,
        segment_s=segment_s,
    )
    try:
        if store is not None:
            return _process(job, store)
        folder = Path(tempfile.mkdtemp(".segments", f".{output.name}.", output.parent))
        try:
            return _process(job, FolderStore(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise from_os_error(error, "keeping the output file") from None


def write_video(plan: Plan, path: Path) -> None:
    """Write the whole output file of a plan, unchecked; raises as :func:`process` does."""
    with tempfile.TemporaryDirectory(".segments", f".{path.name}.", path.parent) as folder:
        product = prepare(plan, FolderStore(Path(folder)), SEGMENT_S)
        make_segments(product)
        join_segments(product, path)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What :func:`process` was asked for."""

    source: Path
    output: Path
    task: Task
    equipment: Equipment
    progress: Callable[[Progress], None]
    should_stop: Callable[[], bool]
    container: str | None
    segment_s: float


def _process(job: _Job, store: SegmentStore) -> Report:
    """Nothing that an earlier run left may fail this one: if it does not fit, all is made anew."""
    resumed: list[int] = []
    try:
        return _make(job, store, resumed)
    except (OutOfStep, RunnerError, ValueError) as error:
        unfit = isinstance(error, OutOfStep) or resumed
        if not unfit or isinstance(error, InputError) or _is_from_elsewhere(error):
            raise
        why = str(error) or "the source has other pictures"
        log.warning("what an earlier run left does not fit, all is made anew: %s", why)
    gc.collect()  # a failure holds the frames of its threads, and so memory of the card
    store.forget()
    return _make(job, store, [])


def _is_from_elsewhere(error: Exception) -> bool:
    """Whether a failure surely has nothing to do with old segments."""
    return isinstance(error, RunnerError) and error.reason not in (
        Reason.GATE_FAILED,
        Reason.ENCODER_FAILED,
        Reason.INTERNAL,
    )


def _make(job: _Job, store: SegmentStore, resumed: list[int]) -> Report:
    """``resumed`` gets the number of segments that are of an earlier run."""
    started = time.monotonic()
    job.progress(Progress(phase=Phase.STARTING))
    plan = plan_work(job.source, job.task, job.equipment, job.container)
    try:
        final = job.output.with_suffix(f".{plan.mux.extension}")
        if final.exists() and final.samefile(job.source):
            raise InputError(Reason.BAD_TASK, "the output would replace its source")
        product = prepare(plan, store, job.segment_s)
        resumed.extend([1] * product.resumed)
        plan.timings["prepare"] = time.monotonic() - started
        make_segments(product, progress=job.progress, should_stop=job.should_stop)
        unfinished = store.unfinished()
        try:
            join_segments(product, unfinished, should_stop=job.should_stop)
            report = _gate(job, product, unfinished, final)
            unfinished.replace(final)
        finally:
            unfinished.unlink(missing_ok=True)
    finally:
        plan.close()
    return report


def _gate(job: _Job, product: Product, unfinished: Path, final: Path) -> Report:
    """Look at what was written; only what is right is kept."""
    plan = product.plan
    segments = len(product.finished)
    job.progress(
        Progress(phase=Phase.VERIFYING, done=plan.total, total=plan.total, segments=segments)
    )
    started = time.monotonic()
    checks = verify(
        plan.source,
        unfinished,
        expectation=_expectation(plan),
        facts=plan.facts,
        should_stop=job.should_stop,
    )
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        raise MachineError(Reason.GATE_FAILED, "; ".join(failed))
    facts = probe(unfinished)
    plan.timings["verify"] = time.monotonic() - started
    resumed = product.resumed_frames
    return Report(
        output=final,
        extension=plan.mux.extension,
        facts=facts,
        source=plan.facts,
        frames=facts.frames,
        resumed_frames=resumed,
        kept=plan.mux.kept_labels,
        dropped=plan.mux.dropped_labels,
        notes=tuple(sorted({*plan.notes(), *product.store.notes()})),
        checks=tuple(checks),
        model=plan.model,
        device=describe_device(plan.device),
        fps=max(0, facts.frames - resumed) / max(1e-3, plan.timings["process"]),
        timings={name: round(value, 3) for name, value in plan.timings.items()},
        peak_memory=peak_memory(plan.device),
    )


def _expectation(plan: Plan) -> Expectation:
    """What the gate must find, from what was decoded and not from what was written."""
    task, decoder = plan.task, plan.decoder
    on_grid = task.mode.interpolates and task.fps is not None
    factor = task.factor if task.mode.interpolates else 1
    until = plan.renderer.until if plan.renderer.until is not None else decoder.start
    span_s = (until - decoder.start) * decoder.time_base
    rate = task.target_fps(Fraction(plan.facts.fps))
    return Expectation(
        width=plan.geometry.outer_width,
        height=plan.geometry.outer_height,
        frames=grid_frames(span_s, rate) if on_grid else plan.decoded * factor,
        frames_tolerance=1 if on_grid else 0,
        kept=plan.mux.kept,
        start_s=float(decoder.start * decoder.time_base),
        end_s=float(until * decoder.time_base),
        rate=rate if on_grid else None,
        picture=plan.geometry.picture_size,
    )
