"""Puts the bot together and runs it: poller, inbox and notifier in one task group."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from aiogram import Dispatcher
from aiogram.client.session.base import BaseSession

from bot.client import CountCalls, make_bot
from bot.commands import publish_commands
from bot.feed.inbox import Inbox
from bot.feed.poller import Poller
from bot.handlers import make_routers
from bot.handlers.errors import tell_crash
from bot.middlewares import Gate
from bot.screen.notifier import Notifier
from bot.screen.pace import Pace
from bot.settings import BotSettings
from bot.texts import Texts
from bot.web.server import serve_web
from controller.errors import SettingsError
from controller.service import Controller

log = logging.getLogger(__name__)

ServePages = Callable[[Controller, BotSettings, Texts], AbstractAsyncContextManager[object]]


def build_dispatcher(
    controller: Controller, settings: BotSettings, texts: Texts, *, pace: Pace | None = None
) -> Dispatcher:
    """Handlers behind the gate. ``dispatcher["notifier"]`` shows what they change, if it runs."""
    notifier = Notifier(controller, settings, texts, pace)
    dispatcher = Dispatcher(disable_fsm=True, notifier=notifier, texts=texts)
    dispatcher.update.outer_middleware(Gate(controller, settings, texts, notifier))
    dispatcher.include_routers(*make_routers())
    return dispatcher


async def run_bot(
    controller: Controller,
    bot_settings: BotSettings,
    *,
    pace: Pace | None = None,
    session: BaseSession | None = None,
    serve: ServePages = serve_web,
) -> None:
    """Serve until cancelled. :class:`SettingsError` if the token is not accepted.

    ``session`` and ``serve`` take the place of the network on either side.
    """
    texts = Texts()
    bot = make_bot(bot_settings, session)
    bot.session.middleware(CountCalls(controller.vitals))
    controller.claim(f"bot {bot.id}")
    dispatcher = build_dispatcher(controller, bot_settings, texts, pace=pace)
    notifier: Notifier = dispatcher["notifier"]
    give_up = functools.partial(
        tell_crash, bot, controller=controller, texts=texts, settings=bot_settings
    )
    inbox = Inbox(bot, dispatcher, controller, give_up)
    poller = Poller(bot, controller, inbox.wake)
    try:
        async with serve(controller, bot_settings, texts), asyncio.TaskGroup() as group:
            group.create_task(notifier.run(bot), name="notifier")
            group.create_task(inbox.run(), name="inbox")
            group.create_task(poller.run(), name="poller")
            group.create_task(
                publish_commands(bot, controller, bot_settings, texts), name="commands"
            )
    except* SettingsError as problems:
        raise _find_settings_error(problems) from None
    finally:
        await bot.session.close()


def _find_settings_error(problems: BaseExceptionGroup[SettingsError]) -> SettingsError:
    """The first one, without the group around it."""
    first: BaseException = problems
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, SettingsError) else SettingsError([str(first)])
