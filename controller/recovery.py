"""What happens before a controller opens its database: is it whole, and is it at home here?

For whoever holds the lock of the data directory: so the other one of this deployment is proven
dead, and a restored database keeps its name.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from controller import backups
from controller.backups import BACKUPS, Restoration, Why, note_restoration
from controller.errors import BadBackup, DatabaseDamaged, DatabaseError, DatabaseFull
from controller.home import bind, find_strangeness
from controller.store import Store, journal, new_deployment, snapshots

log = logging.getLogger(__name__)


def recover(database: Path, *, clock: Callable[[], float]) -> None:
    """Make sure that the file is whole, by the newest backup that is if it is not.

    :class:`~controller.errors.DatabaseDamaged` where there is none: nothing is changed then.
    """
    _remove_leftovers(database)
    # before anything else opens the file: SQLite drops a journal that it cannot read
    loss = journal.keep_loss(database)
    if snapshots.is_blank(database):
        if backups.find_backups(database.parent / BACKUPS):
            _restore_newest(database, "there is nothing in it", clock)
    elif damage := snapshots.find_damage(database, within_s=snapshots.CHECK_S):
        _restore_newest(database, damage, clock)
    elif loss:
        _note_loss(database, loss, clock)


def settle_home(store: Store, folder: Path, *, keep_deployment: bool, now: float) -> None:
    """Take a new name where this directory is a copy of another one, unless told to keep it.

    :class:`~controller.errors.DatabaseError` where a copy cannot be given one.
    """
    try:
        strangeness = find_strangeness(store, folder)
        if strangeness is not None and not keep_deployment:
            _take_another_name(store, folder, strangeness, now)
            return
    except OSError as error:
        raise DatabaseError(f"the name of {folder} cannot be settled: {error}") from error
    if strangeness:
        log.warning("Deployment %s is kept as told: %s", store.deployment, strangeness)
    try:
        bind(store, folder)
    except (OSError, DatabaseFull) as error:
        # what is no copy must start on a full disk as well
        log.warning("Where this database is at home is not noted: %s", error)


def _take_another_name(store: Store, folder: Path, strangeness: str, now: float) -> None:
    with store.transaction():
        old, name = store.deployment, new_deployment()
        store.ownership.wind_on()
        given_up = store.ownership.rename(name, as_of=now)
        bind(store, folder)
        restoration = Restoration(
            why=Why.COPIED, at=now, backup="", as_of=now, deployment=name, was_deployment=old,
            set_aside="", machines=given_up.machines, jobs=given_up.jobs, detail=strangeness,
        )  # fmt: skip
        note_restoration(store, restoration)
    log.warning(
        "This data directory is taken for a copy (%s): its deployment is %s from now on. "
        "Machines of %s are not its own: if nothing else runs them, end them with "
        "`noxfvr reap --deployment %s`",
        strangeness, name, old, old,
    )  # fmt: skip


def _restore_newest(database: Path, damage: str, clock: Callable[[], float]) -> None:
    folder, now = database.parent / BACKUPS, clock()
    # one of a time to come was made while the computer's clock was wrong: it may be older
    for backup in sorted(backups.find_backups(folder), key=lambda each: each.at > now):
        try:
            done = backups.restore(
                backup.path, database, keep_deployment=True, clock=clock, why=Why.DAMAGED,
                detail=damage,
            )  # fmt: skip
        except BadBackup as error:
            log.warning("%s is of no use: %s", backup.path.name, error)
            continue
        log.error(
            "%s was damaged (%s) and is restored from %s, of %s; %s. What changed since is known "
            "only as far as storage, machines and Telegram still tell",
            database.name, damage, backup.path.name, backups.show_moment(backup.at),
            f"the damaged file is {done.set_aside}" if done.set_aside else "it was not there",
        )  # fmt: skip
        return
    raise DatabaseDamaged(
        f"{database.name} is damaged ({damage}) and there is no good backup in {folder}: nothing "
        f"was changed. Restore a copy of your own with `noxfvr restore FILE`, or move "
        f"{database} away to begin anew; `noxfvr reap` ends machines that are left"
    )


def _note_loss(database: Path, loss: str, clock: Callable[[], float]) -> None:
    """The file is whole, and newer than any backup; what its journal held is lost."""
    now = clock()
    aside = database.with_name(f"{database.name}.damaged-{snapshots.stamp(now)}-wal")
    store = Store(database, clock=clock)
    try:
        with store.transaction():
            store.ownership.wind_on()
            restoration = Restoration(
                why=Why.JOURNAL, at=now, backup="", as_of=now, deployment=store.deployment,
                was_deployment=store.deployment, set_aside=aside.name, machines=0, jobs=0,
                detail=loss,
            )  # fmt: skip
            note_restoration(store, restoration)
    finally:
        store.close()
    journal.end(database)
    journal.put_away(database, aside)
    log.error("The newest changes of %s are lost: %s; the rest is whole", database.name, loss)


def _remove_leftovers(database: Path) -> None:
    """What was killed on the way: a copy half made, a second name of this file."""
    for name in (f"{database.stem}.restoring*", f"{database.name}.*.partial"):
        for path in database.parent.glob(name):
            path.unlink(missing_ok=True)
    for path in database.parent.glob(f"{database.name}.*-*"):
        # another process that opens it may just have put its partial copy in its place
        with contextlib.suppress(FileNotFoundError):
            if path.samefile(database):
                path.unlink()
