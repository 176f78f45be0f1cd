"""The pages of a house whose loops are ticked by hand, over real HTTP."""

import asyncio
import io
import time
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from bot.web.server import serve_web
from controller.records import Request
from controller.storage.s3 import S3Storage
from remote_runner.protocol import to_json
from tests.bot.stage import USER
from tests.browser import browser
from tests.controller.conftest import FACTS, Clock, House
from tests.controller.standins import ScriptedProvider
from tests.standins.b2 import B2Standin

__all__ = ["browser"]

VIDEO = to_json(FACTS).encode()
PUBLIC = "http://127.0.0.1:1"


class BucketHouse(House):
    """Files lie in a bucket, which speaks HTTP."""

    def __init__(self, data_dir, clock, provider, b2) -> None:
        self.b2 = b2
        super().__init__(data_dir, clock, provider)

    def make_storage(self):
        return S3Storage(
            bucket=self.b2.bucket, key=self.b2.key, secret=self.b2.secret,
            endpoint=self.settings.b2_endpoint or self.b2.url, region=self.b2.region,
            work_dir=self.settings.work_dir, clock=self.clock,
        )  # fmt: skip


class Page:
    """One upload page as its script sees it."""

    def __init__(self, site, url) -> None:
        self.site = site
        self.code = url.rpartition("/")[2]

    async def ask(self, method, what="", **more):
        path = f"/u/{self.code}" + (f"/{what}" if what else "")
        return await self.site.ask(method, path, **more)

    async def state(self):
        return (await self.ask("GET", "state"))[1]

    async def open(self, name="clip.mp4", size=None, **more):
        size = len(VIDEO) if size is None else size
        body = {"name": name, "bytes": size, "type": "", **more}
        return await self.ask("POST", "open", json=body)

    async def put(self, number, data, **more):
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        return await self.ask("PUT", f"parts/{number}", data=body, **more)

    async def send(self, data=VIDEO, name="clip.mp4"):
        """A whole file of one part; the answer to its completion."""
        await self.open(name, len(data))
        await self.put(1, data)
        return await self.ask("POST", "complete", json={})


class Site:
    """Where the pages are served now, and a client for them."""

    def __init__(self, house, settings, texts, session) -> None:
        self.house = house
        self.settings = settings
        self.texts = texts
        self.session = session
        self.url = ""

    @asynccontextmanager
    async def serving(self):
        async with serve_web(self.house.controller, self.settings, self.texts) as url:
            self.url = url
            yield self

    async def ask(self, method, path, **more):
        """Status, JSON or text, headers."""
        async with self.session.request(
            method, self.url + path, allow_redirects=False, **more
        ) as answer:
            is_json = answer.content_type == "application/json"
            body = await answer.json() if is_json else await answer.read()
            return answer.status, body, answer.headers

    def offer(self, key="tg:7:5", owner=USER, **more):
        request = Request(key=key, owner=owner, chat=owner, reply_to=5, **more)
        return Page(self, self.house.controller.uploads.offer(request).url)


@pytest.fixture
def open_house(house):
    """With a public address."""
    house.change(public_url=PUBLIC, bind="127.0.0.1:0")
    return house


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def site(open_house, bot_settings, texts, session):
    async with Site(open_house, bot_settings, texts, session).serving() as site:
        yield site


@pytest.fixture
async def b2():
    async with B2Standin() as standin:
        yield standin


@pytest.fixture
async def bucket_site(tmp_path, b2, bot_settings, texts, session):
    async with (
        bucket_house(tmp_path / "data", b2, b2.url) as house,
        Site(house, bot_settings, texts, session).serving() as site,
    ):
        yield site


@asynccontextmanager
async def bucket_house(data_dir, b2, endpoint, public_url=PUBLIC):
    clock = Clock()
    started = clock.now
    b2.clock = lambda: time.time() + clock.now - started
    house = BucketHouse(data_dir, clock, ScriptedProvider(), b2)
    house.change(public_url=public_url, bind="127.0.0.1:0", storage="s3", b2_endpoint=endpoint)
    yield house
    await house.storage.close()
    house.store.close()


@asynccontextmanager
async def site_of(where, tmp_path, front, back, bot_settings, texts, session):
    """Behind two lines: ``front`` to the pages, ``back`` to the bucket, if that is ``where``."""
    async with AsyncExitStack() as stack:
        if where == "bucket":
            b2 = await stack.enter_async_context(B2Standin())
            back.target_url = b2.url
            b2.pages = {front.url}
            house = await stack.enter_async_context(
                bucket_house(tmp_path / "data", b2, back.url, front.url)
            )
        else:
            house = House(tmp_path / "data", Clock(), ScriptedProvider())
            stack.callback(house.store.close)
            house.change(public_url=front.url, bind="127.0.0.1:0")
        site = Site(house, bot_settings, texts, session)
        yield await stack.enter_async_context(site.serving())


async def until(holds, limit_s=5.0):
    async with asyncio.timeout(limit_s):
        while not (found := holds()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


@asynccontextmanager
async def restarted(site):
    """As after kill -9: rows and storage are all that is left."""
    site.house.restart()
    async with Site(site.house, site.settings, site.texts, site.session).serving() as again:
        yield again
