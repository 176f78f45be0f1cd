"""Ends what waits too long and removes leftovers, never anything that the user put there."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from ulid import ULID

from controller.errors import ControllerError, DatabaseFull
from controller.log_ids import logged
from controller.loops.context import Context
from controller.loops.strays import Strays
from controller.loops.sweep import sweep_uploads
from controller.places import job_prefix, machine_prefix
from controller.records import Job
from controller.states import JobState, MachineState, Reason

log = logging.getLogger(__name__)

KEEP_JOB_S = 24 * 3600.0
"""Uploads and logs of a finished job, so that it can be retried and explained."""
_KEEP_DISCARDED_S = 60.0
"""Uploads of a plan card that nobody started."""
_KEEP_UPDATES_S = 7 * 86400.0
_KEEP_LOGS_S = 14 * 86400.0
_BUNDLES = "machines/bundles/"
_KEEP_BUNDLES_S = 30 * 86400.0
"""A machine that starts meanwhile finds its own again or has it made anew."""
_OLDEST_MACHINE_S = 8 * 86400.0
_STALE_UPLOAD_S = 2 * 86400.0
_LOOK_AT_UPLOADS_S = 3600.0


class Prune:
    """One pass over deadlines and leftovers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._strays = Strays(context)
        self._uploads_at = 0.0

    async def tick(self) -> int:
        """How many things were ended or removed."""
        count = 0
        with _going_on():
            count += self._expire()
        self._strays.begin()
        with _going_on():
            count += await self._remove_jobs()
        await self._remove_machines()
        with _going_on():
            count += await self._abort_uploads() + await sweep_uploads(self._context)
        self._remove_files()
        with _going_on():
            count += self._context.store.inbox.forget(self._context.clock() - _KEEP_UPDATES_S)
        return count

    async def settle(self) -> None:
        """Wait for what goes on beside the passes."""
        await self._strays.settle()

    async def close(self) -> None:
        """Drop what goes on beside the passes; it begins anew after a restart."""
        await self._strays.close()

    def _expire(self) -> int:
        store, now = self._context.store, self._context.clock()
        count = 0
        for job in store.jobs.select(states=[JobState.DRAFT, JobState.HELD, JobState.QUEUED]):
            if now < job.deadline_at:
                continue
            to = JobState.FAILED if job.state is JobState.QUEUED else JobState.CANCELLED
            moved = store.jobs.move(
                job, to, event=str(to), data={"reason": Reason.EXPIRED},
                ended_at=now, reason=Reason.EXPIRED,
            )  # fmt: skip
            count += moved is not None
        return count

    async def _remove_jobs(self) -> int:
        now = self._context.clock()
        count = 0
        due = self._context.store.jobs.unpruned(
            discarded_before=now - _KEEP_DISCARDED_S, ended_before=now - KEEP_JOB_S
        )
        for job in due:
            if self._context.store.jobs.is_repeated(job.id):
                continue  # a retry came while others were removed
            count += await self._remove_safely(job)
        return count

    @logged
    async def _remove_safely(self, job: Job) -> bool:
        try:
            await self._remove_job(job)
        except ControllerError as error:
            log.warning("Leftovers of job %s stay for now: %s", job.id, error)
            return False
        return True

    async def _remove_job(self, job: Job) -> None:
        store, storage = self._context.store, self._context.storage
        await storage.abort_uploads(job_prefix(job.id), 0)
        await storage.delete_prefix(job_prefix(job.id))
        if job.source_is_ours and not store.jobs.is_source_wanted(job):
            await storage.delete(job.source_key)
        store.jobs.set_pruned(job.id)

    async def _remove_machines(self) -> None:
        store = self._context.store
        entries = await self._context.storage.entries("machines/")
        for entry in entries:
            old = self._context.clock() - entry.modified_at > _KEEP_BUNDLES_S
            if entry.key.startswith(_BUNDLES) and old:
                await self._context.storage.delete(entry.key)
        keys = [entry.key for entry in entries if not entry.key.startswith(_BUNDLES)]
        for machine_id in {key.split("/")[1] for key in keys}:
            machine = store.machines.get(machine_id)
            # one without a row, or given up, may be another deployment's on the same bucket
            foreign = machine is None or machine.disowned_at is not None
            ended = self._is_ancient(machine_id) if foreign else machine and machine.gone_at
            if ended:
                await self._context.storage.delete_prefix(machine_prefix(machine_id))

    def _is_ancient(self, machine_id: str) -> bool:
        """Whether a machine of that id (a ULID, which holds its time) must be gone by now."""
        try:
            age_s = self._context.clock() - ULID.from_str(machine_id).timestamp
        except ValueError:
            return False
        return age_s > _OLDEST_MACHINE_S

    async def _abort_uploads(self) -> int:
        """What machines uploaded in parts and nobody finished: it is paid for and not listed."""
        now = self._context.clock()
        if 0 <= now - self._uploads_at < _LOOK_AT_UPLOADS_S:
            return 0
        self._uploads_at = now
        return await self._context.storage.abort_uploads("jobs/", _STALE_UPLOAD_S)

    def _remove_files(self) -> None:
        """Work folders of machines that are gone, uploads that a crash cut short, old logs."""
        settings, store = self._context.settings, self._context.store
        for folder in _children(settings.work_dir):
            machine = store.machines.get(folder.name)
            if machine and machine.state is MachineState.GONE and not machine.disowned_at:
                shutil.rmtree(folder, ignore_errors=True)
        for path in _children(settings.logs_dir):
            if self._context.clock() - path.stat().st_mtime > _KEEP_LOGS_S:
                path.unlink()


@contextlib.contextmanager
def _going_on() -> Iterator[None]:
    """A database that is full keeps nothing from being removed: that may give it room."""
    try:
        yield
    except DatabaseFull as error:
        log.warning("Not all that is over is noted: %s", error)


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
