"""Hands a stream on to a bucket as it comes: nothing of it is kept in memory or on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp

from controller.errors import NotStored, StorageError

#: No byte for so long, either way.
_SILENT_S = 120.0
#: The header that is signed is the host alone.
_NONE = frozenset({"Content-Type"})


async def put_stream(url: str, key: str, stream: AsyncIterator[bytes], size: int) -> None:
    """PUT exactly ``size`` bytes to a presigned URL, which no error ever tells."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.put(
                url, data=stream, headers={"Content-Length": str(size)}, skip_auto_headers=_NONE
            ) as answer,
        ):
            status = answer.status
            await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StorageError(f"{key}: {type(error).__name__}") from None
    if status == 404:
        raise NotStored(f"{key}: this upload is not open")
    if status >= 300:
        raise StorageError(f"{key}: a part was answered with HTTP {status}")
