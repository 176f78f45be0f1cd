"""Messages with pages: only the newest of each kind in a chat keeps its buttons.

Which one that is is a row, so a restart changes nothing.
"""

from __future__ import annotations

import logging

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import CallbackQuery, Message

from bot.cards.view import View
from bot.desk import Desk
from bot.handlers.errors import answer_press

log = logging.getLogger(__name__)


async def open_page(message: Message, bot: Bot, name: str, view: View, desk: Desk) -> None:
    """Send a new one; an older one in the same chat loses its buttons."""
    sent = await message.answer(**view.as_kwargs())
    chat = message.chat.id
    older = desk.controller.preference(chat, _key(name))
    desk.controller.set_preference(chat, _key(name), str(sent.message_id))
    if older and int(older) != sent.message_id:
        await drop_buttons(bot, chat, int(older))


async def is_newest(query: CallbackQuery, bot: Bot, name: str, desk: Desk) -> bool:
    """Whether a pressed button is on the newest one; on any other it is told and taken away."""
    message = query.message
    if message is None:
        await answer_press(query, desk.tongue("toast-stale"))
        return False
    if desk.controller.preference(message.chat.id, _key(name)) == str(message.message_id):
        return True
    await answer_press(query, desk.tongue("toast-old-page"))
    await drop_buttons(bot, message.chat.id, message.message_id)
    return False


async def turn_page(query: CallbackQuery, bot: Bot, view: View) -> None:
    """Show something else in the message under the button; one that is gone is left alone."""
    if query.message is None:
        return
    try:
        await bot.edit_message_text(
            **view.as_kwargs(),
            chat_id=query.message.chat.id,
            message_id=query.message.message_id,
        )
    except TelegramBadRequest as error:
        log.info("a page was not edited: %s", error.message)


async def drop_buttons(bot: Bot, chat: int, message: int) -> None:
    """Best effort: they may be gone, and their message too."""
    try:
        await bot.edit_message_reply_markup(chat_id=chat, message_id=message, reply_markup=None)
    except TelegramBadRequest as error:
        log.info("buttons were not removed: %s", error.message)


def _key(name: str) -> str:
    return f"page:{name}"
