"""A bucket as the storage: Backblaze B2, or any other service that speaks S3.

B2 keeps every version of an object, so that deleting means deleting versions. A refusal or silence
is never "not there": see :mod:`controller.storage.s3_errors`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from controller.errors import BadPath, StorageError, TooLarge
from controller.storage import s3_bucket, s3_checks
from controller.storage.base import Entry, require_size
from controller.storage.keys import check_key
from controller.storage.presign import Presigner
from controller.storage.s3_bucket import Bucket, plain_etag
from controller.storage.s3_download import hash_object, local_copy
from controller.storage.s3_parts import Parts
from controller.storage.s3_relay import put_stream

_SCHEMES = ("b2", "s3")
#: As many parts as one upload of a machine may have: 64 × 5 GiB.
_PARTS = 64
_LARGEST_COPY = 5 * 10**9
_LARGEST_HASHED = 64 << 20
_PROBE_S = 3600.0
_LINK_S = 6 * 86400.0
_COPY_S = 1800.0


class S3Storage:
    """Objects of one bucket. ``work_dir`` is where an object lies that has to be a file."""

    name = "s3"

    def __init__(
        self,
        *,
        bucket: str,
        key: str,
        secret: str,
        endpoint: str,
        region: str,
        work_dir: Path,
        clock: Callable[[], float] = time.time,
        attempts: int = 4,
    ) -> None:
        self._name = bucket
        self._work_dir = work_dir
        self._clock = clock
        self._bucket = Bucket(
            bucket=bucket, key=key, secret=secret, endpoint=endpoint, region=region,
            attempts=attempts,
        )  # fmt: skip
        self._presigner = Presigner(
            endpoint=endpoint, bucket=bucket, key=key, secret=secret, region=region
        )
        self._parts = Parts(self._bucket)

    def parse(self, path: str) -> str:
        """``b2://bucket/key`` of this bucket, or a key."""
        key = path
        scheme, found, rest = path.partition("://")
        # phones begin a message with a capital letter
        if found and scheme.lower() in _SCHEMES:
            bucket, _, key = rest.partition("/")
            if bucket != self._name:
                raise BadPath(f"{bucket[:60]!r} is not the bucket in use, {self._name!r}")
        check_key(key)
        return key

    async def entries(self, prefix: str) -> list[Entry]:
        pages = self._bucket.pages(
            prefix or "the bucket", "list_objects_v2", Prefix=prefix, **_paging()
        )
        found = [
            _entry(each["Key"], each, each["Size"])
            async for page in pages
            for each in page.get("Contents", [])
            if _is_below(each["Key"], prefix)
        ]
        return sorted(found, key=lambda entry: entry.key)

    async def stat(self, key: str) -> Entry:
        answer = await self._bucket.ask(key, "head_object", Key=key)
        return _entry(key, answer, answer["ContentLength"])

    async def read(self, key: str, *, limit: int = 1 << 20) -> bytes:
        data = await self._bucket.read(key, limit + 1)
        if len(data) > limit:
            raise TooLarge(f"{key} is larger than {limit} bytes")
        return data

    async def write(self, key: str, data: bytes) -> None:
        await self._bucket.ask(key, "put_object", Key=key, Body=data)

    async def put_file(self, key: str, path: Path, *, move: bool) -> None:
        try:
            await self._parts.put_file(key, path)
            if move:
                await asyncio.to_thread(path.unlink)
        except OSError as error:
            raise StorageError(f"{key}: {error.strerror}") from error

    async def copy(self, source: str, target: str) -> None:
        size = (await self.stat(source)).bytes
        if size > _LARGEST_COPY:
            await self._parts.copy(source, target, size)
            return
        await self._bucket.ask(
            source, "copy_object", timeout_s=_COPY_S,
            Key=target, CopySource={"Bucket": self._name, "Key": source},
        )  # fmt: skip

    async def delete(self, key: str) -> None:
        """Every version of exactly this key, and every marker that hides one."""
        found = self._bucket.pages(key, "list_object_versions", Prefix=key, **_paging())
        versions: list[dict[str, str]] = []
        async with aclosing(found) as pages:
            async for page in pages:
                here = _versions(page)
                versions += [each for each in here if each["Key"] == key]
                if any(each["Key"] > key for each in here):
                    break  # they come in the order of their keys
        await self._delete_versions(key, versions)

    async def delete_prefix(self, prefix: str) -> None:
        """All versions of everything below, and uploads that were not finished."""
        if not prefix.endswith("/"):
            raise ValueError(f"a prefix ends with a slash: {prefix}")
        await self._parts.abort(prefix)
        last: dict[str, str] | None = None
        while versions := _versions(
            await self._bucket.ask(
                prefix, "list_object_versions", Prefix=prefix, MaxKeys=s3_bucket.PAGE
            )
        ):
            if versions[0] == last:
                raise StorageError(f"{prefix}: what was deleted is listed still")
            last = versions[0]
            await self._delete_versions(prefix, versions)

    async def sha256(self, key: str) -> str | None:
        """None for more than 64 MiB."""
        entry = await self.stat(key)
        if entry.bytes > _LARGEST_HASHED:
            return None
        return await hash_object(self._bucket, entry)

    @asynccontextmanager
    async def local_file(self, key: str, *, limit: int | None = None) -> AsyncIterator[Path]:
        """Downloaded below ``work_dir``, and removed at the end."""
        entry = await self.stat(key)
        require_size(entry, limit)
        async with local_copy(self._bucket, entry, self._work_dir / "incoming") as path:
            yield path

    async def require_space(self, bytes_needed: int) -> None:
        """A bucket has no end; our own disk is looked at where it is used."""

    async def media_source(self, key: str) -> str:
        entry = await self.stat(key)
        # one that is slow to read is read for longer
        return self._presigner.get(key, _PROBE_S + entry.bytes / 1e6)

    async def open_upload(self, key: str, expires_at: float) -> tuple[str, ...]:
        upload = await self._parts.open(key)
        # signing takes milliseconds, and there may be many uploads to open at once
        return await asyncio.to_thread(
            self._presigner.parts, key, upload, _PARTS, expires_at - self._clock()
        )

    async def finish_upload(self, key: str, size: int) -> None:
        await self._parts.finish(key, size)

    async def abort_uploads(self, prefix: str, older_than_s: float) -> int:
        return await self._parts.abort(prefix, self._clock() - older_than_s)

    async def open_parts(self, key: str, part_bytes: int) -> str:
        return await self._parts.open(key)

    def part_url(self, key: str, upload: str, number: int, expires_at: float) -> str | None:
        return self._presigner.part(key, upload, number, expires_at - self._clock())

    async def parts_there(self, key: str, upload: str) -> dict[int, int]:
        return await self._parts.stored(key, upload)

    async def write_part(
        self, key: str, upload: str, number: int, stream: AsyncIterator[bytes], size: int
    ) -> None:
        url = self._presigner.part(key, upload, number, _PROBE_S)
        await put_stream(url, key, stream, size)

    async def complete_parts(self, key: str, upload: str, size: int) -> None:
        await self._parts.finish(key, size)

    async def abort_parts(self, key: str, upload: str) -> None:
        await self._parts.drop(key)

    async def close(self) -> None:
        await self._bucket.close()

    def url_get(self, key: str, expires_at: float) -> str:
        """For at least a minute and at most seven days, whatever is asked for."""
        return self._presigner.get(key, expires_at - self._clock())

    def url_put(self, key: str, expires_at: float) -> str:
        """As :meth:`url_get`."""
        return self._presigner.put(key, expires_at - self._clock())

    def link(self, key: str, *, lasts_s: float | None = None, name: str = "") -> str:
        """For six days, where ``lasts_s`` does not say otherwise."""
        return self._presigner.download(key, lasts_s or _LINK_S, name)

    def file_path(self, key: str) -> Path | None:
        return None

    async def check_access(self) -> None:
        """List, write, read and delete a small object; :class:`StorageError` says what fails."""
        await s3_checks.check_access(self)

    async def clock_skew_s(self) -> float:
        """By how much the service's clock is ahead of ours, to a second."""
        shown, ours = await self._bucket.server_time()
        return shown - ours

    async def has_lifecycle(self) -> bool | None:
        """Whether old versions or unfinished uploads are removed; None where we may not ask."""
        return await s3_checks.has_lifecycle(self._bucket)

    async def cors_allows_download(self) -> bool | None:
        """Whether a web page may read objects; None where we may not ask."""
        return await s3_checks.cors_allows_download(self._bucket)

    async def cors_allows_upload(self, origin: str) -> bool | None:
        """Whether pages of an origin may put parts; None where we may not ask."""
        return await s3_checks.cors_allows_upload(self._bucket, origin)

    async def _delete_versions(self, what: str, versions: list[dict[str, str]]) -> None:
        for start in range(0, len(versions), s3_bucket.PAGE):
            batch = {"Objects": versions[start : start + s3_bucket.PAGE], "Quiet": True}
            answer = await self._bucket.ask(what, "delete_objects", Delete=batch)
            failed = [
                each["Code"]
                for each in answer.get("Errors", [])
                if each["Code"] not in ("NoSuchVersion", "NoSuchKey")
            ]
            if failed:
                raise StorageError(f"{what}: {len(failed)} versions stay ({failed[0]})")


def _paging() -> dict[str, Any]:
    return {"PaginationConfig": {"PageSize": s3_bucket.PAGE}}


def _is_below(key: str, prefix: str) -> bool:
    """Keys that end with a slash stand for folders. ``input/c1`` does not hold ``input/c10/x``."""
    inside = not prefix or prefix.endswith("/") or key[len(prefix) :].startswith("/")
    return not key.endswith("/") and (inside or key == prefix)


def _entry(key: str, answer: Any, size: int) -> Entry:
    return Entry(
        key=key,
        bytes=size,
        modified_at=answer["LastModified"].timestamp(),
        etag=plain_etag(answer),
    )


def _versions(page: Any) -> list[dict[str, str]]:
    listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    return [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in listed]
