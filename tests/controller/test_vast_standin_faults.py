"""Limits, lost answers, logs and money of the stand-in for Vast.ai."""

import asyncio
import json
import time

import aiohttp
import pytest

from tests.controller.vast_calls import Lost, ask, listing, rent, search, session, until
from tests.standins.vast import VastStandin, make_body, make_offer


@pytest.fixture
async def standin(tmp_path):
    offers = [make_offer(id=1, machine_id=10), make_offer(id=2, machine_id=20)]
    async with VastStandin(tmp_path / "instances", offers, runs=False) as standin:
        yield standin


@pytest.fixture
async def http(standin):
    async with session(standin) as http:
        yield http


async def statuses(http, method, path, times, body=None):
    seen = []
    for _ in range(times):
        async with http.request(method, path, json=body) as response:
            seen.append(response.status)
    return seen


# --- rate limits -----------------------------------------------------------------------------


async def test_each_endpoint_wants_time_between_two_calls(standin, http):
    instance = await rent(http, standin)
    standin.time_scale = 0.1
    one = f"/api/v0/instances/{instance.id}/"
    for method, path, interval in (("GET", "/api/v1/instances/", 0.1), ("GET", one, 0.2)):
        assert await statuses(http, method, path, 2) == [200, 429]
        await asyncio.sleep(interval + 0.02)
        assert await statuses(http, method, path, 1) == [200]
    assert await statuses(http, "DELETE", one, 2, {}) == [200, 429]
    async with session(standin, instance.key) as inside:  # another key has its own time
        assert await statuses(inside, "DELETE", one, 1, {}) == [401]
    assert standin.throttled == {"list": 1, "show": 1, "destroy": 1}


async def test_a_create_that_comes_too_early_waits_longer(standin, http):
    standin.time_scale = 0.05  # 0.225 s, and 0.6 s after a call that came too early
    started = time.monotonic()
    assert await statuses(http, "PUT", "/api/v0/asks/1/", 2, make_body()) == [200, 429]
    await asyncio.sleep(started + 0.35 - time.monotonic())
    assert await statuses(http, "PUT", "/api/v0/asks/2/", 1, make_body()) == [429]
    await asyncio.sleep(started + 0.65 - time.monotonic())
    assert await statuses(http, "PUT", "/api/v0/asks/2/", 1, make_body()) == [200]
    assert len(standin.creates) == 4


async def test_ten_searches_a_minute_are_answered(standin, http):
    standin.time_scale = 0.01
    path = "/api/v0/bundles/"
    assert await statuses(http, "POST", path, 11, {}) == [200] * 10 + [429]
    await asyncio.sleep(0.62)
    assert await statuses(http, "POST", path, 1, {}) == [200]


async def test_the_daily_quota_of_searches_ends(standin, http):
    standin.search_quota = 1
    assert await search(http) == [1, 2]
    async with http.post("/api/v0/bundles/", json={}) as response:
        assert (await response.json())["error"] == "search_quota_exceeded"
        assert int(response.headers["X-RateLimit-Reset"]) > time.time()


async def test_being_throttled_looks_different_each_time(standin, http):
    standin.faults["list"].extend(["429"] * 5)
    bodies = []
    for _ in range(5):
        async with http.get("/api/v1/instances/") as response:
            assert response.status == 429
            bodies.append((response.content_type, await response.text()))
    assert len(set(bodies)) == 5
    assert [kind for kind, _ in bodies[:2]] == ["text/plain", "text/plain"]
    assert "threshold=5.0" in bodies[1][1]
    assert "threshold=5.0" in json.loads(bodies[2][1])["detail"]
    assert json.loads(bodies[3][1])["error"] == "rate_limit_exceeded"
    assert "retry_after" in json.loads(bodies[4][1])


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("500_html", 500), ("502", 502), ("503", 503), ("504", 504), ("html_200", 200),
        ("success_false", 200), ("not_json", 200), ("empty", 200), ("401", 401),
        ("404_auth", 404), ("410", 410), ("no_such_ask", 410), ("insufficient_credit", 400),
        ("spend_rate_limit", 400), ("invalid_args", 400), ("429", 429), ("quota", 429),
    ],
)  # fmt: skip
async def test_an_answer_on_order_is_given_before_or_after_the_deed(standin, http, fault, status):
    standin.faults["create"].extend([fault, f"{fault}_after"])
    assert await statuses(http, "PUT", "/api/v0/asks/1/", 1, make_body()) == [status]
    assert standin.alive() == []
    assert await statuses(http, "PUT", "/api/v0/asks/1/", 1, make_body()) == [status]
    assert [each.label for each in standin.alive()] == ["nox1|x"]
    assert [create.instance for create in standin.creates] == [None, standin.alive()[0].id]
    assert {create.label for create in standin.creates} == {"nox1|x"}


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        ("drop", 0), ("drop_after_body", 0), ("timeout", 0),
        ("lost_answer", 1), ("half_answer", 1), ("timeout_after", 1),
    ],
)  # fmt: skip
async def test_no_answer_may_hide_an_instance(standin, http, fault, made):
    standin.faults["create"].append(fault)
    with pytest.raises((Lost, aiohttp.ClientPayloadError, TimeoutError)):
        await ask(
            http, "PUT", "/api/v0/asks/1/", make_body(), timeout=aiohttp.ClientTimeout(total=0.3)
        )
    assert len(standin.creates) == 1
    assert len(standin.alive()) == made
    assert (await listing(http))["total_instances"] == made


@pytest.mark.parametrize("reused", [False, True])
async def test_a_client_that_sends_again_is_seen(standin, reused):
    async with session(standin, resends=True) as http:
        if reused:
            await listing(http)
        standin.faults["create"].append("lost_answer")
        status, _ = await ask(http, "PUT", "/api/v0/asks/1/", make_body())
    assert (status, len(standin.creates), len(standin.alive())) == (410, 2, 1)
    assert standin.creates[0].peer != standin.creates[1].peer


async def test_a_kept_connection_may_be_reset_after_an_answer(standin, http):
    standin.faults["list"].append("close_after")
    assert (await listing(http))["success"] is True
    await asyncio.sleep(0.05)
    standin.faults["create"].append("ok")
    instance = await rent(http, standin)
    assert standin.creates[0].instance == instance.id


async def test_an_error_may_carry_an_instance(standin, http):
    standin.faults["create"].append("error_with_contract")
    status, answer = await ask(http, "PUT", "/api/v0/asks/1/", make_body())
    assert (status, answer["success"]) == (400, False)
    instance = standin.instances[answer["new_contract"]]
    assert (instance.intended, instance.cur, instance.actual) == ("stopped", "stopped", "exited")


async def test_a_bid_too_low_parks_an_instance_unless_told_not_to(standin, http):
    body = make_body(price=0.01)
    status, answer = await ask(http, "PUT", "/api/v0/asks/1/", body)
    assert (status, answer["error"], standin.instances) == (400, "invalid_price", {})
    status, answer = await ask(http, "PUT", "/api/v0/asks/1/", body | {"cancel_unavail": False})
    assert status == 400
    assert standin.instances[answer["new_contract"]].cur == "stopped"


async def test_a_listing_lies_in_every_known_way(standin, http):
    for number in range(101, 131):
        standin.add_offer(id=number)
        await rent(http, standin, number)
    standin.faults["list"].extend(
        ["missing_page", "empty_list", "no_rows", "zero_list", "stale", "ok"]
    )
    lies = [await listing(http) for _ in range(6)]
    rows = [len(lie["instances"] or []) for lie in lies]
    assert rows == [25, 0, 0, 0, 0, 25]
    assert [lie["total_instances"] for lie in lies] == [30, 30, 30, 0, 0, 30]
    assert [bool(lie["next_token"]) for lie in lies] == [False, False, True, False, False, True]
    standin.faults["list"].extend(["ok", "missing_page"])
    token = (await listing(http))["next_token"]
    last = await listing(http, after_token=token)
    assert (len(last["instances"]), last["next_token"]) == (4, None)


async def test_a_stale_listing_is_the_one_of_a_while_ago(standin, http):
    standin.stale_s = 0.2
    old = await rent(http, standin, 1)
    await asyncio.sleep(0.25)
    await rent(http, standin, 2)
    await ask(http, "DELETE", f"/api/v0/instances/{old.id}/", {})
    standin.faults["list"].append("stale")
    assert [row["id"] for row in (await listing(http))["instances"]] == [old.id]


async def test_a_fault_that_does_not_exist_fails_the_test():
    with pytest.raises(ExceptionGroup, match="used wrongly"):
        async with VastStandin() as standin, session(standin) as http:
            standin.faults["list"].append("tiemout")
            assert await statuses(http, "GET", "/api/v1/instances/", 1) == [500]


# --- logs ------------------------------------------------------------------------------------


async def request_log(http, instance, **body):
    path = f"/api/v0/instances/request_logs/{instance.id}/"
    status, answer = await ask(http, "PUT", path, body)
    return answer["result_url"] if status == 200 else status


async def fetch(url, tries=100):
    """The text, and what came before it."""
    seen = set()
    async with aiohttp.ClientSession() as anybody:
        for _ in range(tries):
            async with anybody.get(url) as response:
                if response.status == 200:
                    return await response.text(), seen
                seen.add(response.status)
            await asyncio.sleep(0.01)
    return None, seen


async def test_a_log_is_uploaded_after_a_while_and_its_lines_are_cut(standin, http):
    instance = await rent(http, standin)
    await until(lambda: instance.actual == "running")
    instance.say("one\n" + "x" * 600 + "\nthree\nfour")
    text, before = await fetch(await request_log(http, instance, tail="3"))
    assert text.splitlines() == ["x" * 500, "three", "four"]
    assert before and before <= {403, 404}
    text, _ = await fetch(await request_log(http, instance, tail="3", filter="our"))
    assert text == "four\n"
    text, _ = await fetch(await request_log(http, instance, daemon_logs="true"))
    assert "Successfully loaded repo/image:1" in text


async def test_a_log_of_no_container_says_so(standin, http):
    standin.behaviour[10] = "never"
    instance = await rent(http, standin, 1)
    text, _ = await fetch(await request_log(http, instance))
    assert "No such container" in text
    await ask(http, "DELETE", f"/api/v0/instances/{instance.id}/", {})
    assert await request_log(http, instance) == 404


async def test_log_requests_are_made_of_strings(standin, http):
    instance = await rent(http, standin)
    for body in ({"tail": 10}, {"tail": "ten"}, {"daemon_logs": True}, {"follow": "true"}):
        assert await request_log(http, instance, **body) == 400


async def test_the_account_key_is_not_for_log_objects(standin, http):
    instance = await rent(http, standin)
    url = await request_log(http, instance)
    await fetch(url)
    async with http.get(url.removeprefix(standin.url)) as response:
        assert response.status == 400


async def test_log_objects_may_be_dead_or_old(standin, http):
    instance = await rent(http, standin)
    await until(lambda: instance.actual == "running")
    instance.say("old")
    assert (await fetch(await request_log(http, instance)))[0] == "old\n"
    instance.say("new")
    standin.faults["logs"].extend(["stale", "dead"])
    assert (await fetch(await request_log(http, instance)))[0] == "old\n"
    assert (await fetch(await request_log(http, instance), tries=20))[0] is None
    instance.set_offline(True)
    assert (await fetch(await request_log(http, instance), tries=20))[0] is None


async def test_a_stable_log_url_shows_the_upload_before(standin, http):
    standin.stable_log_urls = True
    instance = await rent(http, standin)
    await until(lambda: instance.actual == "running")
    instance.say("old")
    await fetch(await request_log(http, instance))
    instance.say("new")
    url = await request_log(http, instance)
    assert (await fetch(url))[0] == "old\n"
    await asyncio.sleep(standin.log_delay_s + 0.05)
    assert (await fetch(url))[0] == "old\nnew\n"


# --- money -----------------------------------------------------------------------------------


async def test_disk_is_billed_always_gpu_while_running_and_traffic_by_the_gb(standin, http):
    standin.money_scale = 3600.0  # an hour a second
    standin.behaviour[20] = "stuck_loading"
    runs, waits = await rent(http, standin, 1), await rent(http, standin, 2)
    await until(lambda: runs.actual == "running")
    before = runs.bill()
    await asyncio.sleep(0.4)
    after = runs.bill()
    hours = (after.disk - before.disk) / (20 * 0.15 / 720)
    assert hours == pytest.approx(0.4, rel=0.5)
    assert after.gpu - before.gpu == pytest.approx(hours * 0.05)
    assert waits.bill().gpu == 0.0 < waits.bill().disk

    await standin.stop_by_vast(runs.id)
    stopped = runs.bill()
    waits.set_offline(True)
    cut_off = waits.bill()
    await asyncio.sleep(0.1)
    assert runs.bill().gpu == stopped.gpu
    assert runs.bill().disk > stopped.disk
    assert waits.bill() == cut_off

    runs.gb_down, runs.gb_up = 10.0, 2.0
    assert runs.bill().traffic == pytest.approx(12 * 0.003)
    await ask(http, "DELETE", f"/api/v0/instances/{runs.id}/", {})
    final = runs.bill()
    await asyncio.sleep(0.1)
    assert runs.bill() == final
    ledger = standin.ledger()
    assert ledger.total == pytest.approx(final.total + cut_off.total)
    _, user = await ask(http, "GET", "/api/v0/users/current/")
    assert user["credit"] == pytest.approx(25.0 - ledger.total)
    assert user["balance"] == 0
    _, charges = await ask(http, "GET", "/api/v0/charges/")
    assert sum(row["amount"] for row in charges["results"]) == pytest.approx(ledger.total)


async def test_without_credit_everything_stops_and_nothing_is_rented(standin, http):
    instance = await rent(http, standin, 1)
    await until(lambda: instance.actual == "running")
    standin.credit = 0.0
    await until(lambda: instance.actual == "exited")
    assert (instance.intended, instance.cur, instance.next) == ("stopped",) * 3
    status, answer = await ask(http, "PUT", "/api/v0/asks/2/", make_body())
    assert (status, answer["error"]) == (400, "insufficient_credit")
    assert "lacks credit" in answer["msg"]


async def test_a_start_waits_for_the_gpu_and_then_costs_money(standin, http):
    standin.money_scale = 3600.0
    instance = await rent(http, standin, 1)
    path = f"/api/v0/instances/{instance.id}/"
    await until(lambda: instance.actual == "running")
    assert (await ask(http, "PUT", path, {"state": "stopped"}))[0] == 200
    assert await search(http) == [2]  # hidden from the search: rented there
    standin.taken.add(10)
    _, answer = await ask(http, "PUT", path, {"state": "running"})
    assert answer["success"] is False
    assert "state change queued" in answer["msg"]
    spent = instance.bill().gpu
    await asyncio.sleep(0.1)
    assert (instance.cur, instance.bill().gpu) == ("stopped", spent)
    standin.release(10)
    await until(lambda: instance.actual == "running")
    await until(lambda: instance.bill().gpu > spent)
