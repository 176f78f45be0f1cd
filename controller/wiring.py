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
from controller.supervisor import Supervisor

log = logging.getLogger(__name__)

_PRUNE_S = 60.0


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
) -> AsyncIterator[Controller]:
    """A controller while the context is open.

    The first process on a data directory runs the loops; a second one, or one that will
    ``only_look``, is a client that submits and follows. One that ``must_own`` the directory
    raises :class:`AlreadyRunning` instead.
    """
    lock = _lock(settings)
    try:
        if not only_look:
            lock.acquire(blocking=False)
    except Timeout:
        if must_own:
            raise AlreadyRunning(f"another process works on {settings.data_dir}") from None
    context = build_context(settings, clock=clock)
    try:
        if lock.is_locked:
            async with _running_loops(context) as controller:
                yield controller
        else:
            yield _controller(context, wake=lambda: None, reconciles=False)
    finally:
        context.store.close()
        lock.release()


def _lock(settings: Settings) -> FileLock:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    return FileLock(settings.data_dir / "noxfvr.lock")


@asynccontextmanager
async def _running_loops(context: Context) -> AsyncIterator[Controller]:
    loops = build_loops(context)
    poll_s = context.settings.poll_s
    supervisor = Supervisor(
        {
            "reap": (loops.reap, poll_s),
            "watch": (loops.watch, poll_s),
            "place": (loops.place, poll_s),
            "prune": (loops.prune, _PRUNE_S),
        }
    )
    await _remove_partial_uploads(context)
    running = asyncio.create_task(supervisor.run(), name="loops")
    try:
        yield _controller(context, wake=supervisor.wake)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await loops.watch.close()


async def _remove_partial_uploads(context: Context) -> None:
    """What a crash left of uploads: with the lock held nobody else is receiving one."""
    incoming = context.settings.work_dir / "incoming"
    for path in incoming.glob("*") if incoming.is_dir() else ():
        path.unlink(missing_ok=True)
    try:
        stored = await context.storage.entries("input/uploads/")
    except StorageError as error:
        log.warning("Uploads cannot be listed: %s", error)
        return
    for entry in stored:
        job_id = entry.key.split("/")[2]
        if not context.store.jobs.exists(job_id):
            await context.storage.delete(entry.key)


def _controller(
    context: Context, *, wake: Callable[[], None], reconciles: bool = True
) -> Controller:
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
        reconciles=reconciles,
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
