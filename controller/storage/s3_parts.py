"""Objects that are written in parts: by a machine with URLs of ours, by us, or by a copy.

Limits are those of S3 and B2: parts of at least 5 MiB but the last, 10,000 of them at most, a copy
of at most 5 GB at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from controller.errors import NotStored
from controller.storage.s3_bucket import Bucket, plain_etag

_UPLOAD_PART = 16 << 20
_COPY_PART = 10**9
_MOST_PARTS = 9_000
_SIDE_BY_SIDE = 4
#: A copy within the service, and putting an object together, answer late.
_LONG_CALL_S = 1800.0

_Part = Callable[[int], Awaitable[str]]


class Parts:
    """Multipart uploads of one bucket."""

    def __init__(self, bucket: Bucket, *, part_bytes: int = _UPLOAD_PART) -> None:
        self._bucket = bucket
        self._part_bytes = part_bytes
        # for all uploads of ours together: each holds a part in memory
        self._turns = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def open(self, key: str) -> str:
        """Id of the newest upload of exactly this key that is open, or of a new one."""
        uploads = [each for each in await self._open_below(key) if each["Key"] == key]
        if uploads:
            newest = max(uploads, key=lambda each: (each["Initiated"], each["UploadId"]))
            return str(newest["UploadId"])
        return await self._create(key)

    async def finish(self, key: str, size: int) -> None:
        """Put the parts together that are ``size`` bytes in all; drop every other upload."""
        uploads = [each for each in await self._open_below(key) if each["Key"] == key]
        ids = [str(each["UploadId"]) for each in uploads]
        if not await self._is_whole(key, size):
            ids.remove(await self._complete_one(key, size, ids))
        for upload in ids:
            await self._abort(key, upload)

    async def stored(self, key: str, upload: str) -> dict[int, int]:
        """Bytes of each part of an upload."""
        return {each["PartNumber"]: each["Size"] for each in await self._listed(key, upload)}

    async def drop(self, key: str) -> None:
        """End every upload of exactly this key."""
        for each in await self._open_below(key):
            if each["Key"] == key:
                await self._abort(key, each["UploadId"])

    async def abort(self, prefix: str, before: float = math.inf) -> int:
        """Drop uploads below a prefix that were opened before a time; how many."""
        old = [
            each
            for each in await self._open_below(prefix)
            if each["Initiated"].timestamp() < before
        ]
        for upload in old:
            await self._abort(upload["Key"], upload["UploadId"])
        return len(old)

    async def put_file(self, key: str, path: Path) -> None:
        """A file of any size."""
        size = (await asyncio.to_thread(path.stat)).st_size
        part_bytes = max(self._part_bytes, math.ceil(size / _MOST_PARTS))
        if size <= part_bytes:
            data = await asyncio.to_thread(path.read_bytes)
            await self._bucket.ask(key, "put_object", Key=key, Body=data)
            return
        upload = await self._create(key)

        async def put(number: int) -> str:
            data = await asyncio.to_thread(_read, path, (number - 1) * part_bytes, part_bytes)
            answer = await self._bucket.ask(
                key, "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data
            )
            return plain_etag(answer)

        await self._carry_out(key, upload, size, math.ceil(size / part_bytes), put)

    async def copy(self, source: str, target: str, size: int) -> None:
        """An object too large to be copied at once."""
        upload = await self._create(target)
        where = {"Bucket": self._bucket.name, "Key": source}

        async def put(number: int) -> str:
            first, last = (number - 1) * _COPY_PART, min(number * _COPY_PART, size) - 1
            answer = await self._bucket.ask(
                source, "upload_part_copy", timeout_s=_LONG_CALL_S,
                Key=target, UploadId=upload, PartNumber=number, CopySource=where,
                CopySourceRange=f"bytes={first}-{last}",
            )  # fmt: skip
            return plain_etag(answer["CopyPartResult"])

        await self._carry_out(target, upload, size, math.ceil(size / _COPY_PART), put)

    async def _carry_out(self, key: str, upload: str, size: int, count: int, put: _Part) -> None:
        async def take_turn(number: int) -> dict[str, Any]:
            async with self._turns:
                return {"PartNumber": number, "ETag": await put(number)}

        try:
            tasks = [asyncio.ensure_future(take_turn(n)) for n in range(1, count + 1)]
            try:
                parts = await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await self._complete_once(key, size, upload, parts)
        except BaseException:
            # below jobs/, what stays after all is dropped with the old uploads
            with contextlib.suppress(Exception):
                await asyncio.shield(self._abort(key, upload))
            raise

    async def _complete_one(self, key: str, size: int, uploads: list[str]) -> str:
        for upload in uploads:
            # parts beyond may be left from an earlier, larger try of the same upload
            parts = _first_parts(await self._listed(key, upload), size)
            if parts:
                kept = [{"PartNumber": n["PartNumber"], "ETag": n["ETag"]} for n in parts]
                await self._complete_once(key, size, upload, kept)
                return upload
        raise NotStored(f"{key}: no {size} bytes were uploaded in parts")

    async def _complete_once(
        self, key: str, size: int, upload: str, parts: list[dict[str, Any]]
    ) -> None:
        try:
            await self._complete(key, upload, parts)
        except NotStored:
            # it may have worked, and only its answer have been lost
            if not await self._is_whole(key, size):
                raise

    async def _complete(self, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
        await self._bucket.ask(
            key, "complete_multipart_upload", timeout_s=_LONG_CALL_S,
            Key=key, UploadId=upload, MultipartUpload={"Parts": parts},
        )  # fmt: skip

    async def _is_whole(self, key: str, size: int) -> bool:
        try:
            answer = await self._bucket.ask(key, "head_object", Key=key)
        except NotStored:
            return False
        return bool(answer["ContentLength"] == size)

    async def _create(self, key: str) -> str:
        answer = await self._bucket.ask(key, "create_multipart_upload", Key=key)
        return str(answer["UploadId"])

    async def _open_below(self, prefix: str) -> list[dict[str, Any]]:
        pages = self._bucket.pages(prefix, "list_multipart_uploads", Prefix=prefix)
        return [each async for page in pages for each in page.get("Uploads", [])]

    async def _listed(self, key: str, upload: str) -> list[dict[str, Any]]:
        pages = self._bucket.pages(key, "list_parts", Key=key, UploadId=upload)
        try:
            return [each async for page in pages for each in page.get("Parts", [])]
        except NotStored:  # ended meanwhile
            return []

    async def _abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(NotStored):  # it is gone already
            await self._bucket.ask(key, "abort_multipart_upload", Key=key, UploadId=upload)


def _first_parts(parts: list[dict[str, Any]], size: int) -> list[dict[str, Any]]:
    """The parts 1 to n that are ``size`` bytes together; none where there are no such."""
    done = 0
    for number, part in enumerate(parts, start=1):
        if part["PartNumber"] != number:
            return []
        done += part["Size"]
        if done == size:
            return parts[:number]
    return []


def _read(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)
