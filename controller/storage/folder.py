"""A folder as the storage: for one computer, with file:// URLs."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from ulid import ULID

from controller.errors import BadPath, NotStored, StorageError, StorageFull, TooLarge
from controller.storage.base import Entry, require_size
from controller.storage.folder_parts import PARTS_FOLDER, FolderParts
from controller.storage.keys import check_key


class FolderStorage:
    """Keys are paths below a root; nothing outside of it is ever read or written."""

    name = "folder"

    def __init__(self, root: Path, *, reserve_bytes: int = 50_000_000) -> None:
        self._root = root.absolute()
        self._reserve_bytes = reserve_bytes
        self._root.mkdir(parents=True, exist_ok=True)
        self._parts = FolderParts(self._root / PARTS_FOLDER)

    def parse(self, path: str) -> str:
        if path.startswith("b2://"):
            raise BadPath("b2:// needs NOXFVR_STORAGE=s3")
        check_key(path)
        self._path(path)
        return path

    async def entries(self, prefix: str) -> list[Entry]:
        return await asyncio.to_thread(self._list, prefix)

    async def stat(self, key: str) -> Entry:
        with _translated(key):
            status = self._path(key).stat()
        return _entry(key, status)

    async def read(self, key: str, *, limit: int = 1 << 20) -> bytes:
        with _translated(key), self._path(key).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise TooLarge(f"{key} is larger than {limit} bytes")
        return data

    async def write(self, key: str, data: bytes) -> None:
        target = self._path(key)
        with _translated(key), _replacing(target) as partial:
            partial.write_bytes(data)

    async def put_file(self, key: str, path: Path, *, move: bool) -> None:
        target = self._path(key)
        with _translated(key):
            await asyncio.to_thread(_move if move else _link_or_copy, path, target)

    async def copy(self, source: str, target: str) -> None:
        with _translated(source):
            await asyncio.to_thread(_link_or_copy, self._path(source), self._path(target))

    async def delete(self, key: str) -> None:
        path = self._path(key)
        with _translated(key):
            path.unlink(missing_ok=True)
            self._drop_empty(path.parent)

    async def delete_prefix(self, prefix: str) -> None:
        if not prefix.endswith("/"):
            raise ValueError(f"a prefix ends with a slash: {prefix}")
        path = self._path(prefix.rstrip("/"))
        with _translated(prefix):
            if path.is_dir():
                await asyncio.to_thread(shutil.rmtree, path)
                self._drop_empty(path.parent)

    async def sha256(self, key: str) -> str | None:
        with _translated(key):
            return await asyncio.to_thread(_hash, self._path(key))

    @asynccontextmanager
    async def local_file(self, key: str, *, limit: int | None = None) -> AsyncIterator[Path]:
        require_size(await self.stat(key), limit)
        yield self._path(key)

    async def media_source(self, key: str) -> Path:
        await self.stat(key)
        return self._path(key)

    async def open_upload(self, key: str, expires_at: float) -> tuple[str, ...]:
        return ()

    async def finish_upload(self, key: str, size: int) -> None:
        pass  # an object is written whole

    async def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        return 0

    async def open_parts(self, key: str, part_bytes: int) -> str:
        with _translated(key):
            return await asyncio.to_thread(self._parts.open, key, part_bytes)

    def part_url(self, key: str, upload: str, number: int, expires_at: float) -> str | None:
        return None

    async def parts_there(self, key: str, upload: str) -> dict[int, int]:
        with _translated(key):
            return await asyncio.to_thread(self._parts.stored, upload)

    async def write_part(
        self, key: str, upload: str, number: int, stream: AsyncIterator[bytes], size: int
    ) -> None:
        with _translated(key):
            await self._parts.write(upload, number, stream, size)

    async def complete_parts(self, key: str, upload: str, size: int) -> None:
        with _translated(key):
            await asyncio.to_thread(self._parts.complete, upload, size, self._path(key))

    async def abort_parts(self, key: str, upload: str) -> None:
        with _translated(key):
            await asyncio.to_thread(self._parts.abort, upload)

    async def close(self) -> None:
        pass  # there is nothing to drop

    async def require_space(self, bytes_needed: int) -> None:
        free = shutil.disk_usage(self._root).free
        if bytes_needed + self._reserve_bytes > free:
            raise StorageFull(
                f"{bytes_needed} bytes needed, {free} free", needed=bytes_needed, free=free
            )

    def url_get(self, key: str, expires_at: float) -> str:
        return self._path(key).as_uri()

    def url_put(self, key: str, expires_at: float) -> str:
        return self._path(key).as_uri()

    def link(self, key: str, *, lasts_s: float | None = None, name: str = "") -> str:
        return self._path(key).as_uri()

    def file_path(self, key: str) -> Path | None:
        return self._path(key)

    def _path(self, key: str) -> Path:
        path = self._root / key
        if key.partition("/")[0] == PARTS_FOLDER:
            raise BadPath(f"{key[:60]!r} is no storage path")
        # a link inside the folder may lead out of it
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise BadPath(f"{key!r} leads out of the storage")
        return path

    def _list(self, prefix: str) -> list[Entry]:
        base = self._path(prefix.rstrip("/"))
        files = [base] if base.is_file() else sorted(base.rglob("*"))
        entries = []
        for path in files:
            if path.is_file() and path.resolve().is_relative_to(self._root.resolve()):
                status = path.stat()
                key = path.relative_to(self._root).as_posix()
                if key.startswith(f"{PARTS_FOLDER}/"):
                    continue
                entries.append(_entry(key, status))
        return entries

    def _drop_empty(self, folder: Path) -> None:
        while folder != self._root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def _entry(key: str, status: os.stat_result) -> Entry:
    return Entry(
        key=key,
        bytes=status.st_size,
        modified_at=status.st_mtime,
        # a file that is replaced or written to has another one
        etag=f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}",
    )


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotStored(f"nothing at {key}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space for {key}") from error
        raise StorageError(f"{key}: {error.strerror}") from error


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{ULID()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    with _replacing(target) as partial:
        try:
            partial.hardlink_to(source.resolve(strict=True))
        except OSError:
            shutil.copyfile(source, partial)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.stat().st_dev == target.parent.stat().st_dev:
        source.replace(target)
        return
    _link_or_copy(source, target)
    source.unlink()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
