"""What an answer of the Vast.ai API means: success, a typed refusal, or nothing certain.

Errors come as ``{"success": false, "error": slug, "msg": text}`` with any key missing, as text, as
HTML, with status 200 as well, and a bad key as 404 (docs, ``rate-limits-and-errors``; field
reports). Only a refusal in words that are known to be the API's own is one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.errors import (
    BadImage,
    BadKey,
    ControllerError,
    NoCredit,
    OfferGone,
    ProviderError,
    RateLimited,
    Unclear,
)
from controller.foreign import tidy
from controller.providers.pacing import Hint

#: What these say may change, or was said before the request was looked at.
_INDEFINITE_4XX = {408, 409, 425}
_SPEC_SLUGS = {"invalid_args", "invalid_request", "invalid_price", "no_ssh_key_for_vm"}
_CREDIT_SLUGS = {"insufficient_credit", "spend_rate_limit"}
_GONE_SLUGS = {"no_such_instance", "not_found", "invalid_id"}
_LIMIT_SLUGS = {"rate_limit_exceeded", "search_quota_exceeded"}

_AUTH = re.compile(r"invalid user key|session expired|auth_error", re.I)
_CREDIT = re.compile(r"lacks credit|insufficient_credit|spend_rate_limit", re.I)
_OFFER_GONE = re.compile(r"no_such_ask|no longer available|not available", re.I)
_TOO_OFTEN = re.compile(r"api requests too frequent", re.I)
_QUEUED = re.compile(r"state change queued", re.I)
_OWN_TEXT = re.compile(r"error \d{3}/\d+: ")
_KNOWN = (_AUTH, _CREDIT, _OFFER_GONE, _TOO_OFTEN, _OWN_TEXT)
_THRESHOLD = re.compile(r"threshold\s*=\s*(\d+(?:\.\d+)?)")
_URL_QUERY = re.compile(r"(https?://[^\s?\"']+)\?[^\s\"']*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read to its end. Its text may hold secrets: it is in no message."""

    status: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: dict[str, Any] | None = field(repr=False)
    """None where the text is not a JSON object."""

    @classmethod
    def parse(cls, status: int, text: str, headers: Mapping[str, str]) -> Answer:
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        return cls(
            status=status,
            text=text,
            headers=headers,
            body=body if isinstance(body, dict) else None,
        )

    @property
    def ok(self) -> bool:
        return (
            200 <= self.status < 300
            and self.body is not None
            and self.body.get("success") is not False
        )

    @property
    def slug(self) -> str:
        value = (self.body or {}).get("error")
        return value if isinstance(value, str) else ""

    @property
    def words(self) -> str:
        """All that the API says in it, as it came; empty where that is nothing readable."""
        for name in ("msg", "message", "detail"):
            value = (self.body or {}).get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
        text = self.text.strip()
        return text if self.body is None and text and text[0] not in '<{["' else ""

    @property
    def limited(self) -> bool:
        """The request came too often and was not looked at."""
        return (
            self.status == 429
            or (self.status < 500 and self.slug in _LIMIT_SLUGS)
            or (self.status < 500 and not self.ok and bool(_TOO_OFTEN.match(self.words)))
        )

    @property
    def quota_is_used_up(self) -> bool:
        return self.slug == "search_quota_exceeded"

    @property
    def refuses_key(self) -> bool:
        """Also as 404, which would else read as "not there"."""
        return not self.ok and (
            self.status == 401
            or self.slug == "auth_error"
            or (400 <= self.status < 500 and bool(_AUTH.search(self.words)))
        )

    @property
    def says_gone(self) -> bool:
        """The instance that was asked for does not exist."""
        known = self.slug in _GONE_SLUGS or "no_such_instance" in self.words
        definite = self.status == 200 or 400 <= self.status < 500
        return not self.ok and known and definite and not self.refuses_key


def refusal(answer: Answer) -> ControllerError:
    """The error for an answer that is not ok: :class:`Unclear` unless it certainly refuses."""
    told = describe(answer)
    if answer.body and answer.body.get("new_contract") is not None:
        return Unclear(f"an error came with an instance: {told}")
    if answer.limited:
        return RateLimited(told)
    if not _is_definite(answer):
        return Unclear(f"not a certain answer: {told}")
    said = f"{answer.slug} {answer.words}"
    if answer.slug in _CREDIT_SLUGS or _CREDIT.search(said):
        return NoCredit(told)
    if answer.refuses_key:
        return BadKey(told)
    if _OFFER_GONE.search(said):
        return OfferGone(told)
    if answer.status == 403:
        return BadKey(told)
    if answer.slug in _SPEC_SLUGS:
        return BadImage(told)
    return ProviderError(told)


def limit_hint(answer: Answer, now: float) -> Hint:
    """When to come again, from whichever of the ways a 429 says it in."""
    pause_s = _number(answer.headers.get("Retry-After"))
    if pause_s is None:
        pause_s = _number((answer.body or {}).get("retry_after"))
    if pause_s is None:
        resets_at = _number(answer.headers.get("X-RateLimit-Reset"))
        if resets_at is None and answer.quota_is_used_up:
            resets_at = (now // 86400 + 1) * 86400
        pause_s = None if resets_at is None else max(0.0, resets_at - now)
    match = _THRESHOLD.search(answer.text)
    return Hint(pause_s=pause_s, interval_s=min(float(match[1]), 60.0) if match else None)


def quota_error(hint: Hint, now: float) -> RateLimited:
    at = datetime.fromtimestamp(now + min(hint.pause_s or 0.0, 7 * 86400), UTC)
    return RateLimited(f"the quota of searches is used up until {at:%Y-%m-%d %H:%M} UTC")


def describe(answer: Answer) -> str:
    """For a log: status, slug and words, and nothing of an answer that is not understood."""
    parts = [f"HTTP {answer.status}", one_line(answer.slug, 60), one_line(answer.words)]
    if answer.body is None and not answer.words:
        parts.append(f"{len(answer.text)} characters that are no JSON object")
    return " ".join(part for part in parts if part)


def one_line(text: str, limit: int = 200) -> str:
    """Text of a provider or host for people: short, and no URL shows what it grants."""
    return tidy(" ".join(_URL_QUERY.sub(r"\1?***", text).split()), limit)


def _is_definite(answer: Answer) -> bool:
    if _QUEUED.search(answer.words):
        return False
    known = (
        answer.status in (401, 403)
        or bool(answer.slug)
        or any(each.search(answer.words) for each in _KNOWN)
    )
    if answer.body is not None and 200 <= answer.status < 300:
        return answer.body.get("success") is False and known
    typed = 400 <= answer.status < 500 and answer.status not in _INDEFINITE_4XX
    if answer.body is None:
        return typed and bool(_OWN_TEXT.match(answer.words))
    return typed and known


def _number(value: object) -> float | None:
    """None also for what is a date, or no sensible number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < 1e12 else None
