"""The front ends' memory in SQL: outbox and cursors, inbox, cards, preferences."""

from __future__ import annotations

from collections.abc import Sequence

from controller.records import Card, Event, Update
from controller.store.database import Database


class Events:
    """The outbox, read with named cursors."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def after(self, cursor: int, limit: int) -> list[Event]:
        rows = self._db.rows(
            "SELECT * FROM events WHERE id > :cursor ORDER BY id LIMIT :limit",
            cursor=cursor, limit=limit,
        )  # fmt: skip
        return [Event.from_row(row) for row in rows]

    def newest(self) -> int:
        return int(self._db.one("SELECT coalesce(max(id), 0) AS id FROM events")["id"])

    def cursor(self, name: str) -> int:
        row = self._db.row("SELECT at FROM cursors WHERE name = :name", name=name)
        return int(row["at"]) if row else 0

    def move_cursor(self, name: str, to: int) -> None:
        """Forward only."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO cursors VALUES (:name, :to)
                   ON CONFLICT (name) DO UPDATE SET at = max(at, excluded.at)""",
                name=name, to=to,
            )  # fmt: skip


class Inbox:
    """Updates of the chat platform, kept before they are confirmed to it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, updates: Sequence[tuple[int, str]]) -> None:
        with self._db.transaction():
            for update_id, body in updates:
                self._db.run(
                    """INSERT INTO updates (id, received_at, body) VALUES (:id, :now, :body)
                       ON CONFLICT (id) DO NOTHING""",
                    id=update_id, now=self._db.clock(), body=body,
                )  # fmt: skip

    def offset(self) -> int | None:
        """What to ask the platform for next; None before the first update."""
        row = self._db.row("SELECT max(id) + 1 AS next FROM updates")
        return int(row["next"]) if row and row["next"] is not None else None

    def pending(self, limit: int) -> list[Update]:
        rows = self._db.rows(
            "SELECT * FROM updates WHERE handled_at IS NULL ORDER BY id LIMIT :limit", limit=limit
        )
        return [Update.from_row(row) for row in rows]

    def count_try(self, update_id: int) -> int:
        with self._db.transaction():
            row = self._db.row(
                "UPDATE updates SET tries = tries + 1 WHERE id = :id RETURNING tries", id=update_id
            )
        return int(row["tries"]) if row else 0

    def set_handled(self, update_id: int) -> None:
        with self._db.transaction():
            self._db.run(
                "UPDATE updates SET handled_at = :now WHERE id = :id",
                now=self._db.clock(), id=update_id,
            )  # fmt: skip

    def forget(self, before: float) -> int:
        """Drop what was handled before; the newest row stays, for :meth:`offset`."""
        with self._db.transaction():
            return self._db.run(
                """DELETE FROM updates WHERE handled_at < :before
                   AND id < (SELECT max(id) FROM updates)""",
                before=before,
            )


class Cards:
    """Which message shows which job."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, job_id: str) -> Card | None:
        row = self._db.row("SELECT * FROM cards WHERE job = :job", job=job_id)
        return Card.from_row(row) if row else None

    def select(self, *, finished: bool) -> list[Card]:
        rows = self._db.rows("SELECT * FROM cards WHERE finished = :finished", finished=finished)
        return [Card.from_row(row) for row in rows]

    def save(self, card: Card) -> None:
        with self._db.transaction():
            self._db.run(
                """INSERT OR REPLACE INTO cards
                   (job, chat, message, shown, finished, delivering_at)
                   VALUES (:job, :chat, :message, :shown, :finished, :delivering_at)""",
                job=card.job, chat=card.chat, message=card.message, shown=card.shown,
                finished=card.finished, delivering_at=card.delivering_at,
            )  # fmt: skip


class Preferences:
    """What a user chose before."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, user: int, name: str) -> str | None:
        row = self._db.row(
            "SELECT value FROM preferences WHERE user = :user AND name = :name",
            user=user, name=name,
        )  # fmt: skip
        return str(row["value"]) if row else None

    def set(self, user: int, name: str, value: str) -> None:
        with self._db.transaction():
            self._db.run(
                """INSERT INTO preferences VALUES (:user, :name, :value)
                   ON CONFLICT (user, name) DO UPDATE SET value = excluded.value""",
                user=user, name=name, value=value,
            )  # fmt: skip
