"""Upload pages and short links in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.capabilities import Link, Upload, UploadState
from controller.store.database import Database

_KEEP_S = 30 * 86400.0
_GRACE_S = 3600.0


class Uploads:
    """Pages that take a file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, upload: Upload) -> Upload:
        """Insert, or return the page that the same request has."""
        columns = [
            "id", "code_hash", "request_key", "owner", "chat", "reply_to", "language", "state",
            "created_at", "expires_at",
        ]  # fmt: skip
        with self._db.transaction():
            self._db.run(
                f"""INSERT INTO uploads ({", ".join(columns)})
                    VALUES ({", ".join(f":{name}" for name in columns)})
                    ON CONFLICT (request_key) DO NOTHING""",
                **{name: getattr(upload, name) for name in columns},
            )
            row = self._db.one(
                "SELECT * FROM uploads WHERE request_key = :key", key=upload.request_key
            )
        return Upload.from_row(row)

    def by_request(self, key: str) -> Upload | None:
        row = self._db.row("SELECT * FROM uploads WHERE request_key = :key", key=key)
        return Upload.from_row(row) if row else None

    def by_code(self, code_hash: str) -> Upload | None:
        row = self._db.row("SELECT * FROM uploads WHERE code_hash = :hash", hash=code_hash)
        return Upload.from_row(row) if row else None

    def get(self, upload_id: str) -> Upload | None:
        row = self._db.row("SELECT * FROM uploads WHERE id = :id", id=upload_id)
        return Upload.from_row(row) if row else None

    def is_receiving(self, upload_id: str) -> bool:
        found = self.get(upload_id)
        return found is not None and found.state is UploadState.RECEIVING

    def receiving(self) -> list[Upload]:
        rows = self._db.rows("SELECT * FROM uploads WHERE state = 'receiving' ORDER BY id")
        return [Upload.from_row(row) for row in rows]

    def overdue(self, states: Sequence[UploadState]) -> list[Upload]:
        """Pages whose time was over an hour ago: what was whole before is looked at by now."""
        rows = self._db.rows(
            "SELECT * FROM uploads WHERE expires_at < :before ORDER BY id",
            before=self._db.clock() - _GRACE_S,
        )
        return [each for each in map(Upload.from_row, rows) if each.state in states]

    def change(self, upload: Upload, **columns: Any) -> Upload | None:
        """Change a page as it was read; None when somebody was faster: look again."""
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        with self._db.transaction():
            row = self._db.row(
                f"""UPDATE uploads SET {assignments}
                    WHERE id = :_id AND state = :_state AND key = :_key
                      AND storage_id = :_storage_id RETURNING *""",
                **columns, _id=upload.id, _state=upload.state, _key=upload.key,
                _storage_id=upload.storage_id,
            )  # fmt: skip
        return Upload.from_row(row) if row else None

    def forget(self) -> int:
        """Drop pages that ended long ago."""
        before = self._db.clock() - _KEEP_S
        with self._db.transaction():
            return self._db.run(
                """DELETE FROM uploads WHERE expires_at < :before
                   AND state IN ('taken', 'expired')""",
                before=before,
            )


class Links:
    """Short links, by the hash of their code."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, link: Link) -> None:
        with self._db.transaction():
            self._db.run(
                """INSERT OR IGNORE INTO links (code, job, what, created_at, expires_at)
                   VALUES (:code, :job, :what, :created_at, :expires_at)""",
                code=link.code, job=link.job, what=link.what, created_at=link.created_at,
                expires_at=link.expires_at,
            )  # fmt: skip

    def by_code(self, code_hash: str) -> Link | None:
        row = self._db.row("SELECT * FROM links WHERE code = :code", code=code_hash)
        return Link.from_row(row) if row else None

    def newest(self, job_id: str, what: str) -> Link | None:
        """The one that ends last of those that are good now."""
        row = self._db.row(
            """SELECT * FROM links WHERE job = :job AND what = :what AND revoked_at IS NULL
               AND expires_at > :now ORDER BY expires_at DESC LIMIT 1""",
            job=job_id, what=what, now=self._db.clock(),
        )  # fmt: skip
        return Link.from_row(row) if row else None

    def last_created(self, job_id: str, what: str) -> float:
        """When the newest one was made, good or not; 0 before the first one."""
        row = self._db.one(
            "SELECT max(created_at) AS at FROM links WHERE job = :job AND what = :what",
            job=job_id, what=what,
        )  # fmt: skip
        return float(row["at"] or 0.0)

    def revoke(self, job_id: str, what: str) -> int:
        with self._db.transaction():
            return self._db.run(
                """UPDATE links SET revoked_at = :now
                   WHERE job = :job AND what = :what AND revoked_at IS NULL""",
                job=job_id, what=what, now=self._db.clock(),
            )  # fmt: skip

    def forget(self) -> int:
        """Drop links that ended long ago."""
        before = self._db.clock() - _KEEP_S
        with self._db.transaction():
            return self._db.run("DELETE FROM links WHERE expires_at < :before", before=before)
