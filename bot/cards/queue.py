"""/queue: who is next, buttons that change the order, and a pause; /drain asks first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.admin_callbacks import QueueAct, QueuePress
from bot.cards.view import View
from bot.cards.wording import describe_reason, show_moment, show_name, show_task
from bot.texts import Tongue
from controller.records import Job

QUEUE_A_PAGE = 5
_MOVES = (
    (QueueAct.FIRST, "⏫"),
    (QueueAct.UP, "⬆"),
    (QueueAct.DOWN, "⬇"),
    (QueueAct.LAST, "⏬"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One job that waits."""

    job: Job
    position: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Who has paused the queue, and when."""

    name: str
    at: float
    drained: bool = False
    """Idle machines go too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """A page of the queue."""

    place: QueuePress
    now: float
    rows: Sequence[QueueRow] = ()
    total: int = 0
    pages: int = 1
    running: int = 0
    """Jobs that are being worked on."""
    machines: int = 0
    """What may still cost money."""
    stop: Stop | None = None


def draw_queue(page: QueuePage, tongue: Tongue) -> View:
    """Jobs in their order with four buttons each."""
    lines: list[Text | str] = [
        Bold(tongue("queue-title", count=page.total)),
        tongue.rich("list-looked", when=show_moment(page.now, page.now, tongue)),
    ]
    if page.stop is not None:
        lines.append(_describe_stop(page.stop, page.now, tongue))
    if not page.rows:
        lines.append(tongue("queue-empty"))
    lines += [_describe_row(row, tongue) for row in page.rows]
    return View(as_list(*lines), _queue_keyboard(page, tongue))


def draw_drain(page: QueuePage, tongue: Tongue) -> View:
    """Whether to drain; or, where that was done, how far it is."""
    running = tongue("jobs", count=page.running)
    if page.stop is not None and page.stop.drained:
        lines = [
            _describe_stop(page.stop, page.now, tongue),
            tongue.rich("list-looked", when=show_moment(page.now, page.now, tongue)),
            _describe_rest(page, tongue),
        ]
        look = _button(tongue("button-refresh"), QueueAct.LOOK)
        resume = _button(tongue("queue-resume"), QueueAct.RESUME, ButtonStyle.SUCCESS)
        return View(as_list(*lines), InlineKeyboardMarkup(inline_keyboard=[[look], [resume]]))
    waiting = tongue("jobs", count=page.total)
    text = Text(tongue("drain-ask", running=running, waiting=waiting))
    row = [
        _button(tongue("drain-yes"), QueueAct.DRAIN, ButtonStyle.DANGER),
        _button(tongue("button-keep"), QueueAct.KEEP),
    ]
    return View(text, InlineKeyboardMarkup(inline_keyboard=[row]))


def _describe_rest(page: QueuePage, tongue: Tongue) -> str:
    """What is still to end before the program may: jobs, then the machines that they leave."""
    if page.running:
        return tongue("drain-rest", running=tongue("jobs", count=page.running))
    return tongue("drain-machines" if page.machines else "drain-done", count=page.machines)


def _describe_stop(stop: Stop, now: float, tongue: Tongue) -> Text:
    key = "queue-drained" if stop.drained else "queue-paused"
    return tongue.rich(key, name=stop.name, when=show_moment(stop.at, now, tongue))


def _describe_row(row: QueueRow, tongue: Tongue) -> Text:
    job = row.job
    values: dict[str, str | int | Text] = {
        "number": row.position,
        "name": show_name(job, 32),
        "what": tongue("queue-sample") if job.sample_of else show_task(job.task, tongue),
        "owner": row.owner,
        "id": Code(job.short_id),
    }
    if job.waits_for is None:
        return tongue.rich("queue-line", **values)
    return tongue.rich("queue-line-waits", reason=describe_reason(job.waits_for, tongue), **values)


def _queue_keyboard(page: QueuePage, tongue: Tongue) -> InlineKeyboardMarkup:
    here = page.place.page
    rows = [
        [
            InlineKeyboardButton(
                text=f"{sign} {row.position}",
                callback_data=QueuePress(act=act, page=here, job=row.job.id).pack(),
            )
            for act, sign in _MOVES
        ]
        for row in page.rows
        # samples are before all others, and stay there
        if page.total > 1 and row.job.sample_of is None
    ]
    last = [_button(tongue("button-refresh"), QueueAct.SHOW, page=here)]
    if here > 0:
        last.insert(0, _button(f"‹ {here}", QueueAct.SHOW, page=here - 1))
    if here < page.pages - 1:
        last.append(_button(f"{here + 2} ›", QueueAct.SHOW, page=here + 1))
    if page.stop is None:
        switch = _button(tongue("queue-pause"), QueueAct.PAUSE, page=here)
    else:
        switch = _button(tongue("queue-resume"), QueueAct.RESUME, ButtonStyle.SUCCESS, here)
    return InlineKeyboardMarkup(inline_keyboard=[*rows, last, [switch]])


def _button(
    text: str, act: QueueAct, style: ButtonStyle | None = None, page: int = 0
) -> InlineKeyboardButton:
    data = QueuePress(act=act, page=page).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)
