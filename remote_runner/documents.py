"""Frozen dataclasses as JSON and back, strictly: what :mod:`remote_runner.protocol` travels as.

Unknown keys are ignored, everything else that does not fit is a :class:`ProtocolError`. Standard
library only.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1

#: Whole numbers are what a database and JavaScript's readers of eight bytes can hold.
_LARGEST = 2**63 - 1

Document = TypeVar("Document", bound="DataclassInstance")


class ProtocolError(ValueError):
    """A document that is not what it should be: no JSON, a wrong type, key or version."""


def to_json(document: DataclassInstance) -> str:
    """A document as one line of JSON, which can be written: halves of characters become ``?``."""
    text = json.dumps(dataclasses.asdict(document), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def from_json(kind: type[Document], text: str | bytes) -> Document:
    """Read a document; :class:`ProtocolError` says what is wrong with it."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{kind.__name__}: no JSON: {error}") from None
    try:
        return typing.cast(Document, _build(kind, raw, kind.__name__))
    except RecursionError:  # deep enough to be read, too deep to be told
        raise ProtocolError(f"{kind.__name__}: lists in lists without end") from None


def _build(kind: type[Any], raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise ProtocolError(f"{where}: an object is expected, not {type(raw).__name__}")
    if raw.get("version", VERSION) != VERSION:
        _expect(False, f"version {VERSION}", raw["version"], where)
    hints = _hints(kind)  # type: ignore[arg-type] # a class is hashable
    values = {}
    for item in dataclasses.fields(kind):
        if item.name in raw:
            values[item.name] = _convert(hints[item.name], raw[item.name], f"{where}.{item.name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise ProtocolError(f"{where}: {item.name} is missing")
    return kind(**values)


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    """Resolving the names of annotations costs more than reading a document."""
    return typing.get_type_hints(kind)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
        return _convert(hint, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), "a list", value, where)
        return tuple(_convert(typing.get_args(hint)[0], each, where) for each in value)
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, where)
        return {
            key: _convert(typing.get_args(hint)[1], each, where) for key, each in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value, where)
    if issubclass(hint, StrEnum):
        _expect(isinstance(value, str) and value in set(hint), f"a {hint.__name__}", value, where)
        return hint(value)
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and abs(value) < 1e18, "a number", value, where)
        return float(value)
    _expect(type(value) is hint, hint.__name__, value, where)
    if hint is int:
        _expect(abs(value) <= _LARGEST, "a number of 64 bits", "one that is larger", where)
    return value


def _expect(holds: bool, what: str, value: Any, where: str) -> None:
    if not holds:
        raise ProtocolError(f"{where}: {what} is expected, not {str(value)[:60]!r}")
