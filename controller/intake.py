"""How a video becomes a job: fetched or found, probed, put into storage, written down as a draft.

Whatever goes wrong, nothing is left behind: no file, no row. The same request again finds the job
it made before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from controller import policy
from controller.errors import (
    BadTask,
    BadVideo,
    NoSuchFile,
    NotStored,
    StorageFull,
    TooManyJobs,
)
from controller.places import PRIVATE
from controller.probe import Limits, Prober, probe
from controller.records import TERMINAL, VIDEO_SUFFIXES, Actor, Job, Request
from controller.settings import Settings
from controller.states import JobState
from controller.storage.base import Storage
from controller.store import Store
from controller.weights import Weights
from remote_runner.protocol import Facts, Reason, Task

_WAITING = (JobState.DRAFT, JobState.HELD, JobState.QUEUED, JobState.RUNNING)

#: A result is about as large as this many times its input: the space that a job must find.
_SPACE_FACTOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """An input that lies in storage."""

    job_id: str
    name: str
    key: str
    facts: Facts
    is_ours: bool
    etag: str = ""


class Intake:
    """Accepts videos; everything it raises is a :class:`~controller.errors.UserError`."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        settings: Settings,
        clock: Callable[[], float],
        prober: Prober = probe,
    ) -> None:
        self._store = store
        self._storage = storage
        self._settings = settings
        self._clock = clock
        self._probe = prober
        self._weights = Weights(storage, settings)

    async def accept_upload(
        self,
        request: Request,
        *,
        name: str,
        size: int | None,
        fetch: Callable[[Path], Awaitable[None]],
        task: Task | None = None,
    ) -> Job:
        """A file that ``fetch`` writes to the path it is given. Size in bytes as declared."""
        known = self._known(request)
        if known:
            return known
        await self._require_fit(size or 0)
        async with self._temporary_file() as path:
            await fetch(path)
            return await self._add_file(request, name, path, task, move=True)

    async def accept_local(self, request: Request, *, path: Path, task: Task | None = None) -> Job:
        """A file of this computer, which stays where it is."""
        known = self._known(request)
        if known:
            return known
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        await self._require_fit(size)
        return await self._add_file(request, path.name, path, task, move=False)

    async def accept_stored(self, request: Request, *, path: str, task: Task | None = None) -> Job:
        """An object in storage, as the user names it; it stays the user's."""
        known = self._known(request)
        if known:
            return known
        task = await self._accept_task(request, task)
        key = self._storage.parse(path)
        if request.owner and key.startswith(PRIVATE):
            raise NoSuchFile(f"{key} may be somebody else's", path=path)
        try:
            entry = await self._storage.stat(key)
            await self._require_fit(entry.bytes)
            # what is behind a URL may take longer by its size
            limits = dataclasses.replace(self._limits(), max_bytes=entry.bytes)
            facts = await self._probe(await self._storage.media_source(key), limits)
        except NotStored:
            raise NoSuchFile(f"nothing at {key}", path=path) from None
        name = key.rpartition("/")[2]
        source = _Source(
            job_id=str(ULID()), name=name, key=key, facts=facts, is_ours=False, etag=entry.etag
        )
        return self._add(request, source, task)

    async def accept_received(
        self,
        request: Request,
        *,
        job_id: str,
        key: str,
        name: str,
        choose: Callable[[Facts], Task] | None = None,
    ) -> Job:
        """An object that came for this request and lies in storage: it is ours, like an upload.

        It stays there whatever happens: it is the caller's to remove. ``choose`` names the task
        once it is known what the file is; what cannot be done is not insisted on.
        """
        known = self._known(request)
        if known:
            return known
        task = await self._accept_task(request, None)
        try:
            entry = await self._storage.stat(key)
            # what is behind a URL may take longer by its size
            limits = dataclasses.replace(self._limits(), max_bytes=entry.bytes)
            facts = await self._probe(await self._storage.media_source(key), limits)
        except NotStored:
            raise NoSuchFile(f"nothing at {key}", path=name) from None
        if choose is not None:
            with contextlib.suppress(BadTask, NoSuchFile):
                task = await self._accept_task(request, choose(facts))
        source = _Source(
            job_id=job_id, name=name, key=key, facts=facts, is_ours=True, etag=entry.etag
        )
        return self._add(request, source, task)

    async def stored_videos(self, prefix: str) -> list[str]:
        """Keys of the videos below a prefix as the user names it, or of the one there; sorted."""
        entries = await self._storage.entries(self._storage.parse(prefix.rstrip("/")))
        return [each.key for each in entries if _suffix(each.key) in VIDEO_SUFFIXES]

    def check_task(self, task: Task | None, *, by: Actor) -> Task:
        """With the deployment's model where the task leaves it open; :class:`BadTask`."""
        task = self._weights.settle(task or Task(), by=by)
        if problems := task.problems():
            raise BadTask("; ".join(problems), problem=problems[0])
        return task

    async def settle_task(self, task: Task | None, *, by: Actor = TERMINAL) -> Task:
        """As :meth:`check_task`; :class:`NoSuchFile` where its weights are not in storage."""
        task = self.check_task(task, by=by)
        await self._weights.require(task)
        return task

    def require_turn(self, owner: int, batch: str | None = None) -> None:
        """:class:`TooManyJobs` for a chat user who has as many waiting as one may have.

        A batch counts as one, and what comes in with one that waits already needs no other turn.
        """
        waiting = self._store.jobs.select(states=_WAITING, owner=owner)
        turns = {each.batch or each.id for each in waiting if each.sample_of is None} - {batch}
        if owner and len(turns) >= policy.MAX_ACTIVE_JOBS:
            raise TooManyJobs(limit=policy.MAX_ACTIVE_JOBS)

    async def _accept_task(self, request: Request, task: Task | None) -> Task:
        """Who writes in a chat gets no rights of an administrator by that."""
        by = Actor(request.owner) if request.owner else TERMINAL
        return await self.settle_task(task, by=by)

    async def _add_file(
        self, request: Request, name: str, path: Path, task: Task | None, *, move: bool
    ) -> Job:
        task = await self._accept_task(request, task)
        facts = await self._probe(path, self._limits())
        job_id = str(ULID())
        key = policy.upload_key(job_id, name)
        await self._storage.put_file(key, path, move=move)
        try:
            source = _Source(job_id=job_id, name=name, key=key, facts=facts, is_ours=True)
            job = self._add(request, source, task)
        except BaseException:
            await self._storage.delete(key)
            raise
        if job.id != job_id:  # the same request was accepted meanwhile
            await self._storage.delete(key)
        return job

    def _add(self, request: Request, source: _Source, task: Task) -> Job:
        now = self._clock()
        job = Job(
            id=source.job_id,
            request_key=request.key,
            owner=request.owner,
            chat=request.chat,
            reply_to=request.reply_to,
            language=request.language,
            state=JobState.DRAFT,
            version=1,
            task=task,
            source_key=source.key,
            source_name=source.name,
            source_bytes=source.facts.bytes,
            source_is_ours=source.is_ours,
            source_etag=source.etag,
            facts=source.facts,
            created_at=now,
            deadline_at=now + policy.DRAFT_S,
            started_at=None,
            ended_at=None,
            cancel_requested_at=None,
            not_before=0.0,
            attempts=0,
            reason=None,
            detail="",
            output_key=None,
            output_bytes=None,
            output_sha256=None,
            sha256_by=None,
            result=None,
            cost_usd=0.0,
            batch=request.batch,
        )
        return self._store.jobs.add(job, "drafted")

    def _known(self, request: Request) -> Job | None:
        known = self._store.jobs.by_request(request.key)
        if known is None:
            self.require_turn(request.owner, request.batch)
        return known

    def _limits(self) -> Limits:
        return Limits(
            max_bytes=self._settings.max_input_bytes,
            max_seconds=self._settings.max_input_min * 60,
        )

    async def _require_fit(self, size: int) -> None:
        limit = self._settings.max_input_bytes
        if size > limit:
            raise BadVideo(
                Reason.FILE_TOO_LARGE,
                f"{size} bytes, the limit is {limit}",
                bytes=size,
                limit=limit,
            )
        await self._storage.require_space(size * _SPACE_FACTOR)

    @asynccontextmanager
    async def _temporary_file(self) -> AsyncIterator[Path]:
        folder = self._settings.work_dir / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / str(ULID())
        try:
            yield path
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("the disk is full") from error
            raise
        finally:
            # the folder stays: others may be about to write there
            path.unlink(missing_ok=True)


def _suffix(key: str) -> str:
    return Path(key).suffix.lower()
