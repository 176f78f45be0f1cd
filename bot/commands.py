"""The lists of commands that clients show: per kind of chat, per language, and for admins.

What was set is remembered, so that a start with the same lists asks only whether they are there.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence

from aiogram import Bot
from aiogram.exceptions import AiogramError
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BotCommandScopeDefault,
    BotCommandScopeUnion,
)

from bot.roles import find_admins
from bot.settings import BotSettings
from bot.texts import LANGUAGES, Texts, Tongue
from controller.service import Controller

log = logging.getLogger(__name__)

_GROUP = ("status", "cancel")
LISTED = (
    "status", "cancel", "upscale", "smooth", "both", "x4", "batch", "settings", "language",
    "help", "start",
)  # fmt: skip
_DEFAULT = ("status", "cancel", "help", "start")
ADMIN_COMMANDS = ("machines", "spend", "users", "queue", "drain", "logs", "health")
#: Of nobody: where the deployment's own notes are.
_NOBODY = 0
_NOTE, _ADMIN_NOTE = "commands", "admin_commands"


async def publish_commands(
    bot: Bot, controller: Controller, settings: BotSettings, texts: Texts
) -> None:
    """Set what has changed. Trouble is logged only: the bot works without the lists."""
    scopes: list[tuple[BotCommandScopeUnion, Sequence[str]]] = [
        (BotCommandScopeDefault(), _DEFAULT),
        (BotCommandScopeAllPrivateChats(), LISTED),
        (BotCommandScopeAllGroupChats(), _GROUP),
    ]
    wanted = _fingerprint([names for _, names in scopes], texts)
    if controller.preference(_NOBODY, _NOTE) and not await _are_there(bot):
        for note in (_NOTE, _ADMIN_NOTE):
            controller.set_preference(_NOBODY, note, "")
    if controller.preference(_NOBODY, _NOTE) != wanted:
        try:
            for scope, names in scopes:
                await _set(bot, scope, names, texts)
            controller.set_preference(_NOBODY, _NOTE, wanted)
        except AiogramError as error:
            log.warning("the commands could not be set: %s", error)
    await publish_for_admins(bot, controller, settings, texts)


async def publish_for_admins(
    bot: Bot, controller: Controller, settings: BotSettings, texts: Texts
) -> None:
    """Give all who are admins now their wider list, and take it from those who were.

    An admin who never wrote to the bot has no chat yet: that is tried again another time.
    """
    wanted = _fingerprint([LISTED, ADMIN_COMMANDS], texts)
    admins = find_admins(controller, settings)
    known = _read_note(controller)
    for admin in admins:
        if known.get(admin) == wanted:
            continue
        try:
            names = (*LISTED, *ADMIN_COMMANDS)
            await _set(bot, BotCommandScopeChat(chat_id=admin), names, texts, admin=True)
        except AiogramError as error:
            log.info("no commands for admin %s, who may not have a chat yet: %s", admin, error)
        else:
            _write_note(controller, admin, wanted)
    for user in sorted(known.keys() - set(admins)):
        try:
            for code in _codes():
                await bot.delete_my_commands(BotCommandScopeChat(chat_id=user), code)
        except AiogramError as error:
            log.info("the commands of %s could not be removed: %s", user, error)
        else:
            _write_note(controller, user, None)


def list_commands(
    names: Sequence[str], tongue: Tongue, *, admin: bool = False
) -> list[BotCommand]:
    """Commands with what they do; a few do more for an admin."""
    commands = []
    for name in names:
        wide = f"command-{name}-admin"
        key = wide if admin and tongue.has(wide) else f"command-{name}"
        commands.append(BotCommand(command=name, description=tongue(key)))
    return commands


async def _are_there(bot: Bot) -> bool:
    """False for the token of another bot, and where the server began anew."""
    try:
        return bool(await bot.get_my_commands(BotCommandScopeAllPrivateChats()))
    except AiogramError as error:
        log.warning("the commands could not be read: %s", error)
        return True


async def _set(
    bot: Bot,
    scope: BotCommandScopeUnion,
    names: Sequence[str],
    texts: Texts,
    *,
    admin: bool = False,
) -> None:
    for language, code in zip(LANGUAGES, _codes(), strict=True):
        commands = list_commands(names, texts[language], admin=admin)
        await bot.set_my_commands(commands, scope, code)


def _codes() -> list[str | None]:
    """As Telegram is told: English is what everybody gets for whom there is nothing else."""
    return [None if language == "en" else language for language in LANGUAGES]


def _fingerprint(lists: Sequence[Sequence[str]], texts: Texts) -> str:
    shown = [
        [each.model_dump() for each in list_commands(names, texts[language], admin=admin)]
        for names in lists
        for language in LANGUAGES
        for admin in (False, True)
    ]
    packed = json.dumps(shown, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(packed.encode()).hexdigest()[:16]


def _read_note(controller: Controller) -> dict[int, str]:
    noted = json.loads(controller.preference(_NOBODY, _ADMIN_NOTE) or "{}")
    return {int(user): str(what) for user, what in noted.items()}


def _write_note(controller: Controller, user: int, what: str | None) -> None:
    noted = _read_note(controller)
    if what is None:
        noted.pop(user, None)
    else:
        noted[user] = what
    controller.set_preference(_NOBODY, _ADMIN_NOTE, json.dumps(noted))
