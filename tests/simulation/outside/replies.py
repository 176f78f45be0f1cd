"""Answers of the simulated Vast.ai, and how often it may be asked."""

import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.vast_gate import CREATE_PENALTY_S, INTERVALS, SEARCHES_A_MINUTE

_JSON = {"Content-Type": "application/json"}
_PAGE = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>"
_TOO_OFTEN = "API requests too frequent"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: dict(_JSON))


def tell(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(body).encode(), {**_JSON, **(headers or {})})


def refuse(status: int, slug: str, text: str, **more: Any) -> Reply:
    return tell({"success": False, "error": slug, "msg": text} | more, status)


def list_rows(rows: list[str], total: int, token: str | None) -> Reply:
    """A page of a listing, of rows that are texts already."""
    head = json.dumps(
        {
            "success": True, "instances_found": len(rows), "total_instances": total,
            "next_token": token,
        }
    )  # fmt: skip
    return Reply(200, f'{head[:-1]}, "instances": [{",".join(rows)}]}}'.encode())


def show_page(status: int) -> Reply:
    """HTML where JSON is expected."""
    return Reply(status, _PAGE, {"Content-Type": "text/html"})


class Limits:
    """The published ones, by route and key; refusals come in all the shapes that are seen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.quiet_until = 0.0
        """Whoever does as they are told asks for nothing before."""
        self._not_before: dict[tuple[str, str], float] = {}
        self._searches: deque[float] = deque()
        self._shapes = itertools.cycle(range(3))

    def check(self, route: str, key: str) -> Reply | None:
        """The refusal of a request that comes too early."""
        now = self._clock()
        if route == "search":
            return self._check_search(now)
        interval = INTERVALS.get(route)
        if interval is None:
            return None
        who = route, key
        if now < self._not_before.get(who, 0.0):
            if route == "create":
                self._not_before[who] += CREATE_PENALTY_S - interval
            return self.throttle(interval)
        self._not_before[who] = now + interval
        return None

    def throttle(self, interval: float, *, wait_s: float | None = None) -> Reply:
        """429; with ``wait_s`` it tells when to come again."""
        if wait_s is not None:
            self.quiet_until = max(self.quiet_until, self._clock() + wait_s)
            body = {"success": False, "error": "rate_limit_exceeded", "retry_after": wait_s}
            return tell(body, 429, {"Retry-After": f"{wait_s:.0f}"})
        told = f"{_TOO_OFTEN}: endpoint threshold={interval}"
        match next(self._shapes):
            case 0:
                return Reply(429, _TOO_OFTEN.encode(), {"Content-Type": "text/plain"})
            case 1:
                return Reply(429, told.encode(), {"Content-Type": "text/plain"})
        return refuse(429, "rate_limit_exceeded", told)

    def _check_search(self, now: float) -> Reply | None:
        while self._searches and self._searches[0] <= now - 60:
            self._searches.popleft()
        if len(self._searches) >= SEARCHES_A_MINUTE:
            return self.throttle(6.0)
        self._searches.append(now)
        return None
