"""Puts the parts together: the one place that knows which provider and storage are meant."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from ulid import ULID

from controller import backups, checkup
from controller.alarms import Alarm
from controller.backups import Restoration
from controller.checkup import Finding
from controller.clock import SteadyClock, wall_of
from controller.errors import AlreadyRunning, DatabaseError, StorageError
from controller.gauges import Gauges
from controller.home import find_strangeness
from controller.intake import Intake
from controller.log_ids import IdFilter
from controller.loops.alarm import AlarmLoop
from controller.loops.backup import Backup
from controller.loops.context import Context
from controller.loops.place import Place
from controller.loops.prune import Prune
from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.tail import Tail
from controller.loops.watch import Watch
from controller.loops.webhook import Post, Webhook, post
from controller.mailbox import Mailbox
from controller.orphans import Orphan, end_orphans, find_orphans
from controller.probe import Prober, probe
from controller.providers.base import Provider
from controller.providers.local import LocalProvider
from controller.providers.vast import VastProvider
from controller.quotes import Quotes
from controller.recovery import recover, settle_home
from controller.redaction import JsonFormatter, RedactingFormatter
from controller.service import Controller
from controller.settings import Settings
from controller.storage.base import Storage
from controller.storage.folder import FolderStorage
from controller.storage.s3 import S3Storage
from controller.store import Store
from controller.supervisor import Loop, Supervisor
from controller.vitals import Vitals
from controller.web_checkup import examine_page_rule, examine_pages

log = logging.getLogger(__name__)

_OURS = ("bot", "controller", "remote_runner")
_PRUNE_S = 60.0
_BACKUP_S = 60.0
_ALARM_S = 15.0
_TAKE_OVER_S = 1.0
_UPLOAD_S = 6 * 3600.0
_TELL_REST_S = 20.0


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of one process, for the supervisor and for tests that tick them by hand."""

    place: Place
    watch: Watch
    reap: Reap
    prune: Prune
    tail: Tail
    webhook: Webhook
    backup: Backup
    alarm: AlarmLoop


def build_context(
    settings: Settings,
    *,
    clock: Callable[[], float] = time.time,
    outside: Outside | None = None,
    settle: Callable[[Store], None] = lambda _: None,
) -> Context:
    """Open the data directory; what is wrong with it is an error here.

    ``settle`` is called with the store before anything is made of what it holds.
    """
    outside = outside or Outside()
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        storage = outside.storage(settings, clock=wall_of(clock))
    except OSError as error:
        raise DatabaseError(f"{settings.data_dir} cannot be used: {error.strerror}") from error
    store = Store(settings.database, clock=clock)
    try:
        settle(store)
        provider = outside.provider(settings, deployment=store.deployment, clock=clock)
    except BaseException:
        store.close()
        raise
    return Context(
        store=store,
        storage=storage,
        mailbox=Mailbox(storage, segment_s=settings.segment_s, clock=clock),
        provider=provider,
        quotes=Quotes(store=store, provider=provider, settings=settings, clock=clock),
        settings=settings,
        clock=clock,
    )


def build_storage(settings: Settings, *, clock: Callable[[], float] = time.time) -> Storage:
    """The storage that is meant; nothing is asked of it yet."""
    if settings.storage == "folder":
        return FolderStorage(settings.storage_dir)
    return S3Storage(
        bucket=settings.b2_bucket,
        key=settings.b2_key,
        secret=settings.b2_secret,
        endpoint=settings.b2_endpoint,
        region=settings.b2_region,
        work_dir=settings.work_dir,
        clock=clock,
    )


def build_provider(
    settings: Settings, *, deployment: str, clock: Callable[[], float] = time.time
) -> Provider:
    """The provider that is meant; nothing is asked of it yet."""
    if settings.provider == "local":
        return LocalProvider(
            deployment=deployment, logs_dir=settings.logs_dir, work_dir=settings.work_dir
        )
    return VastProvider(
        key=settings.vast_api_key, url=settings.vast_url, deployment=deployment, clock=clock
    )


class BuildStorage(Protocol):
    """As :func:`build_storage`."""

    def __call__(self, settings: Settings, *, clock: Callable[[], float]) -> Storage: ...


class BuildProvider(Protocol):
    """As :func:`build_provider`."""

    def __call__(
        self, settings: Settings, *, deployment: str, clock: Callable[[], float]
    ) -> Provider: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """All ways from the controller out of its process, so that others can take their place."""

    storage: BuildStorage = build_storage
    provider: BuildProvider = build_provider
    prober: Prober = probe
    post: Post = post


def build_loops(context: Context, *, outside: Outside | None = None) -> Loops:
    outside = outside or Outside()
    reap_knows = _Knowledge()
    place = Place(context, may_rent=reap_knows)
    reap_knows.reap = reap = Reap(context, renting=place.renting)
    watch = Watch(context, Publisher(context, prober=outside.prober))
    return Loops(
        place=place,
        watch=watch,
        reap=reap,
        prune=Prune(context),
        tail=Tail(context, watch),
        webhook=Webhook(
            store=context.store,
            storage=context.storage,
            settings=context.settings,
            clock=context.clock,
            post=outside.post,
        ),
        backup=Backup(context),
        alarm=AlarmLoop(context),
    )


class _Knowledge:
    """Whether the newest listing was complete, for the loop that rents."""

    reap: Reap | None = None

    def __call__(self) -> bool:
        return self.reap is not None and self.reap.knows


@asynccontextmanager
async def open_controller(
    settings: Settings,
    *,
    clock: Callable[[], float] | None = None,
    must_own: bool = False,
    only_look: bool = False,
    only_end: bool = False,
    keep_deployment: bool = False,
    outside: Outside | None = None,
) -> AsyncIterator[Controller]:
    """A controller while the context is open.

    The first process on a data directory runs the loops; a second one is a client that submits
    and follows, and takes over when the first one is gone. One that ``must_own`` the directory
    raises :class:`AlreadyRunning` instead. One that will ``only_look`` never runs loops; one that
    will ``only_end`` things runs all but the one that starts jobs.

    Whoever owns the directory restores a damaged database before it is opened, and takes another
    name in a copied directory unless it is to ``keep_deployment``. A database that is found
    damaged later ends what goes on in the context with :class:`DatabaseDamaged`, and one that its
    owner replaced while this process waited with :class:`DatabaseReplaced`.
    """
    clock = clock or SteadyClock()
    lock = _lock(settings)
    owns = not only_look and _acquire(lock)
    if must_own and not owns:
        raise AlreadyRunning(f"another process works on {settings.data_dir}")
    outside = outside or Outside()
    with contextlib.ExitStack() as unless_open:
        unless_open.callback(lock.release)
        name = _Name(settings, clock, settles=owns, keeps=keep_deployment)
        if owns:
            recover(settings.database, clock=clock)
        context = build_context(settings, clock=clock, outside=outside, settle=name.settle)
        unless_open.pop_all()
    loops = build_loops(context, outside=outside)
    supervisor = _supervisor(context, loops, place=not only_end)
    controller = _controller(context, wake=supervisor.wake, prober=outside.prober)
    controller.reconciles = not only_look and _acquire(lock)
    keeper = asyncio.create_task(_keep(lock, context, name, supervisor, controller), name="loops")
    if only_look:
        keeper.cancel()
    _end_on_damage(context.store)
    try:
        yield controller
    except BaseException as error:
        if context.store.damage is None:
            raise
        # whatever it led to, that is what happened
        raise context.store.damage from error
    finally:
        keeper.cancel()
        async with contextlib.AsyncExitStack() as ends:
            ends.callback(lock.release)
            ends.callback(context.store.close)
            ends.push_async_callback(context.storage.close)
            ends.push_async_callback(context.provider.close)
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            await loops.watch.close()
            if controller.reconciles and context.store.damage is None:
                await _tell_rest(loops.webhook)


class _Name:
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


def _end_on_damage(store: Store) -> None:
    """Cancel the task that this is called in, as soon as the database is found damaged."""
    host, loop = asyncio.current_task(), asyncio.get_running_loop()

    def end() -> None:
        if host is not None:
            loop.call_soon(host.cancel)

    store.on_damage(end)


async def _tell_rest(webhook: Webhook) -> None:
    """The last ends of this process; what is not accepted now is told by the next one."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TELL_REST_S):
            await webhook.tick()


async def _keep(
    lock: FileLock, context: Context, name: _Name, supervisor: Supervisor, controller: Controller
) -> None:
    """Run the loops as soon as this process may, unless it works on a database of before: it
    would take machines that were rented since for nobody's."""
    store = context.store
    owns = False
    while not owns:
        owns = _acquire(lock)
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
        "tail": (loops.tail, poll_s),
        "webhook": (loops.webhook, poll_s),
        "alarm": (loops.alarm, _ALARM_S),
    }
    if place:
        duties["place"] = (loops.place, poll_s)
    if backup_s := context.settings.backup_s:
        duties["backup"] = (loops.backup, min(_BACKUP_S, backup_s))
    return Supervisor(duties, context.vitals)


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


def _controller(context: Context, *, wake: Callable[[], None], prober: Prober) -> Controller:
    return Controller(
        store=context.store,
        storage=context.storage,
        settings=context.settings,
        quotes=context.quotes,
        provider=context.provider,
        intake=Intake(
            store=context.store,
            storage=context.storage,
            settings=context.settings,
            clock=context.clock,
            prober=prober,
        ),
        clock=context.clock,
        wake=wake,
        vitals=context.vitals,
    )


def configure_logging(settings: Settings, *, level: int = logging.INFO) -> None:
    """To standard error, every line with its ids and redacted.

    ``level`` where the settings name none. Only our own parts ever tell details: clients of
    others would tell what they sign and send.
    """
    handler = logging.StreamHandler()
    handler.addFilter(IdFilter())
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    as_json = settings.log_format == "json"
    handler.setFormatter(
        JsonFormatter(settings.secrets) if as_json else RedactingFormatter(settings.secrets, form)
    )
    if settings.log_level:
        level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)


def check_deployment(settings: Settings) -> str:
    """Open and close the data directory; a line about it, or what is wrong as an error."""
    context = build_context(settings)
    try:
        return f"{settings.data_dir} is usable, deployment {context.store.deployment}"
    finally:
        context.store.close()


def judge_deployment(settings: Settings) -> list[Alarm]:
    """What is wrong with the data directory's deployment, whichever process runs it; as the
    admins' chat and ``/health`` have it. Nothing where there is no database: none is made."""
    if not settings.database.exists():
        return []
    store = Store(settings.database, clock=time.time)
    try:
        return Gauges(store=store, settings=settings, clock=time.time).judge(Vitals())
    finally:
        store.close()


async def examine_services(settings: Settings) -> list[Finding]:
    """What the provider, the bucket and the webhook of these settings say, as far as meant."""
    findings: list[Finding] = []
    if settings.provider != "local":
        deployment, _ = read_claims(settings)
        provider = build_provider(settings, deployment=deployment or "")
        try:
            findings += await checkup.examine_provider(
                provider, settings, deployment=deployment, now=time.time()
            )
        finally:
            await provider.close()
        findings += checkup.examine_image(settings)
    storage = build_storage(settings)
    try:
        if isinstance(storage, S3Storage):
            findings += await checkup.examine_bucket(storage, settings)
            findings += await examine_page_rule(storage, settings)
        findings.append(await checkup.examine_mirror(storage))
    finally:
        await storage.close()
    if settings.webhook_url:
        findings.append(await checkup.examine_webhook(settings))
    return findings + await examine_pages(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """A machine that nothing claims, and whether it is proven gone now."""

    orphan: Orphan
    destroyed: bool


async def reap(settings: Settings, *, deployment: str | None, dry_run: bool) -> list[Reaped]:
    """Find and, unless that is only asked for, destroy machines that nothing claims.

    Of ``deployment``, else of the data directory's, else those past their expiry. What live work
    claims by the data directory's own database is spared. :class:`ProviderError` or
    :class:`Unclear` where the listing is not complete.
    """
    if deployment is None:
        _require_home(settings)
    wanted = deployment or read_claims(settings)[0]
    provider = build_provider(settings, deployment=wanted or "")
    try:
        instances = await provider.instances()
        # after the listing: what was rented meanwhile is claimed, and not listed
        claimed = _claims_if_readable(settings) if deployment else read_claims(settings)[1]
        orphans = find_orphans(instances, deployment=wanted, claimed=claimed, now=time.time())
        proven = set() if dry_run else await end_orphans(provider, orphans)
    finally:
        await provider.close()
    return [Reaped(orphan=each, destroyed=each.instance in proven) for each in orphans]


def _require_home(settings: Settings) -> None:
    """:class:`DatabaseError` in a copied directory: machines of its name are the original's."""
    if not settings.database.exists():
        return
    store = Store(settings.database, clock=time.time)
    try:
        strangeness = find_strangeness(store, settings.data_dir)
    finally:
        store.close()
    if strangeness:
        raise DatabaseError(
            f"{settings.data_dir} is taken for a copy ({strangeness}): say with --deployment "
            "whose machines are meant"
        )


def _claims_if_readable(settings: Settings) -> frozenset[str]:
    """Who names a deployment may have lost its database: then nothing is claimed by it."""
    try:
        return read_claims(settings)[1]
    except DatabaseError as error:
        log.warning("Nothing is spared for %s: %s", settings.data_dir, error)
        return frozenset()


def read_claims(settings: Settings) -> tuple[str | None, frozenset[str]]:
    """This data directory's deployment, and its machines that some work or loop still needs.

    None and nothing where there is no database: none is made.
    """
    if not settings.database.exists():
        return None, frozenset()
    store = Store(settings.database, clock=time.time)
    try:
        claimed = {
            machine.id
            for machine in store.machines.select()
            if machine.state.is_live
            and machine.retire_requested_at is None
            and store.attempts.open_on(machine.id)
        }
        return store.deployment, frozenset(claimed)
    finally:
        store.close()


def restore(settings: Settings, backup: Path, *, keep_deployment: bool) -> Restoration:
    """As :func:`controller.backups.restore`, for the data directory of these settings.

    :class:`AlreadyRunning` while another process works on it.
    """
    lock = _lock(settings)
    if not _acquire(lock):
        raise AlreadyRunning(f"another process works on {settings.data_dir}: end it first")
    try:
        return backups.restore(
            backup, settings.database, keep_deployment=keep_deployment, clock=time.time
        )
    finally:
        lock.release()
