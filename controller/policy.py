"""Pure decisions: what to expect and pay, which offer, retry or give up, how long to wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import PurePosixPath

from controller.providers.base import Offer
from controller.records import Attempt, Estimate, Job
from controller.settings import Settings
from controller.states import MAX_ATTEMPTS, RETRYABLE, AnyReason, Reason
from remote_runner.protocol import Facts, Mode, Task

MAX_ACTIVE_JOBS = 20
"""Jobs that one user may have waiting or running at once."""
DRAFT_S = 24 * 3600.0
"""How long a plan card waits for Start."""
QUEUE_S = 24 * 3600.0
"""How long a job may wait and run before it is given up."""
BOOT_ALLOWANCE_S = 900.0
CANCEL_S = 15.0
"""How long a runner may take to stop before its machine is ended instead."""

#: Reasons that speak of the machine, not of the job: alike twice they prove nothing.
_MACHINE_TROUBLE = frozenset({Reason.MACHINE_GONE, Reason.SILENT, Reason.BOOT_TIMEOUT})

#: Source pixels a second on two processor cores, measured with the shipped models at 320×180;
#: used until this machine has figures of its own.
_FORMULA = {Mode.UPSCALE: 450_000.0, Mode.INTERP: 2_000_000.0, Mode.BOTH: 260_000.0}
#: Start of the runner and its libraries, probing and the check of the result.
_OVERHEAD_S = 6.0


def work_name(task: Task) -> str:
    """The kind of work for which speeds are learned."""
    size = task.size or f"x{task.scale}" if task.mode.upscales else "same"
    return f"{task.mode}:{task.model}:{size}"


def estimate(facts: Facts, task: Task, known_speed: Callable[[str], float | None]) -> Estimate:
    """Expected time of a job on one machine, from learned speeds or else from a formula."""
    source_fps = Fraction(facts.fps)
    target_fps = task.target_fps(source_fps)
    speed = known_speed(work_name(task))
    pixels_per_s = speed or _FORMULA[task.mode]
    if speed is None and task.mode.upscales and (task.scale == 4 or task.size):
        pixels_per_s /= 5  # two passes of ×2: one at the source's size, one at four times that
    width, height = task.target_size(facts.width, facts.height)
    return Estimate(
        seconds=_OVERHEAD_S + work_pixels(facts) / pixels_per_s,
        usd=0.0,
        frames_out=round(facts.frames * target_fps / source_fps),
        width=width,
        height=height,
        measured=speed is not None,
    )


def work_pixels(facts: Facts) -> int:
    return facts.width * facts.height * facts.frames


def allowance_s(expected_s: float, settings: Settings) -> float:
    """How long one attempt may run: twice what is expected and some, never above the setting."""
    return min(settings.job_timeout_s, 2 * expected_s + BOOT_ALLOWANCE_S)


def lifetime_s(settings: Settings) -> float:
    """How long a machine lives at most: its boot, one long job, and the wait for a next one."""
    return BOOT_ALLOWANCE_S + settings.job_timeout_s + settings.idle_s


def reservation_usd(offer: Offer, settings: Settings) -> float:
    return offer.usd_per_hour * lifetime_s(settings) / 3600


def choose_offer(
    offers: Sequence[Offer], settings: Settings, *, spent_usd: float, committed_today_usd: float
) -> Offer | Reason:
    """The cheapest offer within the cap and the budgets, or why there is none.

    ``spent_usd`` is what earlier attempts of the same job have cost.
    """
    fit = [offer for offer in offers if offer.usd_per_hour <= settings.max_price]
    if not fit:
        return Reason.RENT_FAILED
    best = min(fit, key=lambda offer: offer.usd_per_hour)
    cost = reservation_usd(best, settings)
    if spent_usd + cost > settings.job_budget or committed_today_usd + cost > settings.day_budget:
        return Reason.BUDGET
    return best


def should_retry(job: Job, ended: Sequence[Attempt], reason: AnyReason) -> bool:
    """Whether another attempt may do better; ``ended`` are those before the one that failed."""
    if reason is Reason.RENT_FAILED:
        return True  # nothing ran and nothing was paid: the deadline of the queue is the bound
    ran = [attempt for attempt in ended if attempt.reason is not Reason.RENT_FAILED]
    if reason not in RETRYABLE or len(ran) + 1 >= MAX_ATTEMPTS:
        return False
    alike = bool(ran) and ran[-1].reason == reason
    return not alike or reason in _MACHINE_TROUBLE


def retry_delay_s(attempts: int) -> float:
    """Wait before attempt ``attempts + 1``: 5, 10, 20 … seconds, at most ten minutes."""
    return float(min(600, 5 * 2 ** (attempts - 1)))


def output_key(job: Job, extension: str) -> str:
    """``output/<stem>_<what>_<last six of the job id>.<ext>``."""
    stem = PurePosixPath(safe_name(job.source_name)).stem or "video"
    what = job.task.what(Fraction(job.facts.fps))
    return f"output/{stem}_{what}_{job.short_id}.{extension}"


def upload_key(job_id: str, name: str) -> str:
    return f"input/uploads/{job_id}/{safe_name(name)}"


def safe_name(name: str) -> str:
    """A file name that is safe as one part of a key: no slash, no control or direction marks."""
    kept = "".join(
        character
        for character in name
        if character.isprintable() and character not in '/\\:*?"<>|'
    )
    kept = kept.strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if not dot:
        stem, suffix = kept, ""
    shortened = stem.encode()[:120].decode(errors="ignore").strip(" .") or "video"
    return f"{shortened}.{suffix[:8]}" if suffix else shortened
