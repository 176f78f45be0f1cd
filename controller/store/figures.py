"""Figures over whole tables, for those who watch the deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.errors import DatabaseError
from controller.readings import Backlog, Failures, Rows
from controller.states import parse_reason
from controller.store.database import Database, Row
from remote_runner.protocol import Reason as RunnerReason

_OPEN = "('assigned', 'running')"
_ENDS = "('done', 'failed', 'cancelled')"
_HOUR_S = 3600.0
#: Seconds since then fit into the 32 bits that SQLite's header has for its user until 2091.
_HEADER_EPOCH_S = 1_700_000_000
#: A machine that is to go, since the last moment at which something still wanted it.
_UNWANTED = f"""SELECT id, state, max(retire_requested_at, coalesce(
        (SELECT max(a.ended_at) FROM attempts a WHERE a.machine = m.id), 0)) AS since
    FROM machines m
    WHERE state != 'gone' AND retire_requested_at IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM attempts a WHERE a.machine = m.id AND a.state IN {_OPEN})"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Jobs that wait for a machine."""

    length: int
    oldest_s: float
    """How long the first of them has waited; 0 where there is none."""


class Figures:
    """Reads only, but for :meth:`check_writable`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def jobs(self) -> dict[str, int]:
        """By state."""
        rows = self._db.rows("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return {row["state"]: int(row["n"]) for row in rows}

    def machines(self) -> dict[str, tuple[int, float]]:
        """Count and dollars an hour by state, of those that may still cost money."""
        rows = self._db.rows(
            """SELECT state, count(*) AS n, sum(usd_per_hour) AS usd FROM machines
               WHERE state != 'gone' GROUP BY state"""
        )
        return {row["state"]: (int(row["n"]), float(row["usd"])) for row in rows}

    def attempts(self) -> dict[tuple[str, str], int]:
        """By state and reason; those that go on or went well have no reason."""
        rows = self._db.rows(
            """SELECT state, coalesce(reason, '') AS reason, count(*) AS n FROM attempts
               GROUP BY 1, 2"""
        )
        return {(row["state"], row["reason"]): int(row["n"]) for row in rows}

    def queue(self) -> Queue:
        row = self._db.one(
            "SELECT count(*) AS n, min(started_at) AS at FROM jobs WHERE state = 'queued'"
        )
        oldest_s = self._db.clock() - row["at"] if row["at"] is not None else 0.0
        return Queue(length=int(row["n"]), oldest_s=max(0.0, oldest_s))

    def take_rows(self, *, chats: str | None, webhook: str | None) -> Rows:
        """All that one look at the tables tells, but today's money.

        ``chats`` and ``webhook`` name the cursors of those who tell of events; None for those that
        do not. :class:`~controller.errors.DatabaseError` where the tables cannot be read.
        """
        try:
            return self._take_rows(chats, webhook)
        except sqlite3.Error as error:
            raise DatabaseError(f"the figures cannot be read: {error}") from error

    def check_writable(self) -> None:
        """Commit something; :class:`~controller.errors.DatabaseError` where that fails."""
        try:
            with self._db.transaction():
                # in the file's header: in a row it would be a change that wants a backup
                since_s = int(self._db.clock()) - _HEADER_EPOCH_S
                self._db.run(f"PRAGMA user_version = {since_s}")
        except sqlite3.Error as error:
            raise DatabaseError(f"nothing can be committed: {error}") from error

    def written_at(self) -> float | None:
        """When :meth:`check_writable` last succeeded, in whichever process, to the second."""
        since_s = int(self._db.one("PRAGMA user_version")["user_version"])
        return float(_HEADER_EPOCH_S + since_s) if since_s else None

    def _take_rows(self, chats: str | None, webhook: str | None) -> Rows:
        now = self._db.clock()
        live = self._db.one(
            """SELECT count(*) AS n, coalesce(sum(reserved_usd), 0) AS usd FROM machines
               WHERE state != 'gone'"""
        )
        states = self._db.rows(
            f"SELECT state, count(*) AS n FROM attempts WHERE state IN {_OPEN} GROUP BY state"
        )
        waiting = self._db.one(
            """SELECT count(*) AS n FROM jobs
               WHERE state = 'queued' OR (state = 'held' AND held_for = 'no_offer')"""
        )
        unwanted = self._db.rows(_UNWANTED)
        return Rows(
            waiting_jobs=int(waiting["n"]),
            open_attempts={row["state"]: int(row["n"]) for row in states},
            live_machines=int(live["n"]),
            reserved_usd=float(live["usd"]),
            unwanted=_sum_up(unwanted),
            retiring=_sum_up([row for row in unwanted if row["state"] == "retiring"]),
            unanswered=self._find(
                """SELECT id, created_at AS since FROM machines
                   WHERE state IN ('renting', 'unknown')"""
            ),
            expired=self._find(
                """SELECT id, expires_at AS since FROM machines
                   WHERE state != 'gone' AND expires_at < :now""",
                now=now,
            ),
            overdue=self._find(
                f"""SELECT id, deadline_at AS since FROM jobs
                    WHERE state NOT IN {_ENDS} AND deadline_at < :now""",
                now=now,
            ),
            updates=self._find(
                "SELECT id, received_at AS since FROM updates WHERE handled_at IS NULL"
            ),
            chats=self._find_untold(chats) if chats else Backlog(),
            webhook=self._find_untold(webhook, f"AND kind IN {_ENDS}") if webhook else Backlog(),
            webhook_events=self._find_untold(webhook).count if webhook else 0,
            failures=self._find_failures(now - _HOUR_S),
        )

    def _find(self, sql: str, **values: Any) -> Backlog:
        """Of a query for ``id`` and ``since``: how many there are, and the oldest."""
        row = self._db.row(
            f"""SELECT id, since, count(*) OVER () AS n FROM ({sql})
                ORDER BY since, id LIMIT 1""",
            **values,
        )
        if row is None:
            return Backlog()
        return Backlog(count=int(row["n"]), since=float(row["since"]), first=str(row["id"]))

    def _find_untold(self, cursor: str, which: str = "") -> Backlog:
        return self._find(
            f"""SELECT id, at AS since FROM events
                WHERE id > coalesce((SELECT at FROM cursors WHERE name = :cursor), 0) {which}""",
            cursor=cursor,
        )

    def _find_failures(self, since: float) -> tuple[Failures, ...]:
        # SQLite: bare columns beside max() are of the row that has it
        rows = self._db.rows(
            """SELECT reason, count(*) AS n, job, max(ended_at) FROM attempts
               WHERE ended_at >= :since AND state IN ('failed', 'lost') AND reason IS NOT NULL
               GROUP BY reason ORDER BY n DESC, reason""",
            since=since,
        )
        return tuple(
            Failures(reason=row["reason"], count=int(row["n"]), job=row["job"])
            for row in rows
            if not _is_input_fault(row["reason"])
        )


def _sum_up(rows: Sequence[Row]) -> Backlog:
    if not rows:
        return Backlog()
    oldest = min(rows, key=lambda row: (row["since"], row["id"]))
    return Backlog(count=len(rows), since=float(oldest["since"]), first=str(oldest["id"]))


def _is_input_fault(reason: str) -> bool:
    parsed = parse_reason(reason)
    return isinstance(parsed, RunnerReason) and parsed.is_input_fault
