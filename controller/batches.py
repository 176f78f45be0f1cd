"""Batches: several videos that came in together, settled, started and told of as one.

A batch has no state of its own: what it is follows from its jobs, which are ordinary ones.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ulid import ULID

from controller.errors import (
    Forbidden,
    NoSuchJob,
    NoVideos,
    TakesTooLong,
    TooLate,
    TooManyFiles,
    UserError,
)
from controller.places import PRIVATE
from controller.records import Actor, Batch, Job, Request
from controller.states import JobState, Reason
from controller.store import Store
from remote_runner.protocol import Task

if TYPE_CHECKING:
    from controller.records import PlanQuote

#: Files that one batch may have.
MAX_FILES = 200

AcceptOne = Callable[[Request, str], Awaitable[Job]]


class Door(Protocol):
    """What the front door does to one job."""

    def set_task(self, job_id: str, *, by: Actor, task: Task) -> Job: ...

    async def request_start(self, job_id: str, *, by: Actor) -> Job: ...

    def cancel(self, job_id: str, *, by: Actor) -> Job: ...

    async def discard(self, job_id: str, *, by: Actor) -> None: ...

    def retry(self, job_id: str, *, by: Actor, key: str) -> Job: ...

    def approve(self, job_id: str, *, by: Actor) -> Job: ...

    def decline(self, job_id: str, *, by: Actor) -> Job: ...

    async def plan(self, job: Job, task: Task | None = None) -> PlanQuote: ...

    async def stored_videos(self, prefix: str) -> list[str]: ...

    async def has_result(self, job: Job) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchQuote:
    """What the files of a batch that nobody has started would take together."""

    files: int
    seconds: float
    """Of machines, one after another."""
    low_seconds: float
    high_seconds: float
    usd: float
    low_usd: float
    high_usd: float
    gpus: tuple[str, ...] = ()
    """Which cards would be taken; the cheapest for each size of picture."""
    held: dict[Reason, int] | None = None
    """How many would wait for a yes, and to what."""
    unknown: int = 0
    """How many the market says nothing to."""
    paid: bool = False
    measured: bool = False


class Batches:
    """A part of the front door: every method checks who asks."""

    def __init__(
        self,
        store: Store,
        door: Door,
        *,
        clock: Callable[[], float],
        require_turn: Callable[[int, str | None], None],
    ) -> None:
        self._store = store
        self._door = door
        self._clock = clock
        self._require_turn = require_turn

    # --- coming in ---------------------------------------------------------------------------

    async def videos(self, prefix: str, *, by: Actor) -> list[str]:
        """Keys of the videos below a prefix as a user names it.

        :class:`NoVideos` where there is none, :class:`TooManyFiles` for more than a batch takes.
        """
        keys = await self._door.stored_videos(prefix)
        if by.user:
            keys = [key for key in keys if not key.startswith(PRIVATE)]
        if not keys:
            raise NoVideos
        if len(keys) > MAX_FILES:
            raise TooManyFiles(files=len(keys), limit=MAX_FILES)
        return keys

    def open(self, request: Request, *, name: str = "", expected: int = 0) -> Batch:
        """A new batch, or the one that the same request opened before."""
        known = self._store.batches.by_request(request.key)
        if known is None:
            self._require_turn(request.owner, None)
        batch = Batch(
            id=str(ULID()), request_key=request.key, owner=request.owner, chat=request.chat,
            reply_to=request.reply_to, language=request.language, name=name,
            created_at=self._clock(), expected=expected,
        )  # fmt: skip
        return known or self._store.batches.add(batch)

    async def accept(
        self, request: Request, *, name: str, items: Sequence[str], accept_one: AcceptOne
    ) -> Batch:
        """All of ``items``, each by ``accept_one(request, item)``; what is refused is noted."""
        batch = self.open(request, name=name, expected=len(items))
        for item in items:
            part = Request(
                key=f"{request.key}:{item}", owner=batch.owner, chat=batch.chat,
                language=batch.language, batch=batch.id,
            )  # fmt: skip
            await self.take(batch, part, item, accept_one)
        return self.finish(batch.id)

    async def take(self, batch: Batch, part: Request, name: str, accept_one: AcceptOne) -> None:
        """One more file, which becomes a job or is refused."""
        try:
            await accept_one(part, name)
        except UserError as error:
            self._store.batches.refuse(batch.id, name, error.code)

    def expect(self, batch_id: str, files: int) -> None:
        """So many files are known to belong to it."""
        self._store.batches.expect(batch_id, min(files, MAX_FILES))

    def finish(self, batch_id: str) -> Batch:
        """All files have come in."""
        self._store.batches.set_taken(batch_id)
        return self.require(batch_id)

    # --- looking -----------------------------------------------------------------------------

    def get(self, batch_id: str, *, by: Actor) -> Batch:
        """:class:`NoSuchJob` for others' and for none."""
        batch = self.require(batch_id)
        if not by.admin and batch.owner != by.user:
            raise NoSuchJob
        return batch

    def require(self, batch_id: str) -> Batch:
        """Whoever asks; :class:`NoSuchJob` where there is none."""
        batch = self._store.batches.get(batch_id)
        if batch is None:
            raise NoSuchJob
        return batch

    def collecting(self, owner: int, chat: int) -> Batch | None:
        """The newest batch of a chat user whose files are still coming in."""
        return self._store.batches.collecting(owner, chat)

    def of_request(self, key: str) -> Batch | None:
        """The batch of the job that a request made, if it is in one."""
        job = self._store.jobs.by_request(key)
        return self._store.batches.get(job.batch) if job and job.batch else None

    def jobs(self, batch_id: str) -> list[Job]:
        """One a file, in the order in which they came: of those that were repeated the last."""
        jobs = self._store.batches.jobs(batch_id)
        later = {job.predecessor: job for job in jobs if job.predecessor}
        found = []
        for first in (job for job in jobs if job.predecessor is None):
            last = first
            while last.id in later:
                last = later[last.id]
            found.append(last)
        return found

    def done_before(self, batch_id: str) -> dict[str, Job]:
        """By id of a job of the batch: another one that made this of the same content."""
        return self._store.batches.done_before(batch_id)

    def spent_before(self, batch_id: str) -> float:
        """Dollars of those of its jobs that were repeated: others stand in their places."""
        repeated = {job.id for job in self._store.batches.jobs(batch_id)}
        repeated -= {job.id for job in self.jobs(batch_id)}
        return math.fsum(
            job.cost_usd for job in self._store.batches.jobs(batch_id) if job.id in repeated
        )

    async def plan(self, batch_id: str, *, by: Actor, only: Set[str] | None = None) -> BatchQuote:
        """What the drafts would take, of these ids if any are given.

        The market is asked once for each kind of work.
        """
        batch = self.get(batch_id, by=by)
        drafts = [job for job in self.jobs(batch.id) if job.state is JobState.DRAFT]
        drafts = [job for job in drafts if only is None or job.id in only]
        quotes = []
        for job in drafts:
            quotes.append(await self._door.plan(job))
            await asyncio.sleep(0)  # of hundreds, each has to count all the others
        return add_up(quotes)

    # --- deciding ----------------------------------------------------------------------------

    def set_task(self, batch_id: str, *, by: Actor, task: Task) -> None:
        """Change what is done to all files; :class:`TooLate` once all were started."""
        drafts = self._choose(batch_id, JobState.DRAFT, by=by)
        for job in drafts:
            self._door.set_task(job.id, by=by, task=task)

    async def start(self, batch_id: str, *, by: Actor, again: bool = False) -> int:
        """Start every draft; returns how many.

        Those whose result is there already are cancelled instead, unless they are wanted
        ``again``. :class:`TooLate` where there is nothing to start. A file that takes too long
        stays a draft; :class:`TakesTooLong` where nothing else was started.
        """
        drafts = self._choose(batch_id, JobState.DRAFT, by=by)
        done = {} if again else self.done_before(batch_id)
        started, refusal = 0, None
        for job in drafts:
            try:
                if job.id in done and await self._door.has_result(done[job.id]):
                    await self._door.discard(job.id, by=by)
                    continue
                await self._door.request_start(job.id, by=by)
                started += 1
            except TooLate:
                continue
            except TakesTooLong as error:
                refusal = error
        if refusal and not started:
            raise refusal
        return started

    async def cancel(self, batch_id: str, *, by: Actor) -> int:
        """Cancel all that has not ended; returns how many. :class:`TooLate` where all has."""
        batch = self.get(batch_id, by=by)
        active = [job for job in self.jobs(batch.id) if not job.state.is_terminal]
        if not active:
            raise TooLate
        for job in active:
            try:
                if job.state is JobState.DRAFT:
                    await self._door.discard(job.id, by=by)
                else:
                    self._door.cancel(job.id, by=by)
            except TooLate:
                continue
        return len(active)

    def approve(self, batch_id: str, *, by: Actor) -> int:
        """Say yes to all that one may say yes to; returns how many.

        :class:`Forbidden` where that is nothing.
        """
        return self._decide(batch_id, self._door.approve, by)

    def decline(self, batch_id: str, *, by: Actor) -> int:
        """Say no to all that waits for a yes."""
        return self._decide(batch_id, self._door.decline, by)

    def retry_failed(self, batch_id: str, *, by: Actor) -> int:
        """Once more what failed; returns how many. :class:`TooLate` where nothing has, or where
        its files are no longer kept."""
        again = 0
        for job in self._choose(batch_id, JobState.FAILED, by=by):
            try:
                self._door.retry(job.id, by=by, key=f"retry:{job.id}")
                again += 1
            except TooLate:
                continue
        if not again:
            raise TooLate
        return again

    def _decide(self, batch_id: str, decide: Callable[..., Job], by: Actor) -> int:
        decided, refusal = 0, None
        for job in self._choose(batch_id, JobState.HELD, by=by):
            try:
                decide(job.id, by=by)
                decided += 1
            except Forbidden as error:
                refusal = error
        if refusal and not decided:
            raise refusal
        return decided

    def _choose(self, batch_id: str, state: JobState, *, by: Actor) -> list[Job]:
        batch = self.get(batch_id, by=by)
        found = [job for job in self.jobs(batch.id) if job.state is state]
        if not found:
            raise TooLate
        return found


def add_up(quotes: Sequence[PlanQuote]) -> BatchQuote:
    """The sum of what single files take."""
    held: dict[Reason, int] = {}
    for each in quotes:
        if each.hold is not None:
            held[each.hold] = held.get(each.hold, 0) + 1
    return BatchQuote(
        files=len(quotes),
        seconds=math.fsum(each.seconds for each in quotes),
        low_seconds=math.fsum(each.low_seconds for each in quotes),
        high_seconds=math.fsum(each.high_seconds for each in quotes),
        usd=math.fsum(each.usd for each in quotes),
        low_usd=math.fsum(each.low_usd for each in quotes),
        high_usd=math.fsum(each.high_usd for each in quotes),
        gpus=tuple(dict.fromkeys(each.gpu for each in quotes if each.gpu)),
        held=held,
        unknown=sum(getattr(each, "unknown", False) for each in quotes),
        paid=any(each.paid for each in quotes),
        measured=bool(quotes) and all(each.measured for each in quotes),
    )
