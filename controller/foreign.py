"""Text of strangers, made fit to be kept and shown: the one place that decides what that is.

A rented host writes into its documents and logs whatever it likes, and a video has names in it.
What moves a cursor, turns the direction of writing, breaks a line or has no end is taken out here,
where it comes in, so that no log, terminal, chat or page has to think of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LONGEST = 500
"""Characters of one text that are kept."""
_MOST = 1000
"""Entries of one list that are kept: no film has so many streams or checks."""

Document = TypeVar("Document", bound="DataclassInstance")


def tidy(text: str, longest: int = LONGEST) -> str:
    """One line of characters that can be printed: controls, marks of direction and halves of
    characters become spaces."""
    cut = text[:longest]
    if cut.isprintable():
        return cut
    return "".join(each if each.isprintable() else " " for each in cut)


def tidy_document(document: Document) -> Document:
    """A document of the protocol with every text in it tidied, and every list bounded."""
    return cast(Document, _tidy(document))


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        # words of the protocol are what they are
        return value if isinstance(value, StrEnum) else tidy(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (item.name for item in dataclasses.fields(value))
        return dataclasses.replace(value, **{name: _tidy(getattr(value, name)) for name in names})
    if isinstance(value, tuple):
        return tuple(_tidy(each) for each in value[:_MOST])
    if isinstance(value, Mapping):
        return {tidy(key): _tidy(each) for key, each in list(value.items())[:_MOST]}
    return value
