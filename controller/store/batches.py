"""Batches in SQL: several videos that came in together."""

from __future__ import annotations

import json

from controller.records import Batch, Job
from controller.store.database import Database


class Batches:
    """Reads and writes batches; their jobs are rows like all others."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, batch: Batch) -> Batch:
        """Insert, or return the batch that the same request made before."""
        with self._db.transaction():
            known = self.by_request(batch.request_key)
            if known:
                return known
            self._db.run(
                """INSERT INTO batches (id, request_key, owner, chat, reply_to, language, name,
                                        created_at, expected)
                   VALUES (:id, :request_key, :owner, :chat, :reply_to, :language, :name,
                           :created_at, :expected)""",
                id=batch.id, request_key=batch.request_key, owner=batch.owner, chat=batch.chat,
                reply_to=batch.reply_to, language=batch.language, name=batch.name,
                created_at=batch.created_at, expected=batch.expected,
            )  # fmt: skip
        return batch

    def get(self, batch_id: str) -> Batch | None:
        row = self._db.row("SELECT * FROM batches WHERE id = :id", id=batch_id)
        return Batch.from_row(row) if row else None

    def by_request(self, key: str) -> Batch | None:
        row = self._db.row("SELECT * FROM batches WHERE request_key = :key", key=key)
        return Batch.from_row(row) if row else None

    def collecting(self, owner: int, chat: int) -> Batch | None:
        """The newest one of a chat user whose files are still coming in."""
        row = self._db.row(
            """SELECT * FROM batches WHERE owner = :owner AND chat = :chat AND taken_at IS NULL
               ORDER BY created_at DESC, id DESC LIMIT 1""",
            owner=owner, chat=chat,
        )  # fmt: skip
        return Batch.from_row(row) if row else None

    def refuse(self, batch_id: str, name: str, code: str) -> None:
        """Note that a file did not become a job; again changes nothing."""
        with self._db.transaction():
            row = self._db.one("SELECT refused FROM batches WHERE id = :id", id=batch_id)
            refused = json.loads(row["refused"])
            if [name, code] not in refused:
                self._db.run(
                    "UPDATE batches SET refused = :refused WHERE id = :id",
                    refused=json.dumps([*refused, [name, code]]), id=batch_id,
                )  # fmt: skip

    def expect(self, batch_id: str, files: int) -> None:
        """So many files are known to belong to it; never fewer than before."""
        with self._db.transaction():
            self._db.run(
                "UPDATE batches SET expected = max(expected, :files) WHERE id = :id",
                files=files, id=batch_id,
            )  # fmt: skip

    def set_taken(self, batch_id: str) -> None:
        """All its files have come in; the first time stays."""
        with self._db.transaction():
            self._db.run(
                "UPDATE batches SET taken_at = coalesce(taken_at, :now) WHERE id = :id",
                now=self._db.clock(), id=batch_id,
            )  # fmt: skip

    def jobs(self, batch_id: str) -> list[Job]:
        """All of its jobs, those that were repeated too, in the order in which they came."""
        rows = self._db.rows(
            """SELECT * FROM jobs WHERE batch = :id AND sample_of IS NULL
               ORDER BY created_at, rowid""",
            id=batch_id,
        )
        return [Job.from_row(row) for row in rows]

    def done_before(self, batch_id: str) -> dict[str, Job]:
        """By job of the batch: the newest other job that did the same with the same content.

        Of the same person alone, also where a stored file is one that all may use: a link to a
        result is for the chat that asked for it.
        """
        rows = self._db.rows(
            """SELECT mine.id AS mine, done.* FROM jobs AS mine
               JOIN jobs AS done ON done.source_etag = mine.source_etag AND done.task = mine.task
               WHERE mine.batch = :id AND mine.source_etag != '' AND done.id != mine.id
                 AND done.state = 'done' AND done.output_key IS NOT NULL
                 AND done.sample_of IS NULL
                 AND done.owner = mine.owner
               ORDER BY done.ended_at""",
            id=batch_id,
        )
        return {row["mine"]: Job.from_row(row) for row in rows}
