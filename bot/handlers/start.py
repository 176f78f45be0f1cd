"""/start with what links put behind it, and /help."""

from __future__ import annotations

import logging

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.exceptions import AiogramError
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.types import Message, User
from aiogram.utils.formatting import Bold

from bot.cards.view import View
from bot.cards.welcome import draw_invited
from bot.cards.wording import show_limit, show_paths
from bot.commands import publish_for_admins
from bot.desk import Desk
from bot.handlers.settings import draw_greeting
from bot.handlers.status import find_subject
from bot.names import find_language
from bot.texts import Texts, clean_name
from controller.people import INVITE_PREFIX
from controller.records import Role

log = logging.getLogger(__name__)

_JOB_PREFIX = "job_"


def make_router() -> Router:
    router = Router(name="start")
    router.message.register(greet, F.text, CommandStart())
    router.message.register(show_help, F.text, Command("help"))
    return router


async def greet(
    message: Message,
    *,
    command: CommandObject,
    bot: Bot,
    desk: Desk,
    texts: Texts,
    invited: Role | None,
) -> None:
    """Say what the bot does; a link may bring somebody in, or to a job's card."""
    payload = (command.args or "").strip()
    private = message.chat.type == ChatType.PRIVATE
    user = message.from_user
    if payload.startswith(_JOB_PREFIX) and private:
        await _open_card(message, payload.removeprefix(_JOB_PREFIX), desk)
        return
    if payload.startswith(INVITE_PREFIX) and private and user and invited is None:
        invited = _raise(payload, user, desk)
    if invited is None or user is None:
        await message.answer(**draw_greeting(desk, desk.tongue).as_kwargs())
    else:
        await message.answer(**_draw_welcome(invited, user, desk).as_kwargs())
        await _tell_inviter(user, invited, bot, desk, texts)
    if desk.actor.admin or invited is Role.ADMIN:
        await publish_for_admins(bot, desk.controller, desk.settings, texts)


async def show_help(message: Message, desk: Desk) -> None:
    limit = show_limit(desk.settings.download_limit, desk.tongue)
    paths = show_paths(desk.controller.settings, desk.tongue)
    await message.answer(desk.tongue("help", limit=limit, paths=paths))


def _raise(code: str, user: User, desk: Desk) -> Role | None:
    """What somebody becomes by a link who was served before; None where that is nothing new."""
    if desk.actor.admin:
        return None
    before = desk.controller.people.role(user.id)
    role = desk.controller.people.accept(code, user.id, clean_name(user.full_name))
    return role if role is not before and role is Role.ADMIN else None


def _draw_welcome(role: Role, user: User, desk: Desk) -> View:
    limit = show_limit(desk.settings.download_limit, desk.tongue)
    path = show_paths(desk.controller.settings, desk.tongue)
    return draw_invited(role, clean_name(user.full_name, 40), desk.tongue, limit=limit, path=path)


async def _open_card(message: Message, job_id: str, desk: Desk) -> None:
    """The card anew at the bottom, or where to look for it."""
    job = desk.controller.get(job_id, by=desk.actor)
    if job.chat == message.chat.id:
        desk.notifier.resend(find_subject(job))
    else:
        await message.reply(desk.tongue("job-elsewhere", id=job.short_id))


async def _tell_inviter(user: User, role: Role, bot: Bot, desk: Desk, texts: Texts) -> None:
    """Best effort: the invited person is in all the same."""
    inviter = desk.controller.people.invited_by(user.id)
    if inviter is None:
        return
    tongue = texts[find_language(desk.controller, inviter)]
    key = "invite-taken-admin" if role is Role.ADMIN else "invite-taken-user"
    text = tongue.rich(key, name=Bold(clean_name(user.full_name, 40)), id=str(user.id))
    try:
        await bot.send_message(inviter, **text.as_kwargs())
    except AiogramError as error:
        log.info("the inviter %s could not be told: %s", inviter, type(error).__name__)
