"""The HTTP client under the driver: calls of the driving routes and downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp

from bot.sandbox.errors import RefusedError

CHUNK_BYTES = 1 << 18
CALL_S = 300.0


class Client:
    """Connection to the driving routes of one sandbox, open inside ``async with``."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=CALL_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, http_method: str, path: str, **options: Any) -> Any:
        """One call of a driving route.

        Raises:
            RefusedError: the deed is impossible in an app, or the call is malformed.
        """
        url = f"{self._base_url}/sandbox/{path}"
        async with self._open().request(http_method, url, **options) as response:
            body = await response.json()
        if response.status >= 400:
            raise RefusedError(body["error"])
        return body

    async def fetch(self, file_id: str, target: Path) -> Path:
        """Download any file of the sandbox, without the bot's limits."""
        url = f"{self._base_url}/sandbox/files/{file_id}"
        async with self._open().get(url) as response:
            if response.status >= 400:
                raise RefusedError((await response.json())["error"])
            chunks = response.content.iter_chunked(CHUNK_BYTES)
            await _write(target, chunks)
        return target

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the driver as an async context manager")
        return self._session


async def _write(target: Path, chunks: AsyncIterator[bytes]) -> None:
    file = target.open("wb")
    try:
        async for chunk in chunks:
            file.write(chunk)
    finally:
        file.close()
