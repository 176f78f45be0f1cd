"""Keeps secrets out of every log line, whoever wrote it, as text or as JSON.

A secret is looked for as it is and as encoders write it: escaped for JSON or Python, quoted for an
address or for HTML.
"""

from __future__ import annotations

import functools
import html
import json
import logging
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

_HIDDEN = "***"
#: Begins a parameter of an address: as it is, or as JSON (``\\u0026``), HTML or quoting has it.
_PARAMETER = r"(?:(?<=[?&;])|(?<=\\u0026)|(?<=\\u003f)|(?<=%26)|(?<=%3F))"
_PATTERNS = (
    # a bot token, also inside a URL
    re.compile(r"(?<!\d)\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.I),
    re.compile(
        _PARAMETER
        + r"(X-Amz-[A-Za-z-]+|Signature|AWSAccessKeyId|api_key)(?:=|%3D|\\u003d)[^&\s'\"\\<>]+",
        re.I,
    ),
    re.compile(r"(?<=Bearer )\S+"),
    re.compile(r"(?<=/[du]/)[A-Za-z0-9_-]{24}(?![A-Za-z0-9_-])"),  # a page that is a key
)
#: What a record has by itself; the rest was given by whoever logged it.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "ids", "taskName"}
#: What moves a cursor or turns the direction of writing: logs are read in terminals.
_MOVES = dict.fromkeys(
    {
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        0x200E,
        0x200F,
    }
    - {0x09, 0x0A},
    " ",
)
_SHORTEST = 6
"""Shorter secrets would blank out ordinary words."""
_DEEPEST = 8


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets and without anything that looks like a token."""
    for form in _list_forms(tuple(secrets)):
        text = text.replace(form, _HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats as usual, ids and tracebacks included, then redacts the whole.

    A record's ``ids`` (see :mod:`controller.log_ids`) come after its message.
    """

    def __init__(self, secrets: Iterable[str], form: str) -> None:
        super().__init__(form)
        self._secrets = _long_enough(secrets)

    def format(self, record: logging.LogRecord) -> str:
        try:
            text = super().format(record)
        except Exception as error:  # logging would print its parts, with all that is in them
            text = f"{record.levelname} {record.name}: {_tell_broken(record, error)}"
        # a secret may have such characters; and what goes on in the next line is set in, so that
        # nobody's words look like a record of their own
        shown = redact(text, self._secrets).translate(_MOVES)
        return shown.replace("\n", "\n    ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        ids = " ".join(f"{name}={value}" for name, value in _ids(record).items())
        return super().formatMessage(record) + (f" [{ids}]" if ids else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, ids, what else was
    given as ``extra``, and the exception.

    Every text in it, names and nested ones too, is redacted before the one step that is left, the
    encoding: so no escape of JSON can hide a secret, and no replacement can break the line.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = _long_enough(secrets)

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        document: dict[str, object] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _get_message(record),
            **_ids(record),
        }
        extra = {name: each for name, each in vars(record).items() if name not in _OWN}
        if extra:
            document["extra"] = extra
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            document["exception"] = record.exc_text
        if record.stack_info:
            document["stack"] = self.formatStack(record.stack_info)
        return json.dumps(self._redact(document, 0), ensure_ascii=False)

    def _redact(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool):
            return value
        if depth < _DEEPEST:
            if isinstance(value, Mapping):
                return {
                    redact(_as_text(name), self._secrets): self._redact(each, depth + 1)
                    for name, each in value.items()
                }
            if isinstance(value, list | tuple | set | frozenset):
                return [self._redact(each, depth + 1) for each in value]
        text = _as_text(value)
        shown = redact(text, self._secrets)
        # a number stays one, unless it is a secret; JSON knows no infinity
        is_number = isinstance(value, int | float) and text.lstrip("-")[:1].isdigit()
        return value if is_number and shown == text else shown


@functools.lru_cache(maxsize=64)
def _list_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """The secrets in all their writings, longest first: a shorter one may be a part of it."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= {
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            repr(secret)[1:-1],
            repr(secret + "'\"")[1:-4],  # in a text that has both kinds of quotes
            quote(secret, safe=""),
            quote(secret),
            quote_plus(secret),
            html.escape(secret),
        }
    return tuple(sorted(forms - {""}, key=lambda form: (-len(form), form)))


def _long_enough(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(secret for secret in secrets if len(secret) >= _SHORTEST)


def _ids(record: logging.LogRecord) -> Mapping[str, object]:
    found = getattr(record, "ids", None)
    return found if isinstance(found, Mapping) else {}


def _get_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # arguments that do not fit: it is still told
        return _tell_broken(record, error)


def _tell_broken(record: logging.LogRecord, error: Exception) -> str:
    return f"{_as_text(record.msg)} {_as_text(record.args)} ({type(error).__name__} in logging)"


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return str(value)
    except Exception as error:  # anything may be logged
        return f"<{type(value).__name__}: {type(error).__name__}>"
