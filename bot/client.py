"""The aiogram client: which server, no parse mode, no link previews, no message twice."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.session.middlewares.base import (
    BaseRequestMiddleware,
    NextRequestMiddlewareType,
)
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import (
    EditMessageCaption,
    EditMessageMedia,
    EditMessageReplyMarkup,
    EditMessageText,
    SendDocument,
    SendMessage,
    SendPhoto,
    SendVideo,
    TelegramMethod,
)
from aiogram.types import Chat, Message

from bot.settings import BotSettings
from controller.vitals import Vitals

log = logging.getLogger(__name__)

_SENDS = (
    SendMessage, SendPhoto, SendVideo, SendDocument,
    EditMessageText, EditMessageCaption, EditMessageMedia, EditMessageReplyMarkup,
)  # fmt: skip
#: They do not show that Telegram is there: its servers, or a proxy, answer so while it is away.
_NO_ANSWERS = (TelegramNetworkError, TelegramServerError)


def make_bot(settings: BotSettings, session: BaseSession | None = None) -> Bot:
    """A client for the server of the settings.

    There is no parse mode, so that foreign text can never become markup, and no link previews,
    so that no crawler opens a result's link.
    """
    if session is None:
        session = AiohttpSession(
            api=TelegramAPIServer.from_base(settings.api_url, is_local=settings.local_files)
        )
    session.middleware(accept_unread_message)
    return Bot(
        settings.token,
        session=session,
        default=DefaultBotProperties(
            parse_mode=None, link_preview_is_disabled=True, allow_sending_without_reply=True
        ),
    )


class CountCalls(BaseRequestMiddleware):
    """Counts calls of the Bot API and those that came too often, for who watches; notes when
    Telegram answered last, be it with a refusal."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        vitals.beat("poller")
        vitals.beat("telegram")

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[Any],
        bot: Bot,
        method: TelegramMethod[Any],
    ) -> Any:
        name = method.__api_method__
        self._vitals.count("telegram_calls", name)
        try:
            answer = await make_request(bot, method)
        except TelegramAPIError as error:
            if isinstance(error, TelegramRetryAfter):
                self._vitals.count("telegram_floods", name)
            if not isinstance(error, _NO_ANSWERS):
                self._vitals.beat("telegram")
            raise
        self._vitals.beat("telegram")
        if name == "getUpdates":
            self._vitals.beat("poller")
        return answer


async def accept_unread_message(
    make_request: NextRequestMiddlewareType[Any], bot: Bot, method: TelegramMethod[Any]
) -> Any:
    """What Telegram says it has sent or edited counts as that, if its answer can be read or not.

    An error would have the message sent again. A message without a readable id gets 0, which
    no later edit finds.
    """
    try:
        return await make_request(bot, method)
    except ClientDecodeError as error:
        body = error.data if isinstance(error.data, dict) else {}
        if body.get("ok") is not True or not isinstance(method, _SENDS):
            raise
        log.warning("the answer to %s could not be read", method.__api_method__)
        chat_id = method.chat_id if isinstance(method.chat_id, int) else 0
        return _make_message(chat_id, body.get("result")).as_(bot)


def _make_message(chat_id: int, result: object) -> Message:
    """As much of a message as an answer of an unknown shape gives."""
    found = result.get("message_id") if isinstance(result, dict) else None
    return Message(
        message_id=found if isinstance(found, int) else 0,
        date=datetime.fromtimestamp(0, UTC),
        chat=Chat(id=chat_id, type="group" if chat_id < 0 else "private"),
    )
