"""What the real client of Vast.ai sees in the place of an HTTP connection."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict

from controller.providers.vast import VastProvider
from controller.providers.vast_api import VastApi
from tests.simulation.faults import Fault
from tests.simulation.outside.states import Lazily
from tests.simulation.outside.vast import Reply, SimVast
from tests.simulation.process import Process

URL = "https://vast.sim"
_FATES = (Fault.VAST_REQUEST_LOST, Fault.VAST_ANSWER_LOST, Fault.VAST_IN_FLIGHT)
#: Calls without which nothing can be ended.
_VITAL = ("vast GET instances", "vast DELETE instances", "vast DELETE instances/N")
_NUMBERS = itertools.count()
#: Methods that aiohttp sends again by itself where a connection drops (``IDEMPOTENT_METHODS``).
_SENT_AGAIN = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


def make_provider(
    process: Process, vast: SimVast, deployment: str, clock: Callable[[], float]
) -> VastProvider:
    """The real provider, whose requests go through the process."""
    rng = vast.faults.rng
    options = {"clock": clock, "sleep": asyncio.sleep, "random": rng.random, "url": URL}
    provider = VastProvider(key=vast.account_key, deployment=deployment, **options)
    provider.api = SimVastApi(process, vast, key=vast.account_key, **options)
    return provider


class SimVastApi(VastApi):
    """The real client with sessions of ours."""

    def __init__(self, process: Process, vast: SimVast, **options: Any) -> None:
        super().__init__(**options)
        self._process, self._vast = process, vast

    def _new_session(self, connector, middlewares=()):
        return SimHttpSession(self._process, self._vast, middlewares)


class SimHttpSession:
    """As much of :class:`aiohttp.ClientSession` as is used: one request after another."""

    def __init__(self, process: Process, vast: SimVast, middlewares: tuple = ()) -> None:
        self._process, self._vast = process, vast
        self._middlewares = middlewares
        self._closed = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self) -> None:
        self._closed = True

    def request(
        self, method: str, url: str, *, params=None, json=None, headers=None, allow_redirects=True
    ):
        assert not allow_redirects, "the key would travel with a redirect"
        return _Exchange(self._ask(method, url, params, json, headers or {}))

    def get(self, url, *, allow_redirects=True, timeout=None):
        return _Exchange(self._ask("GET", str(url), None, None, {}))

    async def _ask(self, method: str, url: str, params, body, headers) -> "SimResponse":
        if self._closed:
            raise RuntimeError("Session is closed")
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == URL, url
        key = headers.get("Authorization", "").removeprefix("Bearer ")
        if body is not None:
            body = json.loads(json.dumps(body))

        def serve() -> Reply:
            return self._vast.answer(
                method, parts.path, query=dict(params or {}), body=body, key=key
            )

        name = f"vast {_name(method, parts.path)}"

        async def send(_request: object) -> Reply:
            with self._watch(name):
                return await reach()

        async def reach() -> Reply:
            states = Lazily(self._vast.states, self._label(parts.path, body))
            if self._vast.faults.hit(Fault.VAST_REQUEST_LOST, states, weight=0.3):
                raise aiohttp.ConnectionTimeoutError
            return await self._process.exchange(
                name, serve, lost=self._lose, fates=_FATES, states=states
            )

        try:
            return SimResponse(await self._pass(send))
        except aiohttp.ServerDisconnectedError:
            if method not in _SENT_AGAIN or self._vast.faults.rng.random() < 0.5:
                raise
        return SimResponse(await self._pass(send))

    @contextmanager
    def _watch(self, name: str) -> Iterator[None]:
        """Note how it goes with calls that list or delete."""
        if name not in _VITAL:
            yield
            return
        vast, number = self._vast, next(_NUMBERS)
        vast.calls_under_way[number] = vast.clock()
        try:
            yield
        except Exception:
            vast.lost_calls += 1
            raise
        finally:
            del vast.calls_under_way[number]

    async def _pass(self, send) -> Reply:
        """Through the middlewares, the first one outermost."""
        for middleware in reversed(self._middlewares):
            send = _wrap(middleware, send)
        return await send(None)

    def _lose(self) -> Exception:
        kinds = (aiohttp.ServerDisconnectedError, TimeoutError, aiohttp.ClientOSError)
        return self._vast.faults.rng.choice(kinds)()

    def _label(self, path: str, body: Any) -> str | None:
        """Of the machine that a request is about; None where it is about none or several."""
        if isinstance(body, dict) and "label" in body:
            return body["label"]
        number = path.rstrip("/").rpartition("/")[2]
        if not number.isdecimal() and isinstance(body, dict):
            number = str(next(iter(body.get("instance_ids", [0])), 0))
        instance = self._vast.instances.get(int(number) if number.isdecimal() else 0)
        return instance.label if instance else None


class SimResponse:
    """As much of :class:`aiohttp.ClientResponse` as is used; it is its own ``content``."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.headers = CIMultiDict(reply.headers)
        self.content = self
        self._body = reply.body

    async def iter_chunked(self, size: int):
        yield self._body


class _Exchange:
    """``async with session.request(…) as response``."""

    def __init__(self, asking) -> None:
        self._asking = asking

    async def __aenter__(self) -> SimResponse:
        return await self._asking

    async def __aexit__(self, *_) -> None:
        return


def _wrap(middleware, send):
    async def wrapped(request):
        return await middleware(request, send)

    return wrapped


def _name(method: str, path: str) -> str:
    """Without the numbers in it."""
    kept = [part for part in path.split("/") if part and part not in ("api", "v0", "v1")]
    return f"{method} {'/'.join('N' if any(c.isdigit() for c in part) else part for part in kept)}"
