"""/status: jobs a page at a time, and for admins everybody's with the machines and the money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.admin_callbacks import Sieve, StatusAct, StatusPress
from bot.cards.view import View
from bot.cards.wording import describe_reason, show_moment, show_name, show_task
from bot.texts import Tongue, clean_name
from controller.records import Job
from controller.states import JobState, MachineState

MENU_LENGTH = 20
JOBS_A_PAGE = 5
_MACHINES_SHOWN = 5
_OWNERS_SHOWN = 24
_NAME_LENGTH = 32
_ADMIN_SIEVES = (Sieve.ALL, Sieve.RUNNING, Sieve.QUEUED, Sieve.HELD, Sieve.FAILED)
_USER_SIEVES = (Sieve.ALL, Sieve.ENDED)

_MARKS = {
    JobState.DRAFT: "📝",
    JobState.HELD: "⏸",
    JobState.QUEUED: "🕓",
    JobState.RUNNING: "⚙️",
    JobState.DONE: "✅",
    JobState.FAILED: "❌",
    JobState.CANCELLED: "🚫",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One job of a list."""

    job: Job
    position: int = 0
    """1-based place in the queue."""
    share: float = 0.0
    """How much of the processing is done."""
    ends_at: float | None = None
    """When a running job is expected to end."""
    owner: str = ""
    """Whose it is, where that is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLine:
    """One machine in short; ``usd_per_hour`` is 0 where nothing is paid."""

    name: str
    state: MachineState
    usd_per_hour: float
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseLines:
    """What admins see below the jobs."""

    machines: Sequence[MachineLine] = ()
    rents: bool = False
    spent_usd: float = 0.0
    credit_usd: float | None = None
    """None where it is not known."""
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """Everything that one /status shows, at one moment."""

    place: StatusPress
    """Which jobs, and which page of them."""
    now: float
    lines: Sequence[Line] = ()
    total: int = 0
    pages: int = 1
    group: bool = False
    """In a group it is short, and nothing can be cancelled."""
    house: HouseLines | None = None
    """None for everybody but admins."""
    owner: str = ""
    """The one whose jobs an admin has chosen."""
    owners: Sequence[tuple[int, str, int]] = field(default_factory=tuple)
    """Ids, names and counts, where an admin is choosing."""
    asked: Job | None = None
    """The one that is about to be cancelled, on whichever page it is by now."""


def draw_status(status: StatusList, tongue: Tongue) -> View:
    """The list with its buttons: open, cancel, pages, filters, look again."""
    if status.place.act is StatusAct.OWNERS:
        return View(Text(Bold(tongue("list-owners"))), _owners_keyboard(status, tongue))
    lines: list[Text | str] = [_describe_title(status, tongue)]
    if status.lines:
        lines.append(_describe_place(status, tongue))
    elif status.place.sieve is Sieve.ALL and not status.place.owner:
        lines = [tongue("status-empty")] if status.house is None else lines
    else:
        lines.append(tongue("list-none"))
    numbered = enumerate(status.lines, start=1)
    lines += [_describe_job(n, each, status.now, tongue) for n, each in numbered]
    if status.house is not None:
        lines += _describe_house(status.house, tongue)
    if status.asked is not None and not status.asked.state.is_terminal:
        lines.append(tongue.rich("list-ask", name=show_name(status.asked)))
        return View(as_list(*lines), _confirm_keyboard(status, tongue))
    return View(as_list(*lines), _status_keyboard(status, tongue))


def _describe_title(status: StatusList, tongue: Tongue) -> Text:
    if status.group:
        return Bold(tongue("list-title-group"))
    if status.house is None:
        return Bold(tongue("status-title"))
    if status.owner:
        return Bold(tongue("list-title-owner", name=status.owner, count=status.total))
    if status.place.sieve is Sieve.ALL:
        return Bold(tongue("status-title-all", count=status.total))
    sieve = tongue(f"list-sieve-{status.place.sieve}")
    return Bold(tongue("list-title-sieve", sieve=sieve, count=status.total))


def _describe_place(status: StatusList, tongue: Tongue) -> Text:
    looked = show_moment(status.now, status.now, tongue)
    if status.pages == 1:
        return tongue.rich("list-looked", when=looked)
    return tongue.rich(
        "list-looked-page", when=looked, page=status.place.page + 1, pages=status.pages
    )


def _describe_job(number: int, line: Line, now: float, tongue: Tongue) -> Text:
    job = line.job
    values: dict[str, str | int | Text] = {
        "number": number,
        "mark": "🧪" if job.sample_of else _MARKS[job.state],
        "name": show_name(job, _NAME_LENGTH),
        "what": show_task(job.task, tongue),
        "state": describe_state(line, now, tongue),
        "id": Code(job.short_id),
    }
    if not line.owner:
        return tongue.rich("list-line", **values)
    return tongue.rich("list-line-owner", owner=line.owner, **values)


def describe_state(line: Line, now: float, tongue: Tongue) -> Text | str:
    """How a job stands, in a few words."""
    job = line.job
    if job.cancel_requested_at is not None and not job.state.is_terminal:
        return tongue("toast-cancelling")
    if job.state is JobState.QUEUED and job.waits_for:
        return tongue("status-waits", reason=describe_reason(job.waits_for, tongue))
    if job.state is JobState.QUEUED:
        return tongue("status-queued", position=line.position)
    if job.state is JobState.HELD and job.held_for:
        return tongue("list-held", reason=describe_reason(job.held_for, tongue))
    if job.state is JobState.RUNNING and line.ends_at is not None:
        when = show_moment(max(line.ends_at, now + 1), now, tongue)
        return tongue.rich("list-running", percent=tongue.percent(line.share), when=when)
    if job.state is JobState.RUNNING:
        return tongue("status-running", percent=tongue.percent(line.share))
    return tongue(f"state-{job.state}")


def _describe_house(house: HouseLines, tongue: Tongue) -> list[str]:
    lines = [tongue("list-paused")] if house.paused else []
    if house.machines:
        lines.append(tongue("status-machines", count=len(house.machines)))
    else:
        lines.append(tongue("status-machines-none"))
    lines += [_describe_machine(each, tongue) for each in house.machines[:_MACHINES_SHOWN]]
    if (more := len(house.machines) - _MACHINES_SHOWN) > 0:
        lines.append(tongue("status-machines-more", count=more))
    if house.rents:
        lines.append(describe_money(house.spent_usd, house.credit_usd, tongue))
    return lines


def _describe_machine(machine: MachineLine, tongue: Tongue) -> str:
    name = clean_name(machine.name, 30)
    state = tongue(f"machine-{machine.state}")
    if machine.usd_per_hour <= 0:
        return tongue("status-machine", name=name, state=state)
    return tongue(
        "status-machine-paid",
        name=name,
        state=state,
        price=tongue.money(machine.usd_per_hour),
        money=tongue.money(machine.usd),
    )


def describe_money(spent_usd: float, credit_usd: float | None, tongue: Tongue) -> str:
    """Today's spend and what is left on the account, if that is known."""
    spent = tongue.money(spent_usd)
    if credit_usd is None:
        return tongue("status-money-spent", spent=spent)
    return tongue("status-money", spent=spent, credit=tongue.money(credit_usd))


# --- buttons ---------------------------------------------------------------------------------


def _status_keyboard(status: StatusList, tongue: Tongue) -> InlineKeyboardMarkup:
    place = status.place
    rows: list[list[InlineKeyboardButton]] = []
    if not status.group:
        numbered = list(enumerate(status.lines, start=1))
        rows.append([_button(f"↗ {n}", place, act=StatusAct.OPEN, job=o.job) for n, o in numbered])
        rows.append(
            [
                _button(f"✖ {n}", place, act=StatusAct.ASK, job=line.job)
                for n, line in numbered
                if not line.job.state.is_terminal
            ]
        )
    rows.append(_page_row(status))
    if not status.group:
        rows += _sieve_rows(status, tongue)
    rows.append([_button(tongue("button-refresh"), place)])
    return InlineKeyboardMarkup(inline_keyboard=[row for row in rows if row])


def _page_row(status: StatusList) -> list[InlineKeyboardButton]:
    page, last = status.place.page, status.pages - 1
    row = []
    if page > 0:
        row.append(_button(f"‹ {page}", status.place, page=page - 1))
    if page < last:
        row.append(_button(f"{page + 2} ›", status.place, page=page + 1))
    return row


def _sieve_rows(status: StatusList, tongue: Tongue) -> list[list[InlineKeyboardButton]]:
    wide = status.house is not None
    buttons = []
    for sieve in _ADMIN_SIEVES if wide else _USER_SIEVES:
        label = tongue(f"list-sieve-{sieve}")
        if sieve is status.place.sieve and not status.owner:
            label = tongue("button-chosen", label=label)
        target = StatusPress(sieve=sieve)
        buttons.append(InlineKeyboardButton(text=label, callback_data=target.pack()))
    if wide:
        label = tongue("list-by-owner")
        if status.owner:
            label = tongue("button-chosen", label=label)
        data = StatusPress(act=StatusAct.OWNERS).pack()
        buttons.append(InlineKeyboardButton(text=label, callback_data=data))
    return [buttons[n : n + 3] for n in range(0, len(buttons), 3)]


def _owners_keyboard(status: StatusList, tongue: Tongue) -> InlineKeyboardMarkup:
    buttons = [
        InlineKeyboardButton(
            text=tongue("list-owner", name=clean_name(name, 24), count=count),
            callback_data=StatusPress(owner=user).pack(),
        )
        for user, name, count in status.owners[:_OWNERS_SHOWN]
    ]
    rows = [buttons[n : n + 2] for n in range(0, len(buttons), 2)]
    back = InlineKeyboardButton(text=tongue("button-back"), callback_data=StatusPress().pack())
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [back]])


def _confirm_keyboard(status: StatusList, tongue: Tongue) -> InlineKeyboardMarkup:
    place = status.place
    yes = place.model_copy(update={"act": StatusAct.YES})
    return InlineKeyboardMarkup(
        inline_keyboard=[
            [
                InlineKeyboardButton(
                    text=tongue("button-yes"),
                    callback_data=yes.pack(),
                    style=ButtonStyle.DANGER,
                ),
                _button(tongue("button-no"), place),
            ]
        ]
    )


def _button(
    text: str,
    place: StatusPress,
    *,
    act: StatusAct = StatusAct.SHOW,
    page: int | None = None,
    job: Job | None = None,
) -> InlineKeyboardButton:
    """A button of the same list; what it does is put over the place."""
    changes = {
        "act": act,
        "page": place.page if page is None else page,
        "job": job.id if job else None,
    }
    return InlineKeyboardButton(text=text, callback_data=place.model_copy(update=changes).pack())
