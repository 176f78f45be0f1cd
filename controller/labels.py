"""The label on a machine: whose it is, which row it is, and when it has to be gone.

``nox1|<deployment 8>|<machine ulid 26>|<expiry, seconds in base 36>``. With the expiry in it, a
reaper needs no database. What does not parse is somebody else's and is never touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_PATTERN = re.compile(r"nox1\|([a-z0-9]{8})\|([0-9A-HJKMNP-TV-Z]{26})\|([0-9a-z]{1,9})")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Label:
    """A parsed label of ours."""

    deployment: str
    machine: str
    expires_at: int

    def __str__(self) -> str:
        return f"nox1|{self.deployment}|{self.machine}|{_base36(self.expires_at)}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a foreign label."""
        match = _PATTERN.fullmatch(text)
        return cls(match[1], match[2], int(match[3], 36)) if match else None


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
