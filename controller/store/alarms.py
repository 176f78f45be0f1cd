"""Alarms in SQL: one row for each kind of trouble that there has been."""

from __future__ import annotations

import json

from controller.alarms import Alarm
from controller.alerts import AlertKind, Severity
from controller.store.database import Database, Row

_COLUMNS = (
    "kind", "severity", "since", "figures", "opened_at", "worse_at", "rung_at", "rung_severity",
    "rung_count", "ended_at",
)  # fmt: skip


class Alarms:
    """Their newest time each."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def select(self) -> list[Alarm]:
        """Also those that are over."""
        rows = self._db.rows("SELECT * FROM alarms ORDER BY opened_at, kind")
        known = set(AlertKind)
        # a later release may have known more kinds
        return [_read(row) for row in rows if row["kind"] in known]

    def save(self, alarm: Alarm) -> None:
        values = {name: getattr(alarm, name) for name in _COLUMNS}
        values["figures"] = json.dumps(dict(alarm.figures))
        with self._db.transaction():
            self._db.run(
                f"""INSERT OR REPLACE INTO alarms ({", ".join(_COLUMNS)})
                    VALUES ({", ".join(f":{name}" for name in _COLUMNS)})""",
                **values,
            )


def _read(row: Row) -> Alarm:
    values = {name: row[name] for name in _COLUMNS}
    values["kind"] = AlertKind(row["kind"])
    values["severity"] = Severity(row["severity"])
    values["rung_severity"] = Severity(row["rung_severity"])
    values["figures"] = json.loads(row["figures"])
    return Alarm(**values)
