"""One connection to SQLite, made durable, and the transactions on it.

Called synchronously on the event loop: a transition costs well under a millisecond, and with no
``async def`` below this line no ``await`` can sit inside a transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlite_utils
from filelock import FileLock, Timeout
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.errors import DatabaseDamaged, DatabaseError, DatabaseFull, DatabaseReplaced
from controller.migrations import migrations
from controller.store import journal, snapshots

#: Older releases can lose committed transactions when two connections checkpoint at once.
FIRST_SAFE_SQLITE = (3, 51, 3)

BACKUPS = "backups"
"""The folder beside the database that its copies are in."""

#: Result codes that say that the disk does not take or give anything now: somebody holds it (a
#: person's shell that is in a transaction), read-only, I/O error, full, no journal.
_FULL = frozenset({5, 8, 10, 13, 14})
#: Of these, what only a writer meets: read-only, full.
_OF_WRITERS = frozenset({8, 13})
#: Extended ones that also a writer meets as it reads: SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ.
_OF_READERS = frozenset({266, 522})

Row = Mapping[str, Any]


class Database:
    """Opens, migrates and checks the file; errors are :class:`DatabaseError`.

    One that is not new is copied before it is migrated, unless ``back_up`` is False. A statement
    raises :class:`DatabaseFull` where nothing can be written or read now, and
    :class:`DatabaseDamaged` where the file is not whole: then so does every later one.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float], back_up: bool = True) -> None:
        self.clock = clock
        self.listeners: list[Callable[[], None]] = []
        """Called after every commit."""
        self.damage: DatabaseDamaged | None = None
        self.on_damage: list[Callable[[], None]] = []
        """Called once, by the statement that finds the file damaged."""
        self._path = path
        self._depth = 0
        check_sqlite(sqlite3.sqlite_version_info)
        try:
            # before SQLite makes it, so that its journal beside it is as private
            path.touch(mode=0o600)
            # two processes that start at once must not both find a step undone
            with FileLock(path.with_suffix(".opening"), timeout=60):
                journal.keep_loss(path)
                self._db = sqlite_utils.Database(path)
                self._configure()
                self._migrate(back_up=back_up)
                self._file = path.stat()
        except (sqlite3.Error, OSError, Timeout) as error:
            raise DatabaseError(f"{path.name} cannot be opened: {error}") from error

    def _configure(self) -> None:
        for pragma in (
            "busy_timeout=10000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "wal_autocheckpoint=1000",
        ):
            self._db.execute(f"PRAGMA {pragma}")

    def _migrate(self, *, back_up: bool) -> None:
        due = migrations.pending(self._db)
        if due and back_up and migrations.applied(self._db):
            try:
                snapshots.back_up(
                    self._path, self._path.parent / BACKUPS, why="migration", clock=self.clock
                )
            except DatabaseError as error:
                raise DatabaseError(
                    f"{self._path.name} is not brought up to date without a backup: {error}"
                ) from error
        migrations.apply(self._db)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """``BEGIN IMMEDIATE`` … ``COMMIT``; inside another one it is part of that."""
        if self._depth:
            yield
            return
        with self._translated(writes=True):
            self._db.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            with self._translated(writes=True):
                self._db.execute("COMMIT")
        except BaseException:
            # of a damaged file nothing more is asked
            if self._db.conn.in_transaction and self.damage is None:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0
        for listener in self.listeners:
            listener()

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Rows of a query, or of a statement with ``RETURNING`` inside a transaction."""
        with self._translated():
            # sqlite_utils' own query() takes a savepoint around each, in case it returns no rows
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, **values: Any) -> Row | None:
        return next(iter(self.rows(sql, **values)), None)

    def one(self, sql: str, **values: Any) -> Row:
        """The row that such a statement always has."""
        row = self.row(sql, **values)
        if row is None:
            raise DatabaseError(f"no row from: {sql}")
        return row

    def run(self, sql: str, **values: Any) -> int:
        """A statement without rows; returns how many it changed."""
        with self._translated(writes=True):
            return int(self._db.execute(sql, values).rowcount)

    @contextmanager
    def _translated(self, *, writes: bool = False) -> Iterator[None]:
        """SQLite's errors of the file as ours; those of a statement or a rule stay as they are.

        What is in a transaction is taken for writing.
        """
        if self.damage is not None:
            raise self.damage
        try:
            yield
        except sqlite3.DatabaseError as error:
            reason = snapshots.code(error)
            if reason in _FULL:
                writes = writes or self._depth > 0 or reason in _OF_WRITERS
                if getattr(error, "sqlite_errorcode", 0) in _OF_READERS:
                    writes = False
                what = "written to" if writes else "read from"
                raise DatabaseFull(f"nothing can be {what} {self._path.name}: {error}") from error
            if reason not in snapshots.DAMAGED:
                raise
            raise self.declare_damaged(str(error)) from error

    def declare_damaged(self, detail: str) -> DatabaseDamaged:
        """From here on every statement raises what is returned."""
        return self._declare(
            DatabaseDamaged(
                f"{self._path.name} is damaged ({detail}): this process ends, and the next start "
                "restores the newest backup"
            )
        )

    def declare_replaced(self) -> None:
        """The same, where what is open is not what belongs to the directory any more."""
        self._declare(
            DatabaseReplaced(
                f"{self._path.name} was restored or renamed by another process: start this one "
                "again"
            )
        )

    def _declare(self, damage: DatabaseDamaged) -> DatabaseDamaged:
        if self.damage is None:
            self.damage = damage
            for listener in self.on_damage:
                listener()
        return self.damage

    @property
    def is_replaced(self) -> bool:
        """Whether the file that is open is not the one under the name any more."""
        try:
            return not os.path.samestat(self._path.stat(), self._file)
        except FileNotFoundError:
            return True

    def close(self) -> None:
        self._db.close()


def check_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a release with the WAL-reset bug (fixed in 3.51.3, and in 3.44.6 and 3.50.7)."""
    backported = version[:2] in ((3, 44), (3, 50)) and version >= (
        (3, 44, 6) if version[:2] == (3, 44) else (3, 50, 7)
    )
    if version >= FIRST_SAFE_SQLITE or backported or "NOXFVR_ALLOW_OLD_SQLITE" in os.environ:
        return
    raise DatabaseError(
        f"SQLite {'.'.join(map(str, version))} can lose committed data; "
        "install pysqlite3>=0.6.1, which brings a newer one"
    )
