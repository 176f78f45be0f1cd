"""One video from a file to a file: decode, interpolate, enlarge, encode, copy, check.

Three threads work at once: one decodes, the caller's runs the networks, one encodes and muxes.
Short queues between them keep memory constant whatever the length. A failure of any of them ends
all of them and is raised here.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from remote_runner.belt import Abandoned, Belt, Worker, feed
from remote_runner.devices import describe_device, keep_freed_memory
from remote_runner.errors import Cancelled, InputError, MachineError, from_os_error
from remote_runner.plan import Equipment, Plan, plan_work
from remote_runner.protocol import Check, Facts, Phase, Reason, Task
from remote_runner.video.decode import Picture
from remote_runner.video.mux import Writer
from remote_runner.video.probe import probe
from remote_runner.video.render import Timed
from remote_runner.video.timing import expected_frames
from remote_runner.video.verify import Expectation, verify

log = logging.getLogger(__name__)

#: Pictures waiting between two threads.
QUEUE = 4

#: Networks lighter than this run on one thread: the encoder makes better use of the others.
_LIGHT_MACS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the work is."""

    phase: Phase
    done: int = 0
    """Output frames."""
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it."""

    output: Path
    extension: str
    facts: Facts
    """Of the output."""
    source: Facts
    frames: int
    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]
    model: str
    device: str
    fps: float
    """Output frames per second of processing."""
    timings: dict[str, float]


def process(
    source: Path,
    output: Path,
    task: Task,
    *,
    equipment: Equipment | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    container: str | None = None,
) -> Report:
    """Carry out a task on a file.

    The result appears at ``output`` only after it passed the gate; its suffix becomes that of the
    container, which ``container`` (``mp4`` or ``mkv``) may choose where it holds all streams.
    Raises :class:`~remote_runner.errors.RunnerError`, or
    :class:`~remote_runner.errors.Cancelled` within about one frame of ``should_stop`` turning
    true; nothing is left behind then.
    """
    started = time.monotonic()
    progress(Progress(phase=Phase.STARTING))
    plan = plan_work(source, task, equipment or Equipment(), container)
    final = output.with_suffix(f".{plan.mux.extension}")
    if final.exists() and final.samefile(source):
        plan.close()
        raise InputError(Reason.BAD_TASK, "the output would replace its source")
    unfinished = final.with_name(f".{final.name}.{os.getpid()}.part")
    plan.timings["prepare"] = time.monotonic() - started
    try:
        write_video(plan, unfinished, progress=progress, should_stop=should_stop)
        report = _gate(plan, unfinished, final, progress, should_stop)
        unfinished.replace(final)
    except OSError as error:
        raise from_os_error(error, "keeping the output file") from None
    finally:
        plan.close()
        unfinished.unlink(missing_ok=True)
    return report


def write_video(
    plan: Plan,
    path: Path,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write the whole output file of a plan, unchecked; raises as :func:`process` does."""
    started = time.monotonic()
    pictures: Belt[Picture] = Belt(QUEUE)
    frames: Belt[Timed] = Belt(QUEUE)
    writer = Writer(path, plan.source, plan.mux, plan.encoder)
    decoding = Worker(lambda: feed(pictures, _decoded(plan)), "decode")
    encoding = Worker(lambda: _write(writer, frames), "encode")
    failure: BaseException | None = None
    try:
        _share_processors(plan)
        with torch.inference_mode():
            _run_networks(plan, pictures, frames, progress, should_stop)
    except BaseException as error:  # raised again once the threads have ended
        failure = error
    frames.close(failure)
    pictures.abandon()
    for worker in (decoding, encoding):
        worker.join()
    plan.timings["process"] = time.monotonic() - started
    # What a thread died of comes before what the others noticed of it.
    _raise_first(decoding.failure, encoding.failure, failure)


def _run_networks(
    plan: Plan,
    pictures: Belt[Picture],
    frames: Belt[Timed],
    progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> None:
    rendered = plan.renderer.render(
        _stoppable(pictures, should_stop), plan.timeline, plan.decoder.time_base
    )
    for done, timed in enumerate(rendered, 1):
        frames.put(timed)
        if should_stop():
            raise Cancelled
        progress(Progress(phase=Phase.PROCESSING, done=done, total=max(done, plan.total)))


def _stoppable(pictures: Iterable[Picture], should_stop: Callable[[], bool]) -> Iterator[Picture]:
    """Pictures that bring forth no frame, as when the rate is lowered, must not delay a stop."""
    for picture in pictures:
        if should_stop():
            raise Cancelled
        yield picture


def _decoded(plan: Plan) -> Iterator[Picture]:
    for picture in plan.decoder:
        plan.decoded += 1
        yield picture


def _write(writer: Writer, frames: Belt[Timed]) -> None:
    try:
        for timed in frames:
            writer.write(timed)
        writer.finish()
    except BaseException:
        frames.abandon()
        writer.abandon()
        raise


def _share_processors(plan: Plan) -> None:
    """All processors for a network on the CPU; one where there is little to share out.

    Threads of PyTorch wait for each other after every operation: beside a busy encoder that costs
    more than it brings, unless the operations are long.
    """
    heavy = plan.interpolator is not None or (
        plan.upscaler is not None and plan.upscaler.macs_per_pixel > _LIGHT_MACS
    )
    if plan.device.type == "cpu":
        keep_freed_memory()
    torch.get_num_threads()  # settles this thread's default, which would undo the setting later
    torch.set_num_threads(len(os.sched_getaffinity(0)) if heavy else 1)


def _raise_first(*failures: BaseException | None) -> None:
    for failure in failures:
        if failure is None or isinstance(failure, Abandoned):
            continue
        if isinstance(failure, (torch.OutOfMemoryError, MemoryError)):
            raise MachineError(Reason.OUT_OF_MEMORY, "no memory left") from failure
        raise failure


def _gate(
    plan: Plan,
    unfinished: Path,
    final: Path,
    progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> Report:
    """Look at what was written; only what is right is kept."""
    progress(Progress(phase=Phase.VERIFYING, done=plan.total, total=plan.total))
    started = time.monotonic()
    checks = verify(
        plan.source, unfinished, expectation=_expectation(plan), should_stop=should_stop
    )
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    if failed:
        raise MachineError(Reason.GATE_FAILED, "; ".join(failed))
    facts = probe(unfinished)
    plan.timings["verify"] = time.monotonic() - started
    return Report(
        output=final,
        extension=plan.mux.extension,
        facts=facts,
        source=plan.facts,
        frames=facts.frames,
        kept=plan.mux.kept_labels,
        dropped=plan.mux.dropped_labels,
        notes=plan.notes(),
        checks=tuple(checks),
        model=plan.model,
        device=describe_device(plan.device),
        fps=facts.frames / plan.timings["process"],
        timings={name: round(value, 3) for name, value in plan.timings.items()},
    )


def _expectation(plan: Plan) -> Expectation:
    """What the gate must find, from what was decoded and not from what was written."""
    task = plan.task
    on_grid = task.mode.interpolates and task.fps is not None
    factor = task.factor if task.mode.interpolates else 1
    return Expectation(
        width=plan.geometry.outer_width,
        height=plan.geometry.outer_height,
        frames=expected_frames(task, plan.facts) if on_grid else plan.decoded * factor,
        frames_tolerance=1 if on_grid else 0,
        kept=plan.mux.kept,
    )
