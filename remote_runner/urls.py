"""URLs that a runner is given: which are used, how they are opened, and what is tried again.

Presigned URLs are secrets: whatever is raised or logged here names the host at most. Standard
library only. Plain ``http://`` is for servers on this machine.
"""

from __future__ import annotations

import errno
import http.client
import ipaddress
import logging
import random
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from remote_runner.errors import MachineError, from_os_error
from remote_runner.protocol import Reason

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 6
TIMEOUT_S = 30.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0

_LOCAL = {"127.0.0.1", "localhost", "::1"}
_NETWORK = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EPIPE}
_WORTH_BYTES = 1 << 20
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class NotThere(MachineError):
    """The object does not exist (yet)."""


def local_path(url: str) -> Path | None:
    """The path of a ``file://`` URL, none for ``http(s)://``; :class:`MachineError` for others."""
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018 - looking at it is what finds that it is none
    except ValueError:
        raise MachineError(Reason.TRANSFER_FAILED, "that is no URL") from None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = Path(urllib.request.url2pathname(parts.path))
        if not (path.is_absolute() and path.name) or "\0" in str(path):
            raise MachineError(Reason.TRANSFER_FAILED, "that URL names no file")
        return path
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL):
        return None
    raise MachineError(
        Reason.TRANSFER_FAILED, f"URLs of {parts.scheme or 'no'} scheme are not used"
    )


def place(url: str) -> str:
    """What may be said of a URL: its scheme and host."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}"


def leads_inside(url: str, before: str) -> bool:
    """Whether a redirect leads from the open internet to this computer or its own network.

    A server that is asked for a file must not make us ask a neighbour for one.
    """
    return _is_inside(url) and not _is_inside(before)


def open_url(request: urllib.request.Request) -> Any:
    """The answer to a request whose URL was checked; redirects are checked here."""
    handlers: list[Any] = [_Cautious()]
    if urllib.parse.urlsplit(request.full_url).hostname in _LOCAL:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    try:
        return opener.open(request, timeout=TIMEOUT_S)
    except ValueError:  # a redirect to what is no URL
        raise MachineError(
            Reason.TRANSFER_FAILED, f"{place(request.full_url)}: odd redirect"
        ) from None


def repeat(
    url: str,
    once: Callable[[], T],
    attempts: int | None = None,
    gained: Callable[[], int] = lambda: 0,
    check: Callable[[], None] = lambda: None,
) -> T:
    """Try again with growing delays what may be better later; say at once what will not be.

    A try after which ``gained`` (bytes, say) has grown by a mebibyte does not count. ``check`` is
    called before every try and while waiting for the next, and may raise to stop.
    """
    attempts = attempts or ATTEMPTS
    delay_s = FIRST_DELAY_S
    what = ""
    attempt, before = 0, gained()
    while attempt < attempts:
        attempt += 1
        check()
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
            if not _is_network(error):
                raise from_os_error(error, "transferring") from None
            what = _harmless(error)
        if gained() - before >= _WORTH_BYTES:
            attempt, before, delay_s = 0, gained(), FIRST_DELAY_S
        log.warning("%s: %s, attempt %d of %d", place(url), what, attempt, attempts)
        if attempt < attempts:
            _wait(delay_s * random.uniform(0.5, 1.0), check)  # noqa: S311 - jitter
            delay_s = min(LONGEST_DELAY_S, delay_s * 2)
    raise MachineError(Reason.TRANSFER_FAILED, f"{place(url)}: {what}")


def _wait(seconds: float, check: Callable[[], None]) -> None:
    """In short naps, so that a stop is noticed."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        check()
        time.sleep(min(left_s, 0.25))


def _is_network(error: OSError) -> bool:
    """A connection that broke, in words of its own; a certificate that is wrong stays wrong."""
    if isinstance(error, ssl.SSLError):
        return not isinstance(error, ssl.SSLCertVerificationError)
    return error.errno in _NETWORK


class _Cautious(urllib.request.HTTPRedirectHandler):
    """Follows redirects to URLs that could have been given in the first place, never inwards."""

    def redirect_request(  # noqa: PLR0917 - the signature of the base class
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if local_path(newurl) is not None or leads_inside(newurl, req.full_url):
            raise MachineError(Reason.TRANSFER_FAILED, f"{place(req.full_url)}: odd redirect")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_inside(url: str) -> bool:
    """By the name itself or by what it stands for; a name that stands for nothing is outside."""
    host = urllib.parse.urlsplit(url).hostname or ""
    if host in _LOCAL:
        return True
    try:
        found = {answer[4][0] for answer in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return any(not ipaddress.ip_address(str(each).partition("%")[0]).is_global for each in found)


def _harmless(error: Exception) -> str:
    """What went wrong, without the texts that could repeat a URL."""
    cause = getattr(error, "reason", error)
    return (
        (cause.strerror or type(cause).__name__)
        if isinstance(cause, OSError)
        else (type(cause).__name__)
    )
