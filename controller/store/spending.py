"""What was spent, in SQL: by machines in a time, and by the jobs of people.

A machine costs its price from the create call until it is proven gone, and the traffic that was
moved, which counts when it was created. A job costs the price of its machine while it was on it,
and the traffic of its own input and result. What is left is what machines cost idle.
"""

from __future__ import annotations

from controller.records import UserSpend
from controller.store.database import Database

#: An attempt for which no machine came about has cost nothing.
_ATTEMPTS = """attempts a JOIN machines m ON m.id = a.machine JOIN jobs j ON j.id = a.job
    WHERE coalesce(a.reason, '') != 'rent_failed'
      AND a.assigned_at < :until AND coalesce(a.ended_at, :now) >= :since"""
_ATTEMPT_USD = """m.usd_per_hour / 3600
    * max(0, min(coalesce(a.ended_at, :now), :until) - max(a.assigned_at, :since))
    + CASE WHEN a.assigned_at >= :since THEN a.traffic_usd ELSE 0 END"""
_FOR_EVER = 9e15


class Spending:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def machines_usd(self, since: float, until: float) -> float:
        """What machines cost within this time, idle ones too; until now at most."""
        row = self._db.one(
            """SELECT coalesce(sum(
                   usd_per_hour / 3600
                       * max(0, min(coalesce(gone_at, :now), :until) - max(created_at, :since))
                   + CASE WHEN created_at >= :since THEN traffic_usd ELSE 0 END), 0) AS usd
               FROM machines
               WHERE created_at < :until AND coalesce(gone_at, :now) >= :since""",
            now=self._db.clock(), since=since, until=until,
        )  # fmt: skip
        return float(row["usd"])

    def jobs_done(self, since: float, until: float) -> int:
        row = self._db.one(
            """SELECT count(*) AS n FROM jobs WHERE state = 'done' AND sample_of IS NULL
               AND ended_at >= :since AND ended_at < :until""",
            since=since, until=until,
        )  # fmt: skip
        return int(row["n"])

    def by_user(self, since: float) -> list[UserSpend]:
        """Of attempts that were on a machine since then, their time since then; dearest first."""
        rows = self._db.rows(
            f"""SELECT j.owner AS owner, sum({_ATTEMPT_USD}) AS usd,
                       count(DISTINCT j.id) AS jobs
                FROM {_ATTEMPTS} GROUP BY j.owner ORDER BY usd DESC, owner""",
            now=self._db.clock(), since=since, until=_FOR_EVER,
        )  # fmt: skip
        return [
            UserSpend(owner=row["owner"], usd=float(row["usd"]), jobs=int(row["jobs"]))
            for row in rows
        ]

    def of_user(self, user: int, since: float) -> float:
        row = self._db.one(
            f"SELECT coalesce(sum({_ATTEMPT_USD}), 0) AS usd FROM {_ATTEMPTS} AND j.owner = :user",
            now=self._db.clock(), since=since, until=_FOR_EVER, user=user,
        )  # fmt: skip
        return float(row["usd"])
