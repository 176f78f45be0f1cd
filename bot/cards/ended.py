"""The card of a job that has ended."""

from __future__ import annotations

from aiogram.utils.formatting import Text, as_list

from bot.cards.keyboards import retry_keyboard
from bot.cards.view import Snapshot, View
from bot.cards.wording import describe_reason, find_rate, show_name, show_picture
from bot.texts import Tongue
from controller.records import Job
from controller.states import Reason


def draw_done(shot: Snapshot, tongue: Tongue) -> View:
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


def draw_failed(shot: Snapshot, tongue: Tongue) -> View:
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


def draw_cancelled(shot: Snapshot, tongue: Tongue) -> View:
    job = shot.job
    lines: list[Text | str] = [tongue.rich("cancelled-title", name=show_name(job))]
    if job.reason is Reason.EXPIRED:
        lines.append(tongue("cancelled-expired"))
    elif job.reason is Reason.DECLINED:
        lines.append(tongue("cancelled-declined"))
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
