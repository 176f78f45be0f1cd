"""Who is served at all, and in which language: before any handler sees an update."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.dispatcher.middlewares.user_context import UserContextMiddleware
from aiogram.types import Message, TelegramObject, Update, User

from bot.desk import Desk
from bot.screen.notifier import Notifier
from bot.settings import BotSettings
from bot.texts import Texts
from controller.records import Actor
from controller.service import Controller

log = logging.getLogger(__name__)

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class Gate(BaseMiddleware):
    """Default deny: only listed numeric ids pass, for every kind of update.

    Everybody else gets nothing back, not even the answer to a button press. What passes has
    a ``desk`` in its data.
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
        if user is None or not self._settings.is_user(user.id):
            log.info("an update from %s was refused", user.id if user else "nobody known")
            return None
        if isinstance(event, Update) and (chat := _find_chat(event)) is not None:
            self._notifier.reopen(chat)
        preference = self._controller.preference(user.id, "language")
        data["desk"] = Desk(
            actor=Actor(user.id, admin=self._settings.is_admin(user.id)),
            tongue=self._texts.pick(user.language_code, preference),
            controller=self._controller,
            settings=self._settings,
            notifier=self._notifier,
        )
        return await handler(event, data)


def find_sender(update: Update) -> User | None:
    """The person behind an update; None for channels, anonymous admins and bots."""
    if isinstance(message := _find_message(update), Message) and message.sender_chat is not None:
        return None
    user = UserContextMiddleware.resolve_event_context(update).user
    return None if user is None or user.is_bot else user


def _find_chat(update: Update) -> int | None:
    if (query := update.callback_query) is not None:
        return query.message.chat.id if query.message else None
    return update.message.chat.id if update.message else None


def _find_message(update: Update) -> Message | None:
    """A message that somebody sent; not the one under a pressed button, which is the bot's own."""
    return update.message or update.edited_message or update.channel_post
