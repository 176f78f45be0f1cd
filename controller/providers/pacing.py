"""How often an API may be asked, route by route, and how that is learnt from its refusals."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from controller.errors import RateLimited

#: A wait longer than this is the caller's to take: it may have better things to do.
PATIENCE_S = 90.0
_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 120.0
_WIDEST_S = 30.0
_TINY_S = 1e-3
#: Two requests that leave in time may arrive too close.
_MARGIN = 1.05
_NARROWING = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """``burst`` requests at most in any ``burst * interval_s``."""

    interval_s: float
    burst: int = 1
    longest_hold_s: float = 900.0
    """A hold that the server asks for is believed for so long, then it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """What a refusal said of when to come again; None where it did not."""

    pause_s: float | None = None
    interval_s: float | None = None


class Pace:
    """The pace of one route: waits before a request, never after it."""

    def __init__(
        self,
        limit: Limit,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        random: Callable[[], float],
    ) -> None:
        self._state = _State(
            interval_s=limit.interval_s * _MARGIN, sent=deque(maxlen=max(1, limit.burst))
        )
        self._longest_hold_s = limit.longest_hold_s
        self._narrowest_s = self._state.interval_s
        self._clock, self._sleep, self._random = clock, sleep, random
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when a request may leave. :class:`RateLimited` where that takes too long."""
        async with self._turn:
            while (wait_s := self._wait_s()) > _TINY_S:
                if wait_s > PATIENCE_S:
                    raise RateLimited(f"asked too often: not again for {wait_s:.0f} s")
                await self._sleep(wait_s)
            self._state.sent.append(self._clock())

    def ended(self) -> None:
        """A request is over. The server counts from its arrival: that was now at the latest."""
        if self._state.sent:
            self._state.sent[-1] = self._clock()

    def passed(self) -> None:
        """A request was let through: come back, slowly, to the pace at the start."""
        state = self._state
        state.strikes = 0
        state.interval_s = max(self._narrowest_s, state.interval_s * _NARROWING)

    def refused(self, hint: Hint) -> None:
        """A request came too early: wait now, and leave more time between them from now on."""
        state = self._state
        state.strikes += 1
        pause_s = min(_FIRST_PAUSE_S * 2 ** (state.strikes - 1), _LONGEST_PAUSE_S)
        pause_s *= 0.75 + self._random() / 2
        if hint.interval_s is not None:
            state.interval_s = max(state.interval_s, hint.interval_s * _MARGIN)
            pause_s = max(pause_s, state.interval_s)
        else:
            state.interval_s = min(max(state.interval_s * 1.5, 0.5), _WIDEST_S)
        if hint.pause_s is not None:
            pause_s = max(hint.pause_s, 1.0)
        state.held_at = self._clock()
        state.held_s = min(pause_s, self._longest_hold_s)

    def _wait_s(self) -> float:
        state, now = self._state, self._clock()
        # a clock that was set back must not stretch any wait
        state.held_at = min(state.held_at, now)
        state.sent = deque((min(each, now) for each in state.sent), state.sent.maxlen)
        waits = [0.0, _left(state.held_at, state.held_s, now)]
        if state.sent and state.interval_s > self._narrowest_s:
            waits.append(_left(state.sent[-1], state.interval_s, now))
        if len(state.sent) == state.sent.maxlen:
            window_s = len(state.sent) * self._narrowest_s
            waits.append(_left(state.sent[0], window_s, now))
        return max(waits)


@dataclass(slots=True, kw_only=True)
class _State:
    interval_s: float
    sent: deque[float]
    strikes: int = 0
    held_at: float = 0.0
    held_s: float = 0.0


def _left(since: float, length_s: float, now: float) -> float:
    return length_s - (now - since)
