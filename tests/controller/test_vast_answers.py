import json

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
from controller.providers.pacing import Hint
from controller.providers.vast_answers import Answer, describe, limit_hint, one_line, refusal
from tests.controller.vast_script import NOW, TOO_OFTEN, error


def parse(status, body, headers=None):
    text = body if isinstance(body, str) else json.dumps(body)
    return Answer.parse(status, text, headers or {})


REFUSALS = [
    (401, error("auth_error", "Invalid user key"), BadKey),
    (404, error("auth_error", "Invalid user key"), BadKey),
    (404, error(None, "Invalid user key"), BadKey),
    (404, error(None, "Session expired. Please log in again."), BadKey),
    (200, error("auth_error", "Invalid user key"), BadKey),
    (401, {"msg": "Your key lacks the instance_write permission group"}, BadKey),
    (401, {"detail": "lacks proper privileges due to a constraint on id"}, BadKey),
    (403, error("invalid_args", "error 403/3586: Offer 7 is not your own."), BadKey),
    (400, error("no_such_ask", "gone"), OfferGone),
    (404, error("invalid_args", "error 404/3603: no_such_ask Instance type by id 7 is not "
                "available."), OfferGone),
    (410, error("no_such_ask", "error 410/3907: Instance type 7 is no longer available."),
     OfferGone),
    (410, "error 410/3907: no_such_ask Instance type 7 is no longer available.", OfferGone),
    (200, error("no_such_ask", "gone"), OfferGone),
    (400, {"error": "no_such_ask"}, OfferGone),
    (400, error("insufficient_credit", "Your account lacks credit; see billing"), NoCredit),
    (400, {"message": "Your account lacks credit; see billing"}, NoCredit),
    (402, error("insufficient_credit"), NoCredit),
    (200, error("insufficient_credit", "no money"), NoCredit),
    (400, error("spend_rate_limit", "slow down"), NoCredit),
    (403, error("spend_rate_limit", "slow down"), NoCredit),
    (400, error("invalid_args", "error 400/3467: Invalid args"), BadImage),
    (400, error("invalid_price", "stale"), BadImage),
    (400, error("no_ssh_key_for_vm"), BadImage),
    (400, error("something_new", "whatever"), ProviderError),
    (404, error("no_such_instance", "not there"), ProviderError),
    (410, error("deprecated_endpoint", "use v1"), ProviderError),
    (200, error(), Unclear),
    (429, TOO_OFTEN, RateLimited),
    (429, f"{TOO_OFTEN}: endpoint threshold=4.5", RateLimited),
    (429, {"detail": f"{TOO_OFTEN} endpoint threshold=4.5"}, RateLimited),
    (429, error("rate_limit_exceeded", f"{TOO_OFTEN} endpoint threshold=3.0"), RateLimited),
    (429, {"error": "search_quota_exceeded", "msg": "used up"}, RateLimited),
    (429, "", RateLimited),
    (200, error("rate_limit_exceeded", TOO_OFTEN), RateLimited),
    (400, error(None, TOO_OFTEN), RateLimited),
    (500, error("internal", "oops"), Unclear),
    (500, error("no_such_ask", "gone"), Unclear),
    (502, "<html>Bad Gateway</html>", Unclear),
    (503, "", Unclear),
    (408, error("timeout", "too slow"), Unclear),
    (409, error("conflict", "busy"), Unclear),
    (425, error("early"), Unclear),
    (400, "<html>no_such_ask</html>", Unclear),
    (400, "no_such_ask", Unclear),
    (404, "Not Found", Unclear),
    (401, "<html>Access denied</html>", Unclear),
    (400, "", Unclear),
    (400, {}, Unclear),
    (400, "[]", Unclear),
    (302, {"error": "moved"}, Unclear),
    (200, "<html>Welcome</html>", Unclear),
    (200, "", Unclear),
    (200, "null", Unclear),
    (200, '{"success": tr', Unclear),
    (400, error("insufficient_bid", "too low", new_contract=5), Unclear),
    (200, error("no_such_ask", "gone", new_contract=5), Unclear),
    (429, error("rate_limit_exceeded", TOO_OFTEN, new_contract=5), Unclear),
    (200, error(None, "Required resources are currently unavailable, state change queued"),
     Unclear),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), REFUSALS)
def test_every_shape_of_error_has_its_type(status, body, expected):
    answer = parse(status, body)
    assert not answer.ok
    assert type(refusal(answer)) is expected


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ((404, error("no_such_instance", "gone")), True),
        ((404, error("not_found", "gone")), True),
        ((400, error("invalid_id")), True),
        ((200, error("no_such_instance")), True),
        ((404, {"msg": "error 404/1: no_such_instance 5"}), True),
        ((404, error("auth_error", "Invalid user key")), False),
        ((404, error("not_found", "Session expired. Please log in again.")), False),
        ((404, {"detail": "Not Found"}), False),
        ((404, "<html>not_found</html>"), False),
        ((500, error("no_such_instance")), False),
        ((200, {"success": True, "msg": "no_such_instance"}), False),
    ],
)
def test_gone_is_believed_only_in_the_words_of_the_api(body, gone):
    assert parse(*body).says_gone is gone


@pytest.mark.parametrize(
    ("body", "headers", "pause_s", "interval_s"),
    [
        (TOO_OFTEN, {}, None, None),
        (f"{TOO_OFTEN}: endpoint threshold=4.5", {}, None, 4.5),
        ({"detail": f"{TOO_OFTEN} endpoint threshold=4.5"}, {}, None, 4.5),
        (error("rate_limit_exceeded", "threshold=3.0"), {}, None, 3.0),
        (TOO_OFTEN, {"Retry-After": "7"}, 7.0, None),
        (TOO_OFTEN, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, None),
        ({"retry_after": 9}, {}, 9.0, None),
        (TOO_OFTEN, {"X-RateLimit-Reset": str(NOW + 30)}, 30.0, None),
        ({"error": "search_quota_exceeded"}, {}, 86400 - NOW % 86400, None),
    ],
)
def test_when_to_come_again_is_read_from_wherever_it_is_said(body, headers, pause_s, interval_s):
    assert limit_hint(parse(429, body, headers), NOW) == Hint(
        pause_s=pause_s, interval_s=interval_s
    )


def test_what_is_shown_of_an_answer_is_short_and_grants_nothing():
    half = '{"success": true, "instance_api_key": "' + "k" * 64
    assert "kkk" not in describe(parse(200, half))
    assert "kkk" not in str(refusal(parse(200, half)))
    assert "kkk" not in repr(parse(200, half))
    shown = one_line(
        'exec: "curl https://b.example/x?X-Amz-Signature=abc&y=1" \n failed ' + "z" * 999
    )
    assert "abc" not in shown and "\n" not in shown and len(shown) == 200


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"success": False}),
        (200, {"success": False, "msg": "timed out"}),
        (400, {"msg": "upstream timed out"}),
        (499, {"msg": "client closed the request"}),
    ],
)
def test_words_that_are_not_the_apis_own_refuse_nothing(status, body):
    answer = Answer.parse(status, json.dumps(body), {})
    assert type(refusal(answer)) is Unclear
