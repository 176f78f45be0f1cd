"""Who is served at all, and in which language: before any handler sees an update."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.dispatcher.middlewares.user_context import UserContextMiddleware
from aiogram.enums import ChatType
from aiogram.types import Message, TelegramObject, Update, User

from bot.desk import Desk
from bot.names import note_person
from bot.roles import find_role
from bot.screen.notifier import Notifier
from bot.settings import BotSettings
from bot.texts import Texts, clean_name
from controller.records import Actor, Role
from controller.service import Controller

log = logging.getLogger(__name__)

_INVITATION = re.compile(r"/start\s+(inv_[A-Za-z0-9_-]{1,60})")

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class Gate(BaseMiddleware):
    """Default deny: only known numeric ids pass, for every kind of update.

    Everybody else gets nothing back, not even the answer to a button press, unless they open a
    private chat by an invitation that holds. What passes has a ``desk`` in its data, and in
    ``invited`` what somebody has just become.
    """

    def __init__(
        self, controller: Controller, settings: BotSettings, texts: Texts, notifier: Notifier
    ) -> None:
        self._controller = controller
        self._notifier = notifier
        self._settings = settings
        self._texts = texts

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user = find_sender(event) if isinstance(event, Update) else None
        if not isinstance(event, Update) or user is None:
            log.info("an update from nobody known was refused")
            return None
        role = find_role(self._controller, self._settings, user.id)
        data["invited"] = None
        if role is None:
            data["invited"] = role = self._let_in(event, user)
        if role is None or role is Role.BLOCKED:
            log.info("an update from %s was refused", user.id)
            return None
        if (chat := _find_chat(event)) is not None:
            self._notifier.reopen(chat)
        data["desk"] = self._make_desk(user, role)
        return await handler(event, data)

    def _let_in(self, update: Update, user: User) -> Role | None:
        """What a stranger becomes who follows an invitation."""
        code = find_invitation(update.message)
        if code is None:
            return None
        return self._controller.people.accept(code, user.id, clean_name(user.full_name))

    def _make_desk(self, user: User, role: Role) -> Desk:
        preference = self._controller.preference(user.id, "language")
        tongue = self._texts.pick(user.language_code, preference)
        note_person(self._controller, user, tongue.language)
        return Desk(
            actor=Actor(user.id, admin=role is Role.ADMIN),
            tongue=tongue,
            controller=self._controller,
            settings=self._settings,
            notifier=self._notifier,
        )


def find_sender(update: Update) -> User | None:
    """The person behind an update; None for channels, anonymous admins and bots."""
    if isinstance(message := _find_message(update), Message) and message.sender_chat is not None:
        return None
    user = UserContextMiddleware.resolve_event_context(update).user
    return None if user is None or user.is_bot else user


def find_invitation(message: Message | None) -> str | None:
    """The code in ``/start inv_…``, as the link of an invitation has a client send it."""
    if message is None or message.chat.type != ChatType.PRIVATE:
        return None
    found = _INVITATION.fullmatch(message.text or "")
    return found[1] if found else None


def _find_chat(update: Update) -> int | None:
    if (query := update.callback_query) is not None:
        return query.message.chat.id if query.message else None
    return update.message.chat.id if update.message else None


def _find_message(update: Update) -> Message | None:
    """A message that somebody sent; not the one under a pressed button, which is the bot's own."""
    return update.message or update.edited_message or update.channel_post
