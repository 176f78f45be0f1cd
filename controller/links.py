"""Short links to what a job made: good for a week, revocable, each use signed anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urlsplit

from controller.capabilities import Codes, Link
from controller.errors import NotStored, TooLate
from controller.places import clip_key, preview_key
from controller.records import Actor, Job
from controller.settings import Settings
from controller.storage.base import Storage
from controller.store import Store

WHATS = ("result", "clip", "preview")
LINK_S = 7 * 86400.0
#: How long what a click leads to can be fetched.
_TARGET_S = 3600.0
#: Two links never have the same time: their codes are made of it.
_STEP_S = 0.001
_PATH = "/d/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a link leads to now: a file here, or else a URL that is good for an hour."""

    job: Job
    what: str
    name: str
    """What to save it as."""
    path: Path | None
    url: str = ""


class Links:
    """Makes and resolves them; there are none without ``NOXFVR_PUBLIC_URL``."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        settings: Settings,
        codes: Codes,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._storage = storage
        self._url = settings.public_url
        self._codes = codes
        self._clock = clock

    def make(self, job: Job, what: str = "result") -> str | None:
        """The link that is good now, else a new one; None where there can be none."""
        if not self._url or self._key(job, what) is None:
            return None
        link = self._store.links.newest(job.id, what)
        code = self._code(link) if link else ""
        if link is None or Codes.hash(code) != link.code:
            code = self._add(job, what)
        return f"{self._url}{_PATH}{code}"

    def renew(self, job: Job, what: str = "result", *, by: Actor) -> str:
        """Another link; those before lead nowhere from now on. :class:`TooLate` for others."""
        if not (by.admin or by.user == job.owner):
            raise TooLate
        self._store.links.revoke(job.id, what)
        return self.link(job, what)

    def link(self, job: Job, what: str = "result") -> str:
        """A short link, else the storage's own; :class:`TooLate` where there is nothing."""
        key = self._key(job, what)
        if key is None:
            raise TooLate
        return self.make(job, what) or self._storage.link(key, name=_name(job, what, key))

    async def resolve(self, code: str) -> Target | None:
        """Where a code leads; None where that is nowhere, or nothing is there any more."""
        link = self._store.links.by_code(Codes.hash(code))
        if link is None or link.revoked_at is not None or link.expires_at <= self._clock():
            return None
        job = self._store.jobs.get(link.job)
        key = self._key(job, link.what)
        if key is None:
            return None
        try:
            await self._storage.stat(key)
        except NotStored:
            return None
        name, path = _name(job, link.what, key), self._storage.file_path(key)
        url = "" if path else self._storage.link(key, lasts_s=_TARGET_S, name=name)
        return Target(job=job, what=link.what, name=name, path=path, url=url)

    def was_good(self, code: str) -> bool:
        """Whether a code led somewhere once."""
        return self._store.links.by_code(Codes.hash(code)) is not None

    def expires_at(self, link: str | Job) -> float | None:
        """When a link, or that of a job's result, ends; None where it does not or is not known."""
        url = link if isinstance(link, str) else self.link(link)
        prefix = f"{self._url}{_PATH}"
        if self._url and url.startswith(prefix):
            found = self._store.links.by_code(Codes.hash(url.removeprefix(prefix)))
            return found.expires_at if found else None
        return _signed_until(url)

    def _add(self, job: Job, what: str) -> str:
        created_at = max(self._clock(), self._store.links.last_created(job.id, what) + _STEP_S)
        link = Link(
            code="",
            job=job.id,
            what=what,
            created_at=created_at,
            expires_at=created_at + LINK_S,
            revoked_at=None,
        )
        code = self._code(link)
        self._store.links.add(dataclasses.replace(link, code=Codes.hash(code)))
        return code

    def _code(self, link: Link) -> str:
        return self._codes.make("link", link.job, link.what, link.created_at)

    def _key(self, job: Job, what: str) -> str | None:
        """Where in storage it lies, as far as the rows tell."""
        match what:
            case "result":
                return job.output_key
            case "clip":
                has_clip = job.result is not None and job.result.clip_bytes > 0
                kept = has_clip and self._store.jobs.is_kept(job.id)
                return clip_key(job.id, job.attempts) if kept else None
            case "preview":
                attempts = self._store.attempts.of_job(job.id)
                status = attempts[-1].status if attempts else None
                shown = status is not None and status.preview
                return preview_key(job.id, attempts[-1].number) if shown else None
        raise ValueError(f"nothing is called {what}")


def _name(job: Job, what: str, key: str) -> str:
    if what == "result":
        return key.rpartition("/")[2]
    stem = PurePosixPath(job.source_name.replace("\\", "/")).stem or "video"
    suffix = {"clip": "before_after", "preview": "preview"}[what]
    return f"{stem[:100]}_{suffix}.mp4"


def _signed_until(url: str) -> float | None:
    """When a presigned URL ends (AWS Signature v4: X-Amz-Date, X-Amz-Expires)."""
    query = parse_qs(urlsplit(url).query)
    try:
        signed = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return signed.timestamp() + int(query["X-Amz-Expires"][0])
    except (KeyError, ValueError):
        return None
