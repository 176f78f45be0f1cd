import math
from email.utils import formatdate
from itertools import pairwise

import pytest

from controller.errors import BadKey, ProviderError, Unclear
from tests.controller.vast_script import KEY, NOW

LOGS = "PUT /api/v0/instances/request_logs/5/"


def offer_log(script, *answers, **changes):
    script.on(
        LOGS,
        lambda seen: (200, {"success": True, "result_url": f"{script.url}/log?s=%2F"} | changes),
    )
    script.on("GET /log", *answers)


async def test_the_newest_lines_are_read_without_the_key(script, provider):
    offer_log(script, (404, ""), (403, "<Error/>"), (200, "one\r\ntwo\n\nthree\n\n"))
    assert await provider.logs("5", 3) == ["two", "", "three"]
    assert script.bodies(LOGS) == [{"tail": "3"}]
    reads = [each for each in script.seen if each.path == "/log"]
    assert len(reads) == 3
    for read in reads:
        assert "Authorization" not in read.headers
        assert KEY not in str(read)
        assert read.query == {"s": "/"}
    assert [later.at - sooner.at for sooner, later in pairwise(reads)] == [
        1,
        1,
    ]


async def test_a_log_that_never_comes_is_waited_for_fifteen_seconds(script, provider):
    offer_log(script, (403, ""))
    assert await provider.logs("5", 10) is None
    assert script.time.now - NOW == 15
    assert script.count("GET /log") == 15


def dated(modified_at, date_at):
    return {
        "Last-Modified": formatdate(modified_at, usegmt=True),
        "Date": formatdate(date_at, usegmt=True),
    }


@pytest.mark.parametrize("skew_s", [0, 3600, -3600])
async def test_a_log_of_an_earlier_request_is_not_taken_for_new(script, provider, skew_s):
    def stale(seen):
        return 200, "old", dated(NOW - 10 + skew_s, script.time.now + skew_s)

    def fresh(seen):
        return 200, "new", dated(NOW + 1 + skew_s, script.time.now + skew_s)

    offer_log(script, stale, stale, fresh)
    assert await provider.logs("5", 10) == ["new"]
    assert script.count("GET /log") == 3


async def test_a_log_of_a_second_before_is_rounding(script, provider):
    offer_log(script, (200, "new", dated(NOW - 1, NOW)))
    assert await provider.logs("5", 10) == ["new"]


@pytest.mark.parametrize(
    "answer",
    [
        (200, {"success": True, "msg": "instance not running"}),
        (400, {"success": False, "error": "x", "msg": "instance log channel is starting"}),
        (404, {"success": False, "error": "no_such_instance"}),
    ],
)
async def test_there_is_no_log_where_nothing_runs(script, provider, answer):
    script.on(LOGS, answer)
    assert await provider.logs("5", 10) is None
    assert await provider.logs("not-a-number", 10) is None


async def test_no_such_container_is_no_log_but_may_be_a_line_of_one(script, provider):
    offer_log(
        script,
        (200, "Error response from daemon: No such container: C.5\n"),
        (200, "a\nNo such container"),
    )
    assert await provider.logs("5", 10) is None
    assert await provider.logs("5", 10) == ["a", "No such container"]


async def test_an_empty_log_is_a_log_without_lines(script, provider):
    offer_log(script, (200, "\n"))
    assert await provider.logs("5", 10) == []


async def test_a_log_that_is_too_large_is_not_read(script, provider, monkeypatch):
    monkeypatch.setattr("controller.providers.vast_logs._LOG_BYTES", 100)
    offer_log(script, (200, "x" * 101))
    assert await provider.logs("5", 10) is None


async def test_logs_may_also_lie_behind_the_other_name(script, provider):
    offer_log(script, (200, "line"), result_url=None, temp_download_url=script.url + "/log")
    assert await provider.logs("5", 10) == ["line"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", 5, "http://[x"])
async def test_logs_are_read_from_the_web_only(script, provider, url):
    script.on(LOGS, (200, {"success": True, "result_url": url}))
    with pytest.raises(Unclear):
        await provider.logs("5", 10)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((401, {"error": "auth_error", "msg": "Invalid user key"}), BadKey),
        ((500, "oops"), Unclear),
        ((200, {"success": True}), Unclear),
        ((400, {"error": "invalid_args", "msg": "no"}), ProviderError),
    ],
)
async def test_a_request_for_logs_that_fails_says_so(script, provider, answer, expected):
    script.on(LOGS, answer)
    with pytest.raises(expected):
        await provider.logs("5", 10)


async def test_credit_is_what_can_be_spent(script, provider):
    script.on("GET /api/v0/users/current", (200, {"credit": 11.79, "balance": 0}))
    assert await provider.credit_usd() == 11.79


@pytest.mark.parametrize(
    "body",
    [{}, {"credit": None}, {"credit": True}, {"credit": "11"}, {"credit": math.nan},
     {"credit": -math.inf}, {"credit": 10**400}],
)  # fmt: skip
async def test_credit_that_is_not_told_is_not_zero(script, provider, body):
    script.on("GET /api/v0/users/current", (200, body))
    with pytest.raises(Unclear):
        await provider.credit_usd()
