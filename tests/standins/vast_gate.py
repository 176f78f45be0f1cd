"""What a request meets before it is served by the Vast.ai stand-in: faults, keys, rate limits."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.standins.vast_answers import CANNED, answer, bad_key, quota_used_up, refuse
from tests.standins.vast_cloud import Cloud
from tests.standins.vast_market import Row

#: Seconds between two calls of one key, by route. Source: the API's published limits.
INTERVALS = {
    "create": 4.5, "destroy": 3.0, "destroy_many": 3.0, "show": 2.0, "list": 1.0, "update": 1.0,
    "update_many": 1.0, "reboot": 1.0, "recycle": 1.0, "change_bid": 5.5,
}  # fmt: skip
#: After a create that came too early, this much passes from the last good one.
CREATE_PENALTY_S = 12.0
SEARCHES_A_MINUTE = 10
#: What the key of an instance may do: to itself, and to all.
OWN_ROUTES = ("show", "update", "destroy")
OPEN_ROUTES = ("search", "gpu_names", "log_object", "report", "order_faults")
SHARED_ROUTES = ("list", "list_v0", "search", "filters")

_TIMES = ("timeout", "drop", "drop_after_body")
_AFTERWARDS = ("lost_answer", "half_answer", "close_after", "timeout_after")
#: Faults that the handlers carry out.
_SPECIAL = {
    "create": ("error_with_contract",),
    "list": ("missing_page", "empty_list", "no_rows", "zero_list", "stale"),
    "show": ("stale",),
    "logs": ("stale", "dead"),
}
_ALIASES = {"search_asks": "search", "user_slash": "user"}

#: The fault that this request meets.
FAULT = web.RequestKey("fault", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """The middleware. ``requests`` and ``throttled`` count by route, ``peak`` is how many of a
    route were in flight at once, ``arrivals`` when they came (monotonic)."""

    def __init__(self, cloud: Cloud) -> None:
        self.requests: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.arrivals: defaultdict[str, list[float]] = defaultdict(list)
        self.peak: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._cloud = cloud
        self._last: dict[tuple[str, str], float] = {}
        self._not_before: dict[tuple[str, str], float] = {}
        self._searches: defaultdict[str, deque[float]] = defaultdict(deque)
        self._shapes = itertools.cycle(range(5))
        self._gone = itertools.cycle(("410", "404", "400"))
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Lets requests that are held go."""
        self._closing.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        name = request.match_info.route.name
        if name is None:
            return await self._meet_unknown(request, handler)
        route = _ALIASES.get(name, name)
        self.requests[route] += 1
        self.arrivals[route].append(time.monotonic())
        self._in_flight[route] += 1
        self.peak[route] = max(self.peak[route], self._in_flight[route])
        try:
            return await self._pass(route, request, handler)
        finally:
            self._in_flight[route] -= 1

    def gone_offer(self, offer_id: int) -> web.Response:
        shape = self._cloud.gone_offer_as
        shape = next(self._gone) if shape == "rotate" else shape
        if shape == "410":
            text = f"error 410/3907: Instance type by id {offer_id} is no longer available."
            return refuse(410, "no_such_ask", text)
        text = f"error 404/3603: no_such_ask Instance type by id {offer_id} is not available."
        return refuse(int(shape), "invalid_args" if shape == "404" else "no_such_ask", text)

    async def _pass(
        self, route: str, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        waiting = self._cloud.faults.get(route)
        fault = waiting.popleft() if waiting else "ok"
        _check_fault(route, fault)
        request[FAULT] = fault
        if fault in _TIMES:
            return await self._leave(request, fault)
        canned = self._canned(route, request, fault)
        if canned is not None:
            await request.read()
            return canned
        refused = self._check_key(route, request) or self._check_rate(route, request)
        if refused is not None:
            return refused
        response = await handler(request)
        return await self._spoil(route, request, response, fault)

    async def _leave(self, request: web.Request, fault: str) -> web.StreamResponse:
        """No answer, in one way or another."""
        if fault != "drop":
            await request.read()
        if fault == "timeout":
            await self._hold(request)
        return _reset(request)

    async def _hold(self, request: web.Request) -> None:
        until = time.monotonic() + self._cloud.hold_s
        while not self._closing.is_set() and time.monotonic() < until:
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(0.02)

    async def _spoil(
        self, route: str, request: web.Request, response: web.StreamResponse, fault: str
    ) -> web.StreamResponse:
        """It is done; what becomes of the answer."""
        if fault == "lost_answer":
            return _reset(request)
        if fault == "timeout_after":
            await self._hold(request)
            return _reset(request)
        if fault == "half_answer":
            half = web.StreamResponse(headers={"Content-Length": "2000"})
            half.content_type = "application/json"
            await half.prepare(request)
            await half.write(b'{"success": true, "new_con')
            _abort(request)
            return half
        if fault == "close_after":
            asyncio.get_running_loop().call_later(0.02, _abort, request)
        if fault.endswith("_after"):
            return self._canned(route, request, fault.removesuffix("_after")) or response
        return response

    def _canned(self, route: str, request: web.Request, fault: str) -> web.Response | None:
        if fault == "429":
            return self._throttle(route, 5.0)
        if fault == "no_such_ask" or (fault == "410" and route == "create"):
            return self.gone_offer(int(request.match_info.get("id", 0)))
        make = CANNED.get(fault)
        return make() if make else None

    def _check_key(self, route: str, request: web.Request) -> web.Response | None:
        cloud = self._cloud
        header = request.headers.get("Authorization", "")
        if route == "log_object" and header:
            return web.Response(status=400, text="Only one auth mechanism allowed")
        if route in OPEN_ROUTES and not header:
            return None
        key = header.removeprefix("Bearer ")
        if not header.startswith("Bearer ") or "api_key" in request.query:
            return bad_key(cloud.bad_key_as)
        if secrets.compare_digest(key.encode(), cloud.account_key.encode()):
            return None
        owner = next((each for each in cloud.alive() if each.key == key), None)
        if owner is None:
            return bad_key(cloud.bad_key_as)
        if route in SHARED_ROUTES:
            return None
        if route not in OWN_ROUTES:
            return refuse(401, "auth_error", f"The key lacks the {route} permission group")
        if request.match_info["id"] != str(owner.id):
            text = "The key lacks proper privileges for this call due to a constraint on id"
            return refuse(401, "auth_error", text)
        return None

    def _check_rate(self, route: str, request: web.Request) -> web.Response | None:
        cloud, now = self._cloud, time.monotonic()
        who = (route, request.headers.get("Authorization", ""))
        if route == "search" and cloud.search_quota is not None:
            if cloud.search_quota <= 0:
                return quota_used_up()
            cloud.search_quota -= 1
        if cloud.time_scale <= 0:
            return None
        if route == "search":
            return self._check_searches(who[1], now)
        interval = INTERVALS.get(route)
        if interval is None:
            return None
        if now < self._not_before.get(who, 0.0):
            if route == "create":
                self._not_before[who] = self._last[who] + CREATE_PENALTY_S * cloud.time_scale
            return self._throttle(route, interval)
        self._last[who] = now
        self._not_before[who] = now + interval * cloud.time_scale
        return None

    def _check_searches(self, who: str, now: float) -> web.Response | None:
        recent = self._searches[who]
        while recent and recent[0] <= now - 60 * self._cloud.time_scale:
            recent.popleft()
        if len(recent) >= SEARCHES_A_MINUTE:
            return self._throttle("search", 6.0)
        recent.append(now)
        return None

    def _throttle(self, route: str, interval: float) -> web.Response:
        """429, each time in another of the shapes that are seen."""
        self.throttled[route] += 1
        text = "API requests too frequent"
        shape = next(self._shapes)
        if shape == 0:
            return web.Response(status=429, text=text)
        if shape == 1:
            return web.Response(status=429, text=f"{text}: endpoint threshold={interval}")
        if shape == 2:
            return answer({"detail": f"{text} endpoint threshold={interval}"}, 429)
        if shape == 3:
            text = f"{text} endpoint threshold={interval}"
            return refuse(429, "rate_limit_exceeded", text)
        wait = interval * self._cloud.time_scale
        body: Row = {"success": False, "error": "rate_limit_exceeded", "retry_after": wait}
        return answer(body, 429, headers={"Retry-After": str(wait)})

    async def _meet_unknown(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A path without its slash: a redirect, and what was sent in the body is lost."""
        if request.path.startswith("/api/") and not request.path.endswith("/"):
            if request.method == "GET":
                raise web.HTTPMovedPermanently(f"{request.path}/?{request.query_string}")
            return web.Response(status=400, text="Request body must be valid JSON")
        return await handler(request)


def _check_fault(route: str, fault: str) -> None:
    known = ("ok", "429", "no_such_ask", *_TIMES, *_AFTERWARDS, *CANNED)
    known += _SPECIAL.get(route, ())
    if fault not in known and fault.removesuffix("_after") not in known:
        raise LookupError(f"there is no fault {fault!r} of {route}")


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _reset(request: web.Request) -> web.Response:
    _abort(request)
    return web.Response()
