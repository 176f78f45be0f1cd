"""What the terminal asks of a data directory without running a controller on it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from controller import backups, checkup
from controller.alarms import Alarm
from controller.assembly import build_context
from controller.backups import Restoration
from controller.checkup import Finding
from controller.errors import AlreadyRunning, DatabaseError
from controller.gauges import Gauges
from controller.home import find_strangeness
from controller.orphans import Orphan, end_orphans, find_orphans
from controller.outside import build_provider, build_storage
from controller.settings import Settings
from controller.storage.s3 import S3Storage
from controller.store import Store
from controller.takeover import acquire, find_lock
from controller.vitals import Vitals
from controller.web_checkup import examine_page_rule, examine_pages

log = logging.getLogger(__name__)


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
    lock = find_lock(settings)
    if not acquire(lock):
        raise AlreadyRunning(f"another process works on {settings.data_dir}: end it first")
    try:
        return backups.restore(
            backup, settings.database, keep_deployment=keep_deployment, clock=time.time
        )
    finally:
        lock.release()


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
