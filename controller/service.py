"""The front door: all that a chat, a terminal or a program may ask of the controller.

Every method checks who asks. What does file work is a coroutine; the rest is a few statements of
SQLite and is called directly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from controller import policy
from controller.alarms import Alarm
from controller.approvals import Approvals
from controller.batches import Batches
from controller.capabilities import Codes
from controller.errors import Forbidden, NoSuchJob, NotStored, StorageError, TooLate
from controller.foreign import tidy
from controller.gauges import Gauges
from controller.intake import Intake
from controller.judging import Judge
from controller.links import Links
from controller.listings import Listings
from controller.machine_logs import clean, last_lines, log_path
from controller.mailbox import Mailbox
from controller.market import Market
from controller.memory import Memory
from controller.people import People
from controller.places import PICTURE_BYTES, clip_key, picture_key, preview_key
from controller.planning import Plans
from controller.providers.base import Provider
from controller.queue import Queue
from controller.quotes import Quotes
from controller.readings import Readings
from controller.records import (
    TERMINAL,
    Actor,
    Attempt,
    Estimate,
    Job,
    Machine,
)
from controller.repeating import Repeats
from controller.samples import Samples
from controller.settings import Settings
from controller.spending import Spending
from controller.states import GIVEN_BACK, JobState, MachineState
from controller.storage.base import Storage
from controller.store import Store
from controller.uploads import Uploads
from controller.vitals import Vitals
from remote_runner.protocol import Task

_ACTIVE = (JobState.DRAFT, JobState.HELD, JobState.QUEUED, JobState.RUNNING)


class Controller(Memory):
    """One deployment. ``wake`` tells the loops of this process that there is something to do."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        settings: Settings,
        quotes: Quotes,
        provider: Provider,
        intake: Intake,
        clock: Callable[[], float],
        wake: Callable[[], None],
        vitals: Vitals | None = None,
    ) -> None:
        super().__init__(store)
        self.settings = settings
        self.reconciles = True
        """False in a client: another process runs the loops."""
        self.clock = clock
        self._storage = storage
        self._wake = wake
        self._mailbox = Mailbox(storage)
        self._intake = intake
        self._quotes = quotes
        self._provider = provider
        self.vitals = vitals or Vitals()
        self.figures = store.figures
        self._gauges = Gauges(store=store, settings=settings, clock=clock)
        codes = Codes(settings.data_dir / "web.key")
        self.links = Links(
            store=store, storage=storage, settings=settings, codes=codes, clock=clock
        )
        self.uploads = Uploads(
            store=store, storage=storage, settings=settings, intake=intake, codes=codes,
            clock=clock,
        )  # fmt: skip
        self.listings = Listings(store)
        self.people = People(store=store, clock=clock)
        self.queue = Queue(store=store, clock=clock, wake=wake)
        self.spending = Spending(store=store, clock=clock)
        judge = Judge(
            store=store, quotes=quotes, settings=settings, spending=self.spending,
            people=self.people, queue=self.queue, rents=provider.rents,
        )  # fmt: skip
        plans = Plans(
            store=store, quotes=quotes, judge=judge, queue=self.queue, settings=settings,
            clock=clock, rents=provider.rents,
        )  # fmt: skip
        self.plan, self.known_plan = plans.plan, plans.known_plan
        approvals = Approvals(store=store, judge=judge, find=self.get, clock=clock, wake=wake)
        self.request_start, self.take_back = approvals.request_start, approvals.take_back
        self.approve, self.decline = approvals.approve, approvals.decline
        self.approve_price = approvals.approve_price
        repeats = Repeats(
            store=store, intake=intake, approvals=approvals, find=self.get, clock=clock, wake=wake
        )
        self.retry, self.redo = repeats.retry, repeats.redo
        self._samples = Samples(
            store=store, storage=storage, judge=judge, find=self.get, clock=clock, wake=wake
        )
        self.sample, self.newest_sample = self._samples.sample, self._samples.newest_sample
        self.has_frame, self.frame_file = self._samples.has_frame, self._samples.frame_file
        self.spent_usd, self.machine_usd = self.spending.job_usd, self.spending.machine_usd
        self.accept_upload = self._intake.accept_upload
        self.accept_stored = self._intake.accept_stored
        self.accept_local = self._intake.accept_local
        self.stored_videos = self._intake.stored_videos
        self.storage_name = "B2" if storage.name == "s3" else "storage"
        """What people call the place that paths name."""
        self.rents = provider.rents
        """Whether machines are rented, and so cost money."""
        self.batches = Batches(store, self, clock=clock, require_turn=intake.require_turn)

    # --- a job's life ------------------------------------------------------------------------

    def estimate(self, job: Job, task: Task | None = None) -> Estimate:
        """What a job would take, with another task where one is given."""
        return self._quotes.estimate(dataclasses.replace(job, task=task or job.task))

    async def quote(self, job: Job, *, whole: bool = False) -> Market:
        """The machines to be had now, judged for a job: the best first, and why others are not.

        ``whole`` looks above the price cap too. :class:`ProviderError` or :class:`Unclear` where
        the market cannot be asked.
        """
        return await self._quotes.market(job, whole=whole)

    async def find_done(self, path: str, task: Task) -> Job | None:
        """A job that made this of the same content already, and whose result is still there."""
        task = self._intake.check_task(task, by=TERMINAL)
        try:
            entry = await self._storage.stat(self._storage.parse(path))
        except NotStored:
            return None
        for job in self._store.jobs.done_with(entry.etag):
            if job.task == task and job.output_key and await self._is_stored(job.output_key):
                return job
        return None

    async def settle_task(self, task: Task) -> Task:
        """What the terminal asks for with everything in full that the deployment decides.

        A :class:`~controller.errors.UserError` says why it cannot be asked for.
        """
        return await self._intake.settle_task(task)

    def set_task(self, job_id: str, *, by: Actor, task: Task) -> Job:
        """Change what a draft is to do; :class:`TooLate` once it was started."""
        task = self._intake.check_task(task, by=by)
        while True:
            job = self.get(job_id, by=by)
            if job.state is not JobState.DRAFT:
                raise TooLate
            if job.task == task:
                return job
            changed = self._store.jobs.change(job, event="drafted", task=task)
            if changed:
                return changed

    def start(self, job_id: str, *, by: Actor) -> Job:
        """Queue a draft. Starting again changes nothing."""
        while True:
            job = self.get(job_id, by=by)
            if job.state in (JobState.QUEUED, JobState.RUNNING, JobState.DONE):
                return job
            if job.state is not JobState.DRAFT:
                raise TooLate
            now = self.clock()
            moved = self._store.jobs.move(
                job, JobState.QUEUED, event="queued",
                started_at=now, deadline_at=now + policy.QUEUE_S,
            )  # fmt: skip
            if moved:
                self._samples.end(moved)
                self._wake()
                return moved

    def cancel(self, job_id: str, *, by: Actor) -> Job:
        """End a job that does not run yet; ask the machine of one that does to stop.

        Asking again changes nothing; :class:`TooLate` when it has ended.
        """
        while True:
            job = self.get(job_id, by=by)
            if job.state.is_terminal:
                raise TooLate
            if job.cancel_requested_at is not None:
                return job
            now = self.clock()
            if job.state is JobState.RUNNING:
                changed = self._store.jobs.change(job, event="cancelling", cancel_requested_at=now)
            else:
                changed = self._store.jobs.move(
                    job, JobState.CANCELLED, event="cancelled", data={"reason": "user"},
                    ended_at=now, cancel_requested_at=now, reason="user",
                )  # fmt: skip
            if changed:
                self._samples.end(changed)
                self._wake()
                return changed

    async def discard(self, job_id: str, *, by: Actor) -> None:
        """Cancel a draft and remove its upload at once."""
        job = self.cancel(job_id, by=by)
        if job.source_is_ours and not self._store.jobs.is_source_wanted(job):
            await self._storage.delete(job.source_key)
            if not job.attempts:
                self._store.jobs.set_pruned(job.id)  # nothing else is left: it cannot be redone

    # --- looking -----------------------------------------------------------------------------

    def get(self, job_id: str, *, by: Actor) -> Job:
        """By full id, or by its last characters, at least six; :class:`NoSuchJob` for others'."""
        found = self._store.jobs.by_suffix(job_id) if 6 <= len(job_id) <= 26 else []
        mine = [job for job in found if by.admin or job.owner == by.user]
        if len(mine) != 1:
            raise NoSuchJob
        return mine[0]

    def jobs(
        self, *, owner: int | None = None, active: bool = False, limit: int = 50, offset: int = 0
    ) -> list[Job]:
        """Newest first, without samples; ``active`` leaves out what has ended."""
        states = _ACTIVE if active else tuple(JobState)
        return self._store.jobs.select(
            states=states,
            owner=owner,
            samples=False,
            limit=limit,
            offset=offset,
            newest_first=True,
        )

    def attempt(self, job_id: str) -> Attempt | None:
        """The newest one."""
        attempts = self.attempts(job_id)
        return attempts[-1] if attempts else None

    def attempts(self, job_id: str) -> list[Attempt]:
        return self._store.attempts.of_job(job_id)

    def attempt_on(self, machine_id: str) -> Attempt | None:
        """The attempt that a machine works on now."""
        return self._store.attempts.open_on(machine_id)

    def machine(self, machine_id: str) -> Machine | None:
        return self._store.machines.get(machine_id)

    def machines(self) -> list[Machine]:
        """All that may still cost money."""
        return self._store.machines.select()

    def queue_position(self, job: Job) -> int:
        """1 for the job that is next."""
        return self.queue.ahead(job) + 1

    def result_link(self, job: Job) -> str:
        """Where the result can be fetched; :class:`TooLate` while there is none."""
        if job.output_key is None:
            raise TooLate
        return self._storage.link(job.output_key)

    def result_file(self, job: Job) -> AbstractAsyncContextManager[Path]:
        """The result as a local file while the context is open."""
        if job.output_key is None:
            raise TooLate
        return self._storage.local_file(job.output_key)

    def picture_file(self, job: Job) -> AbstractAsyncContextManager[Path]:
        """The before/after picture (PNG) of a job that is done, as a local file."""
        key = picture_key(job.id, job.attempts)
        return self._storage.local_file(key, limit=PICTURE_BYTES)

    def clip_file(
        self, job: Job, *, limit: int | None = None
    ) -> AbstractAsyncContextManager[Path]:
        """The side-by-side clip (MP4) of a job that is done, as a local file.

        The machine can still write it: :class:`TooLarge` for more than ``limit`` bytes.
        """
        return self._storage.local_file(clip_key(job.id, job.attempts), limit=limit)

    async def clip_bytes(self, job: Job) -> int:
        """Size of the clip as it lies in storage, whatever a machine said; 0 if it does not."""
        if self.clip_link(job) is None:
            return 0
        try:
            return (await self._storage.stat(clip_key(job.id, job.attempts))).bytes
        except NotStored:
            return 0

    def clip_link(self, job: Job) -> str | None:
        """Where the clip can be fetched while it is kept; None where there is none."""
        if job.result is None or not job.result.clip_bytes:
            return None
        if not self._store.jobs.is_kept(job.id):
            return None
        return self._storage.link(clip_key(job.id, job.attempts))

    def preview_link(self, job: Job) -> str | None:
        """Where the first segment of the new video can be seen (MP4) while the work goes on."""
        attempt = self.attempt(job.id)
        if attempt is None or attempt.status is None or not attempt.status.preview:
            return None
        return self._storage.link(preview_key(job.id, attempt.number))

    async def logs(self, job_id: str, *, by: Actor) -> list[str]:
        """What the newest attempt's machine or its runner printed last."""
        job = self.get(job_id, by=by)
        attempt = self.attempt(job.id)
        if attempt is None:
            return []
        if printed := self.printed(attempt.machine):
            return printed
        lines = await self._mailbox.log_lines(attempt)
        # ours may name its files and addresses; what a film has in it moves no cursor either way
        told = (lambda line: clean(line, self.settings.secrets)) if self.rents else tidy
        return [told(line) for line in lines]

    def printed(self, machine_id: str) -> list[str]:
        """What a rented machine printed last, whichever of its jobs it was for; cleaned."""
        return last_lines(log_path(self.settings.logs_dir, machine_id)) if self.rents else []

    async def has_result(self, job: Job) -> bool:
        """Whether the result of a job that is done is still in storage."""
        return job.output_key is not None and await self._is_stored(job.output_key)

    async def storage_answers(self) -> bool:
        """Whether storage can be asked now. Nothing is written."""
        try:
            await self._is_stored("health")
        except StorageError:
            return False
        return True

    async def _is_stored(self, key: str) -> bool:
        try:
            await self._storage.stat(key)
        except NotStored:
            return False
        return True

    # --- watching ----------------------------------------------------------------------------

    def readings(self) -> Readings:
        """What there is to see now."""
        return self._gauges.read(self.vitals)

    def judge(self) -> list[Alarm]:
        """What is wrong now, the worst first; empty where nothing is."""
        return self._gauges.judge(self.vitals)

    def troubles(self) -> list[Alarm]:
        """What the loops keep as wrong and have looked at lately, the worst first."""
        return self._gauges.list_found(self.vitals, runs_here=self.reconciles)

    # --- machines ----------------------------------------------------------------------------

    async def credit_usd(self) -> float | None:
        """Money left on the rental account; None where nothing is paid."""
        return await self._provider.credit_usd()

    def spent_today_usd(self) -> float:
        """What machines have cost since midnight, UTC; those that go on included."""
        return self.spending.today_usd()

    def release_machine(self, machine_id: str, *, by: Actor) -> None:
        """Give a machine back now; a job that it works on gets another attempt, if it has one.

        :class:`TooLate` where it is on its way out already, :class:`Forbidden` for non-admins.
        """
        if not by.admin:
            raise Forbidden
        machine = self._store.machines.get(machine_id)
        if machine is None or machine.retire_requested_at is not None or machine.gone_at:
            raise TooLate
        self._store.machines.request_retire(machine_id, GIVEN_BACK)
        self._wake()

    def release_idle_machines(self) -> None:
        """Do not wait for a next job: end what is idle now."""
        for machine in self._store.machines.select([MachineState.READY, MachineState.BOOTING]):
            if self._store.attempts.open_on(machine.id) is None:
                self._store.machines.request_retire(machine.id, "released")
        self._wake()
