"""The controller's real storage on a simulated bucket: only the HTTP client is played.

Requests are those of :class:`~controller.storage.s3.S3Storage` and of its parts, one by one; each
goes through the process, and some are repeated as botocore repeats them.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.errors import NotStored, StorageError
from controller.storage.s3 import S3Storage
from controller.storage.s3_errors import Refusal
from controller.storage.s3_parts import Parts
from tests.simulation.faults import Fault
from tests.simulation.outside.objects import (
    LONGEST_S,
    SHORTEST_S,
    Refused,
    SimObjects,
    Version,
    etag_of,
)
from tests.simulation.process import Process

__all__ = ["Refused", "SimObjects", "SimStorage"]

#: A service refuses requests that are signed by a clock so wrong.
_MOST_SKEW_S = 900.0
_TIMEOUT_S = 60.0
_FATES = (Fault.STORAGE_REQUEST_LOST, Fault.STORAGE_ANSWER_LOST, Fault.STORAGE_IN_FLIGHT)
_ABSENT = ("NoSuchKey", "NoSuchUpload")
_BAD_PARTS = ("EntityTooSmall", "InvalidPart", "InvalidPartOrder")
#: The real storage signs for 64, all at once.
_PARTS = 6


class SimStorage(S3Storage):
    """``work_dir`` is where an object lies that has to be a file."""

    def __init__(
        self,
        process: Process,
        objects: SimObjects,
        clock: Callable[[], float],
        *,
        work_dir: Path = Path("/nowhere"),
    ) -> None:
        self._name = "nox"
        self._work_dir = work_dir
        self._clock = clock
        self._objects = objects
        self._bucket = SimBucket(process, objects, clock)
        self._presigner = SimPresigner(objects, clock)
        self._parts = Parts(self._bucket, part_bytes=256)

    async def open_upload(self, key, expires_at):
        upload = await self._parts.open(key)
        left_s = expires_at - self._clock()
        return self._presigner.parts(key, upload, _PARTS, left_s)

    async def write_part(self, key, upload, number, stream, size):
        data = b"".join([chunk async for chunk in stream])
        if len(data) != size:
            raise StorageError(f"{key}: {len(data)} bytes came, not {size}")
        await self._bucket.ask(
            key, "upload_part", Key=key, UploadId=upload, PartNumber=number, Body=data
        )


class SimPresigner:
    """Signs with the controller's clock, which may be wrong."""

    def __init__(self, objects: SimObjects, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._clock = clock

    def get(self, key: str, lasts_s: float, **_: str) -> str:
        return self._objects.sign("GET", key, self._end(lasts_s))

    def put(self, key: str, lasts_s: float) -> str:
        return self._objects.sign("PUT", key, self._end(lasts_s))

    def download(self, key: str, lasts_s: float, name: str = "") -> str:
        return self.get(key, lasts_s)

    def part(self, key: str, upload: str, number: int, lasts_s: float) -> str:
        return self._objects.sign("PUT", key, self._end(lasts_s), upload=upload, part=number)

    def parts(self, key: str, upload: str, count: int, lasts_s: float) -> tuple[str, ...]:
        return tuple(self.part(key, upload, number, lasts_s) for number in range(1, count + 1))

    def _end(self, lasts_s: float) -> float:
        return self._clock() + min(max(lasts_s, SHORTEST_S), LONGEST_S)


class SimBucket:
    """What :class:`~controller.storage.s3_bucket.Bucket` is to its callers."""

    name = "nox"

    def __init__(self, process: Process, objects: SimObjects, clock: Callable[[], float]) -> None:
        self._process = process
        self._objects = objects
        self._faults = objects.faults
        self._clock = clock
        self._closed = False

    async def ask(
        self, what: str, operation: str, *, timeout_s: float = _TIMEOUT_S, **parameters: Any
    ) -> Any:
        effect = getattr(_Operations, operation)
        return await self._call(what, operation, lambda: effect(self._objects, **parameters))

    async def pages(self, what: str, operation: str, **parameters: Any):
        parameters.pop("PaginationConfig", None)
        yield await self.ask(what, operation, **parameters)

    async def read(self, key: str, limit: int) -> bytes:
        return await self._call(key, "get_object", lambda: self._objects.load(key).data[:limit])

    async def stream(self, key: str, first: int = 0, *, chunk: int = 1 << 20):
        version = await self._call(key, "get_object", lambda: self._objects.load(key))
        yield version.etag, version.data[first:]

    async def close(self) -> None:
        self._closed = True

    async def _call(self, what: str, operation: str, effect: Callable[[], Any]) -> Any:
        if self._closed:
            raise RuntimeError("the storage is used after it was closed")
        states = self._objects.states_of(what)

        def serve() -> Any:
            if self._faults.hit(Fault.STORAGE_SERVER_ERROR, states):
                raise Refused(503, "SlowDown")
            if abs(self._clock() - self._objects.clock()) > _MOST_SKEW_S:
                raise Refused(403, "RequestTimeTooSkewed")
            return effect()

        if self._faults.hit(Fault.STORAGE_SLOW, states):
            await asyncio.sleep(self._faults.after(5, 60))
        for is_last in (False, True):
            try:
                return await self._process.exchange(
                    f"storage {operation}", serve, lost=TimeoutError, fates=_FATES,
                    states=states, timeout_s=_TIMEOUT_S,
                )  # fmt: skip
            except TimeoutError:
                # the client asks again by itself, up to a point
                if is_last or self._faults.rng.random() < 0.5:
                    raise StorageError(f"{what}: no answer in time") from None
            except Refused as refusal:
                if refusal.status >= 500 and not is_last:
                    continue
                raise _translate(what, refusal) from None
        raise AssertionError("the last try returns or raises")


def _translate(what: str, refusal: Refused) -> StorageError:
    if refusal.code in _ABSENT:
        return NotStored(f"nothing at {what}")
    if refusal.code in _BAD_PARTS:
        return NotStored(f"{what}: the parts cannot be put together ({refusal.code})")
    return Refusal(f"{what}: {refusal.code}", code=refusal.code, status=refusal.status)


class _Operations:
    """What boto3 calls operations, on the bucket: parameters in, an answer out."""

    @staticmethod
    def head_object(objects: SimObjects, *, Key: str) -> Any:  # noqa: N803
        return _head(objects.load(Key))

    @staticmethod
    def put_object(objects: SimObjects, *, Key: str, Body: bytes) -> Any:  # noqa: N803
        return {"ETag": f'"{objects.store(Key, Body).etag}"'}

    @staticmethod
    def copy_object(objects: SimObjects, *, Key: str, CopySource: Mapping[str, str]) -> Any:  # noqa: N803
        objects.store(Key, objects.load(CopySource["Key"]).data)
        return {}

    @staticmethod
    def list_objects_v2(objects: SimObjects, *, Prefix: str) -> Any:  # noqa: N803
        return {
            "Contents": [
                {"Key": key, "Size": len(version.data), **_head(version)}
                for key, version in objects.below(Prefix)
            ]
        }

    @staticmethod
    def list_object_versions(
        objects: SimObjects,
        *,
        Prefix: str,  # noqa: N803
        MaxKeys: int = 1000,  # noqa: N803
    ) -> Any:
        found = objects.versions(Prefix)[:MaxKeys]
        return {"Versions": [{"Key": key, "VersionId": str(number)} for key, number in found]}

    @staticmethod
    def delete_objects(objects: SimObjects, *, Delete: Mapping[str, Any]) -> Any:  # noqa: N803
        for each in Delete["Objects"]:
            objects.delete(each["Key"], int(each["VersionId"]))
        return {}

    @staticmethod
    def create_multipart_upload(objects: SimObjects, *, Key: str) -> Any:  # noqa: N803
        return {"UploadId": objects.open_upload(Key)}

    @staticmethod
    def list_multipart_uploads(objects: SimObjects, *, Prefix: str) -> Any:  # noqa: N803
        return {
            "Uploads": [
                {"Key": each.key, "UploadId": each.id, "Initiated": _date(each.opened_at)}
                for each in objects.uploads.values()
                if each.key.startswith(Prefix)
            ]
        }

    @staticmethod
    def list_parts(objects: SimObjects, *, Key: str, UploadId: str) -> Any:  # noqa: N803
        upload = objects.upload(Key, UploadId)
        return {
            "Parts": [
                {"PartNumber": number, "Size": len(data), "ETag": _etag(data)}
                for number, data in sorted(upload.parts.items())
            ]
        }

    @staticmethod
    def upload_part(
        objects: SimObjects,
        *,
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        PartNumber: int,  # noqa: N803
        Body: bytes,  # noqa: N803
    ) -> Any:
        return {"ETag": f'"{objects.put_part(Key, UploadId, PartNumber, Body)}"'}

    @staticmethod
    def complete_multipart_upload(
        objects: SimObjects,
        *,
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: Mapping[str, Any],  # noqa: N803
    ) -> Any:
        parts = [(n["PartNumber"], n["ETag"].strip('"')) for n in MultipartUpload["Parts"]]
        objects.complete(Key, UploadId, parts)
        return {}

    @staticmethod
    def abort_multipart_upload(objects: SimObjects, *, Key: str, UploadId: str) -> Any:  # noqa: N803
        objects.abort(Key, UploadId)
        return {}


def _head(version: Version) -> dict[str, Any]:
    return {
        "ContentLength": len(version.data),
        "LastModified": _date(version.modified_at),
        "ETag": f'"{version.etag}"',
    }


def _etag(data: bytes) -> str:
    return f'"{etag_of(data)}"'


def _date(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
