"""Copies of the database, whole and checked, and what tells a whole file from a damaged one.

A copy is made with SQLite's backup API from one read transaction, so that it is of one moment
however much is written meanwhile, and nobody who writes waits for it. It gets its name only when
it was checked and lies on the disk.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.errors import DatabaseDamaged, DatabaseError
from controller.migrations import migrations

#: How long a look at a file may take before the start; a larger one is looked at in part.
CHECK_S = 10.0
_PAGES_A_STEP = 256
_BUSY_S = 10.0
_PROGRESS_OPCODES = 10_000
_STALE_S = 3600.0
_NAME = re.compile(r"noxfvr-(\d{8}T\d{6}Z)(?:\.\d+)?-([a-z]+)\.db")
_PARTIAL = ".partial"
_TABLES = frozenset({"meta", "jobs", "attempts", "machines"})
_INTERRUPTED = 9
#: Result codes that say that a file is damaged, or none of SQLite's.
DAMAGED = frozenset({11, 26})
#: Result codes that speak of what the file holds: a table that is missing, damage, no database.
_OF_CONTENT = DAMAGED | {1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A finished copy, as its name tells of it."""

    path: Path
    at: float
    why: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """None where the name is not one of ours, or the file has gone."""
        match = _NAME.fullmatch(path.name)
        if match is None:
            return None
        try:
            at, size = read_stamp(match[1]), path.stat().st_size
        except FileNotFoundError:
            return None
        return None if at is None else cls(path=path, at=at, why=match[2], bytes=size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a database holds, for people who choose."""

    deployment: str
    jobs: int
    machines: int
    """Those that were not proven gone then."""


def read_contents(path: Path) -> Contents:
    """:class:`~controller.errors.DatabaseError` where the file is none of ours, or not whole."""
    try:
        with connect(path) as db:
            name, jobs, machines = db.execute(
                """SELECT (SELECT value FROM meta WHERE name = 'deployment'),
                          (SELECT count(*) FROM jobs),
                          (SELECT count(*) FROM machines WHERE state != 'gone')"""
            ).fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path.name} cannot be read: {error}") from error
    return Contents(deployment=name or "", jobs=jobs, machines=machines)


def find_backups(folder: Path) -> list[Backup]:
    """All finished copies in a folder, the newest first."""
    found = [Backup.of(path) for path in folder.glob("noxfvr-*.db")]
    return sorted(
        (each for each in found if each), key=lambda each: (each.at, each.path.name), reverse=True
    )


def back_up(database: Path, folder: Path, *, why: str, clock: Callable[[], float]) -> Path:
    """Copy a database that may be in use; the path of the finished, checked copy.

    ``why`` is a word of lower-case letters. :class:`~controller.errors.DatabaseError` where it
    cannot be done, :class:`~controller.errors.DatabaseDamaged` where what was copied is not
    whole; then nothing is left of it. It takes its time: not for the event loop.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_stale(folder, clock())
        target = _free_name(folder, why, clock())
        partial = target.with_name(target.name + _PARTIAL)
        try:
            copy_database(database, partial)
            if damage := find_damage(partial):
                raise DatabaseDamaged(f"the copy of {database.name} is not whole: {damage}")
            partial.replace(target)
            sync(folder)
        except BaseException:
            _remove(partial)
            raise
    except (sqlite3.Error, OSError) as error:
        kind = DatabaseDamaged if code(error) in DAMAGED else DatabaseError
        raise kind(f"{database.name} cannot be backed up: {error}") from error
    return target


def copy_database(source: Path, target: Path) -> None:
    """A copy of one moment: private, one file, on the disk. Errors are SQLite's and the OS's."""
    _remove(target)
    target.touch(mode=0o600)
    with connect(source) as reader, connect(target) as writer:
        # the backup API would begin anew with every commit of another connection
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        reader.backup(writer, pages=_PAGES_A_STEP, sleep=0)
        reader.execute("ROLLBACK")
        # one file that needs no journal beside it
        writer.execute("PRAGMA journal_mode=DELETE").fetchall()
    sync(target)


def find_damage(
    path: Path, *, thorough: bool = False, within_s: float | None = None
) -> str | None:
    """What is wrong with a database's file, or None. A check that takes too long found nothing.

    Every page and index, the references between tables, and that the tables are ours.
    :class:`~controller.errors.DatabaseError` where the file cannot be read, whatever it holds.
    """
    check = "integrity_check" if thorough else "quick_check"
    try:
        with connect(path) as db:
            if within_s is not None:
                _limit(db, within_s)
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema")}
            if missing := _TABLES - tables:
                return f"it has no table {min(missing)}"
            if (said := db.execute(f"PRAGMA {check}(1)").fetchone()[0]) != "ok":
                return " ".join(str(said).split())
            if row := db.execute("PRAGMA foreign_key_check").fetchone():
                return f"a row of {row[0]} refers to none of {row[2]}"
    except sqlite3.Error as error:
        if code(error) == _INTERRUPTED:
            return None
        if code(error) not in _OF_CONTENT:
            raise DatabaseError(f"{path.name} cannot be read: {error}") from error
        return str(error)
    return None


def is_blank(path: Path) -> bool:
    """Whether there is nothing in it yet, or no file: a first start comes, or was killed."""
    if not path.exists() or not path.stat().st_size:
        return True
    try:
        with connect(path) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema")]
    except sqlite3.Error:
        return False
    return not any(name in _TABLES for name in tables)


def find_unknown_migration(path: Path) -> str | None:
    """A step of the database's history that this release does not know: a newer one made it."""
    known = {each.name for each in migrations._migrations}
    with connect(path) as db:
        rows = db.execute(
            "SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (migrations.name,)
        )
        return next((name for (name,) in rows if name not in known), None)


@contextlib.contextmanager
def connect(path: Path) -> Iterator[Any]:
    """A connection of its own to an existing file, without transactions of its own making."""
    with contextlib.closing(
        sqlite3.connect(
            f"file:{_quote(path)}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None
        )
    ) as db:
        yield db


def code(error: Exception) -> int:
    """SQLite's primary result code of an error; 0 where it has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def have_same_content(one: Path, other: Path) -> bool:
    """Whether two copies hold the same pages; counters in the file's header do not matter."""
    with one.open("rb") as first, other.open("rb") as second:
        if os.fstat(first.fileno()).st_size != os.fstat(second.fileno()).st_size:
            return False
        first.seek(100)
        second.seek(100)
        while block := first.read(1 << 20):
            if block != second.read(1 << 20):
                return False
    return True


def sync(path: Path) -> None:
    """What was written to a file, or renamed in a folder, survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(at: float) -> str:
    """``20261130T154438Z``."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")


def read_stamp(text: str) -> float | None:
    """The moment of a :func:`stamp`; None where there is no such day or hour."""
    try:
        moment = datetime.datetime.strptime(f"{text}+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return None
    return moment.timestamp()


def _free_name(folder: Path, why: str, now: float) -> Path:
    base = f"noxfvr-{stamp(now)}"
    names = (f"{base}-{why}.db", *(f"{base}.{n}-{why}.db" for n in range(1, 1000)))
    return next(path for name in names if not (path := folder / name).exists())


def _remove_stale(folder: Path, now: float) -> None:
    """What a process left that died while it copied."""
    for path in folder.glob(f"noxfvr-*{_PARTIAL}*"):
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime > _STALE_S:
                path.unlink()


def _remove(path: Path) -> None:
    for each in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm"))):
        each.unlink(missing_ok=True)


def _limit(db: Any, within_s: float) -> None:
    ends_at = time.monotonic() + within_s
    db.set_progress_handler(lambda: time.monotonic() > ends_at, _PROGRESS_OPCODES)


def _quote(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
