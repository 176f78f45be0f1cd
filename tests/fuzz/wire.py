"""An HTTP server that says what it likes: right answers, and answers that break on the way."""

import asyncio
import gzip
import random
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes

    @property
    def route(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer; ``manner`` is one of :data:`MANNERS`."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    manner: str = "plain"


@dataclass
class Wire:
    """``answer`` is called with each :class:`Asked`; ``asked`` has them all."""

    url: str = ""
    answer: Callable[[Asked], Said] | None = None
    asked: list[Asked] = field(default_factory=list)

    def count(self, route: str) -> int:
        return sum(each.route == route for each in self.asked)


#: What lines do: nothing, or something that no client may be confused by.
MANNERS = (
    "short", "long", "no_length", "two_lengths", "not_gzip", "half_gzip", "gzip", "bad_chunks",
    "chunks", "half_chunks", "charset", "status_line", "long_header", "many_headers", "drop",
    "reset", "silent", "noise",
)  # fmt: skip
_STATUSES = (200, 200, 200, 200, 201, 204, 206, 299, 301, 302, 304, 307, 400, 401, 402, 403, 404,
             408, 409, 410, 416, 418, 425, 429, 500, 502, 503, 504, 599)  # fmt: skip
#: What an endless body sends before it is cut off from here. Bytes.
_ENDLESS = 40_000_000


def choose_manner(rng: random.Random) -> str:
    """Mostly plain; what costs time is rare."""
    if rng.random() < 0.65:
        return "plain"
    return "endless" if rng.random() < 0.004 else rng.choice(MANNERS)


def choose_status(rng: random.Random) -> int:
    return rng.choice(_STATUSES)


@asynccontextmanager
async def listening():
    """A :class:`Wire` on a port of this computer."""
    wire = Wire()
    running: set[asyncio.Task] = set()

    async def serve(reader, writer):
        running.add(asyncio.current_task())
        try:
            await _serve(wire, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            running.discard(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    wire.url = f"http://{host}:{port}"
    try:
        yield wire
    finally:
        server.close()
        for each in list(running):
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _serve(wire: Wire, reader, writer) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, *_ = head.split(" ", 2)
        length = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
            if name.lower() == "expect":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(length)
        parts = urlsplit(target)
        asked = Asked(
            method=method, path=unquote(parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)), body=body,
        )  # fmt: skip
        wire.asked.append(asked)
        said = wire.answer(asked)
        if said.manner == "silent":
            await reader.read()  # until the other side has enough of it
            return
        if not await _say(said, method, writer):
            return


async def _say(said: Said, method: str, writer) -> bool:
    """Whether the connection can be used once more."""
    if said.manner in ("drop", "reset"):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"[: 7 + said.status % 50])
        if said.manner == "reset":
            writer.transport.abort()
        return False
    if said.manner == "endless":
        return await _never_end(writer)
    headers, body = _shape(said)
    if method == "HEAD" or said.status in (204, 304):
        body = b""
    line = f"HTTP/1.1 {said.status} X\r\n"
    if said.manner == "status_line":
        line = ("HTTP/1.1 2000000 X\r\n", "HTTP/1.1 OK\r\n", "ICY 200 OK\r\n", "\r\n")[
            said.status % 4
        ]
    head = line + "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(head.encode("latin-1", "replace") + b"\r\n" + body)
    await writer.drain()
    return said.manner in ("plain", "gzip", "chunks", "charset")


def _shape(said: Said) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body as they go out."""
    body, kind, size = said.body, said.kind, len(said.body)
    extra: list[tuple[str, str]] = []
    match said.manner:
        case "short":
            size //= 2
        case "long":
            size += 1000
        case "no_length":
            size = None
        case "two_lengths":
            extra.append(("Content-Length", str(size + 1)))
        case "gzip" | "not_gzip" | "half_gzip":
            extra.append(("Content-Encoding", "gzip"))
            packed = gzip.compress(body, mtime=0)
            if said.manner != "not_gzip":
                body = packed if said.manner == "gzip" else packed[: len(packed) // 2]
            size = len(body)
        case "chunks" | "bad_chunks" | "half_chunks":
            size = None
            extra.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            if said.manner == "bad_chunks":
                body = b"zz" + body
            elif said.manner == "half_chunks":
                body = body[: len(body) // 2]
        case "charset":
            kind += "; charset=utf-16"
        case "long_header":
            extra.append(("X-Long", "x" * 20_000))
        case "many_headers":
            extra += [(f"X-{n}", "x") for n in range(500)]
        case "noise":
            body = bytes((each * 7 + 3) % 256 for each in body)
    length = [] if size is None else [("Content-Length", str(size))]
    return [("Content-Type", kind), *length, *extra, *said.headers], body


async def _never_end(writer) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(_ENDLESS // 100_000):
        writer.write(b'{"a": 1 ' + b" " * 99_992)
        await writer.drain()
    return False
