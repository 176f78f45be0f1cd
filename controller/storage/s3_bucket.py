"""One bucket behind one client: opened when first used, bounded in time, with B2's manners."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

from controller.errors import StorageError
from controller.storage.s3_errors import code_of, translated

#: Longest that one request may take, with its retries.
CALL_S = 300.0
#: Keys in one page of a listing, and in one request to delete: what S3 allows.
PAGE = 1000


class Bucket:
    """Requests on one bucket. Errors are those of :mod:`controller.storage.s3_errors`."""

    def __init__(
        self, *, bucket: str, key: str, secret: str, endpoint: str, region: str, attempts: int
    ) -> None:
        self.name = bucket
        self._attempts = attempts
        self._session = aioboto3.Session(
            aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
        )
        self._endpoint = endpoint
        self._opened: tuple[AsyncExitStack, Any] | None = None
        self._opening = asyncio.Lock()

    async def ask(
        self, what: str, operation: str, *, timeout_s: float = CALL_S, **parameters: Any
    ) -> Any:
        """Answer of an operation, as boto3 names it."""
        client = await self._client()
        with translated(what):
            async with asyncio.timeout(timeout_s):
                answer = await getattr(client, operation)(Bucket=self.name, **parameters)
        return _complete(what, answer)

    async def pages(
        self, what: str, operation: str, **parameters: Any
    ) -> AsyncGenerator[Any, None]:
        """Every page of a listing."""
        client = await self._client()
        paginator = client.get_paginator(operation)
        found = aiter(paginator.paginate(Bucket=self.name, **parameters))
        while True:
            with translated(what):
                async with asyncio.timeout(CALL_S):
                    page = await anext(found, None)
            if page is None:
                return
            yield _complete(what, page)

    async def read(self, key: str, limit: int) -> bytes:
        """The first ``limit`` bytes of an object."""
        client = await self._client()
        with translated(key):
            async with asyncio.timeout(CALL_S):
                try:
                    answer = await client.get_object(
                        Bucket=self.name, Key=key, Range=f"bytes=0-{limit - 1}"
                    )
                except ClientError as error:
                    if code_of(error) == "InvalidRange":
                        return b""  # an empty object has no first byte
                    raise
                async with answer["Body"] as body:
                    data: bytes = await body.read()
                    return data

    async def stream(
        self, key: str, first: int = 0, *, chunk: int = 1 << 20
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """ETag and content of an object from a byte on, which must be one that it has."""
        answer = await self.ask(key, "get_object", Key=key, Range=f"bytes={first}-")
        etag = plain_etag(answer)
        body = answer["Body"]
        try:
            chunks = aiter(body.iter_chunks(chunk))
            while True:
                with translated(key):
                    async with asyncio.timeout(CALL_S):
                        data = await anext(chunks, b"")
                if not data:
                    return
                yield etag, data
        finally:
            body.close()

    async def server_time(self) -> tuple[float, float]:
        """What the service's clock shows and, to compare it with, ours; whole seconds."""
        client = await self._client()
        before = time.time()
        with translated("the bucket"):
            async with asyncio.timeout(CALL_S):
                try:
                    answer = await client.head_bucket(Bucket=self.name)
                except ClientError as error:  # a refusal tells the time as well
                    answer = error.response
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
        try:
            # a date is cut down to its second
            shown = parsedate_to_datetime(date).timestamp() + 0.5
        except (ValueError, OverflowError):
            raise StorageError("the service does not tell its time") from None
        return shown, (before + time.time()) / 2

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened:
            await opened[0].aclose()

    async def _client(self) -> Any:
        async with self._opening:
            if self._opened is None:
                stack = AsyncExitStack()
                client = await stack.enter_async_context(
                    self._session.client(
                        "s3", endpoint_url=self._endpoint, config=_config(self._attempts)
                    )
                )
                client.meta.events.register("before-sign.s3.DeleteObjects", _use_md5)
                self._opened = stack, client
            return self._opened[1]


class Answer(dict[str, Any]):
    """What the service said of something; what it left out is a failure of storage."""

    def __init__(self, what: str, values: dict[str, Any]) -> None:
        super().__init__({name: _complete(what, value) for name, value in values.items()})
        self._what = what

    def __missing__(self, name: str) -> Any:
        raise StorageError(f"{self._what}: an answer without {name}")


def _complete(what: str, value: Any) -> Any:
    """With every dictionary in it as an :class:`Answer`."""
    if isinstance(value, dict):
        return Answer(what, value)
    return [_complete(what, each) for each in value] if isinstance(value, list) else value


def plain_etag(answer: Any) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _config(attempts: int) -> AioConfig:
    return AioConfig(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # B2 refuses the checksums that newer clients add to every request
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=50,
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )


def _use_md5(request: AWSRequest, **_: Any) -> None:
    """The one operation that needs a checksum gets the one that every service knows."""
    for name in [each for each in request.headers if each.lower().startswith("x-amz-")]:
        if "checksum" in name.lower():
            del request.headers[name]
    body = request.data if isinstance(request.data, bytes) else str(request.data).encode()
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    del request.headers["Content-MD5"]
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()
