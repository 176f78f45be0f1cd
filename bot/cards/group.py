"""The one card of a group: all that is being done there, so that its chat is not flooded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.callbacks import Act, GroupPress
from bot.cards.keyboards import make_keyboard
from bot.cards.progress import describe_stage, find_ready_at
from bot.cards.view import View
from bot.cards.wording import describe_reason, find_share, show_moment, show_name, show_task
from bot.texts import Tongue
from controller.records import Attempt, Job
from controller.states import JobState
from remote_runner.protocol import Phase

PAGE_LENGTH = 8
_NAME_LENGTH = 32
_RECENT_SHOWN = 5
_ENDS = {JobState.DONE: "✅", JobState.FAILED: "❌", JobState.CANCELLED: "🚫"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSnapshot:
    """Everything that the card of a group shows, at one moment."""

    jobs: tuple[Job, ...]
    """Started and not ended, oldest start first."""
    now: float
    recent: tuple[Job, ...] = ()
    """Ended a short while ago."""
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    positions: Mapping[str, int] = field(default_factory=dict)
    page: int = 0
    asked: str = ""
    """The id of the job that somebody wants to cancel and has not said yes or no to."""


def draw_group(shot: GroupSnapshot, tongue: Tongue) -> View:
    """A block for each job, pages where they are many, and the ends of the last minutes."""
    pages = max(1, -(-len(shot.jobs) // PAGE_LENGTH))
    page = min(shot.page, pages - 1)
    shown = shot.jobs[page * PAGE_LENGTH : (page + 1) * PAGE_LENGTH]
    title = tongue("group-title", count=len(shot.jobs)) if shot.jobs else tongue("group-done")
    lines: list[Text | str] = [Bold(title)]
    for job in shown:
        lines += _draw_job(shot, job, tongue)
    lines += [
        tongue.rich("group-ended", mark=_ENDS[job.state], name=show_name(job, _NAME_LENGTH))
        for job in shot.recent[-_RECENT_SHOWN:]
    ]
    asked = next((job for job in shown if job.id == shot.asked), None)
    if asked is not None:
        lines.append(tongue.rich("cancel-ask", name=show_name(asked, _NAME_LENGTH)))
    return View(as_list(*lines), _draw_keyboard(shown, asked, page, pages, tongue))


def _draw_job(shot: GroupSnapshot, job: Job, tongue: Tongue) -> list[Text | str]:
    name, what = show_name(job, _NAME_LENGTH), show_task(job.task, tongue)
    head = tongue.rich("group-job", name=name, what=what, id=Code(job.short_id))
    attempt = shot.attempts.get(job.id)
    if job.cancel_requested_at is not None:
        return [head, tongue("cancelling-body")]
    if job.state is not JobState.RUNNING:
        return [head, _describe_wait(shot, job, tongue)]
    status = attempt.status if attempt else None
    if status is None or status.phase is not Phase.PROCESSING:
        return [head, tongue("stage-now", stage=describe_stage(job, attempt, tongue))]
    bar = tongue.bar(find_share(status))
    if (ready_at := find_ready_at(attempt, shot.now)) is None:
        return [head, bar]
    when = show_moment(ready_at, shot.now, tongue)
    return [head, Text(bar, " · ", tongue.rich("running-eta", when=when))]


def _describe_wait(shot: GroupSnapshot, job: Job, tongue: Tongue) -> str:
    if job.state is JobState.HELD:
        return tongue("held-body")
    if job.waits_for:
        return tongue("queued-waits", reason=describe_reason(job.waits_for, tongue))
    return tongue("queued-body", position=shot.positions.get(job.id, 1))


def _draw_keyboard(
    shown: tuple[Job, ...], asked: Job | None, page: int, pages: int, tongue: Tongue
) -> InlineKeyboardMarkup | None:
    if asked is not None:
        yes = _button(Act.YES, asked.id, page, tongue("button-yes"), ButtonStyle.DANGER)
        return make_keyboard([yes, _button(Act.NO, asked.id, page, tongue("button-no"))])
    cancels = [
        _button(Act.ASK, job.id, page, tongue("button-cancel-one", id=job.short_id))
        for job in shown
        if job.cancel_requested_at is None
    ]
    rows = [cancels[at : at + 2] for at in range(0, len(cancels), 2)]
    if pages > 1:
        turns = ((page - 1) % pages, page, (page + 1) % pages)
        labels = ("‹", f"{page + 1}/{pages}", "›")
        rows.append(
            [
                InlineKeyboardButton(text=label, callback_data=GroupPress(page=turn).pack())
                for label, turn in zip(labels, turns, strict=True)
            ]
        )
    return make_keyboard(*rows) if rows else None


def _button(
    act: Act, job: str, page: int, text: str, style: ButtonStyle | None = None
) -> InlineKeyboardButton:
    data = GroupPress(act=act, job=job, page=page).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)
