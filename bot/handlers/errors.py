"""What a user is told when something fails: the text of a typed error, never an exception's."""

from __future__ import annotations

import logging

from aiogram import Bot, Router
from aiogram.exceptions import AiogramError, TelegramBadRequest, TelegramForbiddenError
from aiogram.filters import ExceptionTypeFilter
from aiogram.types import CallbackQuery, ErrorEvent, Message, Update

from bot.cards.wording import describe_error
from bot.desk import Desk
from bot.handlers.taking import find_looking
from bot.middlewares import find_sender
from bot.roles import find_role
from bot.settings import BotSettings
from bot.texts import Texts, Tongue
from controller.errors import UserError
from controller.records import Job, Role
from controller.service import Controller

log = logging.getLogger(__name__)


def make_router() -> Router:
    """What a user can mend, and closed chats. The rest is for the inbox, which tries again."""
    router = Router(name="errors")
    router.error.register(tell_user_error, ExceptionTypeFilter(UserError))
    router.error.register(mute, ExceptionTypeFilter(TelegramForbiddenError))
    return router


async def tell_user_error(event: ErrorEvent, desk: Desk) -> None:
    """The text of the error's code, where the user acted: under the press or as a reply."""
    error = event.exception
    if not isinstance(error, UserError):
        raise error
    text = describe_error(error, desk.tongue, desk.controller.settings, desk.settings)
    if query := event.update.callback_query:
        await answer_press(query, text, alert=True)
    elif message := event.update.message:
        await message.reply(text)


async def mute(event: ErrorEvent) -> None:
    """The user blocked the bot, or the group removed it: there is nobody to tell."""
    log.info("update %s: the chat is closed to the bot", event.update.update_id)


async def answer_press(
    query: CallbackQuery, text: str | None = None, *, alert: bool = False
) -> None:
    """End the spinner of a button. One that was pressed long ago cannot be answered any more."""
    try:
        await query.answer(text[:200] if text else None, show_alert=alert)
    except TelegramBadRequest as error:
        if "query is too old" not in error.message and "query ID is invalid" not in error.message:
            raise
        log.info("a button press was too old to be answered")


async def answer_about(query: CallbackQuery, job: Job, toast: str | None, desk: Desk) -> None:
    """End the spinner and have the card drawn anew, also where a stale one was pressed."""
    desk.notifier.poke(job.id)
    await answer_press(query, desk.tongue(toast) if toast else None)


async def tell_crash(
    bot: Bot, update: Update, *, controller: Controller, texts: Texts, settings: BotSettings
) -> None:
    """Say once that an update was given up. Best effort: failing here must not stop the inbox."""
    user = find_sender(update)
    role = find_role(controller, settings, user.id) if user else None
    if user is None or role is None or role is Role.BLOCKED:
        return
    tongue = texts.pick(user.language_code, controller.preference(user.id, "language"))
    try:
        if query := update.callback_query:
            await answer_press(query, tongue("crashed"), alert=True)
        elif message := update.message:
            await _tell_crash_at(bot, message, tongue, find_looking(controller, user.id, message))
    except AiogramError as error:
        log.warning("a user could not be told of a crash: %s", type(error).__name__)


async def _tell_crash_at(bot: Bot, message: Message, tongue: Tongue, looking: int | None) -> None:
    """On the card that was opened for the message, else as a reply."""
    if looking is not None:
        try:
            await bot.edit_message_text(
                tongue("crashed"), chat_id=message.chat.id, message_id=looking
            )
            return
        except TelegramBadRequest:
            log.info("the card of a crashed update cannot be edited")
    await bot.send_message(
        message.chat.id, tongue("crashed"), reply_parameters=message.as_reply_parameters()
    )
