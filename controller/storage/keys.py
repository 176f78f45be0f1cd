"""What a key of an object may look like, in every storage."""

from __future__ import annotations

import unicodedata

from controller.errors import BadPath

_LONGEST = 1024  # bytes, as in S3


def check_key(key: str) -> None:
    """:class:`BadPath` for a key that is no plain relative path."""
    parts = key.split("/")
    odd = any(unicodedata.category(character).startswith("C") for character in key)
    if not key or odd or len(key.encode()) > _LONGEST or "\\" in key:
        raise BadPath(f"{key[:60]!r} is no storage path")
    if any(part in ("", ".", "..") for part in parts):
        raise BadPath(f"{key[:60]!r} leads out of the storage or has an empty part")
