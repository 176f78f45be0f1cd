"""Scripted servers for the tests of the Vast.ai client: answers in a row, and dropped lines."""

import asyncio
import json
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from controller.labels import Label
from controller.providers.base import Launch
from controller.providers.vast import VastProvider

DEPLOYMENT = "abcd1234"
KEY = "0123456789abcdef" * 4
NOW = 1_800_000_000.0
TOO_OFTEN = "API requests too frequent"


class FakeTime:
    """Time passes while somebody sleeps, and no other way."""

    def __init__(self):
        self.now = NOW
        self.slept = []

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    query: dict
    headers: dict
    body: object
    at: float


@dataclass
class Script:
    """``answers["GET /path/"]`` is a list of answers, the last of which is repeated.

    An answer is ``(status, body)`` or ``(status, body, headers)``, or a function of the
    :class:`Seen` request that returns one; a body is text, or anything else as JSON.
    """

    time: FakeTime = field(default_factory=FakeTime)
    answers: dict = field(default_factory=lambda: defaultdict(list))
    seen: list = field(default_factory=list)
    url: str = ""
    in_flight: int = 0
    peak: int = 0

    def on(self, route, *answers):
        self.answers[route] = list(answers)

    def count(self, route):
        return sum(f"{each.method} {each.path}" == route for each in self.seen)

    def bodies(self, route):
        return [each.body for each in self.seen if f"{each.method} {each.path}" == route]

    async def serve(self, request):
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request):
        text = await request.text()
        seen = Seen(
            request.method, request.path, dict(request.query), dict(request.headers),
            json.loads(text) if text else None, self.time.now,
        )  # fmt: skip
        self.seen.append(seen)
        queue = self.answers[f"{request.method} {request.path}"]
        assert queue, f"nothing is scripted for {request.method} {request.path}"
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if callable(answer):
            answer = answer(seen)
            if asyncio.iscoroutine(answer):
                answer = await answer
        status, body, *headers = answer
        if not isinstance(body, str):
            return web.json_response(body, status=status, headers=dict(*headers))
        kind = "text/html" if body.startswith("<") else "text/plain"
        return web.Response(text=body, status=status, headers=dict(*headers), content_type=kind)


@asynccontextmanager
async def scripted():
    script = Script()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    script.url = f"http://{host}:{port}"
    try:
        yield script
    finally:
        await runner.cleanup()


def error(slug=None, msg=None, **more):
    """The body of a refusal, without what is None."""
    body = {"success": False, "error": slug, "msg": msg} | more
    return {name: value for name, value in body.items() if value is not None}


def provider_at(url, time, **changes):
    settings = {"key": KEY, "deployment": DEPLOYMENT, "random": lambda: 0.5} | changes
    return VastProvider(url=url, clock=time.clock, sleep=time.sleep, **settings)


def launch(number=0, **changes):
    """An order with a label of its own for each number."""
    label = Label(DEPLOYMENT, f"01J{number:023d}", int(NOW) + 3600)
    settings = {
        "machine": label.machine, "label": str(label), "orders_url": "https://b.example/orders",
        "deadline_at": NOW + 3600, "env": {"A": "b"}, "script": "sleep 1", "image": "img:tag",
        "disk_gb": 20.0,
    }  # fmt: skip
    return Launch(**settings | changes)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"

#: Where a connection drops: what is read before, and what is answered before.
DROPS = {
    "at once": ("nothing", b""),
    "after the headers": ("headers", b""),
    "after the body": ("body", b""),
    "in the status line": ("body", HEAD[:12]),
    "after the status line": ("body", HEAD[:17]),
    "after the answer's headers": ("body", HEAD),
    "in the middle of the answer's body": ("body", HEAD + b'{"success": true, "new_'),
}


@asynccontextmanager
async def dropping(reads, says, *, reset=False):
    """A server that drops every connection in one phase; yields its URL and what came in."""
    arrived = []

    async def serve(reader, writer):
        arrived.append(bytearray())
        try:
            if reads != "nothing":
                head = await reader.readuntil(b"\r\n\r\n")
                arrived[-1] += head
                if reads == "body":
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    arrived[-1] += await reader.readexactly(length)
            writer.write(says)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if reset:
                writer.transport.abort()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}", arrived
    finally:
        server.close()
        await server.wait_closed()
