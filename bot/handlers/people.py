"""/users: admins invite people, change what they may do and spend, and shut them out."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import PersonAct, PersonPress
from bot.cards.people import (
    PEOPLE_A_PAGE,
    PeoplePage,
    Person,
    can_remove,
    draw_invitation,
    draw_people,
    draw_person,
)
from bot.cards.view import View
from bot.commands import publish_for_admins
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.handlers.pages import is_newest, open_page, turn_page
from bot.names import find_name
from bot.roles import find_role
from bot.texts import Texts
from controller.people import INVITE_S
from controller.records import Member, Role

PAGE = "users"
_CHANGES = {
    PersonAct.MAKE_ADMIN: Role.ADMIN,
    PersonAct.MAKE_USER: Role.USER,
    PersonAct.BLOCK: Role.BLOCKED,
}
_ORDER = (Role.ADMIN, Role.USER, Role.BLOCKED)


def make_router() -> Router:
    router = Router(name="people")
    only_admins(router)
    router.message.register(show_people, F.text, Command("users"))
    router.callback_query.register(press_person, PersonPress.filter())
    return router


async def show_people(message: Message, bot: Bot, desk: Desk) -> None:
    await open_page(message, bot, PAGE, _draw_list(0, desk), desk)


async def press_person(
    query: CallbackQuery, callback_data: PersonPress, bot: Bot, desk: Desk, texts: Texts
) -> None:
    """All that is done here is checked again by the controller."""
    press = callback_data
    if not await is_newest(query, bot, PAGE, desk):
        return
    if press.act in (PersonAct.INVITE_USER, PersonAct.INVITE_ADMIN):
        await _invite(query, press, bot, desk)
        return
    toast = None
    if press.act is PersonAct.REVOKE:
        count = desk.controller.people.revoke_invites(by=desk.actor)
        toast = desk.tongue("people-revoked", count=count)
    elif press.act not in (PersonAct.LIST, PersonAct.SHOW, PersonAct.ASK_REMOVE):
        key = _change(press, desk)
        toast = desk.tongue(key)
        await turn_page(query, bot, _draw(press, desk))
        await answer_press(query, toast)
        await publish_for_admins(bot, desk.controller, desk.settings, texts)
        return
    await turn_page(query, bot, _draw(press, desk))
    await answer_press(query, toast)


async def _invite(query: CallbackQuery, press: PersonPress, bot: Bot, desk: Desk) -> None:
    """A link in a message of its own, so that it can be passed on."""
    role = Role.ADMIN if press.act is PersonAct.INVITE_ADMIN else Role.USER
    if not isinstance(query.message, Message):
        await answer_press(query, desk.tongue("toast-stale"))
        return
    me = await bot.me()
    code = desk.controller.people.invite(role, by=desk.actor)
    now = desk.controller.clock()
    link = f"https://t.me/{me.username}?start={code}"
    view = draw_invitation(link, role, now + INVITE_S, now, desk.tongue)
    await query.message.answer(**view.as_kwargs())
    await answer_press(query)


def _change(press: PersonPress, desk: Desk) -> str:
    """Do it and name the short notice; what the settings say, and oneself, stays."""
    people = desk.controller.people
    person = _find_person(press.user, desk)
    if person is None:
        return "toast-no-person"
    if press.act is PersonAct.BUDGET:
        people.set_day_budget(press.user, press.cents / 100 or None, by=desk.actor)
        return "toast-budget"
    if person.settled or press.user == desk.actor.user:
        return "toast-not-changed"
    if press.act is PersonAct.REMOVE:
        if not can_remove(person):
            return "toast-not-changed"
        people.remove(press.user, by=desk.actor)
        return "toast-removed"
    people.set_role(press.user, _CHANGES[press.act], by=desk.actor)
    return "toast-role"


def _draw(press: PersonPress, desk: Desk) -> View:
    listing = (PersonAct.LIST, PersonAct.REVOKE)
    person = None if press.act in listing else _find_person(press.user, desk)
    if person is None:
        return _draw_list(press.page, desk)
    return draw_person(
        person,
        desk.tongue,
        now=desk.controller.clock(),
        page=press.page,
        myself=person.user == desk.actor.user,
        asking=press.act is PersonAct.ASK_REMOVE,
        paid=desk.controller.rents,
    )


def _draw_list(number: int, desk: Desk) -> View:
    people = _list_people(desk)
    pages = max(1, -(-len(people) // PEOPLE_A_PAGE))
    number = min(number, pages - 1)
    first = number * PEOPLE_A_PAGE
    page = PeoplePage(
        people=people[first : first + PEOPLE_A_PAGE],
        total=len(people),
        page=number,
        pages=pages,
        paid=desk.controller.rents,
    )
    return draw_people(page, desk.tongue)


def _find_person(user: int, desk: Desk) -> Person | None:
    return next((each for each in _list_people(desk) if each.user == user), None)


def _list_people(desk: Desk) -> list[Person]:
    """Everybody whom the settings name or who has a row: admins first, blocked ones last."""
    members = {each.user: each for each in desk.controller.people.members()}
    users = members.keys() | desk.settings.admins | desk.settings.users
    people = [_describe(user, members.get(user), desk) for user in users]
    return sorted(people, key=lambda each: (_ORDER.index(each.role), each.name, each.user))


def _describe(user: int, member: Member | None, desk: Desk) -> Person:
    controller, settings = desk.controller, desk.settings
    name = find_name(controller, user)
    if member is not None and member.name and name == str(user):
        name = member.name
    inviter = member.invited_by if member else None
    return Person(
        user=user,
        name=name,
        role=find_role(controller, settings, user) or Role.BLOCKED,
        settled=settings.is_admin(user),
        listed=settings.is_user(user),
        today_usd=controller.spending.of_user_today(user),
        day_budget=controller.people.day_budget(user),
        invited_by=find_name(controller, inviter) if inviter is not None else "",
        added_at=member.added_at if member else None,
    )
