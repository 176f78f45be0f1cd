from itertools import pairwise

import pytest

from controller.errors import (
    BadImage,
    BadKey,
    NoCredit,
    OfferGone,
    ProviderError,
    RateLimited,
    Unclear,
)
from controller.labels import Label
from controller.providers.base import Offer
from tests.controller.vast_script import NOW, launch

CREATE = "PUT /api/v0/asks/7/"
MANY = "DELETE /api/v0/instances/"
OFFER = Offer(id="7", name="RTX 3060", usd_per_hour=0.05)
DONE = (200, {"success": True})


# --- creating --------------------------------------------------------------------------------


async def test_a_create_call_has_the_whole_order_in_its_body(script, provider):
    script.on(CREATE, (200, {"success": True, "new_contract": 41, "instance_api_key": "k"}))
    assert await provider.create(OFFER, launch()) == "41"
    assert script.bodies(CREATE) == [
        {
            "image": "img:tag", "disk": 20.0, "label": launch().label, "env": {"A": "b"},
            "runtype": "args", "onstart": "/bin/bash", "args": ["-c", "sleep 1"],
            "cancel_unavail": True, "price": None, "target_state": "running",
        }
    ]  # fmt: skip


CREATE_ANSWERS = [
    ((410, {"error": "no_such_ask", "msg": "gone"}), OfferGone),
    ((404, {"error": "invalid_args", "msg": "error 404/3603: no_such_ask"}), OfferGone),
    ((400, {"error": "insufficient_credit"}), NoCredit),
    ((404, {"error": "auth_error", "msg": "Invalid user key"}), BadKey),
    ((403, {"error": "invalid_args", "msg": "not your own"}), BadKey),
    ((400, {"error": "invalid_args", "msg": "bad image"}), BadImage),
    ((200, {"success": False, "error": "whatever"}), ProviderError),
    ((429, "API requests too frequent"), RateLimited),
    ((200, {"success": True}), Unclear),
    ((200, {"success": True, "new_contract": None}), Unclear),
    ((200, {"success": True, "new_contract": True}), Unclear),
    ((200, {"success": True, "new_contract": "41"}), Unclear),
    ((200, {"success": True, "new_contract": 0}), Unclear),
    ((200, {"success": False, "error": "no_such_ask", "new_contract": 41}), Unclear),
    ((400, {"success": False, "error": "invalid_args", "new_contract": 41}), Unclear),
    ((200, ""), Unclear),
    ((200, "<html>"), Unclear),
    ((500, {"error": "no_such_ask"}), Unclear),
    ((502, "<html>"), Unclear),
    ((409, {"error": "conflict"}), Unclear),
    ((307, ""), Unclear),
]


@pytest.mark.parametrize(("answer", "expected"), CREATE_ANSWERS)
async def test_each_answer_to_a_create_is_a_type_and_none_is_asked_for_twice(
    script, provider, answer, expected
):
    script.on(CREATE, answer)
    with pytest.raises((ProviderError, Unclear)) as raised:
        await provider.create(OFFER, launch())
    assert raised.type is expected
    assert script.count(CREATE) == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"script": "x" * 4001}, "4001 bytes"),
        ({"script": "ж" * 2001}, "4002 bytes"),
        ({"script": ""}, "no script"),
        ({"image": ""}, "no image"),
        ({"env": {"A": "x" * 257}}, "A is longer"),
        ({"env": {f"N{n}": "x" * 256 for n in range(200)}}, "too long"),
        ({"label": "x" * 257}, "label"),
        ({"label": "job-a"}, "label"),
        ({"label": str(Label("zzzz9999", "0" * 26, 1))}, "label"),
    ],
)
async def test_what_the_server_would_refuse_is_not_sent(script, provider, changes, problem):
    with pytest.raises(ProviderError, match=problem):
        await provider.create(OFFER, launch(**changes))
    with pytest.raises(ProviderError):
        await provider.create(Offer(id="../x", name="", usd_per_hour=0.0), launch())
    assert script.seen == []


async def test_the_longest_script_and_value_are_sent_whole(script, provider):
    script.on(CREATE, (200, {"success": True, "new_contract": 41}))
    await provider.create(OFFER, launch(script="x" * 4000, env={"A": "y" * 256}, disk_gb=1.0))
    (body,) = script.bodies(CREATE)
    assert body["args"][1] == "x" * 4000
    assert len(body["onstart"]) + sum(map(len, body["args"])) <= 4096
    assert body["env"] == {"A": "y" * 256}
    assert body["disk"] == 8.0


async def test_creates_leave_four_and_a_half_seconds_apart(script, provider):
    script.on(CREATE, (200, {"success": True, "new_contract": 41}))
    for number in range(4):
        await provider.create(OFFER, launch(number))
    moments = [each.at for each in script.seen]
    assert moments[0] == NOW
    assert all(later - sooner >= 4.5 for sooner, later in pairwise(moments))
    assert script.time.now == moments[-1]


# --- destroying ------------------------------------------------------------------------------


async def test_a_hundred_are_destroyed_in_two_calls_three_seconds_apart(script, provider):
    script.on(MANY, DONE)
    ids = {str(number) for number in range(1, 101)}
    assert await provider.destroy(ids) == ids
    assert [len(each["instance_ids"]) for each in script.bodies(MANY)] == [64, 36]
    assert {n for each in script.bodies(MANY) for n in each["instance_ids"]} == set(range(1, 101))
    assert script.seen[1].at - script.seen[0].at >= 3.0


ONE_GONE = [
    DONE,
    (404, {"error": "no_such_instance", "msg": "gone"}),
    (404, {"error": "not_found"}),
    (400, {"error": "invalid_id"}),
    (200, {"success": False, "error": "no_such_instance"}),
]
ONE_ALIVE = [
    ((404, {"error": "auth_error", "msg": "Invalid user key"}), BadKey),
    ((404, {"error": "not_found", "msg": "Session expired. Please log in again."}), BadKey),
    ((404, "<html>"), Unclear),
    ((404, {"detail": "Not Found"}), Unclear),
    ((200, {"success": False, "error": "busy"}), ProviderError),
    ((200, {}), Unclear),
    ((200, "false"), Unclear),
    ((200, ""), Unclear),
    ((502, "<html>"), Unclear),
    ((429, "API requests too frequent"), RateLimited),
]


@pytest.mark.parametrize("answer", ONE_GONE)
async def test_one_is_gone_when_the_provider_says_so(script, provider, answer):
    script.on("DELETE /api/v0/instances/5/", answer)
    assert await provider.destroy(["5", "5"]) == {"5"}
    assert script.bodies("DELETE /api/v0/instances/5/") == [{}]


@pytest.mark.parametrize(("answer", "expected"), ONE_ALIVE)
async def test_one_is_not_gone_for_any_other_answer(script, provider, answer, expected):
    script.on("DELETE /api/v0/instances/5/", answer)
    with pytest.raises((ProviderError, Unclear)) as raised:
        await provider.destroy(["5"])
    assert raised.type is expected


@pytest.mark.parametrize(
    "answer", [(200, {}), (200, "false"), (200, ""), (200, "<html>"), (502, "")]
)
async def test_many_are_unclear_where_nothing_was_learnt(script, provider, answer):
    script.on(MANY, answer)
    with pytest.raises(Unclear):
        await provider.destroy(["1", "2"])


async def test_what_was_learnt_of_some_is_kept_when_the_rest_is_unclear(script, provider):
    script.on(MANY, DONE, (502, ""))
    gone = await provider.destroy([str(number) for number in range(1, 101)])
    assert gone == {str(number) for number in range(1, 65)}


async def test_one_that_is_missing_does_not_keep_the_others_alive(script, provider):
    alive = set(range(1, 65)) - {13}

    def many(seen):
        if 13 in seen.body["instance_ids"]:
            return 404, {"error": "no_such_instance", "msg": "no_such_instance 13"}
        alive.difference_update(seen.body["instance_ids"])
        return DONE

    def one(seen):
        number = int(seen.path.split("/")[-2])
        if number not in alive:
            return 404, {"error": "no_such_instance"}
        alive.discard(number)
        return DONE

    script.on(MANY, many)
    for number in range(1, 65):
        script.on(f"DELETE /api/v0/instances/{number}/", one)
    ids = {str(number) for number in range(1, 65)}
    assert await provider.destroy(ids) == ids
    assert alive == set()
    assert len(script.seen) < 16


async def test_a_refused_key_ends_no_halves(script, provider):
    script.on(MANY, (401, {"error": "auth_error", "msg": "Invalid user key"}))
    with pytest.raises(BadKey):
        await provider.destroy([str(number) for number in range(1, 101)])
    assert script.count(MANY) == 1


async def test_an_id_of_another_provider_was_never_here(script, provider):
    assert await provider.destroy(["1234-99.50", "local"]) == {"1234-99.50", "local"}
    assert await provider.destroy([]) == set()
    assert script.seen == []
