"""A web page in the user's browser that talks to 127.0.0.1: the sandbox hears none of it."""

import aiohttp
import pytest

from bot.sandbox import Sandbox


@pytest.fixture
async def sandbox():
    async with Sandbox() as running:
        yield running


CROSS = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this computer
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"}, {"Host": "[::ffff:7f00:1]"},
]  # fmt: skip


@pytest.mark.parametrize("headers", CROSS, ids=str)
async def test_what_another_page_loads_changes_nothing(sandbox, headers):
    """As a picture, a form or a script: a GET is enough for the Bot API."""
    call = f"{sandbox.base_url}/bot{sandbox.token}/setMyName?name=owned"
    paths = (call, f"{sandbox.base_url}/sandbox/world", f"{sandbox.base_url}/web/app.js")
    async with aiohttp.ClientSession() as session:
        for url in paths:
            async with session.get(url, headers=headers) as answer:
                assert answer.status == 403
        async with session.post(f"{sandbox.base_url}/sandbox/forward", headers=headers) as answer:
            assert answer.status == 403
    assert sandbox._calls == []


async def test_a_link_to_the_page_may_be_followed_and_the_page_may_ask(sandbox):
    async with aiohttp.ClientSession() as session:
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        async with session.get(sandbox.base_url, headers=link) as answer:
            assert answer.status == 200
        own = {"Sec-Fetch-Site": "same-origin"}
        async with session.get(f"{sandbox.base_url}/sandbox/world", headers=own) as answer:
            assert answer.status == 200
