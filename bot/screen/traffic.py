"""What may be sent to a chat now: every call of the client passes here, whoever makes it.

The platform publishes no exact limits; what it says by 429 is obeyed to the second. A chat that
is frozen gets no call at all, the others go on.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any

from aiogram import Bot
from aiogram.client.session.middlewares.base import NextRequestMiddlewareType
from aiogram.exceptions import AiogramError, TelegramRetryAfter
from aiogram.methods import TelegramMethod

from bot.screen.counters import Counters
from bot.screen.pace import Pace, Window


class Urgency(IntEnum):
    """How much of a chat's room a call may use up; the less important leave some to the others."""

    PROGRESS = 0  #: a newer one comes soon: dropped where there is no room
    CHANGE = 1  #: a card that changed
    END = 2  #: a card that tells of an end
    ANSWER = 3  #: results, and answers to what a person did: they wait, and are never dropped


_SHARES = {Urgency.PROGRESS: 0.5, Urgency.CHANGE: 0.7, Urgency.END: 0.9, Urgency.ANSWER: 1.0}
#: Calls that may be made at once when it was quiet, over all chats.
_GLOBAL_BURST = 10
_urgency: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.ANSWER)


class Postponed(AiogramError):
    """There is no room for an edit of progress now; nothing was sent."""


@contextmanager
def urgent(urgency: Urgency) -> Iterator[None]:
    """Calls inside are of this urgency."""
    token = _urgency.set(urgency)
    try:
        yield
    finally:
        _urgency.reset(token)


class Traffic:
    """A middleware of the client's session that keeps an account for each chat."""

    def __init__(self, pace: Pace, counters: Counters | None = None) -> None:
        self.counters = counters or Counters()
        self._pace = pace
        self._calls: dict[int, deque[float]] = {}
        """When messages went to a chat, within its window; the loop's clock."""
        self._frozen: dict[int, float] = {}
        """Until when a chat gets nothing."""
        self._next_at = -math.inf
        """When the next call over all chats is due, at an even rate."""

    @contextmanager
    def watching(self, bot: Bot) -> Iterator[None]:
        """All calls of the bot pass here while the context is open."""
        bot.session.middleware(self)
        try:
            yield
        finally:
            bot.session.middleware.unregister(self)

    async def __call__(
        self, make_request: NextRequestMiddlewareType[Any], bot: Bot, method: TelegramMethod[Any]
    ) -> Any:
        chat, cost = find_chat(method), count_messages(method)
        if chat is None:
            return await make_request(bot, method)
        urgency, deadline = _urgency.get(), _now() + self._pace.patience_s
        while True:
            await self._wait_for_room(method, chat, cost, urgency, deadline)
            self._count(method, cost)
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter as error:
                self.counters.too_many += 1
                self.freeze(chat, error.retry_after)
                # a card is drawn anew when it is over; an answer has nobody to bring it again
                if urgency < Urgency.ANSWER or _now() + error.retry_after > deadline:
                    raise

    def freeze(self, chat: int, seconds: float) -> None:
        """Nothing goes to this chat for so long."""
        self._frozen[chat] = max(self._frozen.get(chat, -math.inf), _now() + seconds)

    def wait_s(self, chat: int, urgency: Urgency, cost: int = 1) -> float:
        """Seconds until a call of this urgency may be made; 0 for now."""
        now = _now()
        frozen_s = self._frozen.get(chat, -math.inf) - now
        return max(0.0, frozen_s, self._find_room_at(chat, urgency, cost, now) - now)

    async def _wait_for_room(
        self,
        method: TelegramMethod[Any],
        chat: int,
        cost: int,
        urgency: Urgency,
        deadline: float,
    ) -> None:
        """Return at the moment when the call may be made, its place taken."""
        placed = False
        while (wait_s := self.wait_s(chat, urgency, 0 if placed else cost)) > 0 or not placed:
            if wait_s > 0 and urgency is Urgency.PROGRESS:
                self.counters.postponed += 1
                raise Postponed
            if _now() + wait_s > deadline:
                raise TelegramRetryAfter(
                    method=method, message="no room in the chat", retry_after=math.ceil(wait_s)
                )
            if wait_s <= 0:
                # no await in between: nobody else gets the same place
                self._calls.setdefault(chat, deque()).extend([_now()] * cost)
                placed, wait_s = True, self._take_turn(cost)
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    def _take_turn(self, cost: int) -> float:
        """Seconds until it is this call's turn among those of all chats."""
        if not cost:
            return 0.0
        step_s, now = 1 / self._pace.global_per_s, _now()
        self._next_at = max(self._next_at, now - _GLOBAL_BURST * step_s) + cost * step_s
        return max(0.0, self._next_at - now)

    def _find_room_at(self, chat: int, urgency: Urgency, cost: int, now: float) -> float:
        window = self._find_window(chat)
        calls = self._calls.get(chat)
        if window is None or not calls or not cost:
            return -math.inf
        while calls and calls[0] <= now - window.seconds:
            calls.popleft()
        room = max(1, math.floor(window.calls * _SHARES[urgency]))
        over = len(calls) + min(cost, room) - room
        return calls[over - 1] + window.seconds if over > 0 else -math.inf

    def _find_window(self, chat: int) -> Window | None:
        return self._pace.group if chat < 0 else self._pace.private

    def _count(self, method: TelegramMethod[Any], cost: int) -> None:
        if method.__api_method__.startswith("edit"):
            self.counters.edits += cost
        else:
            self.counters.sends += cost


def find_chat(method: TelegramMethod[Any]) -> int | None:
    """The chat that a call goes to; None for what is no chat's."""
    chat = getattr(method, "chat_id", None)
    if isinstance(chat, str) and chat.lstrip("-").isdecimal():
        return int(chat)
    return chat if isinstance(chat, int) else None


def count_messages(method: TelegramMethod[Any]) -> int:
    """How many messages the platform counts for a call: sends and edits, an album by its parts."""
    name = method.__api_method__
    if name == "sendChatAction" or not name.startswith(("send", "edit", "copy", "forward")):
        return 0
    many = getattr(method, "media", None) or getattr(method, "message_ids", None)
    return len(many) if isinstance(many, list) and many else 1


def _now() -> float:
    return asyncio.get_running_loop().time()
