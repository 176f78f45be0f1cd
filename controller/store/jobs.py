"""Jobs in SQL: every move is guarded by the states it may come from."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from controller.records import Job
from controller.states import JOB_MOVES, JobState
from controller.store.database import Database
from remote_runner.protocol import Facts, Result, Status, Task, to_json

_QUEUE_ORDER = "priority DESC, started_at, id"


class Jobs:
    """Reads and moves jobs; each move writes its event in the same transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, job: Job, event: str) -> Job:
        """Insert, or return the job that the same request made before."""
        with self._db.transaction():
            known = self.by_request(job.request_key)
            if known:
                return known
            columns = (
                "id", "request_key", "owner", "chat", "reply_to", "language", "state",
                "source_key", "source_name", "source_bytes", "source_is_ours", "source_etag",
                "created_at", "deadline_at", "started_at", "predecessor", "batch", "sample_of",
                "priority", "held_for", "held_data", "approved_usd_per_hour", "approved_usd",
                "approved_s", "approved_by",
            )  # fmt: skip
            values = {name: plain(getattr(job, name)) for name in columns}
            values |= {"task": to_json(job.task), "facts": to_json(job.facts)}
            names = ", ".join(values)
            self._db.run(
                f"INSERT INTO jobs ({names}) VALUES ({', '.join(f':{n}' for n in values)})",
                **values,
            )
            self.record(job.id, event)
        return self.get(job.id)

    def get(self, job_id: str) -> Job:
        row = self._db.row("SELECT * FROM jobs WHERE id = :id", id=job_id)
        if row is None:
            raise KeyError(job_id)
        return Job.from_row(row)

    def by_request(self, key: str) -> Job | None:
        row = self._db.row("SELECT * FROM jobs WHERE request_key = :key", key=key)
        return Job.from_row(row) if row else None

    def done_with(self, etag: str) -> list[Job]:
        """Finished jobs on the same input content, newest first."""
        rows = self._db.rows(
            """SELECT * FROM jobs WHERE source_etag = :etag AND source_etag != ''
               AND state = 'done' AND sample_of IS NULL ORDER BY ended_at DESC LIMIT 100""",
            etag=etag,
        )
        return [Job.from_row(row) for row in rows]

    def by_suffix(self, suffix: str) -> list[Job]:
        """Jobs whose id ends like this, whatever the case; ids of 6 to 26 characters."""
        # a whole id is found by its index, and that is what buttons have
        where = "id = :suffix" if len(suffix) == 26 else "substr(id, -:length) = :suffix"
        rows = self._db.rows(
            f"SELECT * FROM jobs WHERE {where}", length=len(suffix), suffix=suffix.upper()
        )
        return [Job.from_row(row) for row in rows]

    def select(
        self,
        *,
        states: Collection[JobState] = tuple(JobState),
        owner: int | None = None,
        samples: bool = True,
        limit: int = 1000,
        offset: int = 0,
        newest_first: bool = False,
    ) -> list[Job]:
        order = "DESC" if newest_first else "ASC"
        rows = self._db.rows(
            f"""SELECT * FROM jobs
                WHERE state IN (SELECT value FROM json_each(:states))
                  AND (:owner IS NULL OR owner = :owner)
                  AND (:samples OR sample_of IS NULL)
                ORDER BY created_at {order}, id {order} LIMIT :limit OFFSET :offset""",
            states=json.dumps(list(states)), owner=owner, samples=samples, limit=limit,
            offset=offset,
        )  # fmt: skip
        return [Job.from_row(row) for row in rows]

    def in_chat(self, chat: int, ended_after: float | None) -> list[Job]:
        """Started jobs of a chat, neither of a batch nor samples, oldest start first.

        Those that have not ended, or those that have, since ``ended_after``.
        """
        rows = self._db.rows(
            """SELECT * FROM jobs WHERE chat = :chat AND batch IS NULL AND sample_of IS NULL
                 AND started_at IS NOT NULL
                 AND CASE WHEN :after IS NULL THEN state IN ('held', 'queued', 'running')
                     ELSE ended_at > :after END
               ORDER BY started_at, id LIMIT 500""",
            chat=chat, after=ended_after,
        )  # fmt: skip
        return [Job.from_row(row) for row in rows]

    def move(
        self,
        job: Job,
        to: JobState,
        *,
        event: str,
        data: dict[str, Any] | None = None,
        **columns: Any,
    ) -> Job | None:
        """Move a job as it was read; None when somebody was faster: look again."""
        if to not in JOB_MOVES[job.state]:
            raise ValueError(f"a job never moves from {job.state} to {to}")
        with self._db.transaction():
            row = self._update(job, state=to, **columns)
            if row is None:
                return None
            self.record(job.id, event, data)
        return Job.from_row(row)

    def change(
        self,
        job: Job,
        *,
        event: str | None = None,
        data: dict[str, Any] | None = None,
        **columns: Any,
    ) -> Job | None:
        """Change columns of a job as it was read, without moving it; None as in :meth:`move`."""
        with self._db.transaction():
            row = self._update(job, **columns)
            if row is None:
                return None
            if event:
                self.record(job.id, event, data)
        return Job.from_row(row)

    def record(self, job_id: str, kind: str, data: dict[str, Any] | None = None) -> None:
        """Append to the outbox; always inside the transaction of what it tells."""
        self._db.run(
            "INSERT INTO events (at, job, kind, data) VALUES (:at, :job, :kind, :data)",
            at=self._db.clock(), job=job_id, kind=kind, data=json.dumps(data or {}),
        )  # fmt: skip

    def samples_of(self, draft_id: str) -> list[Job]:
        """All samples of a draft, oldest first."""
        rows = self._db.rows(
            "SELECT * FROM jobs WHERE sample_of = :draft ORDER BY created_at, id", draft=draft_id
        )
        return [Job.from_row(row) for row in rows]

    def left_by_drafts(self) -> list[str]:
        """Ids of jobs that are drafts no more and whose samples go on."""
        rows = self._db.rows(
            """SELECT DISTINCT draft.id FROM jobs AS sample
               JOIN jobs AS draft ON draft.id = sample.sample_of
               WHERE sample.state IN ('queued', 'running') AND sample.sample_of IS NOT NULL
                 AND sample.cancel_requested_at IS NULL AND draft.state != 'draft'"""
        )
        return [row["id"] for row in rows]

    def done_sample(self, draft_id: str, machine_id: str) -> Job | None:
        """The newest sample of a draft that a machine has made."""
        row = self._db.row(
            """SELECT j.* FROM jobs j
               JOIN attempts a ON a.job = j.id AND a.state = 'verified' AND a.machine = :machine
               WHERE j.sample_of = :draft AND j.state = 'done' ORDER BY j.ended_at DESC LIMIT 1""",
            draft=draft_id, machine=machine_id,
        )  # fmt: skip
        return Job.from_row(row) if row else None

    def position(self, job: Job) -> int:
        """1 for the job that is next in the queue."""
        row = self._db.one(
            """SELECT count(*) AS n FROM jobs
               WHERE state = 'queued'
                 AND (-priority, started_at, id) < (-:priority, :started_at, :id)""",
            priority=job.priority, started_at=job.started_at, id=job.id,
        )  # fmt: skip
        return 1 + int(row["n"])

    def count_before(self, priority: int) -> int:
        """How many a job would wait for that joined the queue now."""
        row = self._db.one(
            "SELECT count(*) AS n FROM jobs WHERE state = 'queued' AND priority >= :priority",
            priority=priority,
        )
        return int(row["n"])

    def waiting(self) -> list[Job]:
        """All that is queued, in the order of the queue."""
        rows = self._db.rows(f"SELECT * FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE_ORDER}")
        return [Job.from_row(row) for row in rows]

    def queue(self) -> list[Job]:
        """Queued jobs whose wait is over, in the order of the queue.

        One whose sample still runs waits until that has given its machine back.
        """
        rows = self._db.rows(
            f"""SELECT * FROM jobs WHERE state = 'queued' AND not_before <= :now
                  AND NOT EXISTS (SELECT 1 FROM jobs AS sample
                                  WHERE sample.sample_of = jobs.id AND sample.state = 'running')
                ORDER BY {_QUEUE_ORDER}""",
            now=self._db.clock(),
        )
        return [Job.from_row(row) for row in rows]

    def unpruned(self, *, discarded_before: float, ended_before: float) -> list[Job]:
        """Jobs whose leftovers may go: drafts that nobody started, and jobs that ended.

        Not those which a later job repeats, as long as that one is kept: it may go on behind their
        segments. Nor those whose result may have to be copied once more.
        """
        rows = self._db.rows(
            """SELECT * FROM jobs WHERE pruned_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM jobs AS later
                                 WHERE later.predecessor = jobs.id AND later.pruned_at IS NULL)
                 AND NOT EXISTS (SELECT 1 FROM claims
                                 WHERE claims.job = jobs.id AND claims.key = jobs.output_key)
                 AND ended_at < CASE WHEN started_at IS NULL THEN :discarded ELSE :ended END
               ORDER BY ended_at LIMIT 100""",
            discarded=discarded_before, ended=ended_before,
        )  # fmt: skip
        return [Job.from_row(row) for row in rows]

    def is_repeated(self, job_id: str) -> bool:
        """Whether a later job that is kept may go on behind this one's segments."""
        row = self._db.row(
            "SELECT id FROM jobs WHERE predecessor = :id AND pruned_at IS NULL LIMIT 1", id=job_id
        )
        return row is not None

    def is_source_wanted(self, job: Job) -> bool:
        """Whether another job, a retry for instance, may still read the same input. A sample that
        has ended never will."""
        row = self._db.row(
            """SELECT id FROM jobs
               WHERE source_key = :key AND id != :id AND pruned_at IS NULL
                 AND (sample_of IS NULL OR state IN ('queued', 'running')) LIMIT 1""",
            key=job.source_key, id=job.id,
        )  # fmt: skip
        return row is not None

    def exists(self, job_id: str) -> bool:
        return self._db.row("SELECT id FROM jobs WHERE id = :id", id=job_id) is not None

    def is_kept(self, job_id: str) -> bool:
        """Whether the input and leftovers of a job have not been pruned."""
        row = self._db.row("SELECT pruned_at FROM jobs WHERE id = :id", id=job_id)
        return row is not None and row["pruned_at"] is None

    def set_pruned(self, job_id: str) -> None:
        with self._db.transaction():
            self._db.run(
                "UPDATE jobs SET pruned_at = :now WHERE id = :id", now=self._db.clock(), id=job_id
            )

    def _update(self, job: Job, **columns: Any) -> Any:
        columns = {name: plain(value) for name, value in columns.items()}
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        return self._db.row(
            f"""UPDATE jobs SET {assignments}, version = version + 1
                WHERE id = :_id AND state = :_state AND version = :_version RETURNING *""",
            **columns, _id=job.id, _state=job.state, _version=job.version,
        )  # fmt: skip


def plain(value: Any) -> Any:
    """A value as a column holds it."""
    if isinstance(value, (Task, Facts, Result, Status)):
        return to_json(value)
    return json.dumps(value) if isinstance(value, dict) else value
