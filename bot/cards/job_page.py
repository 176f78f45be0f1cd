"""One job whose card is in another chat, as its owner and admins see it."""

from __future__ import annotations

from dataclasses import dataclass

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.admin_callbacks import LogPress, StatusAct, StatusPress
from bot.cards.lists import Line, describe_state
from bot.cards.view import View
from bot.cards.wording import describe_facts, describe_reason, show_moment, show_name, show_task
from bot.texts import Tongue, clean_name
from controller.records import Attempt, Job
from controller.states import JobState

_ATTEMPTS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """What is shown of one job, and which list it was opened from."""

    job: Job
    place: StatusPress
    now: float
    owner: str
    line: Line
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""
    machine: str = ""
    usd: float = 0.0
    """What it has cost so far, an attempt that runs included."""
    admin: bool = False
    """Whether it is an admin who looks: others get no log."""


def draw_job_page(page: JobPage, tongue: Tongue) -> View:
    """Who asked for what and when, how it stands, and what was tried."""
    job = page.job
    state = describe_state(page.line, page.now, tongue)
    lines: list[Text | str] = [
        Bold(show_name(job)),
        tongue.rich("job-owner", owner=page.owner, id=Code(job.short_id)),
        tongue.rich("job-state", state=state, what=show_task(job.task, tongue)),
        tongue.rich("job-created", when=show_moment(job.created_at, page.now, tongue)),
        *describe_facts(job.facts, tongue),
    ]
    if page.machine:
        lines.append(tongue("running-on", machine=clean_name(page.machine, 40)))
    if job.waits_detail and job.state is JobState.QUEUED:
        lines.append(Code(clean_name(job.waits_detail, 200)))
    if page.usd > 0:
        lines.append(tongue("job-cost", money=tongue.money(page.usd)))
    if job.state.is_terminal and job.reason is not None:
        lines.append(tongue("failed-reason", reason=describe_reason(job.reason, tongue)))
    lines += [
        tongue("attempt-ended", number=each.number, reason=describe_reason(each.reason, tongue))
        for each in page.attempts[-_ATTEMPTS_SHOWN:]
        if each.reason is not None
    ]
    return View(as_list(*lines), _make_keyboard(page, tongue))


def _make_keyboard(page: JobPage, tongue: Tongue) -> InlineKeyboardMarkup:
    row = []
    if page.admin:
        log = LogPress(job=page.job.id).pack()
        row.append(InlineKeyboardButton(text=tongue("button-log"), callback_data=log))
    if not page.job.state.is_terminal:
        ask = page.place.model_copy(update={"act": StatusAct.ASK})
        row.append(
            InlineKeyboardButton(
                text=tongue("button-cancel"),
                callback_data=ask.pack(),
                style=ButtonStyle.DANGER,
            )
        )
    back = page.place.model_copy(update={"act": StatusAct.SHOW, "job": None})
    again = InlineKeyboardButton(text=tongue("button-refresh"), callback_data=page.place.pack())
    last = [InlineKeyboardButton(text=tongue("button-back"), callback_data=back.pack()), again]
    return InlineKeyboardMarkup(inline_keyboard=[each for each in (row, last) if each])
