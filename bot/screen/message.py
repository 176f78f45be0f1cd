"""One message of the bot that is edited: as text, or as a picture with a caption.

Texts of errors are Telegram's own (github.com/tdlib/telegram-bot-api, Client.cpp): there are no
codes.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    AiogramError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramNotFound,
)
from aiogram.types import FSInputFile, InputMediaPhoto

from bot.cards.progress import CAPTION_UNITS, cut
from bot.cards.view import View
from controller.errors import StorageError
from controller.records import Card

log = logging.getLogger(__name__)

PHOTO, REFUSED, GONE = "photo", "refused", "gone"
_IS_MEDIA = "there is no text in the message to edit"
_MESSAGE_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
_CHAT_GONE = (
    "chat not found",
    "peer_id_invalid",
    "not enough rights to send text messages",
    "have no rights to send a message",
    "chat_write_forbidden",
    "chat_send_plain_forbidden",
)


async def edit_message(
    bot: Bot,
    card: Card,
    view: View,
    media: str,
    frame: AbstractAsyncContextManager[Path] | None,
) -> str:
    """Show a view; returns what the message is now: ``""`` text, ``photo``, ``refused``, ``gone``.

    ``media`` is what it was, ``frame`` a picture that it should become.
    """
    try:
        if frame is not None:
            media = await _become_photo(bot, card, view, frame)
            if media == PHOTO:
                return media
        if media == PHOTO:
            await bot.edit_message_caption(
                chat_id=card.chat, message_id=card.message, **_caption(view),
                reply_markup=view.keyboard,
            )  # fmt: skip
        else:
            await bot.edit_message_text(
                **view.as_kwargs(), chat_id=card.chat, message_id=card.message
            )
    except TelegramBadRequest as error:
        if is_unchanged(error):
            return media
        if is_gone(error):
            return GONE
        if media == PHOTO or _IS_MEDIA not in error.message.lower():
            raise
        # it became a photo by a call whose answer was lost
        return await edit_message(bot, card, view, PHOTO, None)
    return media


async def delete_message(bot: Bot, card: Card) -> None:
    """Best effort: one that is too old to be deleted (Bot API: deleteMessage), or gone, stays."""
    if card.message is None:
        return
    try:
        await bot.delete_message(chat_id=card.chat, message_id=card.message)
    except AiogramError as error:
        log.info("an old card of %s stays: %s", card.subject, type(error).__name__)


def is_unchanged(error: TelegramBadRequest) -> bool:
    return "message is not modified" in error.message.lower()


def is_gone(error: TelegramBadRequest) -> bool:
    """Whether the message is not there any more, or is not to be edited any more."""
    text = error.message.lower()
    return any(each in text for each in _MESSAGE_GONE)


def is_closed(error: TelegramBadRequest) -> bool:
    """Whether nothing can be sent to the chat any more; it may forbid media alone."""
    text = error.message.lower()
    return any(each in text for each in _CHAT_GONE)


async def _become_photo(
    bot: Bot, card: Card, view: View, frame: AbstractAsyncContextManager[Path]
) -> str:
    """Text becomes a photo (Bot API 10: editMessageMedia); a server may not know that yet."""
    try:
        async with frame as path:
            picture = InputMediaPhoto(
                media=FSInputFile(path, filename="preview.png"), **_caption(view)
            )
            await bot.edit_message_media(
                picture, chat_id=card.chat, message_id=card.message, reply_markup=view.keyboard
            )
    except (TelegramBadRequest, TelegramEntityTooLarge, TelegramNotFound) as error:
        if isinstance(error, TelegramBadRequest) and (
            is_gone(error) or is_closed(error) or is_unchanged(error)
        ):
            raise
        log.info("the card of %s stays text: %s", card.subject, error.message)
        return REFUSED
    except (StorageError, OSError) as error:
        log.info("the card of %s stays text: %s", card.subject, type(error).__name__)
        return REFUSED
    return PHOTO


def _caption(view: View) -> dict[str, Any]:
    return cut(view.text, CAPTION_UNITS).as_kwargs(
        text_key="caption", entities_key="caption_entities", parse_mode_key="parse_mode"
    )
