"""The queue of updates and its long polling, with Telegram's confirmation by offset."""

from __future__ import annotations

import time
from typing import Any

from bot.sandbox.chats import Json, Signal
from bot.sandbox.errors import ApiError

# https://core.telegram.org/bots/api#getupdates: these three come only when they were asked for.
ON_REQUEST_ONLY = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
MAX_TIMEOUT_S = 50
MAX_LIMIT = 100
FIRST_ID = 100_000_001
#: An offset further than this past the newest update counts as none (tdlib/telegram-bot-api).
MAX_AHEAD = 10
CONFLICT = (
    "Conflict: terminated by other getUpdates request; "
    "make sure that only one bot instance is running"
)


class UpdateQueue:
    """Updates stay until a later offset confirms them, so a bot that died gets them again."""

    def __init__(self, first_id: int = FIRST_ID) -> None:
        self.pending: list[Json] = []
        self.allowed: frozenset[str] | None = None
        self.changed = Signal()
        self._next_id = first_id
        self._poll = 0

    def push(self, kind: str, payload: Json) -> bool:
        """Queue an update; False if the bot did not ask for this kind."""
        if not self._wanted(kind):
            return False
        self.pending.append({"update_id": self._next_id, kind: payload})
        self._next_id += 1
        self.changed.notify()
        return True

    async def poll(
        self, *, offset: int, limit: int, timeout_s: float, allowed: list[Any] | None
    ) -> list[Json]:
        """Wait up to ``timeout_s`` seconds for updates from ``offset`` on, as getUpdates does.

        A negative ``offset`` counts from the end and forgets what is before. One that is too
        far past the newest update forgets nothing and is answered from the first one on.

        Raises:
            ApiError: 409, to an older poll that is still waiting when this one arrives.
        """
        if allowed is not None:
            self.allowed = frozenset(str(kind) for kind in allowed) or None
        self._poll += 1
        mine = self._poll
        self.changed.notify()
        self._confirm(offset)
        ends_at = time.monotonic() + min(max(timeout_s, 0), MAX_TIMEOUT_S)
        while not self.pending and not self.changed.closed:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                break
            await self.changed.wait(left_s)
            if self._poll != mine:
                raise ApiError(409, CONFLICT)
        count = limit if 1 <= limit <= MAX_LIMIT else MAX_LIMIT
        return self.pending[:count]

    @property
    def asked_for(self) -> bool:
        """True once a bot has asked for updates."""
        return self._poll > 0

    def drop(self) -> None:
        self.pending.clear()

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self.pending = self.pending[offset:]
        elif 0 < offset <= self._next_id - 1 + MAX_AHEAD:
            self.pending = [update for update in self.pending if update["update_id"] >= offset]

    def _wanted(self, kind: str) -> bool:
        if self.allowed is None:
            return kind not in ON_REQUEST_ONLY
        return kind in self.allowed
