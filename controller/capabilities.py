"""Addresses that are keys: whoever has one may do one thing for a while.

Codes are made from a secret beside the database and kept as hashes only: who reads a copy of the
database learns none of them, and the same page has the same address each time it is shown.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from controller.errors import DatabaseError

_KEY_BYTES = 32
_CODE_BYTES = 18
"""144 bits, 24 characters."""


class UploadState(StrEnum):
    """How far an upload page is."""

    OPEN = "open"  #: no file was chosen yet
    RECEIVING = "receiving"  #: parts come
    TAKEN = "taken"  #: the file became a job
    FAILED = "failed"  #: the last file was refused, another one may come
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One page that takes one file for one request."""

    id: str
    """ULID; its job gets the same."""
    code_hash: str
    request_key: str
    owner: int
    chat: int | None
    reply_to: int | None
    language: str
    state: UploadState
    name: str
    """As the sender calls the file: untrusted."""
    bytes: int
    modified: int
    """When its sender's computer says it was changed last, in milliseconds; 0: not known."""
    part_bytes: int
    key: str
    """Where the file will lie in storage."""
    storage_id: str
    """What storage knows the parts by; empty while there are none."""
    job: str | None
    error: str
    """Code of what was wrong with the last file."""
    created_at: float
    expires_at: float

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        values = {item.name: row[item.name] for item in dataclasses.fields(cls)}
        return cls(**values | {"state": UploadState(row["state"])})

    @property
    def file(self) -> str:
        """Tells the chosen file from others that this page may take; empty before the first."""
        if not self.key:
            return ""
        text = f"{self.key}\n{self.bytes}\n{self.modified}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def parts(self) -> int:
        return -(-self.bytes // self.part_bytes) if self.part_bytes else 0

    def part_size(self, number: int) -> int:
        """Bytes of a part, 1 to :attr:`parts`; 0 for any other number."""
        if not 1 <= number <= self.parts:
            return 0
        return min(self.part_bytes, self.bytes - (number - 1) * self.part_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One short link to something that a job made."""

    code: str
    """The hash of it."""
    job: str
    what: str
    created_at: float
    expires_at: float
    revoked_at: float | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{item.name: row[item.name] for item in dataclasses.fields(cls)})


class Codes:
    """Makes codes. The secret is made when first needed, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = b""

    def make(self, *parts: object) -> str:
        """The code of these parts: 24 characters of ``[A-Za-z0-9_-]``, always the same."""
        text = "\n".join(str(part) for part in parts)
        digest = hmac.digest(self._secret(), text.encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:_CODE_BYTES]).decode()

    @staticmethod
    def hash(code: str) -> str:
        """What is kept of a code, and looked up: equal hashes take no time to tell apart."""
        return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()

    def _secret(self) -> bytes:
        if not self._key:
            if not self._path.exists():
                _write_once(self._path, secrets.token_bytes(_KEY_BYTES))
            key = self._path.read_bytes()
            if len(key) < _KEY_BYTES:  # cut short by a copy: codes of it could be guessed
                raise DatabaseError(f"{self._path.name} is damaged: remove it")
            self._key = key
        return self._key


def _write_once(path: Path, content: bytes) -> None:
    """Whole or not at all; the first of several that do this at once wins."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            os.link(partial, path)
    except FileExistsError:
        return
    finally:
        partial.unlink(missing_ok=True)
