"""/users: who may use the bot, and a page for each with what can be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.enums import ButtonStyle
from aiogram.types import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Code, Text, as_list

from bot.cards.admin_callbacks import PersonAct, PersonPress
from bot.cards.view import View
from bot.cards.wording import show_moment
from bot.texts import Tongue, clean_name
from controller.records import Role

PEOPLE_A_PAGE = 8
BUDGETS_USD = (0.5, 1.0, 2.0, 5.0)
_SIGNS = {Role.ADMIN: "⭐", Role.USER: "👤", Role.BLOCKED: "🚫"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who may use the bot, or may not any more."""

    user: int
    name: str
    role: Role
    settled: bool
    """The deployment's settings make them an administrator: nothing here changes that."""
    listed: bool
    """The deployment's settings name them: they cannot be removed here, but shut out."""
    today_usd: float = 0.0
    day_budget: float | None = None
    invited_by: str = ""
    added_at: float | None = None
    """None for those who have no row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeoplePage:
    """A page of the list."""

    people: Sequence[Person]
    total: int
    page: int = 0
    pages: int = 1
    paid: bool = False
    """Whether machines are rented, so that there is something to spend."""


def draw_people(page: PeoplePage, tongue: Tongue) -> View:
    """A line a person, a button each; invitations."""
    lines: list[Text | str] = [Bold(tongue("people-title", count=page.total))]
    if page.pages > 1:
        lines.append(tongue("people-page", page=page.page + 1, pages=page.pages))
    lines += [_describe_line(each, page.paid, tongue) for each in page.people]
    buttons = [
        _button(
            f"{_SIGNS[each.role]} {clean_name(each.name, 22)}",
            PersonAct.SHOW,
            page.page,
            user=each.user,
        )
        for each in page.people
    ]
    rows = [buttons[n : n + 2] for n in range(0, len(buttons), 2)]
    turn = []
    if page.page > 0:
        turn.append(_button(f"‹ {page.page}", PersonAct.LIST, page.page - 1))
    if page.page < page.pages - 1:
        turn.append(_button(f"{page.page + 2} ›", PersonAct.LIST, page.page + 1))
    invite = [
        _button(tongue("people-invite-user"), PersonAct.INVITE_USER, page.page),
        _button(tongue("people-invite-admin"), PersonAct.INVITE_ADMIN, page.page),
    ]
    revoke = [_button(tongue("people-revoke"), PersonAct.REVOKE, page.page)]
    markup = [row for row in (*rows, turn, invite, revoke) if row]
    return View(as_list(*lines), InlineKeyboardMarkup(inline_keyboard=markup))


def draw_person(
    person: Person,
    tongue: Tongue,
    *,
    now: float,
    page: int,
    myself: bool,
    asking: bool = False,
    paid: bool = True,
) -> View:
    """What is known of somebody, and what an administrator may change; nothing of money where
    nothing is ``paid``."""
    lines: list[Text | str] = [
        tongue.rich(
            "person-title",
            name=Bold(clean_name(person.name, 60)),
            role=tongue(f"role-{person.role}"),
        ),
        tongue.rich("person-id", id=Code(str(person.user))),
    ]
    if person.listed:
        lines.append(tongue("person-listed"))
    if person.invited_by and person.added_at is not None:
        when = show_moment(person.added_at, now, tongue)
        lines.append(tongue.rich("person-invited", name=person.invited_by, when=when))
    if paid:
        lines.append(tongue("person-today", money=tongue.money(person.today_usd)))
        budget = person.day_budget
        limit = tongue("person-no-budget") if budget is None else tongue.money(budget)
        lines.append(tongue("person-budget", limit=limit))
    if asking:
        lines += ["", tongue.rich("person-ask", name=Bold(clean_name(person.name, 60)))]
        return View(as_list(*lines), _confirm_keyboard(person, page, tongue))
    return View(as_list(*lines), _person_keyboard(person, page, myself, tongue, paid))


def draw_invitation(link: str, role: Role, ends_at: float, now: float, tongue: Tongue) -> View:
    """A link that lets one person in, once."""
    text = as_list(
        tongue("invitation-admin" if role is Role.ADMIN else "invitation-user"),
        Code(link),
        tongue.rich("invitation-ends", when=show_moment(ends_at, now, tongue)),
    )
    copy = InlineKeyboardButton(text=tongue("button-copy"), copy_text=CopyTextButton(text=link))
    return View(text, InlineKeyboardMarkup(inline_keyboard=[[copy]]))


def can_remove(person: Person) -> bool:
    """Whether a row is all that lets somebody in; what the settings say would stay."""
    return person.added_at is not None and not person.listed


def _describe_line(person: Person, paid: bool, tongue: Tongue) -> Text:
    values: dict[str, str | Text] = {
        "sign": _SIGNS[person.role],
        "name": clean_name(person.name, 40),
        "id": Code(str(person.user)),
    }
    if not paid:
        return tongue.rich("people-line", **values)
    return tongue.rich("people-line-paid", money=tongue.money(person.today_usd), **values)


def _person_keyboard(
    person: Person, page: int, myself: bool, tongue: Tongue, paid: bool
) -> InlineKeyboardMarkup:
    rows = []
    if not person.settled and not myself:
        rows.append(_role_row(person, page, tongue))
    if paid:
        budgets = [_budget_button(person, usd, page, tongue) for usd in (*BUDGETS_USD, None)]
        rows += [budgets[:3], budgets[3:]]
    if can_remove(person) and not myself:
        remove = _button(
            tongue("person-remove"), PersonAct.ASK_REMOVE, page, person.user, ButtonStyle.DANGER
        )
        rows.append([remove])
    rows.append([_button(tongue("button-back"), PersonAct.LIST, page)])
    return InlineKeyboardMarkup(inline_keyboard=rows)


def _role_row(person: Person, page: int, tongue: Tongue) -> list[InlineKeyboardButton]:
    if person.role is Role.BLOCKED:
        return [_button(tongue("person-unblock"), PersonAct.MAKE_USER, page, person.user)]
    block = _button(tongue("person-block"), PersonAct.BLOCK, page, person.user, ButtonStyle.DANGER)
    if person.role is Role.ADMIN:
        return [_button(tongue("person-lower"), PersonAct.MAKE_USER, page, person.user), block]
    return [_button(tongue("person-raise"), PersonAct.MAKE_ADMIN, page, person.user), block]


def _budget_button(
    person: Person, usd: float | None, page: int, tongue: Tongue
) -> InlineKeyboardButton:
    label = tongue("person-no-budget") if usd is None else tongue.money(usd)
    if usd == person.day_budget:
        label = tongue("button-chosen", label=label)
    cents = 0 if usd is None else round(usd * 100)
    press = PersonPress(act=PersonAct.BUDGET, user=person.user, page=page, cents=cents)
    return InlineKeyboardButton(text=label, callback_data=press.pack())


def _confirm_keyboard(person: Person, page: int, tongue: Tongue) -> InlineKeyboardMarkup:
    row = [
        _button(
            tongue("person-remove-yes"), PersonAct.REMOVE, page, person.user, ButtonStyle.DANGER
        ),
        _button(tongue("button-keep"), PersonAct.SHOW, page, person.user),
    ]
    return InlineKeyboardMarkup(inline_keyboard=[row])


def _button(
    text: str, act: PersonAct, page: int, user: int = 0, style: ButtonStyle | None = None
) -> InlineKeyboardButton:
    data = PersonPress(act=act, user=user, page=page).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)
