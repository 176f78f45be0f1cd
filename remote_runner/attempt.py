"""One attempt at a job: fetch, process, upload, and a result whatever happens."""

from __future__ import annotations

import gc
import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from remote_runner import transfer
from remote_runner.errors import Cancelled, MachineError, RunnerError, from_os_error
from remote_runner.protocol import MARKER, Grant, Outcome, Phase, Reason, Result, to_json
from remote_runner.report import Reporter, say
from remote_runner.safekeeping import GRACE_S, GrantStore, Sight
from remote_runner.shelf import Shelf

if TYPE_CHECKING:
    from remote_runner.pipeline import Progress, Report
    from remote_runner.plan import Equipment

log = logging.getLogger(__name__)

_RESULT_TRIES = 20
_RESULT_RETRY_S = 15.0


@dataclass(slots=True)
class Attempt:
    """What an attempt works with."""

    grant: Grant
    folder: Path
    reporter: Reporter
    why_stop: Callable[[], str | None]
    """The reason for which the attempt must end early, none as long as it may go on."""
    shelf: Shelf | None = None
    """Where the source stays for the next attempt; none: nowhere."""
    timings: dict[str, float] = field(default_factory=dict)
    store: GrantStore | None = None
    """Finished segments, from when there is work on them."""
    ended: bool = False
    """Whether there is a result, written or about to be."""

    def should_stop(self) -> bool:
        return self.why_stop() is not None or time.time() > self.grant.deadline_at

    def check(self) -> None:
        """Raise :class:`Cancelled` if the attempt must end."""
        if self.should_stop():
            raise Cancelled


def carry_out(attempt: Attempt) -> Result:
    """Do the work and write its result; afterwards nothing is left on this machine but the source,
    where it is to be kept."""
    grant = attempt.grant
    attempt.reporter.aim(grant.status_url, grant.log_url, grant.job, grant.attempt)
    attempt.reporter.enter(Phase.STARTING)
    try:
        result = _result(attempt)
    finally:
        shutil.rmtree(attempt.folder, ignore_errors=True)
        if attempt.shelf is not None:
            attempt.shelf.tidy()
        gc.collect()  # a failure holds the frames of its threads, and so memory of the card
    if result.reason is not None or result.outcome is Outcome.CANCELLED:
        log.warning("%s: %s %s", result.outcome, result.reason or "", result.detail)
    attempt.ended = True
    attempt.reporter.enter(Phase.FINISHED)
    attempt.reporter.flush()
    if _put_result(attempt, result) and result.outcome is Outcome.DONE:
        say(MARKER)
    return result


def give_up(attempt: Attempt) -> None:
    """Write a result for an attempt that does not come to an end by itself; one try."""
    why = attempt.why_stop()
    if attempt.ended or why is None:
        return
    attempt.ended = True
    try:
        document = to_json(_cancelled(attempt, why)).encode()
        transfer.put_bytes(attempt.grant.result_url, document, attempts=1)
    except (RunnerError, OSError) as error:
        log.error("the result could not be written: %s", error)


def _result(attempt: Attempt) -> Result:
    try:
        return _work(attempt)
    except Cancelled:
        return _ended_early(attempt)
    except RunnerError as error:
        return _failed(attempt, error)
    except OSError as error:
        return _failed(attempt, from_os_error(error, "working"))
    except Exception as error:
        log.exception("an error that nobody expected")
        return _failed(attempt, MachineError(Reason.INTERNAL, type(error).__name__))


def _ended_early(attempt: Attempt) -> Result:
    why = attempt.why_stop()
    if why is None:
        return _failed(attempt, MachineError(Reason.DEADLINE, "the attempt ran out of time"))
    return _cancelled(attempt, why)


def _cancelled(attempt: Attempt, why: str) -> Result:
    return Result(
        job=attempt.grant.job,
        attempt=attempt.grant.attempt,
        outcome=Outcome.CANCELLED,
        detail=_how_far(attempt, why),
        timings=attempt.timings,
    )


def _how_far(attempt: Attempt, why: str) -> str:
    if attempt.store is None:
        return why
    return f"{why}; {attempt.store.safe} segments are safe"


def _failed(attempt: Attempt, error: RunnerError) -> Result:
    return Result(
        job=attempt.grant.job,
        attempt=attempt.grant.attempt,
        outcome=Outcome.FAILED,
        reason=error.reason,
        detail=error.detail,
        timings=attempt.timings,
    )


def _work(attempt: Attempt) -> Result:
    attempt.check()
    attempt.folder.mkdir(parents=True, exist_ok=True)
    source = _fetch(attempt)
    report, source = _process(attempt, source)
    notes, clip_bytes = _upload(attempt, source, report)
    notes = [*report.notes, *notes]
    if attempt.grant.device == "auto":
        notes.append(f"device_chosen:{report.device}")
    output = report.output
    return Result(
        job=attempt.grant.job,
        attempt=attempt.grant.attempt,
        outcome=Outcome.DONE,
        sha256=_sha256(output),
        bytes=output.stat().st_size,
        extension=report.extension,
        facts=report.facts,
        checks=report.checks,
        kept=report.kept,
        dropped=report.dropped,
        notes=tuple(notes),
        model=report.model,
        device=report.device,
        fps=round(report.fps, 3),
        resumed_frames=report.resumed_frames,
        clip_bytes=clip_bytes,
        peak_memory=report.peak_memory,
        timings={**attempt.timings, **report.timings},
    )


def _fetch(attempt: Attempt) -> Path:
    """The source on this machine; a file that is here already is used where it lies."""
    grant = attempt.grant
    local = transfer.local_path(grant.source_url)
    if local is not None:
        if not local.is_file():
            raise MachineError(Reason.TRANSFER_FAILED, "the source is not there")
        return local
    attempt.reporter.enter(Phase.FETCHING)
    started = time.monotonic()
    if attempt.shelf is not None:
        if kept := attempt.shelf.find(grant.source_id, grant.source_bytes):
            attempt.reporter.note("The source is still here")
            return kept
        attempt.shelf.clear()
    path = attempt.folder / "source"
    transfer.fetch(grant.source_url, path, lambda _: attempt.check(), check=attempt.check)
    size = path.stat().st_size
    if grant.source_bytes and size != grant.source_bytes:
        raise MachineError(
            Reason.TRANSFER_FAILED, f"the source has {size} bytes, not {grant.source_bytes}"
        )
    attempt.timings["fetch"] = round(time.monotonic() - started, 3)
    return path if attempt.shelf is None else attempt.shelf.keep(grant.source_id, path)


def _process(attempt: Attempt, source: Path) -> tuple[Report, Path]:
    """What came of it, and what it was made of: the source or, for a sample, its excerpt."""
    # Imported here: orders can be followed and cancelled before PyTorch is loaded.
    from remote_runner.devices import choose_device, describe_device, free_memory  # noqa: PLC0415
    from remote_runner.plan import Equipment  # noqa: PLC0415

    device = choose_device(attempt.grant.device)
    attempt.reporter.use(describe_device(device), lambda: free_memory(device))
    attempt.check()
    equipment = Equipment(device=str(device), weights=attempt.grant.weights)
    if attempt.grant.sample_s > 0:
        return _process_sample(attempt, source, equipment)
    return _process_all(attempt, source, equipment), source


def _process_sample(attempt: Attempt, source: Path, equipment: Equipment) -> tuple[Report, Path]:
    from remote_runner.sampling import process_sample  # noqa: PLC0415

    return process_sample(
        source,
        attempt.folder / "output.video",
        attempt.grant.task,
        attempt.grant.sample_s,
        folder=attempt.folder,
        equipment=equipment,
        progress=lambda progress: _follow(attempt, progress),
        should_stop=attempt.should_stop,
    )


def _process_all(attempt: Attempt, source: Path, equipment: Equipment) -> Report:
    from remote_runner.pipeline import process  # noqa: PLC0415

    store = attempt.store = GrantStore(
        attempt.grant,
        attempt.folder / "segments",
        attempt.check,
        _sights(attempt, source),
    )
    grace_s = GRACE_S
    try:
        report = process(
            source,
            attempt.folder / "output.video",
            attempt.grant.task,
            equipment=equipment,
            progress=lambda progress: _follow(attempt, progress),
            should_stop=attempt.should_stop,
            store=store,
            segment_s=attempt.grant.segment_s,
        )
        grace_s = 0.0
    finally:
        store.close(grace_s)
    return report


def _sights(attempt: Attempt, source: Path) -> list[Sight]:
    """What is shown of the first segment while the work goes on, the quickest first."""

    def draw_frame(segment: Path, target: Path, should_stop: Callable[[], bool]) -> None:
        from remote_runner.video.picture import draw_frame  # noqa: PLC0415 - slow to import

        draw_frame(source, segment, target, should_stop=should_stop)

    def make_preview(segment: Path, target: Path, should_stop: Callable[[], bool]) -> None:
        from remote_runner.video.preview import make_preview  # noqa: PLC0415 - slow to import

        make_preview(segment, target, should_stop=should_stop)

    grant, reporter = attempt.grant, attempt.reporter
    every = [
        Sight("frame.png", grant.frame_url, draw_frame, reporter.show_frame),
        Sight("preview.mp4", grant.preview_url, make_preview, reporter.show_preview),
    ]
    return [each for each in every if each.url]


def _follow(attempt: Attempt, progress: Progress) -> None:
    attempt.reporter.enter(progress.phase)
    attempt.reporter.count(progress.segments)
    if progress.phase is Phase.PROCESSING:
        attempt.reporter.advance(progress.done, progress.total)


def _upload(attempt: Attempt, source: Path, report: Report) -> tuple[list[str], int]:
    """Result and pictures to storage; a picture that cannot be made is noted and nothing more.

    The notes, and the bytes of the clip.
    """
    attempt.check()
    attempt.reporter.enter(Phase.UPLOADING)
    started = time.monotonic()
    _upload_output(attempt, report.output)
    notes = []
    if not _draw(
        attempt,
        "picture.png",
        attempt.grant.picture_url,
        partial(_picture, attempt, source, report),
    ):
        notes.append("picture_missing")
    clip_bytes = 0
    if attempt.grant.clip_url:
        clip_bytes = _draw(
            attempt, "clip.mp4", attempt.grant.clip_url, partial(_clip, attempt, source, report)
        )
        if not clip_bytes:
            notes.append("clip_missing")
    attempt.timings["upload"] = round(time.monotonic() - started, 3)
    attempt.check()
    return notes, clip_bytes


def _draw(attempt: Attempt, name: str, url: str, draw: Callable[[Path], None]) -> int:
    """Draw something beside the result and upload it; its bytes, 0 if that did not work."""
    target = attempt.folder / name
    try:
        draw(target)
        transfer.put_file(url, target, lambda _: attempt.check(), check=attempt.check)
        return target.stat().st_size
    except Cancelled:
        raise
    except Exception as error:  # the result is there: nothing about a picture may fail it
        log.warning("no %s: %s", name, error)
        return 0


def _picture(attempt: Attempt, source: Path, report: Report, target: Path) -> None:
    from remote_runner.video.picture import draw_picture  # noqa: PLC0415 - slow to import

    draw_picture(source, report.output, target, should_stop=attempt.should_stop)


def _clip(attempt: Attempt, source: Path, report: Report, target: Path) -> None:
    from remote_runner.video.clip import draw_clip  # noqa: PLC0415 - slow to import

    draw_clip(source, report.output, target, should_stop=attempt.should_stop)


def _upload_output(attempt: Attempt, output: Path) -> None:
    grant = attempt.grant
    if grant.output_parts:
        transfer.put_parts(
            grant.output_parts, output, lambda _: attempt.check(), check=attempt.check
        )
    else:
        transfer.put_file(grant.output_url, output, lambda _: attempt.check(), check=attempt.check)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_result(attempt: Attempt, result: Result) -> bool:
    """The result is what counts: tried for minutes, unless the machine is to end."""
    for _ in range(_RESULT_TRIES):
        try:
            transfer.put_bytes(attempt.grant.result_url, to_json(result).encode())
        except (RunnerError, OSError) as error:
            log.error("the result could not be written: %s", error)
            if attempt.why_stop() is not None:
                return False
            time.sleep(_RESULT_RETRY_S)
        else:
            return True
    return False
