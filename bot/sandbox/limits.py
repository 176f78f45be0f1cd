"""What may be refused for being too much: sizes, ages, rates; and faults made on purpose.

Telegram publishes no exact flood limits. The defaults follow its FAQ (core.telegram.org/bots/faq)
and the words of the server's developer: about one message a second in a chat with short bursts,
twenty a minute in a group, thirty a second over all, and edits share the budget of sends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from bot.sandbox.errors import too_many_requests
from bot.sandbox.updates import FIRST_ID

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Sizes and ages.

    ``local_files``: as a server started with ``--local``, which gives and takes absolute paths and
    knows no 20 MB rule. ``privacy``: in groups the bot gets only what is meant for it.
    ``first_update_id``, ``first_message_id``: a server that starts anew may count on, or from
    elsewhere.
    """

    max_download_bytes: int = 20 * MIB
    max_upload_bytes: int = 50 * MIB
    local_files: bool = False
    privacy: bool = True
    delete_window_s: float = 48 * 3600
    query_timeout_s: float = 30.0
    first_update_id: int = FIRST_ID
    first_message_id: int = 1

    @property
    def download_bytes(self) -> float:
        return math.inf if self.local_files else self.max_download_bytes

    @property
    def upload_bytes(self) -> float:
        return 2000 * MIB if self.local_files else self.max_upload_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Bursts are counts, rates are messages per second."""

    private_burst: float = 20
    private_per_s: float = 1.0
    group_burst: float = 20
    group_per_s: float = 20 / 60
    global_burst: float = 30
    global_per_s: float = 30.0


class TokenBucket:
    """``burst`` tokens at most, ``per_s`` new ones each second."""

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._tokens = burst
        self._filled_at = now

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until ``cost`` tokens are there; a cost above the burst waits for a full one."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
        self._filled_at = now
        missing = min(cost, self._burst) - self._tokens
        return max(0.0, missing / self._per_s)

    def take(self, cost: float) -> None:
        self._tokens -= cost


class Limiter:
    """One bucket per chat and one over all; ``rates`` None switches it off."""

    def __init__(self, rates: Rates | None) -> None:
        self.rates = rates
        self._chats: dict[int, TokenBucket] = {}
        self._global: TokenBucket | None = None

    def configure(self, rates: Rates | None) -> None:
        """New rates, and full buckets."""
        self.rates = rates
        self._chats.clear()
        self._global = None

    def spend(self, chat_id: int, cost: int, now: float) -> None:
        """Pay for ``cost`` messages to a chat.

        Raises:
            ApiError: 429 with ``retry_after`` rounded up to whole seconds.
        """
        if self.rates is None:
            return
        if self._global is None:
            self._global = TokenBucket(self.rates.global_burst, self.rates.global_per_s, now)
        chat = self._bucket(chat_id, self.rates, now)
        wait_s = max(chat.wait_s(cost, now), self._global.wait_s(cost, now))
        if wait_s > 0:
            raise too_many_requests(max(1, math.ceil(wait_s)))
        chat.take(cost)
        self._global.take(cost)

    def _bucket(self, chat_id: int, rates: Rates, now: float) -> TokenBucket:
        if chat_id not in self._chats:
            is_group = chat_id < 0
            burst = rates.group_burst if is_group else rates.private_burst
            per_s = rates.group_per_s if is_group else rates.private_per_s
            self._chats[chat_id] = TokenBucket(burst, per_s, now)
        return self._chats[chat_id]


class FaultKind(StrEnum):
    RETRY_AFTER = "retry_after"  # 429 with retry_after = seconds
    SERVER_ERROR = "server_error"  # 500 with Telegram's body
    BAD_GATEWAY = "bad_gateway"  # 502 with a page of HTML, as a proxy answers
    DROP_BEFORE = "drop_before"  # the connection dies, nothing happened
    DROP_AFTER = "drop_after"  # it happened, the connection dies before the answer
    DELAY = "delay"  # it happens after so many seconds


@dataclass(slots=True, kw_only=True)
class Fault:
    """The next ``times`` calls of ``method`` (``*``: any but getUpdates) suffer it.

    ``seconds`` is the ``retry_after`` or the delay.
    """

    kind: FaultKind
    method: str = "*"
    times: int = 1
    seconds: float = 1.0
    chat_id: int | None = None

    def hits(self, method: str, chat_id: int | None) -> bool:
        if self.chat_id is not None and self.chat_id != chat_id:
            return False
        if self.method == "*":
            return method.lower() != "getupdates"
        return self.method.lower() == method.lower()


class Faults:
    def __init__(self) -> None:
        self._planned: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._planned.append(fault)

    def clear(self) -> None:
        self._planned.clear()

    def take(self, method: str, chat_id: int | None) -> Fault | None:
        """The first fault planned for this call, used up by one."""
        for fault in self._planned:
            if fault.hits(method, chat_id):
                fault.times -= 1
                if fault.times <= 0:
                    self._planned.remove(fault)
                return fault
        return None
