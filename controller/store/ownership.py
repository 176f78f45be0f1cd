"""What becomes of rows when a database takes another deployment's name, or goes back in time."""

from __future__ import annotations

import json
from dataclasses import dataclass

from controller.states import JobState, Reason
from controller.store.database import Database

_OPEN = "('assigned', 'running')"
#: Orders that a machine may have had since; it obeys no lower number than the last it saw.
_ORDERS_SINCE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Disowned:
    """What was given up with a name."""

    machines: int
    jobs: int
    """That ran on them, and have to begin again or ended."""


class Ownership:
    """Each call is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def rename(self, deployment: str, *, as_of: float) -> Disowned:
        """Take another name. Machines under the old one are none of ours from here on.

        Money is counted until ``as_of``: what came later is in another ledger, or in none. Jobs
        that ran on them wait in the queue again; one that was to be cancelled is.
        """
        now = self._db.clock()
        with self._db.transaction():
            self._db.run(
                "UPDATE meta SET value = :name WHERE name = 'deployment'", name=deployment
            )
            jobs = self._release_jobs(now, as_of)
            machines = self._db.run(
                """UPDATE machines SET state = 'gone', gone_at = max(created_at, :as_of),
                          disowned_at = :now, retire_reason = :reason, version = version + 1
                   WHERE state != 'gone'""",
                as_of=as_of, now=now, reason=Reason.RESTORED,
            )  # fmt: skip
        return Disowned(machines=machines, jobs=jobs)

    def wind_on(self) -> None:
        """Go on from an older state of this database beside what the outside has seen since.

        Numbers that others compare go above all that were given out: of events, and of orders. And
        the platform is asked for every update that it still holds: what was handled is known here.
        """
        with self._db.transaction():
            number = int(self._db.clock() * 1000)
            newest = self._db.one("SELECT coalesce(max(id), 0) AS id FROM events")["id"]
            self._db.run("DELETE FROM sqlite_sequence WHERE name = 'events'")
            self._db.run(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', :number)",
                number=max(number, newest),
            )
            self._db.run(
                """UPDATE machines SET orders_sequence = orders_sequence + :more
                   WHERE state != 'gone'""",
                more=_ORDERS_SINCE,
            )
            self._db.run("DELETE FROM offsets")

    def _release_jobs(self, now: float, as_of: float) -> int:
        rows = self._db.rows(
            f"""UPDATE attempts SET state = 'lost', ended_at = :now, reason = :reason,
                       version = version + 1
                WHERE state IN {_OPEN} RETURNING job, number, machine, assigned_at, traffic_usd""",
            now=now, reason=Reason.RESTORED,
        )  # fmt: skip
        for row in rows:
            job = self._db.one("SELECT * FROM jobs WHERE id = :id", id=row["job"])
            hours = max(0.0, as_of - row["assigned_at"]) / 3600
            price = self._db.one(
                "SELECT usd_per_hour FROM machines WHERE id = :id", id=row["machine"]
            )["usd_per_hour"]
            cancelled = job["cancel_requested_at"] is not None
            to = JobState.CANCELLED if cancelled else JobState.QUEUED
            reason = Reason.USER if cancelled else Reason.RESTORED
            self._db.run(
                """UPDATE jobs SET state = :state, cost_usd = cost_usd + :usd, not_before = :now,
                          ended_at = CASE WHEN :cancelled THEN :now END,
                          reason = CASE WHEN :cancelled THEN :reason END,
                          version = version + 1
                   WHERE id = :id AND state = 'running'""",
                state=to, usd=hours * price + row["traffic_usd"], now=now, cancelled=cancelled,
                reason=reason, id=row["job"],
            )  # fmt: skip
            self._db.run(
                "INSERT INTO events (at, job, kind, data) VALUES (:now, :job, :kind, :data)",
                now=now, job=row["job"], kind="cancelled" if cancelled else "retrying",
                data=json.dumps({"reason": str(reason), "number": row["number"]}),
            )  # fmt: skip
        return len(rows)
