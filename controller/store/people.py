"""Members, invitations and switches of the deployment in SQL."""

from __future__ import annotations

from controller.records import Member, Role, Switch
from controller.store.database import Database


class Members:
    """People who were let in, or shut out, in the chat."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, user: int) -> Member | None:
        row = self._db.row("SELECT * FROM members WHERE user = :user", user=user)
        return Member.from_row(row) if row else None

    def all(self) -> list[Member]:
        """Administrators first, those who are shut out last; else as they came."""
        rows = self._db.rows(
            """SELECT * FROM members
               ORDER BY CASE role WHEN 'admin' THEN 0 WHEN 'user' THEN 1 ELSE 2 END,
                        added_at, user"""
        )
        return [Member.from_row(row) for row in rows]

    def put(
        self, user: int, role: Role, *, name: str = "", invited_by: int | None = None
    ) -> Member:
        """Add somebody, or change their role; a name and an inviter are kept where none come."""
        with self._db.transaction():
            row = self._db.one(
                """INSERT INTO members (user, role, name, invited_by, added_at)
                   VALUES (:user, :role, :name, :invited_by, :now)
                   ON CONFLICT (user) DO UPDATE SET role = excluded.role,
                     name = CASE WHEN excluded.name = '' THEN name ELSE excluded.name END,
                     invited_by = coalesce(excluded.invited_by, invited_by)
                   RETURNING *""",
                user=user, role=role, name=name, invited_by=invited_by, now=self._db.clock(),
            )  # fmt: skip
        return Member.from_row(row)

    def set_day_budget(self, user: int, usd: float | None) -> None:
        with self._db.transaction():
            self._db.run(
                "UPDATE members SET day_budget = :usd WHERE user = :user", usd=usd, user=user
            )

    def remove(self, user: int) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM members WHERE user = :user", user=user)


class Invites:
    """Links that let one person in, once. Their codes are known to nobody but who holds them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, code_hash: str, role: Role, *, by: int, expires_at: float) -> None:
        with self._db.transaction():
            self._db.run(
                """INSERT INTO invites (code_hash, role, created_by, created_at, expires_at)
                   VALUES (:hash, :role, :by, :now, :expires_at)""",
                hash=code_hash, role=role, by=by, now=self._db.clock(), expires_at=expires_at,
            )  # fmt: skip

    def use(self, code_hash: str, user: int) -> tuple[Role, int] | None:
        """Its role and who made it; None where it may not be used (any more)."""
        with self._db.transaction():
            row = self._db.row(
                """UPDATE invites SET used_by = :user, used_at = :now
                   WHERE code_hash = :hash AND used_by IS NULL AND revoked_at IS NULL
                     AND expires_at > :now RETURNING role, created_by""",
                hash=code_hash, user=user, now=self._db.clock(),
            )  # fmt: skip
        return (Role(row["role"]), int(row["created_by"])) if row else None

    def role_of(self, code_hash: str) -> Role | None:
        """What it would give to whoever uses it now; None where it may not be used."""
        row = self._db.row(
            """SELECT role FROM invites WHERE code_hash = :hash AND used_by IS NULL
               AND revoked_at IS NULL AND expires_at > :now""",
            hash=code_hash, now=self._db.clock(),
        )  # fmt: skip
        return Role(row["role"]) if row else None

    def user_of(self, code_hash: str) -> int | None:
        """Who was let in by it."""
        row = self._db.row("SELECT used_by FROM invites WHERE code_hash = :hash", hash=code_hash)
        return row["used_by"] if row else None

    def revoke(self, *, of: int | None = None) -> int:
        """Those that nobody has used, of one person or of all; how many there were."""
        with self._db.transaction():
            return self._db.run(
                """UPDATE invites SET revoked_at = :now
                   WHERE used_by IS NULL AND revoked_at IS NULL AND expires_at > :now
                     AND (:of IS NULL OR created_by = :of)""",
                now=self._db.clock(), of=of,
            )  # fmt: skip


class Switches:
    """What is set for the whole deployment; a switch that has no row is off."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def get(self, name: str) -> Switch | None:
        row = self._db.row("SELECT * FROM switches WHERE name = :name", name=name)
        return Switch.from_row(row) if row else None

    def set(self, name: str, value: str, *, by: int) -> None:
        """What is set to the same already keeps who set it and when."""
        with self._db.transaction():
            self._db.run(
                """INSERT INTO switches VALUES (:name, :value, :by, :now)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value, by = excluded.by,
                     at = excluded.at WHERE value != excluded.value""",
                name=name, value=value, by=by, now=self._db.clock(),
            )  # fmt: skip

    def drop(self, name: str) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM switches WHERE name = :name", name=name)
