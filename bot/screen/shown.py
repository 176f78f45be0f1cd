"""What a card's row remembers beside its message: what is on screen, and how it is looked at."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Shown:
    """What :attr:`Card.shown` holds; no text in it may have a vertical bar."""

    fingerprint: str = ""
    resent: bool = False
    """The user deleted the card once and got it again. A second time it stays deleted."""
    confirm_until: int = 0
    """Until when the card asks whether to cancel, UTC epoch seconds."""
    retried: bool = False
    """There is a new job in this one's place."""
    page: str = ""
    """Which page is turned up."""
    details: bool = False
    """The log is shown."""
    media: str = ""
    """``photo`` once the message is one, ``refused`` where it cannot become one."""
    again: bool = False
    """A batch does again what was done before."""
    told: int = 0
    """How many messages of its end were sent."""
    rung: int = 0
    """Of alerts: for when people were rung, milliseconds of the epoch."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Of an earlier version's row as much as it has."""
        parts = text.split("|") if text else []
        fields = dataclasses.fields(cls)[: len(parts)]
        values: dict[str, Any] = {
            each.name: _parse(part, each.default)
            for each, part in zip(fields, parts, strict=False)
        }
        return cls(**values)

    def __str__(self) -> str:
        values = (getattr(self, each.name) for each in dataclasses.fields(self))
        return "|".join(f"{int(v)}" if isinstance(v, bool) else str(v) for v in values)


def _parse(text: str, default: object) -> str | int | bool:
    if isinstance(default, bool):
        return text == "1"
    return int(text or 0) if isinstance(default, int) else text
