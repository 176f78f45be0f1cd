"""Keeps secrets out of every log line, whoever wrote it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

_HIDDEN = "***"
_PATTERNS = (
    re.compile(r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,}"),  # a bot token, also inside a URL
    re.compile(r"(?<=[?&])(X-Amz-[A-Za-z-]+|Signature|AWSAccessKeyId|api_key)=[^&\s'\"]+", re.I),
    re.compile(r"(?<=Bearer )\S+"),
    re.compile(r"(?<=/[du]/)[A-Za-z0-9_-]{24}(?![A-Za-z0-9_-])"),  # a page that is a key
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets and without anything that looks like a token."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats as usual, tracebacks included, then redacts the whole."""

    def __init__(self, secrets: Iterable[str], form: str) -> None:
        super().__init__(form)
        # shorter ones would blank out ordinary words
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 6)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record), self._secrets)
