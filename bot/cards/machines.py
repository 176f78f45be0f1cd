"""/machines: what may still cost money, what it works on, and a way to give it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Text, as_list

from bot.cards.admin_callbacks import MachineAct, MachinePress
from bot.cards.view import View
from bot.cards.wording import show_moment, show_name
from bot.texts import Tongue, clean_name
from controller.records import Job, Machine

MACHINES_A_PAGE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """One machine and what it does."""

    machine: Machine
    usd: float
    """What it has cost so far."""
    job: Job | None = None
    share: float = 0.0
    last: bool = False
    """Whether the job has no other attempt after this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinesPage:
    """A page of them."""

    place: MachinePress
    now: float
    rows: Sequence[MachineRow] = ()
    total: int = 0
    pages: int = 1
    usd_per_hour: float = 0.0
    """Of all of them together."""


def draw_machines(page: MachinesPage, tongue: Tongue) -> View:
    """A block a machine, and a button each."""
    if not page.rows:
        text = Text(tongue("status-machines-none"))
        return View(text, InlineKeyboardMarkup(inline_keyboard=[_last_row(page, tongue)]))
    lines: list[Text | str] = [_describe_title(page, tongue)]
    lines.append(tongue.rich("list-looked", when=show_moment(page.now, page.now, tongue)))
    for number, row in enumerate(page.rows, start=1):
        lines += ["", *_describe_machine(number, row, page.now, tongue)]
    asked = [row for row in page.rows if row.machine.id == page.place.machine]
    if page.place.act is MachineAct.ASK and asked and can_give_back(asked[0].machine):
        lines += ["", _describe_question(asked[0], tongue)]
        return View(as_list(*lines), _confirm_keyboard(page, tongue))
    return View(as_list(*lines), _make_keyboard(page, tongue))


def can_give_back(machine: Machine) -> bool:
    """Whether it is not on its way out already."""
    return machine.retire_requested_at is None


def _describe_title(page: MachinesPage, tongue: Tongue) -> Text:
    if page.usd_per_hour <= 0:
        return Bold(tongue("status-machines", count=page.total))
    price = tongue.money(page.usd_per_hour)
    return Bold(tongue("machines-title", count=page.total, price=price))


def _describe_machine(number: int, row: MachineRow, now: float, tongue: Tongue) -> list[Text]:
    machine = row.machine
    leaving = not can_give_back(machine)
    state = tongue("machine-retiring" if leaving else f"machine-{machine.state}")
    name = Bold(clean_name(machine.name, 40))
    lines = [tongue.rich("machines-name", number=number, name=name, state=state)]
    since = show_moment(machine.created_at, now, tongue)
    if machine.usd_per_hour > 0:
        price, money = tongue.money(machine.usd_per_hour), tongue.money(row.usd)
        lines.append(tongue.rich("machines-paid", since=since, price=price, money=money))
    else:
        lines.append(tongue.rich("machines-since", since=since))
    if row.job is not None:
        share = tongue.percent(row.share)
        lines.append(tongue.rich("machines-job", name=show_name(row.job, 32), percent=share))
    ends = show_moment(machine.expires_at, now, tongue)
    lines.append(tongue.rich("machines-ends", when=ends))
    return lines


def _describe_question(row: MachineRow, tongue: Tongue) -> Text:
    name = Bold(clean_name(row.machine.name, 40))
    if row.job is None:
        return tongue.rich("machines-ask", name=name)
    key = "machines-ask-last" if row.last else "machines-ask-busy"
    return tongue.rich(key, name=name, job=show_name(row.job, 32))


def _make_keyboard(page: MachinesPage, tongue: Tongue) -> InlineKeyboardMarkup:
    give_back = [
        InlineKeyboardButton(
            text=tongue("machines-give-back", number=number),
            callback_data=MachinePress(
                act=MachineAct.ASK, page=page.place.page, machine=row.machine.id
            ).pack(),
        )
        for number, row in enumerate(page.rows, start=1)
        if can_give_back(row.machine)
    ]
    rows = [give_back[n : n + 2] for n in range(0, len(give_back), 2)]
    return InlineKeyboardMarkup(inline_keyboard=[*rows, _last_row(page, tongue)])


def _last_row(page: MachinesPage, tongue: Tongue) -> list[InlineKeyboardButton]:
    here = page.place.page
    row = [_turn(tongue("button-refresh"), here)]
    if here > 0:
        row.insert(0, _turn(f"‹ {here}", here - 1))
    if here < page.pages - 1:
        row.append(_turn(f"{here + 2} ›", here + 1))
    return row


def _confirm_keyboard(page: MachinesPage, tongue: Tongue) -> InlineKeyboardMarkup:
    yes = page.place.model_copy(update={"act": MachineAct.YES})
    button = InlineKeyboardButton(
        text=tongue("machines-yes"), callback_data=yes.pack(), style=ButtonStyle.DANGER
    )
    keep = _turn(tongue("button-keep"), page.place.page)
    return InlineKeyboardMarkup(inline_keyboard=[[button, keep]])


def _turn(text: str, page: int) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=MachinePress(page=page).pack())
