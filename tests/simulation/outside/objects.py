"""A bucket with B2's manners: versions, uploads in parts, URLs that are signed and expire.

It outlives every process. What it does, it does at one instant; errors carry the codes of S3.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.states import Lazily, unknown

#: S3 asks for 5 MiB; a simulated video has some hundred bytes.
SMALLEST_PART = 160
LONGEST_S = 7 * 86400
SHORTEST_S = 60
#: Older versions that are kept, so that a late delete or a stale read finds them.
_KEPT_VERSIONS = 3
_BASE = "https://bucket.sim/nox/"
_ATTEMPT = re.compile(r"jobs/([^/]+)/(\d+)/")


class Refused(Exception):
    """An answer of the bucket that is not a success."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What lay under a key from some time on; ``seen_at`` is when reads begin to show it."""

    number: int
    data: bytes
    modified_at: float
    seen_at: float
    etag: str


@dataclass(slots=True, kw_only=True)
class Upload:
    """An upload in parts that is open."""

    id: str
    key: str
    opened_at: float
    parts: dict[int, bytes] = field(default_factory=dict)


class SimObjects:
    """``clock`` is the bucket's own: nobody sets it wrong.

    ``states`` tells what the attempt behind a key is in, for the count of faults; set by the
    world. ``destroyed`` has every key of which a version was deleted.
    """

    def __init__(self, faults: Faults, clock: Callable[[], float]) -> None:
        self.faults = faults
        self.clock = clock
        self.states: Callable[[str | None, int | None], tuple[str, ...]] = unknown
        self.on_store: Callable[[str, bytes], None] = lambda key, data: None
        """Called with whatever is written, as it is written."""
        self.objects: dict[str, list[Version]] = {}
        self.uploads: dict[str, Upload] = {}
        self.destroyed: set[str] = set()
        self._numbers = itertools.count(1)
        self._secret = b"the bucket's"

    # --- objects -------------------------------------------------------------------------------

    def store(self, key: str, data: bytes) -> Version:
        """A new version; it may be a while until reads show it, and never before an older one."""
        self.on_store(key, data)
        now = self.clock()
        lags = self.faults.hit(Fault.STORAGE_LAGS, self.states_of(key))
        versions = self.objects.setdefault(key, [])
        seen_at = now + self.faults.after(1, 20) if lags else now
        version = Version(
            number=next(self._numbers),
            data=data,
            modified_at=now,
            seen_at=max([seen_at, *(each.seen_at for each in versions)]),
            etag=etag_of(data),
        )
        versions.append(version)
        del versions[:-_KEPT_VERSIONS]
        return version

    def find(self, key: str) -> Version | None:
        """What a read shows now."""
        now = self.clock()
        for version in reversed(self.objects.get(key, ())):
            if version.seen_at <= now:
                return version
        return None

    def newest(self, key: str) -> bytes | None:
        """What is really there, for those who check."""
        versions = self.objects.get(key)
        return versions[-1].data if versions else None

    def load(self, key: str) -> Version:
        version = self.find(key)
        if version is None:
            raise Refused(404, "NoSuchKey")
        return version

    def below(self, prefix: str) -> Iterator[tuple[str, Version]]:
        """In the order of the keys."""
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            version = self.find(key)
            if version is not None:
                yield key, version

    def keys(self, prefix: str = "") -> list[str]:
        """All that is really there, for those who check."""
        return sorted(key for key in self.objects if key.startswith(prefix))

    def versions(self, prefix: str) -> list[tuple[str, int]]:
        return [
            (key, version.number)
            for key in self.keys(prefix)
            for version in reversed(self.objects[key])
        ]

    def delete(self, key: str, number: int) -> None:
        """One version. Idempotent; an older one comes to light."""
        left = [each for each in self.objects.get(key, ()) if each.number != number]
        self.destroyed.add(key)
        if left:
            self.objects[key] = left
        else:
            self.objects.pop(key, None)

    # --- uploads in parts ----------------------------------------------------------------------

    def open_upload(self, key: str) -> str:
        upload = Upload(id=f"u{next(self._numbers)}", key=key, opened_at=self.clock())
        self.uploads[upload.id] = upload
        return upload.id

    def upload(self, key: str, upload_id: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refused(404, "NoSuchUpload")
        return upload

    def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> str:
        self.upload(key, upload_id).parts[number] = data
        return etag_of(data)

    def complete(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> None:
        """Make the object of these parts, each named with its etag; the upload ends."""
        upload = self.upload(key, upload_id)
        if not parts or [number for number, _ in parts] != sorted({number for number, _ in parts}):
            raise Refused(400, "InvalidPartOrder")
        chosen = []
        for number, etag in parts:
            data = upload.parts.get(number)
            if data is None or etag_of(data) != etag:
                raise Refused(400, "InvalidPart")
            chosen.append(data)
        if any(len(data) < SMALLEST_PART for data in chosen[:-1]):
            raise Refused(400, "EntityTooSmall")
        del self.uploads[upload_id]
        self.store(key, b"".join(chosen))

    def abort(self, key: str, upload_id: str) -> None:
        self.upload(key, upload_id)
        del self.uploads[upload_id]

    # --- by URL --------------------------------------------------------------------------------

    def sign(
        self, method: str, key: str, expires_at: float, *, upload: str = "", part: int = 0
    ) -> str:
        """A URL for one kind of request on one key, until then; a download where it is a GET."""
        told = f"{method}|{key}|{int(expires_at)}|{upload}|{part}"
        more = f"&uploadId={upload}&partNumber={part}" if upload else ""
        return (
            f"{_BASE}{quote(key)}?method={method}&expires={int(expires_at)}{more}"
            f"&X-Amz-Signature={self._digest(told)}"
        )

    def put(self, url: str, data: bytes) -> str:
        """As a PUT on a signed URL; the key. :class:`Refused` with 403 or 404."""
        key, query = self._check(url, "PUT")
        if upload := query.get("uploadId", ""):
            self.put_part(key, upload, int(query["partNumber"]), data)
        else:
            self.store(key, data)
        return key

    def get(self, url: str) -> bytes:
        """As a GET on a signed URL. :class:`Refused` with 403 or 404."""
        key, _ = self._check(url, "GET")
        return self.load(key).data

    def states_of(self, key: str) -> Lazily:
        """States of the attempt that a key belongs to."""
        found = _ATTEMPT.match(key)
        if found is None:
            return Lazily(self.states, None, None)
        return Lazily(self.states, found[1], int(found[2]))

    def states_of_url(self, url: str) -> Lazily:
        return self.states_of(unquote(url[len(_BASE) :].partition("?")[0]))

    def _check(self, url: str, method: str) -> tuple[str, dict[str, str]]:
        if not url.startswith(_BASE):
            raise Refused(404, "NoSuchBucket")
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        key = unquote(url[len(_BASE) :].partition("?")[0])
        told = (
            f"{query.get('method')}|{key}|{query.get('expires')}"
            f"|{query.get('uploadId', '')}|{query.get('partNumber', 0)}"
        )
        if query.get("X-Amz-Signature") != self._digest(told):
            raise Refused(403, "SignatureDoesNotMatch")
        if query["method"] != method or self.clock() > int(query["expires"]):
            raise Refused(403, "AccessDenied")
        return key, query

    def _digest(self, told: str) -> str:
        return hashlib.blake2b(told.encode(), key=self._secret, digest_size=16).hexdigest()


def etag_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
