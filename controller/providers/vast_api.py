"""The Vast.ai REST API over HTTP: requests at its pace, repeats where they are safe, typed errors.

Paths, trailing slashes and limits are those of the published API reference and of the official
client. The key travels in one header to one origin, and redirects are never followed.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_numbers
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from controller.errors import BadKey, ProviderError, RateLimited, Unclear
from controller.providers.pacing import Limit, Pace
from controller.providers.vast_answers import (
    Answer,
    describe,
    limit_hint,
    quota_error,
    refusal,
)

log = logging.getLogger(__name__)

_TRIES = 3
_BACKOFF_S = 2.0
_CONNECT_S = 15.0
_FETCH_S = 10.0
_ANSWER_BYTES = 32_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One kind of request; its limit is the documented one (``x-rate-limit``)."""

    method: str
    path: str
    limit: Limit


SEARCH = Route(method="POST", path="/api/v0/bundles/", limit=Limit(interval_s=6.0, burst=10))
CREATE = Route(method="PUT", path="/api/v0/asks/{id}/", limit=Limit(interval_s=4.5))
LIST = Route(
    method="GET", path="/api/v1/instances/", limit=Limit(interval_s=1.0, longest_hold_s=60.0)
)
#: Whatever the server asks for, an end is asked for again within a minute.
_ENDS = Limit(interval_s=3.0, longest_hold_s=60.0)
DESTROY = Route(method="DELETE", path="/api/v0/instances/{id}/", limit=_ENDS)
DESTROY_MANY = Route(method="DELETE", path="/api/v0/instances/", limit=_ENDS)
#: No limits are documented of these two.
REQUEST_LOGS = Route(
    method="PUT", path="/api/v0/instances/request_logs/{id}/", limit=Limit(interval_s=0.2)
)
USER = Route(method="GET", path="/api/v0/users/current", limit=Limit(interval_s=1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file behind a URL of the API's, read without the key."""

    data: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class VastApi:
    """One account. Connections are opened when first needed; :meth:`close` ends them.

    Times in seconds. Errors: :class:`BadKey`, :class:`RateLimited` and the other
    :class:`ProviderError` where the API refused, :class:`Unclear` for everything else.
    """

    def __init__(
        self,
        *,
        key: str,
        url: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random_numbers.random,
        timeout_s: float = 60.0,
    ) -> None:
        self._key = key
        self._url = url.rstrip("/")
        self._clock, self._sleep, self._random = clock, sleep, random
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s)
        )
        self._paces: dict[Route, Pace] = {}
        self._session: aiohttp.ClientSession | None = None
        self._keyless: aiohttp.ClientSession | None = None

    async def call(
        self,
        route: Route,
        *,
        id: str = "",
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request that may be repeated; whatever answer the API stands by in the end.

        :class:`RateLimited` and :class:`Unclear` where there is none after three tries.
        """
        for attempt in range(1, _TRIES + 1):
            await self._pace(route).wait()
            try:
                answer = await self._send(self._open_session(), route, id, body, query)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                problem: Unclear | RateLimited = Unclear(f"no answer: {_name(error)}")
            else:
                if answer.limited:
                    problem = self._heed(route, answer)
                elif answer.status < 500:
                    return answer
                else:
                    problem = Unclear(describe(answer))
                if answer.quota_is_used_up:
                    raise problem
            if attempt == _TRIES:
                raise problem
            log.debug("%s %s, try %d: %s", route.method, route.path, attempt, problem)
            if isinstance(problem, Unclear):
                await self._sleep(_BACKOFF_S * 2 ** (attempt - 1) * (0.5 + self._random()))
        raise AssertionError("the last try returns or raises")

    async def call_once(self, route: Route, *, id: str, body: Mapping[str, Any]) -> Answer:
        """A request that leaves at most once, whatever happens to its connection.

        :class:`ProviderError` = it certainly did not leave; :class:`Unclear` = it may have been
        carried out.
        """
        await self._pace(route).wait()
        once = _Once()
        connector = aiohttp.TCPConnector(force_close=True, limit=1)
        async with self._new_session(connector, middlewares=(once,)) as session:
            try:
                answer = await self._send(session, route, id, body, None)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                raise ProviderError(f"there is no connection: {_name(error)}") from error
            except BadKey:
                raise
            except Exception as error:
                # it has left by now: no failure of ours may read as "nothing was done"
                raise Unclear(f"no answer: {_name(error)}") from error
        if answer.limited:
            self._heed(route, answer)
        return answer

    async def user(self) -> dict[str, Any]:
        """The account: ``credit`` is the money that can be spent."""
        answer = await self.call(USER)
        if 300 <= answer.status < 400 or (answer.status == 404 and not answer.refuses_key):
            # the reference has it with a slash, the official client asks without
            answer = await self.call(_USER_WITH_SLASH)
        if not answer.ok or answer.body is None:
            raise refusal(answer)
        return answer.body

    async def fetch(self, url: str, *, limit: int) -> Fetched | None:
        """Read a file without the key; None where it is not there yet, or larger than ``limit``.

        One try: whoever polls comes again.
        """
        if self._keyless is None:
            self._keyless = self._new_session(aiohttp.TCPConnector(limit=8))
        try:
            async with self._keyless.get(
                URL(url, encoded=True),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_FETCH_S),
            ) as response:
                if response.status != 200:
                    return None
                data = await _read(response, limit)
                return Fetched(data=data, headers=dict(response.headers))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            log.debug("A file cannot be fetched: %s", type(error).__name__)
            return None

    async def close(self) -> None:
        for session in (self._session, self._keyless):
            if session is not None:
                await session.close()
        self._session = self._keyless = None

    async def _send(
        self,
        session: aiohttp.ClientSession,
        route: Route,
        id: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
    ) -> Answer:
        headers = self._headers()
        url = self._url + route.path.format(id=id)
        try:
            async with session.request(
                route.method, url, params=query, json=body, headers=headers, allow_redirects=False
            ) as response:
                data = await _read(response, _ANSWER_BYTES)
        finally:
            self._pace(route).ended()
        text = data.decode("utf-8", "replace").replace(self._key, "***")
        answer = Answer.parse(response.status, text, response.headers)
        if not answer.limited and answer.status < 500:
            self._pace(route).passed()
        return answer

    def _heed(self, route: Route, answer: Answer) -> RateLimited:
        """Slow down as a 429 asks; the error that it is where nobody comes again."""
        now = self._clock()
        hint = limit_hint(answer, now)
        self._pace(route).refused(hint)
        if answer.quota_is_used_up:
            return quota_error(hint, now)
        return RateLimited(describe(answer))

    def _pace(self, route: Route) -> Pace:
        if route not in self._paces:
            self._paces[route] = Pace(
                route.limit, clock=self._clock, sleep=self._sleep, random=self._random
            )
        return self._paces[route]

    def _headers(self) -> dict[str, str]:
        if not re.fullmatch(r"[!-~]+", self._key):
            raise BadKey("the key is empty or has characters that no key has")
        return {"Authorization": f"Bearer {self._key}"}

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # more than are ever asked at once: a slow log must not keep a destroy waiting
            self._session = self._new_session(aiohttp.TCPConnector(limit=32))
        return self._session

    def _new_session(
        self,
        connector: aiohttp.TCPConnector,
        middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (),
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "noxfvr", "Accept": "application/json, */*;q=0.5"},
            middlewares=middlewares,
        )


_USER_WITH_SLASH = Route(method="GET", path="/api/v0/users/current/", limit=Limit(interval_s=1.0))


class _Once:
    """aiohttp sends a PUT again when its connection drops, a new one as well: stop it here."""

    def __init__(self) -> None:
        self._left = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._left:
            raise Unclear("the connection dropped")
        self._left = True
        return await handler(request)


class _TooLarge(aiohttp.ClientError):
    """More than anybody would read."""


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > limit:
            raise _TooLarge(f"more than {limit} bytes")
    return bytes(data)


def _name(error: BaseException) -> str:
    """Without the text of the error, which may quote what was sent."""
    return f"{type(error).__name__}" if not isinstance(error, Unclear) else str(error)
