"""Short ways to speak to the stand-in for Vast.ai as any client would."""

import asyncio
import time

import aiohttp

from tests.standins.vast import make_body


class Lost(Exception):
    """The connection ended without an answer."""


async def once(request, handler):
    """aiohttp sends a PUT again when its connection ends; not past this middleware."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise Lost from error


def session(standin, key=None, *, resends=False):
    """With the key of the account, or this one."""
    headers = {"Authorization": f"Bearer {key or standin.account_key}"}
    middlewares = () if resends else (once,)
    return aiohttp.ClientSession(standin.url, headers=headers, middlewares=middlewares)


async def ask(http, method, path, body=None, **options):
    """Status and JSON."""
    async with http.request(method, path, json=body, **options) as response:
        return response.status, await response.json()


async def search(http, **query):
    """Ids of what is found, or the status of the refusal."""
    status, answer = await ask(http, "POST", "/api/v0/bundles/", query)
    return [offer["id"] for offer in answer["offers"]] if status == 200 else status


async def rent(http, standin, offer=None, **changes):
    """The instance; of any offer that can be had unless one is named."""
    offer = offer or next(row["id"] for row in standin.market() if row["rentable"])
    status, answer = await ask(http, "PUT", f"/api/v0/asks/{offer}/", make_body(**changes))
    assert (status, answer["success"]) == (200, True)
    return standin.instances[answer["new_contract"]]


async def listing(http, **query):
    return (await ask(http, "GET", "/api/v1/instances/", params=query))[1]


async def until(met, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)
