"""Lists of jobs for people, a page at a time, in SQL."""

from __future__ import annotations

import json
from collections.abc import Collection

from controller.records import Job
from controller.states import JobState
from controller.store.database import Database

#: None means any; samples are shown by the drafts they belong to, unless they are asked for.
_WHERE = """state IN (SELECT value FROM json_each(:states))
    AND (:owner IS NULL OR owner = :owner) AND (:chat IS NULL OR chat = :chat)
    AND (:ended_after IS NULL OR ended_at >= :ended_after)
    AND (:samples OR sample_of IS NULL)"""
#: What runs, then the queue in its order, then what waits for people, then what has ended.
_ORDER = """CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 WHEN 'held' THEN 2
                       WHEN 'draft' THEN 3 ELSE 4 END,
    CASE WHEN state = 'queued' THEN -priority ELSE 0 END,
    -coalesce(ended_at, 0), coalesce(started_at, created_at), id"""


class Listings:
    """Reads only."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def page(
        self,
        *,
        states: Collection[JobState],
        owner: int | None,
        chat: int | None,
        ended_after: float | None,
        samples: bool,
        limit: int,
        offset: int,
    ) -> tuple[list[Job], int]:
        """Some of the jobs that fit, and how many there are."""
        values = {
            "states": json.dumps(list(states)), "owner": owner, "chat": chat,
            "ended_after": ended_after, "samples": samples,
        }  # fmt: skip
        total = self._db.one(f"SELECT count(*) AS n FROM jobs WHERE {_WHERE}", **values)["n"]
        rows = self._db.rows(
            f"SELECT * FROM jobs WHERE {_WHERE} ORDER BY {_ORDER} LIMIT :limit OFFSET :offset",
            **values, limit=limit, offset=offset,
        )  # fmt: skip
        return [Job.from_row(row) for row in rows], int(total)

    def owners(self, states: Collection[JobState]) -> list[tuple[int, int]]:
        """Whose jobs these are and how many each has, most first."""
        rows = self._db.rows(
            """SELECT owner, count(*) AS n FROM jobs
               WHERE state IN (SELECT value FROM json_each(:states)) AND sample_of IS NULL
               GROUP BY owner ORDER BY n DESC, owner""",
            states=json.dumps(list(states)),
        )
        return [(int(row["owner"]), int(row["n"])) for row in rows]
