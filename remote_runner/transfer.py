"""Files and small documents to and from storage, by ``file://`` and ``https://`` URLs.

Presigned URLs are secrets: whatever is raised or logged here names the host at most. Standard
library only.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import os
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any

from remote_runner.errors import MachineError, from_os_error
from remote_runner.protocol import PART_BYTES, Reason
from remote_runner.urls import NotThere, local_path, open_url, place, repeat

__all__ = [
    "NotThere",
    "exists",
    "fetch",
    "local_path",
    "place",
    "put_bytes",
    "put_file",
    "put_parts",
    "read",
]

#: Parts on their way at once: one connection alone seldom fills a line.
SIDE_BY_SIDE = 4

_CHUNK = 1 << 20


def read(url: str, limit: int, *, check: Callable[[], None] = lambda: None) -> bytes:
    """A small document; more than ``limit`` bytes is an error, absence is :class:`NotThere`.

    ``check`` is called between tries and may raise to stop.
    """
    if path := local_path(url):
        with _file_errors(url), path.open("rb") as file:
            data = file.read(limit + 1)
    else:
        data = repeat(url, lambda: _get(url, limit), check=check)
    if len(data) > limit:
        raise MachineError(Reason.TRANSFER_FAILED, f"{place(url)}: more than {limit} bytes")
    return data


def fetch(
    url: str,
    path: Path,
    progress: Callable[[int], None] = lambda _: None,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Download into a file; ``progress`` gets the bytes so far and may raise to stop.

    ``check`` is called between tries and may raise too.

    A broken connection is continued where it broke, if the server can.
    """
    if source := local_path(url):
        with _file_errors(url), source.open("rb") as reader, path.open("wb") as writer:
            shutil.copyfileobj(_Counted(reader, progress), writer, _CHUNK)
        return
    path.unlink(missing_ok=True)
    repeat(
        url,
        lambda: _get_into(url, path, progress),
        gained=lambda: path.stat().st_size if path.exists() else 0,
        check=check,
    )


def put_bytes(
    url: str,
    data: bytes,
    *,
    attempts: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write a small document; on this machine's own disk it appears whole or not at all."""
    if path := local_path(url):
        _replace(url, path, lambda file: file.write(data))
        return
    repeat(url, lambda: _put(url, data, len(data)), attempts, check=check)


def put_file(
    url: str,
    path: Path,
    progress: Callable[[int], None] = lambda _: None,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Upload a file; ``progress`` gets the bytes so far and may raise to stop, ``check`` is called
    between tries and may raise too."""
    if target := local_path(url):
        with path.open("rb") as file:
            counted = _Counted(file, progress)
            _replace(url, target, lambda out: shutil.copyfileobj(counted, out, _CHUNK))
        return

    def once() -> None:
        with path.open("rb") as file:
            _put(url, _Counted(file, progress), path.stat().st_size)

    repeat(url, once, check=check)


def put_parts(
    urls: Sequence[str],
    path: Path,
    progress: Callable[[int], None] = lambda _: None,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Upload a file in parts, some of them side by side; part n goes to the n-th URL.

    Parts are of one size, at least :data:`PART_BYTES`; the last may be smaller, and URLs may be
    left over. ``progress`` gets the bytes so far, from several threads, and may raise to stop;
    ``check`` is called between tries and may raise too.
    """
    if any(local_path(url) for url in urls):
        raise MachineError(Reason.TRANSFER_FAILED, "only servers take parts")
    size = path.stat().st_size
    part_bytes = max(PART_BYTES, math.ceil(size / len(urls)))
    total = _Total(progress)

    def put(number: int) -> None:
        start = number * part_bytes
        length = min(part_bytes, size - start)

        def once() -> None:
            total.check()
            with path.open("rb") as file:
                file.seek(start)
                _put(urls[number], _Counted(file, partial(total.note, number), length), length)

        try:
            repeat(urls[number], once, check=check)
        except BaseException:
            total.stop()
            raise

    with ThreadPoolExecutor(SIDE_BY_SIDE, "upload") as pool:
        parts = [pool.submit(put, number) for number in range(max(1, -(-size // part_bytes)))]
    _raise_first(parts)


def exists(url: str) -> bool:
    """Whether an object is there; :class:`MachineError` where that cannot be told.

    It is asked for and not read: a URL that is signed for reading allows nothing else.
    """
    if path := local_path(url):
        return path.exists()
    try:
        repeat(url, lambda: open_url(urllib.request.Request(url)).close())  # noqa: S310 - checked
    except NotThere:
        return False
    return True


class _Stopped(Exception):
    """Another part failed: this one is not wanted any more."""


class _Counted:
    """A readable file, or ``length`` bytes of it, that tells how much was read."""

    def __init__(
        self, file: IO[bytes], progress: Callable[[int], None], length: int | None = None
    ) -> None:
        self._file = file
        self._progress = progress
        self._length = length
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        wanted = min(size, _CHUNK) if size >= 0 else _CHUNK
        if self._length is not None:
            wanted = min(wanted, self._length - self._done)
        data = self._file.read(wanted)
        self._done += len(data)
        self._progress(self._done)
        return data


class _Total:
    """Adds up what the parts of one upload have done, and ends them together."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._done: dict[int, int] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def note(self, number: int, done: int) -> None:
        with self._lock:
            self.check()
            self._done[number] = done
            self._progress(sum(self._done.values()))

    def check(self) -> None:
        if self._stopped:
            raise _Stopped

    def stop(self) -> None:
        self._stopped = True


def _raise_first(parts: Iterable[Future[None]]) -> None:
    """What went wrong, not what it stopped."""
    errors = [error for part in parts if (error := part.exception()) is not None]
    for error in sorted(errors, key=lambda each: isinstance(each, _Stopped)):
        raise error


def _get(url: str, limit: int) -> bytes:
    with open_url(urllib.request.Request(url)) as answer:  # noqa: S310 - the scheme was checked
        data: bytes = answer.read(limit + 1)
        return data


def _get_into(url: str, path: Path, progress: Callable[[int], None]) -> None:
    done = path.stat().st_size if path.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    with open_url(request) as answer:
        continues = answer.status == 206
        done = done if continues else 0
        length = answer.headers.get("Content-Length")
        whole = done + int(length) if length is not None else None
        with path.open("ab" if continues else "wb") as file:
            while data := answer.read(_CHUNK):
                file.write(data)
                done += len(data)
                progress(done)
    if whole is not None and done != whole:
        raise http.client.IncompleteRead(b"", whole - done)


def _put(url: str, data: Any, length: int) -> None:
    headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        url, data=data, headers=headers, method="PUT"
    )
    with open_url(request) as answer:
        answer.read()


def _replace(url: str, path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write beside the target, make it lasting, then put it in place in one step."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _file_errors(url):
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _file_errors(url: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotThere(Reason.TRANSFER_FAILED, f"{place(url)}: no such file") from None
    except OSError as error:
        raise from_os_error(error, "transferring a file") from None
