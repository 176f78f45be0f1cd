"""Taking over a data directory: one process at a time has it, and cleans up after the last one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from filelock import FileLock, Timeout
from ulid import ULID

from controller.errors import DatabaseError, StorageError
from controller.loops.context import Context
from controller.recovery import settle_home
from controller.service import Controller
from controller.settings import Settings
from controller.store import Store
from controller.supervisor import Supervisor

log = logging.getLogger(__name__)

_TAKE_OVER_S = 1.0
_UPLOAD_S = 6 * 3600.0


def find_lock(settings: Settings) -> FileLock:
    """The lock of a data directory, which is made if need be; not taken yet."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    return FileLock(settings.data_dir / "noxfvr.lock")


def acquire(lock: FileLock) -> bool:
    """Take it, or keep it; False where another process has it."""
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        raise DatabaseError(f"{lock.lock_file} cannot be used: {error.strerror}") from error
    return True


class DeploymentName:
    """The deployment's name as everything in this process was made with it."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float], *, settles: bool, keeps: bool
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._settles = settles
        self._keeps = keeps
        self._value = ""

    def settle(self, store: Store) -> None:
        if self._settles:
            folder = self._settings.data_dir
            settle_home(store, folder, keep_deployment=self._keeps, now=self._clock())
        self._value = store.deployment

    def is_of(self, store: Store) -> bool:
        return store.recall("deployment") == self._value


async def keep_loops(
    lock: FileLock,
    context: Context,
    name: DeploymentName,
    supervisor: Supervisor,
    controller: Controller,
) -> None:
    """Run the loops as soon as this process may, unless it works on a database of before: it
    would take machines that were rented since for nobody's."""
    store = context.store
    owns = False
    while not owns:
        owns = acquire(lock)
        if store.is_replaced or not name.is_of(store):
            store.declare_replaced()
            return
        if not owns:
            await asyncio.sleep(_TAKE_OVER_S)
    controller.reconciles = True
    try:
        await _remove_partial_uploads(context)
    except StorageError as error:
        log.warning("What a crash left of uploads stays for now: %s", error)
    await supervisor.run()


async def _remove_partial_uploads(context: Context) -> None:
    """What a crash left of uploads; young ones may be another process's that it receives now."""
    incoming = context.settings.work_dir / "incoming"
    for path in incoming.glob("*") if incoming.is_dir() else ():
        if _is_stray(path.name, context):
            path.unlink(missing_ok=True)
    if context.settings.storage != "folder":
        return  # a bucket may have another deployment's uploads
    try:
        stored = await context.storage.entries("input/uploads/")
    except StorageError as error:
        log.warning("Uploads cannot be listed: %s", error)
        return
    for entry in stored:
        job_id = entry.key.split("/")[2]
        store = context.store
        wanted = store.jobs.exists(job_id) or store.uploads.is_receiving(job_id)
        if _is_stray(job_id, context) and not wanted:
            await context.storage.delete(entry.key)


def _is_stray(name: str, context: Context) -> bool:
    """Whether a name of ours (a ULID, which holds its time) is older than any upload takes."""
    try:
        return context.clock() - ULID.from_str(name).timestamp > _UPLOAD_S
    except ValueError:
        return False
