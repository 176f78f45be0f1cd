"""Files that come in parts, each written where it belongs in the one file that they make.

``<id>/data`` is that file, ``<id>/<number>`` a mark that says how many bytes of a
part are safely there. A crash leaves parts without a mark, which are written again.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

from controller.errors import NotStored, StorageError

T = TypeVar("T")

#: Below the root of a folder storage, and no key of it.
PARTS_FOLDER = ".parts"


class FolderParts:
    """All uploads below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, key: str, part_bytes: int) -> str:
        """The same id for the same key and size: an upload that is open goes on."""
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        upload = f"{name}-{part_bytes}"
        home = self._home(upload)
        if not (home / "data").exists():
            shutil.rmtree(home, ignore_errors=True)  # marks alone promise nothing
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "data").touch(mode=0o600)
        return upload

    def stored(self, upload: str) -> dict[int, int]:
        """Bytes of each part that has its mark."""
        home = self._home(upload)
        if not home.is_dir():
            return {}
        marks = [path for path in home.iterdir() if path.name.isdecimal()]
        return {int(mark.name): int(mark.read_text()) for mark in marks}

    async def write(
        self, upload: str, number: int, stream: AsyncIterator[bytes], size: int
    ) -> None:
        """A part as it comes. One that is there is left as it is."""
        home = self._home(upload)
        mark = home / str(number)
        if mark.exists() and int(mark.read_text()) == size:
            return
        handle = await _wait(lambda: os.open(home / "data", os.O_WRONLY))
        try:
            await self._fill(handle, (number - 1) * _part_bytes(upload), stream, size)
            await _wait(lambda: _mark(handle, home, number, size))
        finally:
            os.close(handle)

    def complete(self, upload: str, size: int, target: Path) -> None:
        """Move the file to its place, once parts 1 to n are exactly all of it."""
        home = self._home(upload)
        if target.is_file() and target.stat().st_size == size and not (home / "data").exists():
            shutil.rmtree(home, ignore_errors=True)
            return
        parts = self.stored(upload)
        is_gapless = sorted(parts) == list(range(1, len(parts) + 1))
        if not is_gapless or sum(parts.values()) != size:
            raise NotStored(f"{target.name}: the parts are not {size} bytes together")
        data = home / "data"
        os.truncate(data, size)
        target.parent.mkdir(parents=True, exist_ok=True)
        data.replace(target)
        shutil.rmtree(home)

    def abort(self, upload: str) -> None:
        shutil.rmtree(self._home(upload), ignore_errors=True)

    def _home(self, upload: str) -> Path:
        name, _, part_bytes = upload.partition("-")
        if not name.isalnum() or not part_bytes.isdecimal():
            raise NotStored("there is no such upload")
        return self._folder / upload

    async def _fill(
        self, handle: int, start: int, stream: AsyncIterator[bytes], size: int
    ) -> None:
        done = 0
        async for chunk in stream:
            if done + len(chunk) > size:
                raise StorageError(f"a part is larger than {size} bytes")
            await _wait(functools.partial(_write_all, handle, chunk, start + done))
            done += len(chunk)
        if done != size:
            raise StorageError(f"a part ended after {done} of {size} bytes")


def _part_bytes(upload: str) -> int:
    return int(upload.partition("-")[2])


def _write_all(handle: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, at)
        view, at = view[written:], at + written


def _mark(handle: int, home: Path, number: int, size: int) -> None:
    os.fdatasync(handle)  # the mark promises that the bytes outlive a power cut
    partial = home / f"{number}.partial"
    with partial.open("w") as file:
        file.write(str(size))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(home / str(number))


async def _wait(work: Callable[[], T]) -> T:
    """Work in a thread to its end, also when this is cancelled: the file may not change later."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
