"""Pure decisions: what to expect and pay, which offer, retry or give up, how long to wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import PurePosixPath

from controller.model_names import show_reference
from controller.providers.base import InstanceStatus
from controller.records import Attempt, Estimate, Job, Machine
from controller.settings import Settings
from controller.states import MAX_ATTEMPTS, RETRYABLE, AnyReason, Reason
from controller.terms import LONGEST_ATTEMPT_S
from controller.workload import count_operations, is_reckoned, output_frames, output_size
from remote_runner.protocol import BootPhase, Facts, Mode, Task
from remote_runner.protocol import Reason as RunnerReason

MAX_ACTIVE_JOBS = 20
"""Jobs that one user may have waiting or running at once."""
DRAFT_S = 24 * 3600.0
"""How long a plan card waits for Start."""
HOLD_S = 24 * 3600.0
"""How long a job waits for somebody's yes."""
QUEUE_S = 24 * 3600.0
"""How long a job may wait and run before it is given up."""
BOOT_ALLOWANCE_S = 1500.0
CANCEL_S = 15.0
"""How long a runner may take to stop before its machine is ended instead."""

PULL_S = 900.0
"""From the create call until the machine runs."""
PULL_STALL_S = 600.0
"""How long its state may stay the same once it said something of the image."""
PULL_SILENCE_S = 300.0
ARMED_S = 180.0
"""From running until its watchdog is armed."""
FIRST_FRAME_S = 600.0
OFFLINE_S = 180.0

#: Ends that speak against the physical machine rather than the job or the image.
_HOSTS_FAULT = frozenset(
    {
        Reason.SILENT,
        Reason.HOST_FAILED,
        Reason.PULL_TIMEOUT,
        Reason.NOT_ARMED,
        Reason.NO_SELF_END,
        Reason.OVERPRICED,
        Reason.BOOT_TIMEOUT,
        Reason.NO_FRAMES,
        Reason.MACHINE_GONE,
        Reason.BAD_RESULT,
        RunnerReason.DISK_FULL,
        RunnerReason.NO_DEVICE,
        RunnerReason.DEVICE_UNSUPPORTED,
        RunnerReason.DEVICE_TOO_SMALL,
        RunnerReason.INSTALL_FAILED,
        RunnerReason.TRANSFER_FAILED,
        RunnerReason.GATE_FAILED,
        RunnerReason.INTERNAL,
    }
)

#: Reasons that speak of the machine, not of the job: alike twice they prove nothing.
_MACHINE_TROUBLE = frozenset(
    {
        Reason.STOPPED,
        Reason.MACHINE_GONE,
        Reason.SILENT,
        Reason.BOOT_TIMEOUT,
        Reason.PULL_TIMEOUT,
        Reason.HOST_FAILED,
        Reason.NOT_ARMED,
        Reason.NO_SELF_END,
        Reason.OVERPRICED,
        RunnerReason.NO_DEVICE,
        RunnerReason.DEVICE_UNSUPPORTED,
        RunnerReason.DEVICE_TOO_SMALL,
    }
)

#: Ends of attempts that are not counted: nothing speaks against the job or its machine.
_NOBODYS_FAULT = frozenset({Reason.RENT_FAILED, Reason.RESTORED})

#: Source pixels a second on two processor cores, measured with the shipped models at 320×180;
#: used until this machine has figures of its own.
_FORMULA = {Mode.UPSCALE: 450_000.0, Mode.INTERP: 2_000_000.0, Mode.BOTH: 260_000.0}
#: Start of the runner and its libraries, probing and the check of the result.
_OVERHEAD_S = 6.0


def work_name(task: Task) -> str:
    """The kind of work for which speeds are learned."""
    size = task.size or f"x{task.scale}" if task.mode.upscales else "same"
    # no URL with what may be a secret in it is written down, and the names of old are the same
    models = [show_reference(task.model)]
    if task.mode.interpolates and task.interpolator != "auto":
        models.append(show_reference(task.interpolator))
    return f"{task.mode}:{'+'.join(models)}:{size}"


def estimate(
    facts: Facts,
    task: Task,
    known_speed: Callable[[str], float | None],
    device: str = "cpu",
) -> Estimate:
    """Expected time of a job on one machine, from learned speeds or else from a formula."""
    speed = known_speed(work_name(task))
    pixels_per_s = speed or _FORMULA[task.mode] / _effort(facts, task, device)
    width, height = output_size(facts, task)
    return Estimate(
        seconds=_OVERHEAD_S + work_pixels(facts) / pixels_per_s,
        usd=0.0,
        frames_out=output_frames(facts, task),
        width=width,
        height=height,
        measured=speed is not None,
        reckoned=speed is None and is_reckoned(task),
    )


def _effort(facts: Facts, task: Task, device: str) -> float:
    """How many times the operations of what the formula was measured with."""
    measured = Task(mode=task.mode, model="starter", interpolator="flow")
    usual = count_operations(facts, measured, "cpu").total
    return max(1.0, count_operations(facts, task, device).total / max(1.0, usual))


def work_pixels(facts: Facts) -> int:
    return facts.width * facts.height * facts.frames


def allowance_s(expected_s: float, limit_s: float) -> float:
    """How long one attempt may run: twice what is expected and some, never above the limit."""
    return min(limit_s, 2 * expected_s + BOOT_ALLOWANCE_S)


def agreed_limit_s(expected_s: float) -> float:
    """How long an attempt may run for which somebody says yes to ``expected_s``: a formula may be
    off by as much. Whole minutes."""
    return min(LONGEST_ATTEMPT_S, math.ceil(2 * expected_s / 60) * 60.0)


def queue_deadline(now: float, approved_s: float | None) -> float:
    """When a job is given up that is queued now: a long run that was agreed to gets its time."""
    return now + QUEUE_S + (approved_s or 0.0)


def lifetime_s(limit_s: float, settings: Settings) -> float:
    """How long a machine lives at most: its boot, one long job, and the wait for a next one."""
    return BOOT_ALLOWANCE_S + limit_s + settings.idle_s


def reservation_usd(usd_per_hour: float, traffic_usd: float, lifetime_s: float) -> float:
    """What a machine may cost at most: its whole life, and the traffic of its first job."""
    return usd_per_hour * lifetime_s / 3600 + traffic_usd


def fits_budget(
    cost_usd: float,
    settings: Settings,
    *,
    spent_usd: float,
    committed_today_usd: float,
    approved_usd: float | None = None,
) -> bool:
    """Whether so much more may be reserved; ``spent_usd`` is what the job has cost before.

    What was agreed to for the job alone takes the place of both budgets.
    """
    if approved_usd is not None:
        return spent_usd + cost_usd <= approved_usd
    return (
        spent_usd + cost_usd <= settings.job_budget
        and committed_today_usd + cost_usd <= settings.day_budget
    )


def boot_trouble(machine: Machine, now: float, boot_s: float) -> tuple[AnyReason, str] | None:
    """Why a rented machine that has not worked yet is given up; None while there is hope."""
    detail = machine.status_detail
    match machine.status and InstanceStatus(machine.status):
        case InstanceStatus.IMAGE_FAILED:
            return Reason.IMAGE_FAILED, detail
        case InstanceStatus.HOST_FAILED:
            return Reason.HOST_FAILED, detail
        case InstanceStatus.ENDED:
            return Reason.STOPPED, detail or "it was stopped"
        case InstanceStatus.OFFLINE if now - (machine.status_at or now) > OFFLINE_S:
            return Reason.MACHINE_GONE, "its host is offline"
    boot = machine.boot
    if boot and not boot.key:
        return Reason.NO_SELF_END, "no key of its own"
    if boot and boot.phase is BootPhase.FAILED:
        return boot.reason or RunnerReason.INTERNAL, boot.detail
    return _boot_timeout(machine, now, boot_s)


def _boot_timeout(machine: Machine, now: float, boot_s: float) -> tuple[AnyReason, str] | None:
    if machine.running_at is None:
        # a registry that sends nothing is told from a disk that unpacks for long
        stalled_s = PULL_STALL_S if machine.status_detail else PULL_SILENCE_S
        if now - (machine.status_at or machine.created_at) > stalled_s:
            return Reason.PULL_TIMEOUT, machine.status_detail or "no word of the image"
        if now - machine.created_at > PULL_S:
            return Reason.PULL_TIMEOUT, machine.status_detail
    elif machine.boot is None and now - machine.running_at > ARMED_S:
        return Reason.NOT_ARMED, f"nothing armed in {ARMED_S:g} s"
    elif now - machine.running_at > boot_s:
        phase = machine.boot.phase if machine.boot else "running"
        return Reason.BOOT_TIMEOUT, f"{phase} for more than {boot_s:g} s"
    return None


def first_frame_s(source_bytes: int) -> float:
    """How long a runner may take to its first frame: the input arrives at 1 MB/s at least."""
    return FIRST_FRAME_S + source_bytes / 1e6


def is_hosts_fault(reason: AnyReason) -> bool:
    """Whether an end speaks against the physical machine, so that it is avoided for a while."""
    return reason in _HOSTS_FAULT


def should_retry(job: Job, ended: Sequence[Attempt], reason: AnyReason) -> bool:
    """Whether another attempt may do better; ``ended`` are those before the one that failed."""
    if reason is Reason.RENT_FAILED:
        return True  # nothing ran and nothing was paid: the deadline of the queue is the bound
    ran = [attempt for attempt in ended if attempt.reason not in _NOBODYS_FAULT]
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
