"""/start, /help, and the lists of commands that clients show."""

from __future__ import annotations

import logging

from aiogram import Bot, F, Router
from aiogram.exceptions import AiogramError, TelegramAPIError
from aiogram.filters import Command, CommandStart
from aiogram.types import BotCommand, BotCommandScopeChat, BotCommandScopeDefault, Message

from bot.cards.wording import show_limit, show_paths
from bot.desk import Desk
from bot.settings import BotSettings
from bot.texts import LANGUAGES, Texts, Tongue

log = logging.getLogger(__name__)


def make_router() -> Router:
    router = Router(name="start")
    router.message.register(greet, F.text, CommandStart())
    router.message.register(show_help, F.text, Command("help"))
    return router


async def greet(message: Message, desk: Desk) -> None:
    await message.answer(desk.tongue("start"))


async def show_help(message: Message, desk: Desk) -> None:
    limit = show_limit(desk.settings.download_limit, desk.tongue)
    paths = show_paths(desk.controller.settings, desk.tongue)
    await message.answer(desk.tongue("help", limit=limit, paths=paths))


async def publish_commands(bot: Bot, settings: BotSettings, texts: Texts) -> None:
    """Set the commands per language, and wider ones for admins.

    An admin who never wrote to the bot has no chat yet: that is skipped. Trouble is logged and
    not raised, as the bot works without the lists.
    """
    try:
        for language in LANGUAGES:
            code = None if language == "en" else language
            commands = list_commands(texts[language])
            await bot.set_my_commands(commands, BotCommandScopeDefault(), code)
    except AiogramError as error:
        log.warning("the commands could not be set: %s", error)
    for admin in sorted(settings.admins):
        await _publish_for_admin(bot, admin, texts)


def list_commands(tongue: Tongue, *, admin: bool = False) -> list[BotCommand]:
    wide = "-admin" if admin else ""
    return [
        BotCommand(command="status", description=tongue(f"command-status{wide}")),
        BotCommand(command="cancel", description=tongue(f"command-cancel{wide}")),
        BotCommand(command="help", description=tongue("command-help")),
        BotCommand(command="start", description=tongue("command-start")),
    ]


async def _publish_for_admin(bot: Bot, admin: int, texts: Texts) -> None:
    try:
        for language in LANGUAGES:
            code = None if language == "en" else language
            commands = list_commands(texts[language], admin=True)
            await bot.set_my_commands(commands, BotCommandScopeChat(chat_id=admin), code)
    except TelegramAPIError as error:
        log.info("no commands for admin %s, who may not have started the bot: %s", admin, error)
    except AiogramError as error:
        log.warning("the commands of admin %s could not be set: %s", admin, error)
