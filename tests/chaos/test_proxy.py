import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from tests.chaos.proxy import FaultProxy


@pytest.fixture
async def served():
    """A server that counts what it was asked for, behind a proxy."""
    seen = []

    async def answer(request):
        seen.append(request.path)
        await request.read()
        return web.Response(body=b"x" * int(request.query.get("bytes", 2)))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    target = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with FaultProxy(target) as proxy, aiohttp.ClientSession() as session:
        yield proxy, session, seen
    await runner.cleanup()


async def read(session, url):
    async with session.get(url) as answer:
        return await answer.read()


async def test_it_forwards_what_it_is_given(served):
    proxy, session, seen = served
    assert len(await read(session, f"{proxy.url}/a?bytes=300000")) == 300_000
    assert seen == ["/a"]


@pytest.mark.parametrize("trouble", ["cut", "refusing"])
async def test_a_cut_breaks_what_is_open_and_what_comes_and_then_all_goes_on(served, trouble):
    proxy, session, seen = served
    await read(session, f"{proxy.url}/before")
    async with getattr(proxy, trouble)():
        with pytest.raises(aiohttp.ClientError):
            await read(session, f"{proxy.url}/while")
    await read(session, f"{proxy.url}/after")
    assert seen == ["/before", "/after"]


async def test_an_answer_is_lost_after_its_request_went_through(served):
    proxy, session, seen = served
    proxy.lose_answers(1, of=b"POST /create")
    await read(session, f"{proxy.url}/other")
    with pytest.raises(aiohttp.ClientError):
        async with session.post(f"{proxy.url}/create", data=b"once") as answer:
            await answer.read()
    assert seen == ["/other", "/create"]
    assert proxy.lost == 1


async def test_it_delays_and_throttles(served):
    proxy, session, _ = served
    proxy.delay_s = 0.1
    began_at = time.monotonic()
    await read(session, f"{proxy.url}/slow")
    assert time.monotonic() - began_at > 0.18
    proxy.delay_s, proxy.bytes_per_s = 0.0, 200_000
    began_at = time.monotonic()
    await read(session, f"{proxy.url}/large?bytes=60000")
    assert time.monotonic() - began_at > 0.25


async def test_a_target_that_is_not_there_breaks_the_connection():
    async with FaultProxy("http://127.0.0.1:9") as proxy, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(read(session, proxy.url), 5)
