"""The stand-in refuses, lags, throttles and bills as the real API is known to."""

import asyncio

import pytest

from tests.controller.vast_calls import ask, listing, rent, search, session, until
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


# --- the market ------------------------------------------------------------------------------


async def test_numbers_in_strings_are_read_by_the_type_of_the_field(standin, http):
    standin.add_offer(id=3, num_gpus=12, cuda_max_good=9.5)
    assert await search(http, num_gpus={"gte": "2"}) == [3]
    assert await search(http, cuda_max_good={"gte": "10.0"}) == [1, 2]
    assert await search(http, driver_version={"gte": 560000000}, num_gpus={"eq": "1"}) == [1, 2]
    assert await search(http, num_gpus={"eq": "many"}) == 400


async def test_an_offer_is_found_by_ask_contract_id_and_never_by_id(http):
    assert await search(http, id={"eq": 1}) == []
    assert await search(http, ask_contract_id={"eq": 1}) == [1]


async def test_no_search_finds_more_than_64(standin, http):
    for _ in range(80):
        standin.add_offer()
    assert len(await search(http, limit=3000)) == 64
    assert len(await search(http, limit=5)) == 5


async def test_a_search_is_ordered_and_priced_for_its_disk(standin, http):
    standin.add_offer(id=3, dph_base=0.04, storage_cost=0.9)
    order = [["dph_total", "asc"]]
    assert await search(http, order=order, allocated_storage=1) == [3, 1, 2]
    assert await search(http, order=order, allocated_storage=100) == [1, 2, 3]


@pytest.mark.parametrize(
    "query",
    [
        {"colour": {"eq": 1}}, {"num_gpus": {"near": 1}}, {"num_gpus": 1},
        {"type": "interruptible"}, {"order": "dph_total"}, {"order": [["colour", "asc"]]},
    ],
)  # fmt: skip
async def test_a_search_that_makes_no_sense_is_refused(http, query):
    assert await search(http, **query) == 400


@pytest.mark.parametrize("kind", ["on-demand", "ondemand", "bid"])
async def test_both_spellings_of_the_type_are_taken(http, kind):
    assert await search(http, type=kind) == [1, 2]


async def test_filters_are_sometimes_not_applied(standin, http):
    standin.add_offer(id=3, gpu_ram=4000)
    assert await search(http, gpu_ram={"gte": 8000}) == [1, 2]
    standin.unfiltered.add("gpu_ram")
    assert await search(http, gpu_ram={"gte": 8000}) == [1, 2, 3]


async def test_the_newer_search_answers_alike(http):
    body = {"select_cols": ["*"], "q": {"num_gpus": {"eq": "1"}}}
    _, answer = await ask(http, "PUT", "/api/v0/search/asks/", body)
    assert [offer["id"] for offer in answer["offers"]] == [1, 2]


async def test_renting_uses_up_the_other_offers_of_the_machine(standin, http):
    standin.add_offer(id=3, machine_id=30, num_gpus=1)
    standin.add_offer(id=4, machine_id=30, num_gpus=1)
    standin.add_offer(id=5, machine_id=30, num_gpus=2)
    first = await rent(http, standin, 3)
    assert await search(http, rented={"in": [True, False]}) == [1, 2, 4]
    assert await search(http) == [1, 2]
    await ask(http, "DELETE", f"/api/v0/instances/{first.id}/", {})
    assert await search(http) == [1, 2, 3, 4, 5]


# --- how it is spoken to ---------------------------------------------------------------------


async def test_answers_have_the_exact_content_type(http):
    async with http.post("/api/v0/bundles/", json={}) as response:
        assert response.headers["Content-Type"] == "application/json"


async def test_a_missing_slash_loses_the_body(http):
    async with http.put("/api/v0/asks/1", json=make_body()) as response:
        assert (response.status, await response.text()) == (
            400, "Request body must be valid JSON",
        )  # fmt: skip
    async with http.get("/api/v1/instances", allow_redirects=False) as response:
        assert response.status == 301
    for path in ("/api/v0/users/current", "/api/v0/users/current/"):
        assert (await ask(http, "GET", path))[1]["credit"] == 25.0


async def test_the_old_listing_is_retired(http):
    status, answer = await ask(http, "GET", "/api/v0/instances/")
    assert (status, answer["error"]) == (410, "deprecated_endpoint")


@pytest.mark.parametrize("status", [401, 404])
async def test_a_bad_key_is_refused_with_either_status(standin, status):
    standin.bad_key_as = status
    async with session(standin, "0" * 64) as stranger:
        for method, path in (("GET", "/api/v1/instances/"), ("DELETE", "/api/v0/instances/9/")):
            got, answer = await ask(stranger, method, path, {})
            assert (got, answer["error"]) == (status, "auth_error")


async def test_the_key_of_an_instance_reaches_that_instance_alone(standin, http):
    mine, other = await rent(http, standin, 1), await rent(http, standin, 2)
    async with session(standin, mine.key) as inside:
        path = "/api/v0/instances/{}/"
        assert (await ask(inside, "GET", path.format(mine.id)))[1]["instances"]["id"] == mine.id
        assert (await ask(inside, "PUT", path.format(mine.id), {"label": "new"}))[0] == 200
        assert mine.label == "new"
        for method in ("GET", "DELETE"):
            assert (await ask(inside, method, path.format(other.id), {}))[0] == 401
        assert (await ask(inside, "PUT", path.format(other.id), {"label": "mine"}))[0] == 401
        assert (await ask(inside, "GET", "/api/v0/users/current/"))[0] == 401
        assert (await ask(inside, "PUT", "/api/v0/asks/2/", make_body()))[0] == 401
        many = {"instance_ids": [mine.id]}
        assert (await ask(inside, "DELETE", "/api/v0/instances/", many))[0] == 401
        assert (await ask(inside, "GET", "/api/v1/instances/"))[0] == 200
        assert (await ask(inside, "DELETE", path.format(mine.id), {}))[0] == 200
        assert (await ask(inside, "GET", path.format(mine.id)))[0] == 401
    assert standin.alive() == [other]


# --- renting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"label": "x" * 257}, {"env": {"A": "x" * 257}}, {"env": "-e A=b"}, {"env": {"A": 1}},
        {"disk": 7.9}, {"disk": "20"}, {"disk": 5000}, {"image": ""}, {"image": None},
        {"args": ["-c", "x" * 4044]}, {"args": "-c true"}, {"runtype": "docker"},
        {"runtype": "ssh"}, {"price": 0}, {"cancel_unavail": "true"}, {"runtpe": "args"},
    ],
)  # fmt: skip
async def test_a_create_that_the_api_would_refuse_is_refused(standin, http, changes):
    status, answer = await ask(http, "PUT", "/api/v0/asks/1/", make_body() | changes)
    assert (status, answer["success"]) == (400, False)
    assert standin.instances == {}
    assert len(standin.creates) == 1


async def test_the_longest_script_that_fits_is_taken(standin, http):
    instance = await rent(http, standin, 1, script="#" * (4048 - len("-c") - len("bash")))
    assert instance.label == "nox1|x"


@pytest.mark.parametrize("shape", ["410", "404", "400"])
async def test_an_offer_is_rented_once(standin, http, shape):
    standin.gone_offer_as = shape
    await rent(http, standin, 1)
    status, answer = await ask(http, "PUT", "/api/v0/asks/1/", make_body())
    assert status == int(shape)
    assert "no_such_ask" in answer["error"] + answer["msg"]
    assert len(standin.alive()) == 1
    assert len(standin.creates) == 2


async def test_the_price_may_be_another_once_rented(standin, http):
    standin.price_after[10] = 0.30
    await rent(http, standin, 1)
    row = (await listing(http))["instances"][0]
    assert row["dph_total"] == pytest.approx(0.30 + 20 * 0.15 / 720)


@pytest.mark.parametrize(
    ("behaviour", "status", "state", "words"),
    [
        ("never", None, "running", None),
        ("stuck_loading", "loading", "running", "Downloading"),
        ("slow_unpack", "loading", "running", "Pull complete"),
        ("dead_host", "loading", "stopped", ""),
        ("manifest_unknown", "loading", "stopped", "manifest unknown"),
        ("tls_timeout", "loading", "stopped", "TLS handshake timeout"),
        ("oci_failure", "created", "running", "OCI runtime create failed:"),
        ("scheduling", "scheduling", "running", None),
        ("offline", "offline", "running", "success, running"),
        ("outbid", "exited", "stopped", "success, running"),
    ],
)
async def test_instances_fail_with_the_signatures_that_are_known(
    standin, http, behaviour, status, state, words
):
    standin.behaviour[10] = behaviour
    standin.mishap_s = 0.05
    instance = await rent(http, standin, 1)
    await until(lambda: instance.row()["actual_status"] == status)
    await until(lambda: instance.cur == state and (words or "") in (instance.status_msg or ""))
    assert words is None or instance.status_msg is not None


async def test_a_script_as_entrypoint_does_not_start(standin, http):
    instance = await rent(http, standin, 1, onstart="echo hello", args=[])
    await until(lambda: "OCI runtime create failed" in (instance.status_msg or ""))
    assert instance.actual == "created"


async def test_all_goes_through_the_states_in_their_order(standin, http):
    instance = await rent(http, standin, 1)
    seen = [instance.actual]

    def look():
        if seen[-1] != instance.actual:
            seen.append(instance.actual)
        return instance.actual == "running"

    await until(look)
    assert seen == [None, "created", "loading", "running"]


# --- listings --------------------------------------------------------------------------------


async def test_listings_come_in_pages_of_25_by_token(standin, http):
    for number in range(101, 161):
        standin.add_offer(id=number)
        await rent(http, standin, number, label=f"l{number % 2}")
    first = await listing(http, limit="100")
    assert (first["instances_found"], first["total_instances"]) == (25, 60)
    assert first["label_counts"] == {"l0": 30, "l1": 30}
    ids, token = [row["id"] for row in first["instances"]], first["next_token"]
    looped = await listing(http, next_token=token)
    assert [row["id"] for row in looped["instances"]] == ids
    while token:
        page = await listing(http, after_token=token)
        ids, token = ids + [row["id"] for row in page["instances"]], page["next_token"]
    assert ids == sorted(standin.instances)
    assert len((await listing(http, limit="0"))["instances"]) == 5
    down = await listing(http, order_by='[{"col": "id", "dir": "desc"}]', select_cols='["id","x"]')
    assert down["instances"][0] == {"id": max(ids), "x": None}
    some = await listing(http, select_filters='{"label": {"in": ["l1"]}}')
    assert some["total_instances"] == 30


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"after_token": "nonsense"}, "invalid_token"),
        ({"select_filters": '{"dph_total": {"lt": 1}}'}, "invalid_request"),
        ({"limit": "many"}, "invalid_request"),
    ],
)
async def test_listings_refuse_what_they_cannot_do(http, query, slug):
    assert (await listing(http, **query))["error"] == slug


async def test_reads_lag_behind_writes(standin, http):
    standin.lag_s, standin.linger_s = 0.3, 0.3
    instance = await rent(http, standin, 1)
    path = f"/api/v0/instances/{instance.id}/"
    assert (await listing(http))["total_instances"] == 0
    assert (await ask(http, "GET", path))[1] == {"instances": None}
    await asyncio.sleep(0.35)
    assert (await listing(http))["total_instances"] == 1
    await ask(http, "DELETE", path, {})
    assert (await listing(http))["total_instances"] == 1
    assert (await ask(http, "GET", path))[1] == {"instances": None}
    await asyncio.sleep(0.35)
    assert (await listing(http))["total_instances"] == 0


async def test_what_is_gone_is_null_or_404_and_is_destroyed_once(standin, http):
    instance = await rent(http, standin, 1)
    path = f"/api/v0/instances/{instance.id}/"
    assert (await ask(http, "DELETE", path, {}))[0] == 200
    status, answer = await ask(http, "DELETE", path, {})
    assert (status, answer["error"]) == (404, "no_such_instance")
    assert await ask(http, "GET", path) == (200, {"instances": None})
    standin.gone_instance_as = "404"
    assert (await ask(http, "GET", path))[0] == 404


async def test_many_are_destroyed_at_once_but_64_at_most(standin, http):
    instances = [await rent(http, standin, offer) for offer in (1, 2)]
    too_many = {"instance_ids": list(range(65))}
    assert (await ask(http, "DELETE", "/api/v0/instances/", too_many))[0] == 400
    standin.bulk_missing_as = "404"
    some = {"instance_ids": [each.id for each in instances] + [9]}
    assert (await ask(http, "DELETE", "/api/v0/instances/", some))[0] == 404
    assert standin.alive() == []


# --- changes ---------------------------------------------------------------------------------


async def test_a_label_may_be_changed_and_grow_to_1024(standin, http):
    instance = await rent(http, standin, 1)
    path = f"/api/v0/instances/{instance.id}/"
    assert (await ask(http, "PUT", path, {"label": "x" * 1024}))[0] == 200
    status, answer = await ask(http, "PUT", path, {"label": "x" * 1025})
    assert (status, answer["error"], len(instance.label)) == (400, "label_too_long", 1024)
    assert (await ask(http, "PUT", path, {"label": "x", "state": "stopped"}))[0] == 400


async def test_states_are_changed_for_many_at_once(standin, http):
    instances = [await rent(http, standin, offer) for offer in (1, 2)]
    body = {"state": "stopped", "ids": [each.id for each in instances]}
    assert (await ask(http, "PUT", "/api/v0/instances/", body))[0] == 200
    assert [each.cur for each in instances] == ["stopped", "stopped"]
    assert (await ask(http, "PUT", "/api/v0/instances/", body | {"state": "running"}))[0] == 200
    await until(lambda: [each.actual for each in instances] == ["running", "running"])


@pytest.mark.parametrize(
    ("verb", "meanwhile"), [("reboot", "rebooting"), ("recycle", "recycling")]
)
async def test_a_container_is_started_anew_on_demand(standin, http, verb, meanwhile):
    instance = await rent(http, standin, 1)
    await until(lambda: instance.actual == "running")
    status, _ = await ask(http, "PUT", f"/api/v0/instances/{verb}/{instance.id}/", {})
    assert (status, instance.actual) == (200, meanwhile)
    await until(lambda: instance.actual == "running")
    assert instance.restarts == 1


async def test_a_bid_has_its_bounds(standin, http):
    instance = await rent(http, standin, 1, price=0.03)
    path = f"/api/v0/instances/bid_price/{instance.id}/"
    assert (await ask(http, "PUT", path, {"client_id": "me", "price": 0.04}))[0] == 200
    assert instance.price == 0.04
    status, answer = await ask(http, "PUT", path, {"client_id": "me", "price": 33})
    assert (status, answer["error"], instance.price) == (400, "invalid_price", 0.04)
