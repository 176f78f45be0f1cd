"""The one message that shows a job: a pure function of what is known about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Text, TextLink, as_list

from bot.cards.keyboards import cancel_keyboard, confirm_keyboard, plan_keyboard, retry_keyboard
from bot.cards.wording import (
    describe_facts,
    describe_reason,
    find_output_rate,
    find_rate,
    show_moment,
    show_name,
    show_picture,
    show_task,
)
from bot.texts import Tongue, clean_name
from controller.records import Attempt, Estimate, Job
from controller.states import MAX_ATTEMPTS, AttemptState, JobState, Reason
from remote_runner.protocol import Phase, Status

_STAGES = (Phase.FETCHING, Phase.PROCESSING, Phase.VERIFYING, Phase.UPLOADING)
_ATTEMPTS_SHOWN = 3
#: Statuses come every few seconds; after this long without one the card says so.
SILENT_AFTER_S = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a card shows, at one moment."""

    job: Job
    now: float
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""
    estimate: Estimate | None = None
    """For drafts and the queue."""
    position: int = 0
    """1-based place in the queue."""
    machine: str = ""
    confirming: bool = False
    """The user pressed Cancel and has not said yes or no."""
    retried: bool = False
    """There is a new job in this one's place."""
    preview: str = ""
    """Address of the first segment of the new video, while the work goes on."""


@dataclass(frozen=True, slots=True)
class View:
    """What a message is to show."""

    text: Text
    keyboard: InlineKeyboardMarkup | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ when anything visible does."""
        markup = self.keyboard.model_dump(exclude_none=True) if self.keyboard else None
        text, entities = self.text.render()
        # an address is signed anew each time it is drawn
        shown = [
            each.model_dump(exclude_none=True) | {"url": (each.url or "").partition("?")[0]}
            for each in entities
        ]
        parts = [text, shown, markup]
        packed = json.dumps(parts, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def as_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of a message or an edit: text, entities, keyboard."""
        return {**self.text.as_kwargs(), "reply_markup": self.keyboard}


def draw_card(shot: Snapshot, tongue: Tongue) -> View:
    """The card of a job in any state."""
    match shot.job.state:
        case JobState.DRAFT:
            return _draw_plan(shot, tongue)
        case JobState.HELD:
            return _draw_waiting(shot, tongue, tongue("held-body"))
        case JobState.QUEUED:
            return _draw_waiting(shot, tongue, _describe_queue(shot, tongue))
        case JobState.RUNNING:
            return _draw_running(shot, tongue)
        case JobState.DONE:
            return _draw_done(shot, tongue)
        case JobState.FAILED:
            return _draw_failed(shot, tongue)
        case JobState.CANCELLED:
            return _draw_cancelled(shot, tongue)


def find_share(status: Status | None) -> float:
    """How much of the processing is done, 0 to 1."""
    if status is None or status.total <= 0:
        return 1.0 if status and status.phase in (Phase.VERIFYING, Phase.UPLOADING) else 0.0
    if status.phase is Phase.PROCESSING:
        return min(1.0, status.done / status.total)
    return 0.0 if status.phase in (Phase.STARTING, Phase.FETCHING) else 1.0


def _draw_plan(shot: Snapshot, tongue: Tongue) -> View:
    job = shot.job
    lines: list[Text | str] = [tongue.rich("plan-title", name=show_name(job))]
    lines += describe_facts(job.facts, tongue)
    lines.append("")
    if shot.estimate:
        lines += _describe_estimate(job, shot.estimate, tongue)
    lines.append(tongue("plan-choose"))
    return View(as_list(*lines), plan_keyboard(job, tongue))


def _describe_estimate(job: Job, estimate: Estimate, tongue: Tongue) -> list[Text | str]:
    size = show_picture(estimate.width, estimate.height)
    rate = tongue.fps(find_output_rate(job))
    how = "plan-time-measured" if estimate.measured else "plan-time-formula"
    lines: list[Text | str] = [
        tongue.rich("plan-result", size=Bold(size), fps=Bold(rate)),
        tongue(how, time=tongue.duration(estimate.seconds)),
    ]
    if estimate.reckoned:
        lines.append(tongue("plan-reckoned"))
    if estimate.usd > 0:
        lines.append(tongue("plan-cost", money=tongue.money(estimate.usd)))
    return lines


def _draw_waiting(shot: Snapshot, tongue: Tongue, body: str) -> View:
    lines = _start_lines(shot, tongue)
    lines.append(body)
    if shot.estimate:
        how = "plan-time-measured" if shot.estimate.measured else "plan-time-formula"
        lines.append(tongue(how, time=tongue.duration(shot.estimate.seconds)))
    return _finish_active(shot, tongue, lines)


def _describe_queue(shot: Snapshot, tongue: Tongue) -> str:
    if shot.job.waits_for:
        reason = describe_reason(shot.job.waits_for, tongue)
        return tongue("queued-waits", reason=reason)
    if shot.job.attempts and shot.job.not_before > shot.now:
        return tongue("queued-again")
    return tongue("queued-body", position=shot.position)


def _draw_running(shot: Snapshot, tongue: Tongue) -> View:
    lines = _start_lines(shot, tongue)
    attempt = shot.attempts[-1] if shot.attempts else None
    if attempt is None or attempt.state is AttemptState.ASSIGNED or attempt.status is None:
        lines.append(tongue("assigned-body"))
    else:
        lines += _describe_progress(shot, attempt, attempt.status, tongue)
    if shot.preview.startswith(("http://", "https://")):
        lines.append(TextLink(tongue("running-preview"), url=shot.preview))
    if shot.machine:
        lines.append(tongue("running-on", machine=clean_name(shot.machine, 40)))
    return _finish_active(shot, tongue, lines)


def _describe_progress(
    shot: Snapshot, attempt: Attempt, status: Status, tongue: Tongue
) -> list[Text | str]:
    lines: list[Text | str] = []
    reached = _STAGES.index(status.phase) if status.phase in _STAGES else -1
    if status.phase is Phase.FINISHED:
        reached = len(_STAGES)
    for index, phase in enumerate(_STAGES):
        mark = (
            "stage-done" if index < reached else "stage-now" if index == reached else "stage-later"
        )
        lines.append(tongue(mark, stage=_name_stage(phase, shot.job, tongue)))
        if index == reached and phase is Phase.PROCESSING:
            lines += _describe_frames(status, tongue)
    seen_at = attempt.seen_at or attempt.assigned_at
    if shot.now - seen_at > SILENT_AFTER_S:
        lines.append(tongue.rich("running-silent", when=show_moment(seen_at, shot.now, tongue)))
    elif status.eta_s is not None and status.phase is Phase.PROCESSING:
        ready_at = max(seen_at + status.eta_s, shot.now + 1)
        lines.append(tongue.rich("running-eta", when=show_moment(ready_at, shot.now, tongue)))
    return lines


def _describe_frames(status: Status, tongue: Tongue) -> list[Text | str]:
    lines: list[Text | str] = [tongue.bar(find_share(status))]
    if status.total > 0:
        parts = [tongue("frames-of", done=status.done, total=status.total)]
        if status.fps > 0:
            parts.append(tongue.fps(status.fps))
        lines.append(" · ".join(parts))
    return lines


def _name_stage(phase: Phase, job: Job, tongue: Tongue) -> str:
    if phase is Phase.PROCESSING:
        return tongue(f"phase-processing-{job.task.mode}")
    return tongue(f"phase-{phase}")


def _start_lines(shot: Snapshot, tongue: Tongue) -> list[Text | str]:
    """Title, and the attempts that came to nothing."""
    title = tongue.rich("plan-title", name=show_name(shot.job))
    lines: list[Text | str] = [Text(title, " · ", show_task(shot.job.task, tongue))]
    ended = [each for each in shot.attempts if each.state.is_terminal and each.reason]
    for attempt in ended[-_ATTEMPTS_SHOWN:]:
        reason = describe_reason(attempt.reason, tongue)
        lines.append(tongue("attempt-ended", number=attempt.number, reason=reason))
    if ended and shot.attempts[-1] is not ended[-1]:
        lines.append(tongue("attempt-next", number=shot.attempts[-1].number, total=MAX_ATTEMPTS))
    return lines


def _finish_active(shot: Snapshot, tongue: Tongue, lines: list[Text | str]) -> View:
    if shot.job.cancel_requested_at is not None:
        return View(as_list(*lines, tongue("cancelling-body")))
    if shot.confirming:
        return View(as_list(*lines, tongue("confirm-body")), confirm_keyboard(shot.job, tongue))
    return View(as_list(*lines), cancel_keyboard(shot.job, tongue))


def _draw_done(shot: Snapshot, tongue: Tongue) -> View:
    job = shot.job
    lines: list[Text | str] = [tongue.rich("done-title", name=show_name(job))]
    facts = job.result.facts if job.result else None
    if facts:
        before, after = (
            f"{show_picture(each.width, each.height)} {tongue.fps(find_rate(each))}"
            for each in (job.facts, facts)
        )
        lines.append(tongue("done-change", before=before, after=after))
    if (taken := find_taken(job)) is not None:
        lines.append(tongue("done-took", time=tongue.duration(taken)))
    if job.result and job.result.resumed_frames:
        frames = tongue("frames", count=job.result.resumed_frames)
        lines.append(tongue("result-resumed", frames=frames))
    if job.cost_usd > 0:
        lines.append(tongue("done-cost", money=tongue.money(job.cost_usd)))
    return View(as_list(*lines))


def _draw_failed(shot: Snapshot, tongue: Tongue) -> View:
    job = shot.job
    lines: list[Text | str] = [
        tongue.rich("failed-title", name=show_name(job)),
        tongue("failed-reason", reason=describe_reason(job.reason, tongue)),
    ]
    if job.attempts > 1:
        lines.append(tongue("failed-attempts", count=job.attempts))
    if job.cost_usd > 0:
        lines.append(tongue("done-cost", money=tongue.money(job.cost_usd)))
    return View(as_list(*lines), None if shot.retried else retry_keyboard(job, tongue))


def _draw_cancelled(shot: Snapshot, tongue: Tongue) -> View:
    job = shot.job
    lines: list[Text | str] = [tongue.rich("cancelled-title", name=show_name(job))]
    if job.reason is Reason.EXPIRED:
        lines.append(tongue("cancelled-expired"))
    elif job.started_at is None:
        lines.append(tongue("cancelled-unstarted"))
    if job.cost_usd > 0:
        lines.append(tongue("done-cost", money=tongue.money(job.cost_usd)))
    # what nobody has started cannot be repeated: its upload is not kept
    can_retry = job.started_at is not None and not shot.retried
    return View(as_list(*lines), retry_keyboard(job, tongue) if can_retry else None)


def find_taken(job: Job) -> float | None:
    """Seconds from Start to the end."""
    if job.started_at is None or job.ended_at is None:
        return None
    return job.ended_at - job.started_at
