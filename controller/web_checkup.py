"""Looks at what the pages rest on, before they are needed: port, public address, bucket rule."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from controller.checkup import Finding, fail, ok, warn
from controller.errors import StorageError
from controller.settings import Settings

_TIMEOUT_S = 10.0
_OURS = "loop_age_s"
"""What no other program tells under ``/healthz``."""
_ELSE = "answers with something else"


class Bucket(Protocol):
    """What a bucket is asked here."""

    async def cors_allows_upload(self, origin: str) -> bool | None: ...


async def examine_pages(settings: Settings) -> list[Finding]:
    """The port and, where there is one, the public address."""
    findings = [await _examine_bind(settings)]
    if not settings.public_url:
        detail = "none: no upload page and no short links; all else works without"
        return [*findings, ok("public URL", detail)]
    return [*findings, await _examine_public_url(settings)]


async def examine_page_rule(bucket: Bucket, settings: Settings) -> list[Finding]:
    """Whether the upload page may put files into the bucket itself."""
    if not settings.public_url:
        return []
    parts = urlsplit(settings.public_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    name = "bucket CORS for uploads"
    try:
        allows = await bucket.cors_allows_upload(origin)
    except StorageError as error:
        return [warn(name, type(error).__name__, "look at the bucket's settings")]
    if allows:
        return [ok(name, f"pages of {origin} may put files")]
    detail = f"pages of {origin} may not put files: they go through this computer instead"
    if allows is None:
        detail = "this key may not read the bucket's CORS rules"
    rule = {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["PUT"],
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 3600,
    }
    return [warn(name, detail, f"add to the bucket's CORS rules: {json.dumps(rule)}")]


async def _examine_bind(settings: Settings) -> Finding:
    host, port = settings.bind_address
    try:
        await asyncio.to_thread(_try_port, host, port)
    except OSError as error:
        found = await _ask(f"http://{settings.bind}/healthz")
        if isinstance(found, dict):
            return ok("web bind", f"noxfvr answers on {settings.bind} already")
        detail = f"{settings.bind} cannot be used: {error.strerror}"
        remedy = "name another host:port in NOXFVR_BIND"
        judge = fail if settings.must_serve else warn
        return judge("web bind", detail, remedy)
    return ok("web bind", f"{settings.bind} is free")


def _try_port(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(1)


async def _examine_public_url(settings: Settings) -> Finding:
    name, url = "public URL", settings.public_url
    found = await _ask(f"{url}/healthz")
    if not isinstance(found, dict):
        remedy = (
            f"start noxfvr bot, and let the proxy pass /u/, /d/ and /healthz to {settings.bind}"
        )
        return warn(name, f"{url} {found}", remedy)
    is_outside = url.startswith("https:")  # plain http is for this computer alone
    if is_outside and await _ask(f"{url}/metrics") == _ELSE:
        remedy = "let the proxy pass /u/, /d/ and /healthz only"
        return warn(name, f"{url}/metrics can be seen by everybody", remedy)
    return ok(name, f"{url} leads here")


async def _ask(url: str) -> dict[str, object] | str:
    """The health that is told there, or what came instead of it."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status not in (200, 503):
                return f"answers with HTTP {answer.status}"
            document = json.loads(await answer.content.read(1 << 16))
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"does not answer ({type(error).__name__})"
    except ValueError:
        return _ELSE
    is_ours = isinstance(document, dict) and _OURS in document
    return document if is_ours else _ELSE
