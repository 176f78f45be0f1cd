import asyncio
import gc
import json
from itertools import pairwise

import pytest

from controller.errors import BadKey, Unclear
from controller.providers.base import InstanceStatus
from controller.providers.vast_rows import status_of, to_instance

LIST = "GET /api/v1/instances/"


def instance(number, **changes):
    return {
        "id": number, "label": f"label-{number}", "actual_status": "running",
        "intended_status": "running", "cur_state": "running", "next_state": "running",
        "status_msg": "success, running img/args", "dph_total": 0.06,
    } | changes  # fmt: skip


def pages(script, numbers, size=25, **changes):
    """A listing in pages, as the server makes them."""
    rows = [instance(number) for number in numbers]

    def serve(seen):
        start = int(seen.query.get("after_token", "t0")[1:])
        end = start + size
        page = {
            "success": True, "instances": rows[start:end], "total_instances": len(rows),
            "instances_found": len(rows[start:end]),
            "next_token": f"t{end}" if end < len(rows) else None,
        }  # fmt: skip
        return 200, page | changes

    script.on(LIST, serve)
    return rows


async def test_every_page_is_read_a_second_apart(script, provider):
    pages(script, range(1, 61))
    assert [each.id for each in await provider.instances()] == [str(n) for n in range(1, 61)]
    assert [each.query.get("after_token") for each in script.seen] == [None, "t25", "t50"]
    first = script.seen[0].query
    assert first["limit"] == "25" and json.loads(first["order_by"]) == [
        {"col": "id", "dir": "asc"}
    ]
    moments = [each.at for each in script.seen]
    assert all(later - sooner >= 1.0 for sooner, later in pairwise(moments))


async def test_an_empty_listing_is_known_to_be_empty(script, provider):
    pages(script, [])
    assert await provider.instances() == []


async def test_one_listing_serves_all_who_ask_meanwhile_and_the_next_is_new(script, provider):
    pages(script, range(1, 31))
    listings = await asyncio.gather(*(provider.instances() for _ in range(20)))
    assert {len(each) for each in listings} == {30}
    assert script.count(LIST) == 2 and script.peak == 1
    await provider.instances()
    assert script.count(LIST) == 4


async def test_who_gives_up_waiting_takes_the_listing_from_nobody(script, provider):
    pages(script, range(1, 31))
    first, second = (asyncio.create_task(provider.instances()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert len(await second) == 30
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_listing_that_fails_after_all_have_left_is_silent(script, provider, caplog):
    script.on(LIST, (410, {"error": "deprecated_endpoint"}))
    waiting = asyncio.create_task(provider.instances())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.wait([provider._listing])
    provider._listing = None
    gc.collect()
    assert "never retrieved" not in caplog.text


ONE_PAGE = {"success": True, "instances": [instance(1)], "total_instances": 1, "next_token": None}
INCOMPLETE = {
    "the endpoint is retired": [(410, {"error": "deprecated_endpoint", "msg": "use v1"})],
    "an error body": [(200, {"success": False, "error": "internal"})],
    "an error body with rows": [(200, ONE_PAGE | {"success": False})],
    "a refusal": [(400, {"error": "invalid_token", "msg": "bad cursor"})],
    "another success": [(206, ONE_PAGE)],
    "text": [(200, "nothing here")],
    "a page for people": [(200, "<html>Welcome</html>")],
    "nothing": [(200, "")],
    "a list": [(200, [instance(1)])],
    "null": [(200, "null")],
    "no rows": [(200, {"success": True})],
    "null rows": [(200, ONE_PAGE | {"instances": None})],
    "an object for rows": [(200, ONE_PAGE | {"instances": instance(1)})],
    "a row that is none": [(200, ONE_PAGE | {"instances": [None]})],
    "a row without id": [(200, ONE_PAGE | {"instances": [{"label": "x"}]})],
    "fewer than told": [(200, ONE_PAGE | {"total_instances": 2})],
    "more than told": [(200, ONE_PAGE | {"total_instances": 0})],
    "empty though some are told": [(200, ONE_PAGE | {"instances": []})],
    "a second page that fails": [(200, ONE_PAGE | {"next_token": "a"}), (500, "oops")],
    "a second page that is none": [(200, ONE_PAGE | {"next_token": "a"}), (200, {})],
    "a second page that forgets": [
        (200, ONE_PAGE | {"next_token": "a", "total_instances": 2}),
        (200, ONE_PAGE | {"instances": [], "total_instances": 0}),
    ],
    "the same row on both pages": [
        (200, ONE_PAGE | {"next_token": "a", "total_instances": 2}),
        (200, ONE_PAGE | {"total_instances": 2}),
    ],
    "a token again": [(200, ONE_PAGE | {"next_token": "a"})],
    "a token that is none": [(200, ONE_PAGE | {"next_token": 5})],
    "throttled": [(429, "API requests too frequent")],
    "an outage": [(503, "<html>")],
    "elsewhere": [(302, "", {"Location": "/"})],
    "a gate in front": [(401, "<html>Access denied</html>")],
}


@pytest.mark.parametrize("case", INCOMPLETE)
async def test_a_listing_that_may_lack_something_is_not_known(script, provider, case):
    script.on(LIST, *INCOMPLETE[case])
    with pytest.raises(Unclear):
        await provider.instances()


@pytest.mark.parametrize("status", [401, 404])
async def test_a_bad_key_is_no_empty_listing(script, provider, status):
    script.on(LIST, (status, {"error": "auth_error", "msg": "Invalid user key"}))
    with pytest.raises(BadKey):
        await provider.instances()


async def test_pages_without_end_are_given_up(script, provider):
    numbers = iter(range(1, 9999))

    def serve(seen):
        number = next(numbers)
        return 200, {
            "instances": [instance(number)], "next_token": f"t{number}", "total_instances": 9999,
        }  # fmt: skip

    script.on(LIST, serve)
    with pytest.raises(Unclear, match="400 pages"):
        await provider.instances()
    assert script.count(LIST) == 400


async def test_a_machine_that_ends_while_pages_are_read_spoils_nothing(script, provider):
    script.on(
        LIST,
        (200, {"instances": [instance(1)], "total_instances": 2, "next_token": "a"}),
        (200, {"instances": [instance(2)], "total_instances": 1, "next_token": None}),
    )
    assert len(await provider.instances()) == 2  # the first has ended since: more than there are


def test_an_instance_has_its_label_price_and_the_words_of_its_host():
    found = to_instance(
        instance(5, label=" nox1|x ", status_msg="exec: \n https://b.example/x?sig=secret failed")
    )
    assert (found.id, found.label, found.usd_per_hour) == ("5", "nox1|x", 0.06)
    assert found.detail == "exec: https://b.example/x?*** failed"
    bare = to_instance({"id": "6", "dph_base": 0.05, "storage_cost": 7.2, "disk_space": 10})
    assert bare.label == "" and bare.usd_per_hour == pytest.approx(0.15)
    assert to_instance({"id": 7}).usd_per_hour is None


ALL_STOPPED = {"intended_status": "stopped", "cur_state": "stopped", "next_state": "stopped"}
DAEMON = "Error response from daemon: "
STATUSES = [
    ("created", {"actual_status": None, "status_msg": None}),
    ("created", {"actual_status": None, "intended_status": None, "cur_state": None,
                 "next_state": None, "status_msg": None, "label": None}),
    ("created", {"actual_status": "created", "status_msg": ""}),
    ("created", {"actual_status": "scheduling", "status_msg": ""}),
    ("created", {"actual_status": "created", "status_msg": f"{DAEMON}No such container: C.5"}),
    ("pulling", {"actual_status": "loading", "status_msg": "5f70: Download complete"}),
    ("pulling", {"actual_status": "loading", "status_msg": "5f70: Pull complete\n"}),
    ("pulling", {"actual_status": "loading", "status_msg": "Successfully loaded img:failed"}),
    ("pulling", {"actual_status": "loading", "status_msg": "Download failed, retrying: EOF"}),
    ("pulling", {"actual_status": "loading", "status_msg": ""}),
    ("pulling", {"actual_status": "rebooting"}),
    ("pulling", {"actual_status": "recycling"}),
    ("pulling", {"actual_status": "restarting"}),
    ("pulling", {"actual_status": "exited"}),  # and comes back: the host is told to run it
    ("running", {}),
    ("running", {"actual_status": "Running "}),
    ("running", {"status_msg": f"{DAEMON}of an earlier start"}),
    ("running", {"next_state": "stopped"}),
    ("ended", {"actual_status": "exited", "intended_status": "stopped"}),
    ("ended", {"actual_status": "exited"} | ALL_STOPPED),
    ("ended", {"actual_status": "stopped"}),
    ("ended", {"actual_status": "frozen"}),
    ("ended", ALL_STOPPED),
    ("ended", {"actual_status": "loading", "status_msg": ""} | ALL_STOPPED),
    ("ended", {"actual_status": None, "status_msg": None} | ALL_STOPPED),
    ("ended", {"actual_status": "offline"} | ALL_STOPPED),
    ("offline", {"actual_status": "offline"}),
    ("offline", {"actual_status": "unknown"}),
    ("offline", {"actual_status": "a word that is new"}),
    ("image_failed", {"actual_status": "loading", "status_msg": f"{DAEMON}manifest unknown"}),
    ("image_failed", {"actual_status": "loading", "cur_state": "stopped",
                      "status_msg": f"{DAEMON}manifest for img:x not found: manifest unknown"}),
    ("image_failed", {"actual_status": "loading",
                      "status_msg": f"{DAEMON}pull access denied for img, repository does not"}),
    ("image_failed", {"actual_status": "created",
                      "status_msg": "unauthorized: authentication required"}),
    ("image_failed", {"actual_status": "loading", "status_msg": "invalid reference format"}),
    ("image_failed", {"actual_status": "exited", "status_msg": "manifest unknown"} | ALL_STOPPED),
    ("host_failed", {"actual_status": "created",
                     "status_msg": f"{DAEMON}failed to create task: OCI runtime create failed"}),
    ("host_failed", {"actual_status": "loading",
                     "status_msg": f"{DAEMON}Get https://r/v2/: TLS handshake timeout"}),
    ("host_failed", {"actual_status": "loading",
                     "status_msg": f"{DAEMON}toomanyrequests: unauthenticated pull rate limit"}),
    ("host_failed", {"actual_status": "loading", "status_msg": "no space left on device"}),
    ("host_failed", {"actual_status": "loading", "intended_status": "stopped",
                     "status_msg": f"{DAEMON}No such container: C.5"}),
    ("host_failed", {"actual_status": "loading", "status_msg": "",
                     "intended_status": "stopped", "cur_state": "stopped"}),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "changes"), STATUSES)
def test_each_state_of_a_row_is_a_status(expected, changes):
    assert status_of(instance(5, **changes)) == InstanceStatus(expected)
