"""Attempts in SQL: every move is guarded by the state it may come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from controller.records import Attempt, Job
from controller.states import ATTEMPT_MOVES, AttemptState
from controller.store.database import Database
from controller.store.jobs import plain


class Attempts:
    """Reads and moves attempts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, job: Job, machine: str, deadline_at: float, traffic_usd: float = 0.0) -> Attempt:
        row = self._db.one(
            """INSERT INTO attempts
                 (job, number, machine, state, assigned_at, deadline_at, traffic_usd)
               VALUES (:job, :number, :machine, 'assigned', :now, :deadline_at, :traffic_usd)
               RETURNING *""",
            job=job.id, number=job.attempts, machine=machine, now=self._db.clock(),
            deadline_at=deadline_at, traffic_usd=traffic_usd,
        )  # fmt: skip
        return Attempt.from_row(row)

    def of_job(self, job_id: str) -> list[Attempt]:
        """All attempts of a job, oldest first."""
        rows = self._db.rows("SELECT * FROM attempts WHERE job = :job ORDER BY number", job=job_id)
        return [Attempt.from_row(row) for row in rows]

    def open_on(self, machine_id: str) -> Attempt | None:
        row = self._db.row(
            "SELECT * FROM attempts WHERE machine = :m AND state IN ('assigned', 'running')",
            m=machine_id,
        )
        return Attempt.from_row(row) if row else None

    def traffic_usd(self, machine_id: str) -> float:
        """What moving the inputs and results of a machine's attempts was reckoned at."""
        row = self._db.one(
            "SELECT coalesce(sum(traffic_usd), 0) AS usd FROM attempts WHERE machine = :m",
            m=machine_id,
        )
        return float(row["usd"])

    def warn(self, attempt: Attempt, lines: Sequence[str]) -> None:
        """Keep lines of its log that speak of errors, the newest fifty."""
        with self._db.transaction():
            row = self._db.one(
                "SELECT warnings FROM attempts WHERE job = :job AND number = :number",
                job=attempt.job, number=attempt.number,
            )  # fmt: skip
            kept = [*json.loads(row["warnings"]), *lines][-50:]
            self._db.run(
                "UPDATE attempts SET warnings = :kept WHERE job = :job AND number = :number",
                kept=json.dumps(kept), job=attempt.job, number=attempt.number,
            )  # fmt: skip

    def move(self, attempt: Attempt, to: AttemptState, **columns: Any) -> Attempt | None:
        if to not in ATTEMPT_MOVES[attempt.state]:
            raise ValueError(f"an attempt never moves from {attempt.state} to {to}")
        return self.change(attempt, state=to, **columns)

    def change(self, attempt: Attempt, **columns: Any) -> Attempt | None:
        """Change an attempt as it was read; None when somebody was faster."""
        columns = {name: plain(value) for name, value in columns.items()}
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self._db.transaction():
            row = self._db.row(
                f"""UPDATE attempts SET {assignments}, version = version + 1
                    WHERE job = :_job AND number = :_number AND state = :_state
                      AND version = :_version RETURNING *""",
                **columns, _job=attempt.job, _number=attempt.number, _state=attempt.state,
                _version=attempt.version,
            )  # fmt: skip
        return Attempt.from_row(row) if row else None
