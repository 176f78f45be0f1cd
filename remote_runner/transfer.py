"""Files and small documents to and from storage, by ``file://`` and ``https://`` URLs.

Presigned URLs are secrets: whatever is raised or logged here names the host at most. Standard
library only. Plain ``http://`` is for servers on this machine.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import random
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from remote_runner.errors import MachineError, from_os_error
from remote_runner.protocol import Reason

log = logging.getLogger(__name__)

ATTEMPTS = 6
TIMEOUT_S = 30.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0

_CHUNK = 1 << 20
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class NotThere(MachineError):
    """The object does not exist (yet)."""


def read(url: str, limit: int) -> bytes:
    """A small document; more than ``limit`` bytes is an error, absence is :class:`NotThere`."""
    if path := local_path(url):
        with _file_errors(url), path.open("rb") as file:
            data = file.read(limit + 1)
    else:
        data = _repeat(url, lambda: _get(url, limit))
    if len(data) > limit:
        raise MachineError(Reason.TRANSFER_FAILED, f"{place(url)}: more than {limit} bytes")
    return data


def fetch(url: str, path: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Download into a file; ``progress`` gets the bytes so far and may raise to stop.

    A broken connection is continued where it broke, if the server can.
    """
    if source := local_path(url):
        with _file_errors(url), source.open("rb") as reader, path.open("wb") as writer:
            shutil.copyfileobj(_Counted(reader, progress), writer, _CHUNK)
        return
    path.unlink(missing_ok=True)
    _repeat(url, lambda: _get_into(url, path, progress))


def put_bytes(url: str, data: bytes, *, attempts: int = ATTEMPTS) -> None:
    """Write a small document; on this machine's own disk it appears whole or not at all."""
    if path := local_path(url):
        _replace(url, path, lambda file: file.write(data))
        return
    _repeat(url, lambda: _put(url, data, len(data)), attempts)


def put_file(url: str, path: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Upload a file; ``progress`` gets the bytes so far and may raise to stop."""
    if target := local_path(url):
        with path.open("rb") as file:
            counted = _Counted(file, progress)
            _replace(url, target, lambda out: shutil.copyfileobj(counted, out, _CHUNK))
        return

    def once() -> None:
        with path.open("rb") as file:
            _put(url, _Counted(file, progress), path.stat().st_size)

    _repeat(url, once)


def exists(url: str) -> bool:
    """Whether an object is there, as far as this URL may tell: one for writing may not."""
    if path := local_path(url):
        return path.exists()
    try:
        with _open(urllib.request.Request(url, method="HEAD")):  # noqa: S310 - it was checked
            return True
    except (OSError, http.client.HTTPException):
        return False


def local_path(url: str) -> Path | None:
    """The path of a ``file://`` URL, none for ``http(s)://``; :class:`MachineError` for others."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(urllib.request.url2pathname(parts.path))
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL):
        return None
    raise MachineError(
        Reason.TRANSFER_FAILED, f"URLs of {parts.scheme or 'no'} scheme are not used"
    )


def place(url: str) -> str:
    """What may be said of a URL: its scheme and host."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


class _Counted:
    """A readable file that tells how much was read of it."""

    def __init__(self, file: IO[bytes], progress: Callable[[int], None]) -> None:
        self._file = file
        self._progress = progress
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, _CHUNK) if size >= 0 else _CHUNK)
        self._done += len(data)
        self._progress(self._done)
        return data


class _Cautious(urllib.request.HTTPRedirectHandler):
    """Follows redirects to URLs that could have been given in the first place."""

    def redirect_request(  # noqa: PLR0917 - the signature of the base class
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if local_path(newurl) is not None:
            raise MachineError(Reason.TRANSFER_FAILED, f"{place(req.full_url)}: odd redirect")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request) -> Any:
    handlers: list[Any] = [_Cautious()]
    if urllib.parse.urlsplit(request.full_url).hostname in _LOCAL:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    return opener.open(request, timeout=TIMEOUT_S)


def _get(url: str, limit: int) -> bytes:
    with _open(urllib.request.Request(url)) as answer:  # noqa: S310 - the scheme was checked
        data: bytes = answer.read(limit + 1)
        return data


def _get_into(url: str, path: Path, progress: Callable[[int], None]) -> None:
    done = path.stat().st_size if path.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    with _open(request) as answer:
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
    with _open(request) as answer:
        answer.read()


def _repeat(url: str, once: Callable[[], Any], attempts: int = ATTEMPTS) -> Any:
    """Try again with growing delays what may be better later; say at once what will not be."""
    delay_s = FIRST_DELAY_S
    for attempt in range(1, attempts + 1):
        try:
            return once()
        except urllib.error.HTTPError as error:
            what = f"HTTP {error.code}"
            error.close()
            if error.code in (404, 410):
                raise NotThere(Reason.TRANSFER_FAILED, f"{place(url)}: {what}") from None
            if error.code not in _TRANSIENT:
                raise MachineError(Reason.TRANSFER_FAILED, f"{place(url)}: {what}") from None
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
            what = _harmless(error)
        except TimeoutError:
            what = "timed out"
        except OSError as error:
            raise from_os_error(error, "transferring") from None
        log.warning("%s: %s, attempt %d of %d", place(url), what, attempt, attempts)
        if attempt < attempts:
            time.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            delay_s = min(LONGEST_DELAY_S, delay_s * 2)
    raise MachineError(Reason.TRANSFER_FAILED, f"{place(url)}: {what}")


def _harmless(error: Exception) -> str:
    """What went wrong, without the texts that could repeat a URL."""
    cause = getattr(error, "reason", error)
    return (
        (cause.strerror or type(cause).__name__)
        if isinstance(cause, OSError)
        else (type(cause).__name__)
    )


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
