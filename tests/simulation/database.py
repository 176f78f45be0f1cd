"""The real SQLite, as a process that can die at any commit sees it, on a disk that can fail."""

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import sqlite_utils
from sqlite_utils.utils import sqlite3

from controller.store import database
from tests.simulation.faults import Fault
from tests.simulation.loop import LIFE
from tests.simulation.process import Died, Process

_KEYS = {"jobs": "NEW.id", "attempts": "NEW.job || '/' || NEW.number", "machines": "NEW.id"}
#: Result code and words of SQLite's own.
_ERRORS = {
    Fault.DISK_FULL: (13, "database or disk is full"),
    Fault.IO_ERROR: (10, "disk I/O error"),
}


class Change(NamedTuple):
    """A row that came into being or changed its state, once that was committed."""

    table: str
    id: str
    before: str | None
    after: str
    version_before: int
    version_after: int


class Disk:
    """What the database lies on. ``fault_until`` is in the world's time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.fault: Fault | None = None
        self.fault_until = 0.0
        self.on_change: Callable[[Change], None] = lambda change: None
        self.commits = 0
        self.failures = 0
        self.failed_at = -math.inf
        self.loses_power = False
        """What ends a process now is not its own end alone, but that of the whole computer."""

    def begin_fault(self, fault: Fault, seconds: float) -> None:
        """For so long nothing can be written."""
        self.fault, self.fault_until = fault, self._clock() + seconds

    def require_writable(self) -> None:
        if self.fault is not None and self._clock() < self.fault_until:
            self.failures += 1
            self.failed_at = self._clock()
            code, words = _ERRORS[self.fault]
            error = sqlite3.OperationalError(words)
            error.sqlite_errorcode = code
            raise error


class SimConnection(sqlite_utils.Database):
    """One life's connection; once that life is over, it does nothing at all."""

    def __init__(self, path: Path, process: Process, disk: Disk) -> None:
        self._process = process
        self._disk = disk
        self._pending: list[Change] = []
        self._watches = False
        self._path = path
        super().__init__(path)
        process.on_death.append(self._drop)

    def execute(self, sql, parameters=None):
        if not self._process.alive:
            raise Died
        if sql == "BEGIN IMMEDIATE":
            self._tell()  # of single statements, which have committed themselves
            self._watch()
        elif sql == "COMMIT":
            return self._commit()
        elif sql == "ROLLBACK":
            self._pending.clear()
        return super().execute(sql, parameters)

    def close(self) -> None:
        if self._process.alive:
            super().close()

    def _commit(self):
        # a transaction that changed nothing writes nothing, and cannot fail
        if self.conn.total_changes != self._changes:
            self._process.point("before commit")
            self._disk.require_writable()
        cursor = super().execute("COMMIT")
        if self.conn.total_changes != self._changes:
            self._disk.commits += 1
            self._tell()
            self._process.point("after commit")
        return cursor

    def _tell(self) -> None:
        changes, self._pending = self._pending, []
        for change in changes:
            self._disk.on_change(change)

    def _watch(self) -> None:
        """Have SQLite itself tell of every change of a state, whatever statement made it."""
        self._changes = self.conn.total_changes
        if self._watches:
            return
        self._watches = True
        self.conn.create_function("note_change", 6, self._note)
        for table, key in _KEYS.items():
            self.conn.execute(
                f"""CREATE TEMP TRIGGER new_{table} AFTER INSERT ON main.{table} BEGIN
                    SELECT note_change('{table}', {key}, NULL, NEW.state, 0, NEW.version);
                    END"""
            )
            self.conn.execute(
                f"""CREATE TEMP TRIGGER moved_{table} AFTER UPDATE ON main.{table}
                    WHEN OLD.state != NEW.state OR NEW.version < OLD.version BEGIN
                    SELECT note_change('{table}', {key}, OLD.state, NEW.state,
                                       OLD.version, NEW.version);
                    END"""
            )
        self._changes = self.conn.total_changes

    def _note(self, *values) -> None:
        self._pending.append(Change(*values))

    def _drop(self) -> None:
        # the kernel drops the locks of a process; what was not committed is in the journal only
        with contextlib.suppress(sqlite3.Error):
            kept = self._keep_synced() if self._disk.loses_power else None
            self.conn.close()
            if kept is not None:
                kept.replace(self._path)
        self.conn = _Nothing()

    def _keep_synced(self) -> Path | None:
        """What is on the disk for certain, where that is less than what was committed.

        With ``synchronous=FULL`` each commit was synced. With less, nothing since the last
        checkpoint is certain (sqlite.org/pragma.html#pragma_synchronous).
        """
        (level,) = self.conn.execute("PRAGMA synchronous").fetchone()
        if level >= 2:
            return None
        kept = self._path.with_suffix(".synced")
        shutil.copyfile(self._path, kept)
        return kept


class _Nothing:
    """In the place of a connection whose process is gone."""

    in_transaction = False

    def __getattr__(self, name):
        raise Died


@contextmanager
def simulated_databases(disk: Disk) -> Iterator[None]:
    """Every database that a life of the program opens is one of these meanwhile."""

    def connect(path: Path):
        process = LIFE.get()
        return (
            sqlite_utils.Database(path) if process is None else SimConnection(path, process, disk)
        )

    real = database.sqlite_utils
    database.sqlite_utils = SimpleNamespace(Database=connect)
    try:
        yield
    finally:
        database.sqlite_utils = real
