"""Fetches a weight file, checks its SHA-256 if one is known, keeps it; standard library only."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from remote_runner.errors import MachineError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.urls import leads_inside

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with bytes received so far and bytes expected, 0 where that is not known."""

#: Largest file that is fetched where no size is known.
MAX_BYTES = 512 << 20
_CHUNK = 64 * 1024
_BAR = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file as it was published, or as somebody says that it is."""

    url: str = field(repr=False)
    bytes: int | None = None
    """None where it is not known: at most :data:`MAX_BYTES` are taken."""
    sha256: str | None = None
    """Lower-case hexadecimal; none where nobody knows it: the file is fetched anew each time."""
    name: str = ""
    """What the file is kept as; empty: as the URL has it."""
    secret: bool = False
    """Whether the URL may be told to nobody: of it, messages name the host at most."""

    @property
    def file(self) -> str:
        return self.name or urlsplit(self.url).path.rpartition("/")[2]

    @property
    def most(self) -> int:
        """Bytes that it may have."""
        return MAX_BYTES if self.bytes is None else self.bytes


class _FetchError(Exception):
    """One try failed; ``again`` says whether another one makes sense."""

    def __init__(self, detail: str, *, again: bool) -> None:
        super().__init__(detail)
        self.again = again


def fetch(
    download: Download,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    tries: int = 3,
    pause_s: float = 1.0,
    timeout_s: float = 20.0,
    limit_s: float = 600.0,
) -> Path:
    """The file in the cache, fetched first if it is not there with the right hash.

    ``timeout_s`` is the longest silence, ``limit_s`` the longest one try may take, ``pause_s`` the
    wait before the second try (doubled for each further one). Raises :class:`MachineError`:
    ``model_unavailable`` with the place where the file can be put by hand (and the URL, unless it
    is a secret), or ``disk_full``.
    """
    target = (cache_dir or default_cache_dir()) / download.file
    if is_good(target, download):
        return target
    progress = progress or show_progress(download.file)
    for attempt in range(1, tries + 1):
        try:
            _fetch_once(download, target, progress, timeout_s, limit_s)
        except _FetchError as error:
            if not error.again or attempt == tries:
                raise _unavailable(download, target, str(error)) from error
            log.warning("%s: %s; trying again", download.file, error)
            time.sleep(pause_s * 2 ** (attempt - 1))
        except OSError as error:
            raise from_os_error(error, f"storing {target}") from error
        else:
            break
    return target


def is_good(path: Path, download: Download) -> bool:
    """Whether the file is there and the one that is meant; not known without a hash: no."""
    if download.sha256 is None or not path.is_file():
        return False
    if download.bytes is not None and path.stat().st_size != download.bytes:
        return False
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest() == download.sha256


def default_cache_dir() -> Path:
    """``NOXFVR_CACHE_DIR``, else ``~/.cache/noxfvr/models``."""
    override = os.environ.get("NOXFVR_CACHE_DIR")
    return Path(override) if override else Path.home() / ".cache" / "noxfvr" / "models"


def show_progress(name: str, stream: IO[str] | None = None) -> Progress:
    """A bar on a terminal, a line at every quarter in a pipe; to stderr unless said otherwise."""
    out = stream or sys.stderr
    return _bar(name, out) if out.isatty() else _lines(name, out)


def _bar(name: str, out: IO[str]) -> Progress:
    def show(done: int, total: int) -> None:
        if not total:
            return
        filled = _BAR * done // total
        end = "\n" if done == total else ""
        bar = "#" * filled + "-" * (_BAR - filled)
        out.write(f"\r{name} [{bar}] {done / 1e6:.1f}/{total / 1e6:.1f} MB{end}")
        out.flush()

    return show


def _lines(name: str, out: IO[str]) -> Progress:
    shown = -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        quarter = 4 * done // total if total else shown
        if quarter != shown:
            shown = quarter
            out.write(f"{name}: {25 * quarter}% of {total / 1e6:.1f} MB\n")
            out.flush()

    return show


def _fetch_once(
    download: Download, target: Path, progress: Progress, timeout_s: float, limit_s: float
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            found = _receive(download, sink, progress, timeout_s, limit_s)
        if download.sha256 is not None and found != download.sha256:
            # Not worth another try: a changed release stays changed.
            detail = f"its SHA-256 is {found}, not the published {download.sha256}"
            raise _FetchError(detail, again=False)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _receive(
    download: Download, sink: IO[bytes], progress: Progress, timeout_s: float, limit_s: float
) -> str:
    """Read the body into ``sink`` and return its SHA-256."""
    give_up_at = time.monotonic() + limit_s
    digest, done = hashlib.sha256(), 0
    with _open(download.url, timeout_s) as body:
        # what the server says counts for no more than the end of what it sends
        total = download.bytes if download.bytes is not None else body.length
        progress(0, total or 0)
        while chunk := _read(body):
            done += len(chunk)
            if done > download.most:
                kind = "published" if download.bytes is not None else "allowed"
                detail = f"it is larger than the {kind} {download.most} bytes"
                raise _FetchError(detail, again=False)
            if time.monotonic() > give_up_at:
                raise _FetchError(f"it took longer than {limit_s:.0f} s", again=True)
            digest.update(chunk)
            sink.write(chunk)
            progress(done, total or 0)
    if total is not None and done < total:
        raise _FetchError(f"the connection ended at {done} of {total} bytes", again=True)
    return digest.hexdigest()


def _open(url: str, timeout_s: float) -> http.client.HTTPResponse:
    _check_scheme(url)
    request = Request(url, headers={"User-Agent": "noxfvr"})  # noqa: S310  (scheme checked above)
    try:
        response: http.client.HTTPResponse = _opener(url).open(request, timeout=timeout_s)
    except HTTPError as error:
        error.close()
        again = error.code >= 500 or error.code == 429
        raise _FetchError(
            f"the server answered {error.code} {error.reason}", again=again
        ) from None
    except (URLError, OSError, http.client.HTTPException, ValueError) as error:
        # ValueError: an address with letters that it may not have
        raise _FetchError(f"no connection: {_harmless(error)}", again=True) from None
    return response


def _read(body: http.client.HTTPResponse) -> bytes:
    try:
        return body.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _FetchError(f"the connection broke: {_harmless(error)}", again=True) from None


def _opener(url: str) -> OpenerDirector:
    if urlsplit(url).hostname == "127.0.0.1":
        return build_opener(_SafeRedirects, ProxyHandler({}))
    return build_opener(_SafeRedirects)


class _SafeRedirects(HTTPRedirectHandler):
    """Follows a redirect only to an address that could have been asked for in the first place."""

    def redirect_request(  # noqa: PLR0917  (the library's signature)
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        try:
            _check_scheme(newurl)
            if leads_inside(newurl, req.full_url):
                raise _FetchError("it leads to an address of the inside", again=False)
        except _FetchError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _check_scheme(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1"):
        return
    raise _FetchError(f"only https is fetched, not {parts.scheme or 'a path'}", again=False)


def _harmless(error: Exception) -> str:
    """What went wrong, without the texts that could repeat a URL."""
    cause = getattr(error, "reason", error)
    return (isinstance(cause, OSError) and cause.strerror) or type(cause).__name__


def _unavailable(download: Download, target: Path, why: str) -> MachineError:
    if download.secret:
        host = urlsplit(download.url).hostname or "nowhere"
        detail = f"{download.file} could not be fetched from {host}: {why}."
    else:
        detail = (
            f"{download.file} could not be fetched: {why}. Fetch {download.url} on another "
            f"machine and put it at {target}, or choose the model 'starter', which needs no "
            "download."
        )
    return MachineError(Reason.MODEL_UNAVAILABLE, detail)
