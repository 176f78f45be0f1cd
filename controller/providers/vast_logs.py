"""Logs of a Vast.ai instance: asked for, uploaded by its host, and read from a public URL."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from controller.errors import Unclear
from controller.providers.vast_answers import Answer, refusal
from controller.providers.vast_api import REQUEST_LOGS, Fetched, VastApi

_POLLS = 15
_POLL_S = 1.0
_LOG_BYTES = 2_000_000
_SLACK_S = 2.0
"""HTTP dates are whole seconds."""

_NOTHING_YET = re.compile(r"not running|is starting|no_such_instance|no such container", re.I)
_NO_CONTAINER = re.compile(r"no such container", re.I)


async def read(
    api: VastApi,
    instance_id: str,
    lines: int,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]],
) -> list[str] | None:
    """The newest lines, oldest first; None where they do not come in 15 s, or there are none.

    Errors are those of the request itself; a file that cannot be read is one that is not there.
    """
    asked_at = clock()
    url = await _request(api, instance_id, lines)
    if url is None:
        return None
    for _ in range(_POLLS):
        await sleep(_POLL_S)
        fetched = await api.fetch(url, limit=_LOG_BYTES)
        if fetched is not None and not _is_stale(fetched, asked_at, clock()):
            return _lines(fetched.data, lines)
    return None


async def _request(api: VastApi, instance_id: str, lines: int) -> str | None:
    answer = await api.call(REQUEST_LOGS, id=instance_id, body={"tail": str(lines)})
    if answer.ok and answer.body is not None:
        url = answer.body.get("result_url") or answer.body.get("temp_download_url")
        if url:
            return _checked(url)
    if _is_nothing_yet(answer):
        return None
    raise refusal(answer)


def _is_nothing_yet(answer: Answer) -> bool:
    if answer.refuses_key:
        return False
    return answer.says_gone or bool(_NOTHING_YET.search(answer.words))


def _checked(url: object) -> str:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        if parts.scheme in ("http", "https") and parts.hostname and isinstance(url, str):
            return url
    except ValueError:
        pass
    raise Unclear("the logs are to be read from what is no URL")


def _is_stale(fetched: Fetched, asked_at: float, now: float) -> bool:
    """Whether the file is of an earlier request: the URL may be the same for all of them."""
    modified_at = _http_date(fetched.headers, "Last-Modified")
    if modified_at is None:
        return False
    # the age by the server's own clock, where it tells it: ours may differ
    age_s = (_http_date(fetched.headers, "Date") or now) - modified_at
    return age_s > now - asked_at + _SLACK_S


def _http_date(headers: Mapping[str, str], name: str) -> float | None:
    try:
        return parsedate_to_datetime(headers.get(name, "")).timestamp()
    except ValueError:
        return None


def _lines(data: bytes, count: int) -> list[str] | None:
    lines = [line.rstrip("\r") for line in data.decode("utf-8", "replace").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if lines and all(_NO_CONTAINER.search(line) for line in lines if line):
        return None
    return lines[-count:] if count > 0 else []
