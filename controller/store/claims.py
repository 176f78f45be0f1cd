"""Where results were about to be copied: where a copy that is made late may still be found."""

from __future__ import annotations

from controller.records import Claim
from controller.store.database import Database


class Claims:
    """One for each attempt and key, until nothing can come of it any more."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, job_id: str, attempt: int, key: str) -> None:
        """Write it down; one that is there counts anew from now on."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO claims (job, attempt, key, at)
                   VALUES (:job, :attempt, :key, :now)
                   ON CONFLICT (job, attempt, key) DO UPDATE SET at = excluded.at""",
                job=job_id, attempt=attempt, key=key, now=self._db.clock(),
            )  # fmt: skip

    def of_ended(self) -> list[Claim]:
        """Those of jobs that have ended, each as of then at the earliest."""
        rows = self._db.rows(
            """SELECT job, attempt, key, max(at, ended_at) AS at
               FROM claims JOIN jobs ON jobs.id = claims.job
               WHERE state IN ('done', 'failed', 'cancelled') ORDER BY job, attempt, key"""
        )
        return [Claim.from_row(row) for row in rows]

    def drop(self, job_id: str, attempt: int, key: str, *, until: float = float("inf")) -> None:
        """Remove it, unless it counts from later than ``until``."""
        with self._db.transaction():
            self._db.run(
                """DELETE FROM claims
                   WHERE job = :job AND attempt = :attempt AND key = :key AND at <= :until""",
                job=job_id, attempt=attempt, key=key, until=until,
            )  # fmt: skip
