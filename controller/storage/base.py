"""What a storage of objects has to do, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from controller.errors import TooLarge


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An object as a listing shows it."""

    key: str
    bytes: int
    modified_at: float
    etag: str = ""
    """Changes with the content; empty where the storage has none."""


def require_size(entry: Entry, limit: int | None) -> None:
    """:class:`TooLarge` for more bytes than that; none is no limit."""
    if limit is not None and entry.bytes > limit:
        raise TooLarge(f"{entry.key} has {entry.bytes} bytes, {limit} are allowed")


class Storage(Protocol):
    """Objects under keys. Missing ones are :class:`~controller.errors.NotStored`; a full disk is
    :class:`~controller.errors.StorageFull`; everything else that goes wrong is
    :class:`~controller.errors.StorageError`."""

    name: str

    def parse(self, path: str) -> str:
        """A path as a user writes it → a key; :class:`~controller.errors.BadPath`."""

    async def entries(self, prefix: str) -> list[Entry]:
        """Objects below a prefix, sorted by key."""

    async def stat(self, key: str) -> Entry: ...

    async def read(self, key: str, *, limit: int = 1 << 20) -> bytes:
        """A small object; one larger than ``limit`` bytes is a StorageError."""

    async def write(self, key: str, data: bytes) -> None:
        """A small object, replaced at once and whole."""

    async def put_file(self, key: str, path: Path, *, move: bool) -> None: ...

    async def copy(self, source: str, target: str) -> None:
        """Server-side; replaces the target."""

    async def delete(self, key: str) -> None:
        """Idempotent."""

    async def delete_prefix(self, prefix: str) -> None:
        """Everything below a prefix that ends with a slash. Idempotent."""

    async def sha256(self, key: str) -> str | None:
        """Computed by us where that is cheap, else None."""

    def local_file(
        self, key: str, *, limit: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        """A readable file with the object's content while the context is open.

        :class:`~controller.errors.TooLarge` for more than ``limit`` bytes, before one is fetched.
        """

    async def require_space(self, bytes_needed: int) -> None:
        """:class:`~controller.errors.StorageFull` where that much certainly does not fit."""

    async def media_source(self, key: str) -> Path | str:
        """What a probe reads an object from: a path, or a short-lived URL for ranged reads."""

    async def open_upload(self, key: str, expires_at: float) -> tuple[str, ...]:
        """URLs for the parts of one object that a machine will write, where storage takes parts.

        Empty where one ``url_put`` does. Called again for the same key it goes on with the upload
        that is open.
        """

    async def finish_upload(self, key: str, size: int) -> None:
        """Put the parts of an upload together, once they are ``size`` bytes in all.

        Idempotent: nothing is done where the object is there or storage takes no parts.
        :class:`~controller.errors.NotStored` where the parts are not what was said.
        """

    async def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        """Drop what was uploaded in parts below a prefix and never finished; how many."""

    async def open_parts(self, key: str, part_bytes: int) -> str:
        """An id for an object that comes in parts of ``part_bytes``, the last one shorter.

        Called again for the same key it goes on with what is open.
        """

    def part_url(self, key: str, upload: str, number: int, expires_at: float) -> str | None:
        """Where a browser may put a part, 1 or more; None where only :meth:`write_part` does."""

    async def parts_there(self, key: str, upload: str) -> dict[int, int]:
        """Bytes of each part that is stored; of those of a whole object too, while it is open."""

    async def write_part(
        self, key: str, upload: str, number: int, stream: AsyncIterator[bytes], size: int
    ) -> None:
        """A part as it comes; nothing is kept of one that is not ``size`` bytes.

        One writer a part at a time. :class:`~controller.errors.NotStored` where nothing is open.
        """

    async def complete_parts(self, key: str, upload: str, size: int) -> None:
        """Make the object of its parts, once they are ``size`` bytes in all. Idempotent.

        :class:`~controller.errors.NotStored` where they are not.
        """

    async def abort_parts(self, key: str, upload: str) -> None:
        """Drop the parts. Idempotent."""

    async def close(self) -> None:
        """Drop connections."""

    def url_get(self, key: str, expires_at: float) -> str: ...

    def url_put(self, key: str, expires_at: float) -> str: ...

    def link(self, key: str, *, lasts_s: float | None = None, name: str = "") -> str:
        """For people: made from our own keys, never from what a machine said.

        Good for days where ``lasts_s`` does not say otherwise; saved under ``name``, else the
        key's own.
        """

    def file_path(self, key: str) -> Path | None:
        """Where an object is a file here; None where objects are elsewhere."""
