"""The front ends' memory in SQL: outbox and cursors, inbox, cards, preferences."""

from __future__ import annotations

from collections.abc import Sequence

from controller.records import Card, Event, Update
from controller.store.database import Database

_QUIET_S = 6 * 86400.0


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

    def begin_cursor(self, name: str) -> None:
        """A new cursor does not care for the past; a known one stays."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO cursors SELECT :name, coalesce(max(id), 0) FROM events WHERE true
                   ON CONFLICT (name) DO NOTHING""",
                name=name,
            )

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
        """Keep a batch as it came; a repeated one changes nothing but the offset."""
        if not updates:
            return
        with self._db.transaction():
            self._db.run(
                """INSERT INTO offsets VALUES (1, :next, :now)
                   ON CONFLICT (one) DO UPDATE SET next = excluded.next, at = excluded.at""",
                next=max(update_id for update_id, _ in updates) + 1, now=self._db.clock(),
            )  # fmt: skip
            for update_id, body in updates:
                self._db.run(
                    """INSERT INTO updates (id, received_at, body) VALUES (:id, :now, :body)
                       ON CONFLICT (id) DO NOTHING""",
                    id=update_id, now=self._db.clock(), body=body,
                )  # fmt: skip

    def offset(self) -> int | None:
        """What to ask the platform for next: the last batch's end, even where it is lower than an
        earlier one. None before the first update, and after quiet days: ids start anywhere then
        (Bot API, Update: "If there are no new updates for at least a week …").
        """
        row = self._db.row("SELECT next, at FROM offsets")
        if row is None or self._db.clock() - row["at"] > _QUIET_S:
            return None
        return int(row["next"])

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

    def give_try_back(self, update_id: int) -> None:
        """The handling was stopped in an orderly way: that proves nothing about the update."""
        with self._db.transaction():
            self._db.run(
                "UPDATE updates SET tries = max(0, tries - 1) WHERE id = :id", id=update_id
            )

    def set_handled(self, update_id: int) -> None:
        with self._db.transaction():
            self._db.run(
                "UPDATE updates SET handled_at = :now WHERE id = :id",
                now=self._db.clock(), id=update_id,
            )  # fmt: skip

    def forget(self, before: float) -> int:
        """Drop what was handled before."""
        with self._db.transaction():
            return self._db.run("DELETE FROM updates WHERE handled_at < :before", before=before)


class Cards:
    """Which message shows what."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, subject: str) -> Card | None:
        row = self._db.row("SELECT * FROM cards WHERE subject = :subject", subject=subject)
        return Card.from_row(row) if row else None

    def by_message(self, chat: int, message: int) -> Card | None:
        """What a message of the bot shows, if it is a card."""
        row = self._db.row(
            "SELECT * FROM cards WHERE chat = :chat AND message = :message",
            chat=chat, message=message,
        )  # fmt: skip
        return Card.from_row(row) if row else None

    def select(self, *, finished: bool) -> list[Card]:
        rows = self._db.rows("SELECT * FROM cards WHERE finished = :finished", finished=finished)
        return [Card.from_row(row) for row in rows]

    def save(self, card: Card) -> None:
        with self._db.transaction():
            self._db.run(
                """INSERT OR REPLACE INTO cards
                   (subject, chat, message, shown, finished, delivering_at)
                   VALUES (:subject, :chat, :message, :shown, :finished, :delivering_at)""",
                subject=card.subject, chat=card.chat, message=card.message, shown=card.shown,
                finished=card.finished, delivering_at=card.delivering_at,
            )  # fmt: skip

    def move_chat(self, old: int, new: int) -> None:
        """A chat has another number now, and its messages none: what is shown there goes on."""
        with self._db.transaction():
            self._db.run(
                """UPDATE cards SET chat = :new, message = NULL
                   WHERE chat = :old AND finished = 0 AND subject NOT LIKE 'group:%'""",
                old=old, new=new,
            )  # fmt: skip
            self._db.run("DELETE FROM cards WHERE subject = :name", name=f"group:{old}")
            for table in ("jobs", "batches", "uploads"):
                self._db.run(
                    f"UPDATE {table} SET chat = :new, reply_to = NULL WHERE chat = :old",
                    old=old, new=new,
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
