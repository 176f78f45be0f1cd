"""Requests that no page of ours sends, to the port that people's browsers reach.

Each gets an answer of HTTP that is not a failure of ours, with the headers that all answers have.
Nothing becomes a job but a whole file, sent to a page that somebody was offered.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp

from bot.settings import BotSettings
from bot.texts import Texts
from controller.records import Actor
from tests.bot.stage import ADMIN, OTHER, TOKEN, USER
from tests.bot.web.conftest import PUBLIC, VIDEO, Page, Site
from tests.controller.conftest import Clock, House
from tests.controller.standins import ScriptedProvider
from tests.fuzz.bending import bend, flip, spoil, write
from tests.fuzz.tally import Case, Kind, Tally

_METHODS = ("GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE",
            "PROPFIND", "CONNECT", "get", "G\x80T", "X" * 300)  # fmt: skip
_RANGES = ("bytes=0-", "bytes=5-2", "bytes=-5", "bytes=-0", "bytes=99999999-", "bytes=a-b",
           "lines=1", "bytes=0-1,3-4", "bytes=" + "9" * 40 + "-", "", "bytes",
           "bytes=0-" + "9" * 40)  # fmt: skip
_HEADERS = {
    "Range": _RANGES, "If-Range": ("yesterday", '"x"', "Fri, 99 Foo 0000 99:99:99 GMT"),
    "If-Modified-Since": ("0", "Fri, 15 Jan 2027 08:00:00 GMT", "x" * 500),
    "If-None-Match": ("*", '"', 'W/"x"', "," * 300), "Content-Encoding": ("gzip", "br", "x"),
    "Content-Type": ("application/json", "text/plain", "application/json; charset=x", "", "a/b/c"),
    "Host": ("", "evil.example", "[::1", "a b", "127.0.0.1:99999", "x" * 300),
    "Origin": ("null", "https://evil.example"), "Cookie": ("a=b", "=" * 3000),
    "X-Forwarded-For": ("1.2.3.4", "é"), "Expect": ("100-continue", "200-ok"),
    "Accept-Language": ("ru", "*", "," * 900), "Transfer-Encoding": ("chunked", "gzip, chunked"),
    "Accept-Encoding": ("gzip", "identity;q=0", "*;q=x"), "Upgrade": ("websocket", "h2c"),
    "Content-Length": ("-1", "5", "1e3", "9" * 25, "0x10"), "X-Long": ("x" * 9000,),
}  # fmt: skip
_PATHS = (
    "/", "/u/", "/d/", "/healthz", "/metrics", "/u/assets/page.js", "/u/assets/../upload.html",
    "/u/assets/%2e%2e%2f%2e%2e%2fserver.py", "//u//x", "/u/%00", "/u/%ff", "/u/" + "A" * 101,
    "/d/" + "a" * 100, "/d/..", "/d/%2e%2e", "/u/x/parts/99999", "/u/x/parts/100000",
    "/favicon.ico", "/u/x/state?" + "a=" * 2000, "/.env", "/u/assets/", "/robots.txt", "*",
    "/u/é/state", "http://evil.example/", "/u/x/parts/1?file=" + "%F0" * 30,
)  # fmt: skip
#: A secret, a line of our code, and what a traceback begins with.
_NEVER_TOLD = (TOKEN.encode(), b"from __future__", b"Traceback (most")
_OPEN = {"name": "clip.mp4", "bytes": len(VIDEO), "type": "video/mp4", "modified": 1_700_000_000,
         "replace": False, "resume": False}  # fmt: skip


def run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    asyncio.run(_run(tally, numbers, folder))


async def _run(tally: Tally, numbers: Iterable[int], folder: Path) -> None:
    house = House(folder / "data", Clock(), ScriptedProvider())
    house.change(public_url=PUBLIC, bind="127.0.0.1:0")
    settings = BotSettings(token=TOKEN, admins=frozenset({ADMIN}), users=frozenset({USER, OTHER}))
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8)) as session,
        Site(house, settings, Texts(), session).serving() as site,
    ):
        for number in numbers:
            with tally.case(number) as case:
                page = site.offer(f"tg:7:{number}")
                jobs = len(house.controller.jobs(limit=10_000))
                deed = case.rng.choice(_DEEDS)
                case.told = deed.__name__.strip("_")
                status = await deed(case, site, page)
                judge(case, status)
                await check_still_there(page)
                made = house.controller.jobs(limit=10_000)[: -jobs or None]
                await check_jobs(house, made, getattr(page, "sent", VIDEO))
                if number % 10 == 9:  # the pages of these cases end, and count no more
                    house.clock.advance(30 * 3600)
                    await house.prune.tick()
    house.store.close()


def judge(case: Case, status: int) -> None:
    # 507: more was announced than there is space for; 503 is looked at where it is due
    assert status in (503, 507) or status < 500, f"HTTP {status}"
    if status < 400:
        case.accept()
    else:
        case.refuse(status)


async def check_still_there(page: Page) -> None:
    """The page of this case can still be asked: nothing of it was broken."""
    status, told, headers = await page.ask("GET", "state")
    assert status in (200, 410), (status, told)
    assert headers["Cache-Control"] == "no-store"


async def check_jobs(house: House, made, sent: bytes) -> None:
    """What became a job is the file as it was sent, and the owner's; it goes again."""
    for job in made:
        assert job.owner == USER
        assert await house.storage.read(job.source_key) == sent
        await house.controller.discard(job.id, by=Actor(USER))


# --- over a connection of its own, byte by byte ----------------------------------------------


async def _raw(case: Case, site: Site, page: Page) -> int:
    """A request that a client library would not even send."""
    rng = case.rng
    path = rng.choice((*_PATHS, *(f"/u/{page.code}{each}" for each in ("", "/state", "/open"))))
    headers = {"Host": "127.0.0.1", "Connection": "close"}
    for name in rng.sample(sorted(_HEADERS), rng.choice((0, 0, 1, 2, 4))):
        headers[name] = rng.choice(_HEADERS[name])
    lines = [f"{rng.choice(_METHODS)} {path} HTTP/1.1", *map(": ".join, headers.items()), "", ""]
    data = "\r\n".join(lines).encode()
    if rng.random() < 0.3:
        data += rng.choice((b'{"a": 1}', b"5\r\nhello\r\n0\r\n\r\n", b"\x00" * 99))
    if rng.random() < 0.2:
        data = flip(data, rng, rng.choice((1, 3, 20)))
    case.told += f" {data[:200]!r}"
    status = await send(site, data)
    # nothing runs here that health could be told of
    assert status != 503 or path == "/healthz", "HTTP 503"
    return status


async def send(site: Site, data: bytes) -> int:
    """The status that these bytes get; 400 where the line is dropped for them."""
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        answer = await read_answer(reader, writer)
    except ConnectionError:
        return 400
    finally:
        writer.close()
    if not answer:
        return 400
    told = [each for each in _NEVER_TOLD if each in answer]
    assert not told, f"{told} is told: {answer[:200]!r}"
    version, status, *_ = answer.split(b" ", 2)
    assert version.startswith(b"HTTP/1."), answer[:80]
    return int(status)


async def read_answer(reader, writer) -> bytes:
    """To its end; who waits for more than was sent is told that no more comes."""
    reading = asyncio.ensure_future(reader.read())
    done, _ = await asyncio.wait([reading], timeout=0.2)
    if not done:
        writer.write_eof()
    async with asyncio.timeout(8):
        return await reading


# --- as the page's script would, with other contents -----------------------------------------


async def _open(case: Case, site: Site, page: Page) -> int:
    body = write(bend(_OPEN, case.rng))
    if case.rng.random() < 0.3:
        body = spoil(write(_OPEN), case.rng)
    return await post(case, page, "open", body)


async def _parts(case: Case, site: Site, page: Page) -> int:
    await page.open()
    body = {"numbers": [1, 2, 3], "file": "x"}
    return await post(case, page, "parts", write(bend(body, case.rng)))


async def _put(case: Case, site: Site, page: Page) -> int:
    """A part under another number, of another size, or not all of it."""
    rng = case.rng
    await page.open(size=rng.choice((len(VIDEO), len(VIDEO), 1, 10**7)))
    odd = ("0", "2", "99999", "00001", "1?file=x", "1?file=" + "9" * 500)
    number = rng.choice(("1",) * 5 + odd)
    data = rng.choice((VIDEO, VIDEO, VIDEO[:5], b"", VIDEO * 2))
    size = rng.choice((len(data),) * 4 + (0, 1, 10**9, 2**63))
    case.told += f" {number} {size} {len(data)}"
    head = (
        f"PUT /u/{page.code}/parts/{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {size}\r\nConnection: close\r\n\r\n"
    )
    return await send(site, head.encode() + data)


async def _complete(case: Case, site: Site, page: Page) -> int:
    """A whole file, or what is left of one, is declared complete."""
    rng = case.rng
    data = rng.choice((VIDEO, VIDEO, VIDEO[:-3], b"x" * 100, spoil(VIDEO, rng), bytes(10)))
    page.sent = data
    await page.open(size=max(1, len(data)))
    if rng.random() < 0.8:
        await page.put(1, data)
    return await post(case, page, "complete", rng.choice((b"{}", b"", b"[]", b"\xff")))


async def _init_data(case: Case, site: Site, page: Page) -> int:
    """Somebody says who they are: the owner, somebody else, or nobody at all."""
    rng = case.rng
    user, at = rng.choice((USER, OTHER, 0, -1)), rng.choice((0, 0, -(10**6), 10**6, -(10**9)))
    fields = {
        "auth_date": str(int(site.house.clock() + at)), "query_id": "AA",
        "user": json.dumps({"id": user, "first_name": "A"}),
    }  # fmt: skip
    token = rng.choice((TOKEN, TOKEN, "42:" + "B" * 35))
    signed = sign(fields, token)
    right = (user, at, token) == (USER, 0, TOKEN)
    if rng.random() < 0.6:
        bent = spoil(signed.encode(), rng).decode("utf-8", "replace")
        right = right and bent == signed
        signed = bent
    case.told += f" {signed[:200]!r}"
    body = json.dumps({**_OPEN, "init_data": signed}).encode()
    status = await post(case, page, "open", body)
    assert (status == 200) <= right, "somebody else was let in"
    return status


def sign(fields: dict[str, str], token: str) -> str:
    """As Telegram does (core.telegram.org/bots/webapps)."""
    secret = hmac.new(b"WebAppData", token.encode(), hashlib.sha256).digest()
    text = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return urlencode(
        {**fields, "hash": hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}
    )


async def _link(case: Case, site: Site, page: Page) -> int:
    rng = case.rng
    code = rng.choice((page.code, flip(page.code.encode(), rng, 1).decode("latin-1"), "x"))
    path = rng.choice((f"/d/{quote(code)}", f"/u/{quote(code)}", f"/u/{quote(code)}/state"))
    headers = {"Range": rng.choice(_RANGES)}
    case.told += f" {path} {headers}"
    status, _, told = await site.ask(rng.choice(("GET", "HEAD")), path, headers=headers)
    assert told["X-Content-Type-Options"] == "nosniff"
    return status


async def post(case: Case, page: Page, what: str, body: bytes) -> int:
    case.told += f" {what} {body[:200]!r}"
    headers = {"Content-Type": "application/json"}
    status, told, _ = await page.ask("POST", what, data=body, headers=headers)
    if status >= 400 and isinstance(told, dict):
        assert told["error"]["code"] and told["error"]["text"], told
    return status


_DEEDS = (_raw, _raw, _raw, _open, _open, _parts, _put, _put, _complete, _init_data, _link)

KINDS = (Kind(name="pages", count=600, quick=25, run=run, must_accept=0.1, must_refuse=0.3),)
