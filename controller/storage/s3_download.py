"""Objects of a bucket as files of this computer, for as long as somebody needs them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from ulid import ULID

from controller.errors import NotStored, StorageError, StorageFull
from controller.storage.base import Entry
from controller.storage.s3_bucket import Bucket

_RESERVE_BYTES = 50_000_000
_TRIES = 4


@asynccontextmanager
async def local_copy(bucket: Bucket, entry: Entry, folder: Path) -> AsyncIterator[Path]:
    """A file in ``folder`` that is removed at the end; :class:`StorageFull` before it fills up."""
    path = folder / str(ULID())
    try:
        _make_room(path, entry.bytes)
        await _download(bucket, entry, path)
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def hash_object(bucket: Bucket, entry: Entry) -> str:
    """SHA-256 in hexadecimal digits, of what is streamed through memory."""
    digest = hashlib.sha256()
    if entry.bytes:
        async with aclosing(bucket.stream(entry.key)) as chunks:
            async for _, data in chunks:
                digest.update(data)
    return digest.hexdigest()


def _make_room(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    free = shutil.disk_usage(path.parent).free
    if size + _RESERVE_BYTES > free:
        raise StorageFull(f"{size} bytes needed, {free} free", needed=size, free=free)


async def _download(bucket: Bucket, entry: Entry, path: Path) -> None:
    """Goes on where a connection broke."""
    done = 0
    for tries in range(1, _TRIES + 1):
        try:
            await _append(bucket, entry, path, done)
        except NotStored:
            raise
        except StorageError:
            if tries == _TRIES:
                raise
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull(f"no space for {entry.key}") from error
            raise StorageError(f"{entry.key}: {error.strerror}") from error
        done = await asyncio.to_thread(_size, path)
        if done >= entry.bytes:
            break
    if done != entry.bytes:
        raise StorageError(f"{entry.key}: {done} bytes came, not {entry.bytes}")


async def _append(bucket: Bucket, entry: Entry, path: Path, done: int) -> None:
    if done >= entry.bytes:
        return
    with path.open("ab") as file:
        async with aclosing(bucket.stream(entry.key, done)) as chunks:
            async for etag, data in chunks:
                if etag != entry.etag:
                    raise StorageError(f"{entry.key} was replaced meanwhile")
                await asyncio.to_thread(file.write, data)


def _size(path: Path) -> int:
    return path.stat().st_size
