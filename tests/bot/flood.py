"""A Telegram that limits as the sandbox does, and writes down whoever does not obey."""

import asyncio
import itertools
import random
from collections import defaultdict

from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramBadRequest, TelegramRetryAfter
from aiogram.types import Chat, Message

from bot.sandbox.errors import ApiError
from bot.sandbox.limits import Limiter, Rates
from bot.screen.traffic import count_messages, find_chat


class FloodSession(BaseSession):
    """``breaches`` are calls to frozen chats, edits that change nothing, and odd edits."""

    def __init__(self, loop, seed=1) -> None:
        super().__init__()
        self.loop = loop
        self.limiter = Limiter(Rates())
        self.calls = defaultdict(list)
        """By chat: times of the messages and edits that were asked for."""
        self.told = []
        """When, where, and which text was taken."""
        self.frozen = defaultdict(list)
        """By chat: from when until when."""
        self.planned = defaultdict(list)
        """By chat: 429 at the first call after so many seconds, for so long."""
        self.breaches = []
        self.screen = {}
        self._ids = itertools.count(1)
        self._chance = random.Random(seed)

    async def close(self) -> None:
        return

    async def stream_content(self, url, **_):
        raise AssertionError("nothing is downloaded here")
        yield b""

    async def make_request(self, bot, method, timeout=None):  # noqa: ASYNC109
        chat, cost, now = find_chat(method), count_messages(method), self.loop.time()
        if chat is not None:
            self._require_thaw(chat, now, method)
        if chat is not None and cost:
            self.calls[chat] += [now] * cost
            self._limit(chat, cost, now, method)
        await self._travel()
        if chat is None or not cost:
            return True
        return self._take(bot, method, chat, now)

    def _require_thaw(self, chat, now, method) -> None:
        if any(start < now < end for start, end in self.frozen[chat]):
            self.breaches.append(f"{now:.2f}: {method.__api_method__} to frozen {chat}")

    def _limit(self, chat, cost, now, method) -> None:
        seconds = 0
        if self.planned[chat] and now >= self.planned[chat][0][0]:
            seconds = self.planned[chat].pop(0)[1]
        try:
            if not seconds:
                self.limiter.spend(chat, cost, now)
        except ApiError as error:
            seconds = error.retry_after
            self.breaches.append(f"{now:.2f}: too much for {chat}")
        if seconds:
            self.frozen[chat].append((now, now + seconds))
            raise TelegramRetryAfter(method=method, message="Too Many", retry_after=seconds)

    async def _travel(self) -> None:
        await asyncio.sleep(self._chance.uniform(0.03, 0.25))

    def _take(self, bot, method, chat, now):
        name = method.__api_method__
        number = getattr(method, "message_id", None)
        text = getattr(method, "text", None) or getattr(method, "caption", None) or ""
        content = (text, repr(getattr(method, "entities", None)), repr(method.reply_markup))
        if name.startswith("edit"):
            if (chat, number) not in self.screen:
                raise TelegramBadRequest(
                    method=method, message="Bad Request: message to edit not found"
                )
            if self.screen[chat, number] == content:
                self.breaches.append(f"{now:.2f}: {number} in {chat} was edited to what it was")
        else:
            number = next(self._ids)
        self.screen[chat, number] = content
        self.told.append((now, chat, text))
        message = Message(message_id=number, date=1, chat=Chat(id=chat, type="private"))
        return message.as_(bot)
