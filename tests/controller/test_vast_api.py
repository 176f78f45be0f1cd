import asyncio
import logging
import socket

import pytest

from controller.errors import BadKey, ProviderError, RateLimited, Unclear
from controller.providers.vast_answers import refusal
from controller.providers.vast_api import (
    CREATE,
    DESTROY,
    LIST,
    REQUEST_LOGS,
    SEARCH,
    VastApi,
)
from tests.controller.vast_script import (
    DROPS,
    KEY,
    NOW,
    TOO_OFTEN,
    FakeTime,
    dropping,
    error,
    scripted,
)

SEARCH_PATH = "POST /api/v0/bundles/"
LIST_PATH = "GET /api/v1/instances/"
CREATE_PATH = "PUT /api/v0/asks/7/"


def api_at(url, time=None, **changes):
    time = time or FakeTime()
    settings = {"key": KEY, "random": lambda: 0.5} | changes
    return VastApi(url=url, clock=time.clock, sleep=time.sleep, **settings)


@pytest.fixture
async def script():
    async with scripted() as script:
        yield script


@pytest.fixture
async def api(script):
    api = api_at(script.url, script.time)
    yield api
    await api.close()


# --- requests that may be repeated -----------------------------------------------------------


async def test_a_read_is_repeated_after_each_passing_failure_seconds_apart(script, api):
    script.on(LIST_PATH, (502, "<html>"), (429, TOO_OFTEN), (200, {"instances": []}))
    answer = await api.call(LIST)
    assert answer.ok
    moments = [each.at - NOW for each in script.seen]
    assert moments[1] >= 2 and moments[2] - moments[1] >= 5


@pytest.mark.parametrize(
    ("failure", "expected"),
    [((500, "oops"), Unclear), ((503, "<html>"), Unclear), ((429, TOO_OFTEN), RateLimited)],
)
async def test_a_read_is_tried_three_times_and_no_more(script, api, failure, expected):
    script.on(LIST_PATH, failure)
    with pytest.raises(expected):
        await api.call(LIST)
    assert script.count(LIST_PATH) == 3


@pytest.mark.parametrize("phase", DROPS)
async def test_a_read_whose_connection_drops_is_unclear_in_the_end(phase):
    async with dropping(
        "headers" if DROPS[phase][0] == "body" else DROPS[phase][0], DROPS[phase][1]
    ) as (url, _):
        api = api_at(url)
        with pytest.raises(Unclear):
            await api.call(LIST)
        await api.close()


async def test_a_definite_refusal_is_not_repeated(script, api):
    script.on(LIST_PATH, (400, error("invalid_token", "bad")))
    assert (await api.call(LIST)).slug == "invalid_token"
    assert script.count(LIST_PATH) == 1


async def test_a_quota_that_is_used_up_is_never_asked_for_again(script, api):
    reset = {"X-RateLimit-Reset": str(NOW + 3600)}
    script.on(SEARCH_PATH, (429, {"error": "search_quota_exceeded", "msg": "no"}, reset))
    with pytest.raises(RateLimited, match="until 2027-01-15 09:00 UTC"):
        await api.call(SEARCH, body={})
    with pytest.raises(RateLimited):
        await api.call(SEARCH, body={})
    assert script.count(SEARCH_PATH) == 1
    script.time.now += 900
    with pytest.raises(RateLimited):
        await api.call(SEARCH, body={})
    assert script.count(SEARCH_PATH) == 2


async def test_redirects_are_not_followed_and_the_key_goes_nowhere_else(script, api):
    async with scripted() as other:
        other.on("GET /", (200, {"success": True}))
        script.on(LIST_PATH, (302, "", {"Location": other.url + "/"}))
        script.on(CREATE_PATH, (307, "", {"Location": other.url + "/"}))
        assert (await api.call(LIST)).status == 302
        assert (await api.call_once(CREATE, id="7", body={})).status == 307
        assert other.seen == []


async def test_the_key_is_in_one_header_and_in_no_message(script, api, caplog):
    caplog.set_level(logging.DEBUG)
    echo = (400, error("invalid_args", f"your key {KEY} is nice"))
    script.on(LIST_PATH, (500, f"key {KEY}"), echo)
    said = str(refusal(await api.call(LIST)))
    assert "your key *** is nice" in said
    request = script.seen[0]
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in request.path + str(request.query)
    assert KEY not in caplog.text + said + repr(api)


@pytest.mark.parametrize("key", ["", "with space", "line\nbreak", "ключ"])
async def test_a_key_that_cannot_be_one_is_refused_without_a_request(script, key):
    api = api_at(script.url, key=key)
    with pytest.raises(BadKey):
        await api.call(LIST)
    with pytest.raises(BadKey):
        await api.call_once(CREATE, id="7", body={})
    assert script.seen == []
    await api.close()


async def test_bodies_are_json_and_paths_end_with_their_slash(script, api):
    script.on("DELETE /api/v0/instances/5/", (200, {"success": True}))
    script.on("PUT /api/v0/instances/request_logs/5/", (200, {"success": True}))
    await api.call(DESTROY, id="5", body={})
    await api.call(REQUEST_LOGS, id="5", body={"tail": "9"})
    assert [each.body for each in script.seen] == [{}, {"tail": "9"}]
    assert all(each.headers["Content-Type"] == "application/json" for each in script.seen)


@pytest.mark.parametrize("first", [(308, ""), (404, "Not Found")])
async def test_the_account_is_found_with_a_slash_or_without(script, api, first):
    script.on("GET /api/v0/users/current", first)
    script.on("GET /api/v0/users/current/", (200, {"id": 1, "credit": 11.79}))
    assert (await api.user())["credit"] == 11.79


async def test_a_bad_key_told_as_not_found_is_not_looked_for_elsewhere(script, api):
    script.on("GET /api/v0/users/current", (404, error("auth_error", "Invalid user key")))
    with pytest.raises(BadKey):
        await api.user()
    assert len(script.seen) == 1


# --- a request that leaves at most once ------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("phase", DROPS)
async def test_a_create_leaves_exactly_once_in_whatever_phase_its_connection_drops(phase, reset):
    reads, says = DROPS[phase]
    async with dropping(reads, says, reset=reset) as (url, arrived):
        api = api_at(url)
        with pytest.raises(Unclear):
            await api.call_once(CREATE, id="7", body={"image": "x" * 5000})
        await asyncio.sleep(0.05)
        await api.close()
        assert len(arrived) == 1
        puts = sum(bytes(each).count(b"PUT /api/v0/asks/7/") for each in arrived)
        assert puts == (0 if reads == "nothing" else 1)


async def test_a_create_leaves_once_where_reads_have_left_connections_open(script, api):
    script.on(LIST_PATH, (200, {"instances": []}))
    script.on(CREATE_PATH, (500, "<html>"), (200, {"success": True, "new_contract": 1}))
    await api.call(LIST)
    answer = await api.call_once(CREATE, id="7", body={})
    assert answer.status == 500
    assert script.count(CREATE_PATH) == 1
    assert script.seen[-1].headers.get("Connection") == "close"


async def test_no_answer_in_time_is_unclear_and_not_asked_again():
    silent = asyncio.Event()
    arrived = []

    async def serve(reader, writer):
        arrived.append(await reader.readuntil(b"\r\n\r\n"))
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    api = api_at(url, timeout_s=0.2)
    with pytest.raises(Unclear):
        await api.call_once(CREATE, id="7", body={})
    with pytest.raises(Unclear):
        await api.call(LIST)
    assert [each.split()[0] for each in arrived] == [b"PUT", b"GET", b"GET", b"GET"]
    silent.set()
    await api.close()
    server.close()
    await server.wait_closed()


async def test_where_nobody_listens_nothing_was_created():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = api_at(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ProviderError, match="no connection"):
            await api.call_once(CREATE, id="7", body={})
        with pytest.raises(Unclear):
            await api.call(LIST)
        await api.close()


async def test_a_refused_pace_of_creates_widens_and_the_wait_is_before_sending(script, api):
    script.on(
        CREATE_PATH, (429, f"{TOO_OFTEN}: endpoint threshold=9"), (400, error("no_such_ask"))
    )
    moments = []
    for _ in range(3):
        answer = await api.call_once(CREATE, id="7", body={})
        moments.append(script.time.now - NOW)
        assert answer.status in (429, 400)
    assert script.count(CREATE_PATH) == 3
    assert [each.at - NOW for each in script.seen] == moments  # nothing is waited for afterwards
    assert moments[0] == 0 and moments[1] >= 9 and moments[2] - moments[1] >= 8.9


async def test_an_answer_without_end_is_given_up(script, api, monkeypatch):
    monkeypatch.setattr("controller.providers.vast_api._ANSWER_BYTES", 1000)
    script.on(LIST_PATH, (200, {"instances": ["x" * 2000]}))
    with pytest.raises(Unclear):
        await api.call(LIST)
