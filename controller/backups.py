"""Backups of the database: which there are, which are kept, and how one takes its place again.

Where several processes may run, whoever restores holds the lock of the data directory.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.errors import BadBackup, DatabaseError
from controller.home import bind, read_note
from controller.store import Store, journal, new_deployment, snapshots
from controller.store.database import BACKUPS
from controller.store.snapshots import Backup, Contents, back_up, find_backups, read_contents

log = logging.getLogger(__name__)

__all__ = [
    "BACKUPS",
    "Backup",
    "Contents",
    "Restoration",
    "Why",
    "back_up",
    "find_backups",
    "find_surplus",
    "last_restoration",
    "read_contents",
    "restore",
]

_NOTE = "restoration"
_A_DAY = 3
"""So many of a day are kept, the newest ones."""
_KEEP_S = 14 * 86400.0
_OPENING_S = 10.0


class Why(StrEnum):
    """What led to a restoration, or to another name."""

    ASKED = "asked"  #: somebody ran ``noxfvr restore``
    DAMAGED = "damaged"  #: the file was damaged, or gone
    JOURNAL = "journal"  #: the journal beside the file was damaged: its changes are lost
    COPIED = "copied"  #: the data directory is a copy of another one


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """The last time that this database did not simply go on."""

    why: Why
    at: float
    backup: str
    """Its file's name; empty where none was taken."""
    as_of: float
    """The moment that the rows are of."""
    deployment: str
    was_deployment: str
    """The name before: another one where machines of it are none of ours any more."""
    set_aside: str
    """The file that was replaced, beside the database; empty where there was none."""
    machines: int
    """How many that the rows know were given up with the name."""
    jobs: int
    """How many jobs have to begin again for that."""
    detail: str = ""
    """What was wrong."""

    @property
    def is_renamed(self) -> bool:
        return self.deployment != self.was_deployment


class Notes(Protocol):
    """What a :class:`~controller.store.Store` remembers by name."""

    def recall(self, name: str) -> str | None: ...


def last_restoration(store: Notes) -> Restoration | None:
    """None where the database was never restored, or the note of it cannot be read, as one of
    another release: nothing stops for that."""
    noted = store.recall(_NOTE)
    if noted is None:
        return None
    try:
        values = read_note(noted, Restoration)
        return Restoration(**values | {"why": Why(values["why"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("The note of the last restoration cannot be read: %r", error)
        return None


def note_restoration(store: Store, restoration: Restoration) -> None:
    """Write it down where :func:`last_restoration` finds it."""
    store.note(_NOTE, json.dumps(asdict(restoration)))


def find_surplus(backups: Sequence[Backup], *, now: float, max_bytes: int) -> list[Backup]:
    """Which of them may go: the older ones of a day, those of two weeks ago, and the oldest
    beyond so many bytes. The newest stays whatever its age and size."""
    kept: list[Backup] = []
    surplus: list[Backup] = []
    days: dict[int, int] = {}
    size = 0
    for backup in sorted(backups, key=lambda each: (each.at, each.path.name), reverse=True):
        day = int(backup.at // 86400)
        days[day] = days.get(day, 0) + 1
        fits = days[day] <= _A_DAY and now - backup.at <= _KEEP_S
        if kept and not (fits and size + backup.bytes <= max_bytes):
            surplus.append(backup)
            continue
        kept.append(backup)
        size += backup.bytes
    return surplus


def restore(
    backup: Path,
    database: Path,
    *,
    keep_deployment: bool,
    clock: Callable[[], float],
    why: Why = Why.ASKED,
    detail: str = "",
) -> Restoration:
    """Put a backup in the place of the database, which stays beside it under another name.

    At every moment the old one or the new one is there, whole. Without ``keep_deployment`` it
    takes a name of its own: two controllers of one name would destroy each other's machines.
    :class:`~controller.errors.BadBackup` where the backup is not whole or of a newer release,
    :class:`~controller.errors.DatabaseError` where something else is in the way: another process
    that has the database open, a full disk. Then nothing is changed.
    """
    _check(backup)
    journal.keep_loss(database)
    damaged = database.exists() and snapshots.find_damage(database) is not None
    new = database.with_suffix(".restoring")
    now = clock()
    aside = _free_name(database, f"{'damaged' if damaged else 'replaced'}-{snapshots.stamp(now)}")
    try:
        snapshots.copy_database(backup, new)
        restoration = _settle(
            new, database, backup, keep_deployment=keep_deployment, clock=clock, why=why,
            set_aside=aside.name if database.exists() else "", detail=detail,
        )  # fmt: skip
        with FileLock(database.with_suffix(".opening"), timeout=_OPENING_S):
            _replace(database, new, aside, damaged=damaged)
            journal.put_away(database, Path(f"{aside}-wal"))
    except (sqlite3.Error, OSError, Timeout) as error:
        raise DatabaseError(f"{backup.name} cannot be restored: {error}") from error
    finally:
        for path in (
            new,
            *(new.with_name(new.name + end) for end in (*journal.SIDES, "-journal")),
        ):
            path.unlink(missing_ok=True)
    return restoration


def _check(backup: Path) -> None:
    if not backup.is_file():
        raise BadBackup(f"{backup}: no such file")
    try:
        damage = snapshots.find_damage(backup, thorough=True)
        step = damage or snapshots.find_unknown_migration(backup)
    except (sqlite3.Error, DatabaseError) as error:
        raise BadBackup(str(error)) from error
    if damage:
        raise BadBackup(f"{backup.name} is not whole: {damage}")
    if step:
        raise BadBackup(f"{backup.name} is of a newer release, which made {step} of it")


def _settle(
    new: Path,
    database: Path,
    backup: Path,
    *,
    keep_deployment: bool,
    clock: Callable[[], float],
    why: Why,
    set_aside: str,
    detail: str,
) -> Restoration:
    """Bring the rows of a copy into the present, before anybody sees it."""
    known = Backup.of(backup)
    as_of = known.at if known else backup.stat().st_mtime
    store = Store(new, clock=clock, back_up=False)
    try:
        with store.transaction():
            old = name = store.deployment
            machines = jobs = 0
            store.ownership.wind_on()  # first: what is told now has a new number as well
            if not keep_deployment:
                name = new_deployment()
                given_up = store.ownership.rename(name, as_of=as_of)
                machines, jobs = given_up.machines, given_up.jobs
            if why is Why.ASKED:
                # else it may still be a copied directory, whose database was copied in the middle
                bind(store, database.parent)
            restoration = Restoration(
                why=why, at=clock(), backup=backup.name, as_of=as_of, deployment=name,
                was_deployment=old, set_aside=set_aside, machines=machines, jobs=jobs,
                detail=detail,
            )  # fmt: skip
            note_restoration(store, restoration)
    finally:
        store.close()
    with snapshots.connect(new) as db:
        db.execute("PRAGMA journal_mode=DELETE").fetchall()
    snapshots.sync(new)
    return restoration


def _replace(database: Path, new: Path, aside: Path, *, damaged: bool) -> None:
    """Rename, once the old file is whole by itself: a journal left beside the new one would be
    played into it."""
    if database.exists() and not damaged:
        if not journal.fold(database):
            raise DatabaseError("another process has the database open: end it first")
    else:
        for end in journal.SIDES:
            with contextlib.suppress(FileNotFoundError):
                database.with_name(database.name + end).replace(f"{aside}{end}")
    if database.exists():
        journal.add_name(database, aside)
    snapshots.sync(database.parent)
    new.replace(database)
    snapshots.sync(database.parent)


def _free_name(database: Path, end: str) -> Path:
    names = (f"{database.name}.{end}", *(f"{database.name}.{end}.{n}" for n in range(1, 1000)))
    return next(path for name in names if not (path := database.with_name(name)).exists())


def show_moment(at: float) -> str:
    """``2026-11-30 15:44 UTC``."""
    return f"{datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M} UTC"
