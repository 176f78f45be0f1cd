"""Puts the parts together: the one place that knows which provider and storage are meant."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from filelock import FileLock, Timeout
from ulid import ULID

from controller.errors import AlreadyRunning, DatabaseError, StorageError
from controller.intake import Intake
from controller.loops.context import Context
from controller.loops.place import Place
from controller.loops.prune import Prune
from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.watch import Watch
from controller.mailbox import Mailbox
from controller.providers.local import LocalProvider
from controller.redaction import RedactingFormatter
from controller.service import Controller
from controller.settings import Settings
from controller.storage.folder import FolderStorage
from controller.store import Store
from controller.supervisor import Loop, Supervisor

log = logging.getLogger(__name__)

_PRUNE_S = 60.0
_TAKE_OVER_S = 1.0
_UPLOAD_S = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of one process, for the supervisor and for tests that tick them by hand."""

    place: Place
    watch: Watch
    reap: Reap
    prune: Prune


def build_context(settings: Settings, *, clock: Callable[[], float] = time.time) -> Context:
    """Open the data directory; what is wrong with it is an error here."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        storage = FolderStorage(settings.storage_dir)
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    store = Store(settings.database, clock=clock)
    return Context(
        store=store,
        storage=storage,
        mailbox=Mailbox(storage),
        provider=LocalProvider(
            deployment=store.deployment,
            logs_dir=settings.logs_dir,
            work_dir=settings.work_dir,
        ),
        settings=settings,
        clock=clock,
    )


def build_loops(context: Context) -> Loops:
    place = Place(context)
    return Loops(
        place=place,
        watch=Watch(context, Publisher(context)),
        reap=Reap(context, renting=place.renting),
        prune=Prune(context),
    )


@asynccontextmanager
async def open_controller(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    must_own: bool = False,
    only_look: bool = False,
    only_end: bool = False,
) -> AsyncIterator[Controller]:
    """A controller while the context is open.

    The first process on a data directory runs the loops; a second one is a client that submits
    and follows, and takes over when the first one is gone. One that ``must_own`` the directory
    raises :class:`AlreadyRunning` instead. One that will ``only_look`` never runs loops; one that
    will ``only_end`` things runs all but the one that starts jobs.
    """
    lock = _lock(settings)
    if must_own and not _acquire(lock):
        raise AlreadyRunning(f"another process works on {settings.data_dir}")
    context = build_context(settings, clock=clock)
    loops = build_loops(context)
    supervisor = _supervisor(context, loops, place=not only_end)
    controller = _controller(context, wake=supervisor.wake)
    controller.reconciles = not only_look and _acquire(lock)
    keeper = asyncio.create_task(_keep(lock, context, supervisor, controller), name="loops")
    if only_look:
        keeper.cancel()
    try:
        yield controller
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        await loops.watch.close()
        context.store.close()
        lock.release()


async def _keep(
    lock: FileLock, context: Context, supervisor: Supervisor, controller: Controller
) -> None:
    """Run the loops as soon as this process may."""
    while not _acquire(lock):  # noqa: ASYNC110 - another process's lock rings no bell
        await asyncio.sleep(_TAKE_OVER_S)
    controller.reconciles = True
    await _remove_partial_uploads(context)
    await supervisor.run()


def _acquire(lock: FileLock) -> bool:
    try:
        if not lock.is_locked:
            lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        raise DatabaseError(f"{lock.lock_file} cannot be used: {error.strerror}") from error
    return True


def _lock(settings: Settings) -> FileLock:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    return FileLock(settings.data_dir / "noxfvr.lock")


def _supervisor(context: Context, loops: Loops, *, place: bool) -> Supervisor:
    poll_s = context.settings.poll_s
    duties: dict[str, tuple[Loop, float]] = {
        "reap": (loops.reap, poll_s),
        "watch": (loops.watch, poll_s),
        "prune": (loops.prune, _PRUNE_S),
    }
    if place:
        duties["place"] = (loops.place, poll_s)
    return Supervisor(duties)


async def _remove_partial_uploads(context: Context) -> None:
    """What a crash left of uploads; young ones may be another process's that it receives now."""
    incoming = context.settings.work_dir / "incoming"
    for path in incoming.glob("*") if incoming.is_dir() else ():
        if _is_stray(path.name, context):
            path.unlink(missing_ok=True)
    try:
        stored = await context.storage.entries("input/uploads/")
    except StorageError as error:
        log.warning("Uploads cannot be listed: %s", error)
        return
    for entry in stored:
        job_id = entry.key.split("/")[2]
        if _is_stray(job_id, context) and not context.store.jobs.exists(job_id):
            await context.storage.delete(entry.key)


def _is_stray(name: str, context: Context) -> bool:
    """Whether a name of ours (a ULID, which holds its time) is older than any upload takes."""
    try:
        return context.clock() - ULID.from_str(name).timestamp > _UPLOAD_S
    except ValueError:
        return False


def _controller(context: Context, wake: Callable[[], None]) -> Controller:
    return Controller(
        store=context.store,
        storage=context.storage,
        settings=context.settings,
        intake=Intake(
            store=context.store,
            storage=context.storage,
            settings=context.settings,
            clock=context.clock,
        ),
        clock=context.clock,
        wake=wake,
    )


def configure_logging(settings: Settings, *, level: int = logging.INFO) -> None:
    """To standard error, every line redacted."""
    handler = logging.StreamHandler()
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(RedactingFormatter(settings.secrets, form))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def check_deployment(settings: Settings) -> str:
    """Open and close the data directory; a line about it, or what is wrong as an error."""
    context = build_context(settings)
    try:
        return f"{settings.data_dir} is usable, deployment {context.store.deployment}"
    finally:
        context.store.close()
