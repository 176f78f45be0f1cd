"""Whether a bucket and its key are set up as they should be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any

from ulid import ULID

from controller.errors import StorageError
from controller.storage.base import Storage
from controller.storage.s3_bucket import Bucket
from controller.storage.s3_errors import Refusal

_PREFIX = "machines/doctor/"


async def check_access(storage: Storage) -> None:
    """Try what the controller does; the error names the capability that B2 calls it by."""
    key, content = f"{_PREFIX}{ULID()}", b"doctor"

    async def read_back() -> None:
        if await storage.read(key) != content:
            raise StorageError(f"{key} does not hold what was written")

    steps: tuple[tuple[str, Callable[[], Awaitable[Any]]], ...] = (
        ("listFiles", lambda: storage.entries(_PREFIX)),
        ("writeFiles", lambda: storage.write(key, content)),
        ("readFiles", read_back),
        ("deleteFiles", lambda: storage.delete(key)),
    )
    for capability, step in steps:
        try:
            await step()
        except Refusal as error:
            if error.status != 403:
                raise
            raise StorageError(f"{error}; {capability} is needed") from error


async def has_lifecycle(bucket: Bucket) -> bool | None:
    answer = await _configuration(bucket, "get_bucket_lifecycle_configuration")
    if answer is None:
        return None
    wanted = {"NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"}
    rules = [rule for rule in answer.get("Rules", []) if rule.get("Status") == "Enabled"]
    return any(wanted & rule.keys() for rule in rules)


async def cors_allows_download(bucket: Bucket) -> bool | None:
    answer = await _configuration(bucket, "get_bucket_cors")
    if answer is None:
        return None
    return any("GET" in rule.get("AllowedMethods", []) for rule in answer.get("CORSRules", []))


async def cors_allows_upload(bucket: Bucket, origin: str) -> bool | None:
    answer = await _configuration(bucket, "get_bucket_cors")
    if answer is None:
        return None
    return any(
        "PUT" in rule.get("AllowedMethods", [])
        # one star at most stands for anything (S3: CORSRule)
        and any(fnmatchcase(origin, each) for each in rule.get("AllowedOrigins", []))
        for rule in answer.get("CORSRules", [])
    )


async def _configuration(bucket: Bucket, operation: str) -> Any:
    """Empty where there is none; None where the key may not ask, or the service has none."""
    try:
        return await bucket.ask("the bucket", operation)
    except Refusal as error:
        if error.code in ("NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration"):
            return {}
        if error.status in (403, 501) or error.code == "NotImplemented":
            return None
        raise
