"""Gets updates: each is committed to the inbox before the next request confirms it.

Telegram forgets an update as soon as a request with a higher offset comes (Bot API: getUpdates),
so the order here is: receive, commit, only then ask on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    AiogramError,
    TelegramConflictError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.methods import TelegramMethod

from controller.errors import DatabaseFull, SettingsError
from controller.service import Controller

log = logging.getLogger(__name__)

ALLOWED_UPDATES = ["message", "callback_query"]


class GetRawUpdates(TelegramMethod[list[dict[str, Any]]]):
    """getUpdates with a raw answer: one update that does not parse cannot spoil the others."""

    __returning__ = list[dict[str, Any]]
    __api_method__ = "getUpdates"

    offset: int | None = None
    limit: int | None = None
    timeout: int | None = None
    allowed_updates: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits that double from ``first_s`` up to ``longest_s``."""

    first_s: float = 1.0
    longest_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, 1 or more."""
        return float(min(self.longest_s, self.first_s * 2 ** min(failures - 1, 16)))


class Poller:
    """Long polling that survives everything but a refused token."""

    def __init__(
        self,
        bot: Bot,
        controller: Controller,
        on_news: Callable[[], None],
        *,
        timeout_s: int = 25,
        backoff: Backoff | None = None,
    ) -> None:
        self._bot = bot
        self._controller = controller
        self._on_news = on_news
        self._timeout_s = timeout_s
        self._backoff = backoff or Backoff()
        self._failures = 0
        self._answered = False

    async def run(self) -> None:
        """Until cancelled. :class:`SettingsError` if the token is not accepted."""
        while True:
            try:
                updates = await self._fetch()
                if updates:
                    self._controller.inbox_add(_pack(updates))
            except DatabaseFull as error:
                # not confirmed: Telegram keeps them and sends them again
                self._failures += 1
                log.error("Updates are left with Telegram: %s", error)
                await asyncio.sleep(self._backoff.wait_s(self._failures))
                continue
            except AiogramError as error:
                self._failures += 1
                await asyncio.sleep(await self._judge(error))
                continue
            if self._failures:
                log.info("getUpdates works again after %s failures", self._failures)
            self._failures = 0
            self._answered = True
            if updates:
                self._on_news()

    async def _fetch(self) -> list[dict[str, Any]]:
        method = GetRawUpdates(
            offset=self._controller.inbox_offset(),
            limit=100,
            timeout=self._timeout_s,
            allowed_updates=ALLOWED_UPDATES,
        )
        return await self._bot(method, request_timeout=self._timeout_s + 15)

    async def _judge(self, error: AiogramError) -> float:
        """Seconds until the next try; raises if there is no use in one."""
        if isinstance(error, TelegramUnauthorizedError) or (
            isinstance(error, TelegramNotFound) and not self._answered
        ):
            raise SettingsError(
                ["TELEGRAM_BOT_TOKEN is not accepted by the server: check it with @BotFather"]
            ) from None
        if isinstance(error, TelegramRetryAfter):
            log.warning("getUpdates must wait %s s", error.retry_after)
            return error.retry_after
        log.warning("getUpdates failed: %s", error)
        if isinstance(error, TelegramConflictError) and "webhook" in error.message.lower():
            await self._drop_webhook()
        return self._backoff.wait_s(self._failures)

    async def _drop_webhook(self) -> None:
        """A webhook left by an earlier set-up keeps polling out; waiting updates stay."""
        try:
            await self._bot.delete_webhook(drop_pending_updates=False)
        except AiogramError as error:
            log.warning("the webhook could not be removed: %s", error)


def _pack(updates: list[dict[str, Any]]) -> list[tuple[int, str]]:
    packed = []
    for update in updates:
        if isinstance(update_id := update.get("update_id"), int):
            # half of a surrogate pair is text to JSON and to Python, but not to the database
            packed.append((update_id, json.dumps(update, ensure_ascii=True)))
        else:
            log.error("an update without an id was left out")
    return packed
