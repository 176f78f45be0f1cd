"""The aiogram client: which server, no parse mode, no link previews."""

from __future__ import annotations

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer

from bot.settings import BotSettings


def make_bot(settings: BotSettings, session: BaseSession | None = None) -> Bot:
    """A client for the server of the settings.

    There is no parse mode, so that foreign text can never become markup, and no link previews,
    so that no crawler opens a result's link.
    """
    if session is None:
        session = AiohttpSession(
            api=TelegramAPIServer.from_base(settings.api_url, is_local=settings.local_files)
        )
    return Bot(
        settings.token,
        session=session,
        default=DefaultBotProperties(
            parse_mode=None, link_preview_is_disabled=True, allow_sending_without_reply=True
        ),
    )
