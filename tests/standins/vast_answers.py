"""Answers of the Vast.ai stand-in: what it says, and how it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.standins.vast_market import BadRequest, Row

__all__ = ["CANNED", "BadRequest", "answer", "bad_key", "quota_used_up", "read_body", "refuse"]

_PAGE = "<!DOCTYPE html><html><body><h1>{}</h1></body></html>"


def answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON of the exact content type: the official client refuses one with a charset."""
    return web.Response(
        body=json.dumps(data).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def refuse(status: int, slug: str, text: str, **more: Any) -> web.Response:
    return answer({"success": False, "error": slug, "msg": text} | more, status)


async def read_body(request: web.Request) -> Row:
    """A JSON object, sent as such; nothing is guessed."""
    try:
        body = json.loads(await request.read())
    except ValueError:
        raise BadRequest("Request body must be valid JSON") from None
    if request.content_type != "application/json" or not isinstance(body, dict):
        raise BadRequest("Request body must be a JSON object of type application/json")
    return body


def bad_key(status: int) -> web.Response:
    text = "Invalid user key" if status == 401 else "Session expired. Please log in again."
    return refuse(status, "auth_error", text)


def quota_used_up() -> web.Response:
    midnight = (int(time.time()) // 86400 + 1) * 86400
    body = {"error": "search_quota_exceeded", "msg": "Daily search quota exceeded"}
    return answer(body, 429, headers={"X-RateLimit-Reset": str(midnight)})


def _page(status: int) -> web.Response:
    page = _PAGE.format(f"{status} Server Error")
    return web.Response(status=status, text=page, content_type="text/html")


def _json_body(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


#: The faults that are an answer and nothing else, by name.
CANNED: dict[str, Callable[[], web.Response]] = {
    "500_html": lambda: _page(500),
    "502": lambda: _page(502),
    "503": lambda: _page(503),
    "504": lambda: _page(504),
    "html_200": lambda: web.Response(text=_PAGE.format("Welcome"), content_type="text/html"),
    "success_false": lambda: refuse(200, "internal_error", "Something went wrong, try again"),
    "not_json": lambda: _json_body(b'{"success": tr'),
    "empty": lambda: _json_body(b""),
    "401": lambda: bad_key(401),
    "404_auth": lambda: bad_key(404),
    "410": lambda: refuse(410, "deprecated_endpoint", "This endpoint is retired, use /api/v1/"),
    "quota": quota_used_up,
    "insufficient_credit": lambda: refuse(
        400, "insufficient_credit", "Your account lacks credit; see the billing page."
    ),
    "spend_rate_limit": lambda: refuse(
        400, "spend_rate_limit", "New accounts may spend only so much an hour"
    ),
    "invalid_args": lambda: refuse(400, "invalid_args", "Invalid arguments"),
    "log_starting": lambda: refuse(400, "invalid_state", "instance log channel is starting"),
    "log_not_running": lambda: answer({"success": True, "msg": "instance not running"}),
}
