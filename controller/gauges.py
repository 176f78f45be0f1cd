"""Takes the readings of a deployment: from its rows, its disk, and the vitals of this process."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.alarms import Alarm, follow_up, list_standing
from controller.alerts import BACKUP_S, find_alerts, list_unknown
from controller.backups import find_backups, last_restoration
from controller.errors import DatabaseError
from controller.readings import Backlog, Readings, Restored, Rows
from controller.settings import Settings
from controller.spending import Spending
from controller.store import Store
from controller.vitals import Vitals

#: Under which names parts of the process leave what is read here.
STRANGERS, SPARED, CREDIT, WRITABLE = "strangers", "strangers_spared", "credit_usd", "writable"
STRAYS, NO_STRAYS = "strays", "no_strays"
"""How many there are, and the beat of a listing without any."""
BACKUP, BACKUP_FAILURES = "backup", "backup_failures"
LOOKED_AT = "alarm"
"""Beats of each kind of trouble of which it could be told whether it is there."""
NOTIFIER = "notifier"
"""The cursor of those who show events in chats, and their beat among the loops."""
_WEBHOOK = "webhook"
_STALE_S = 180.0
"""Loops that run look at everything more often than that."""
#: What comes of a database that cannot be read: a lock that is held for long is none of ours.
_UNREADABLE = (DatabaseError, sqlite3.Error)


class Gauges:
    """Reads only; whatever is broken is a reading as well, never an error."""

    def __init__(self, *, store: Store, settings: Settings, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._spending = Spending(store=store, clock=clock)

    def read(self, vitals: Vitals) -> Readings:
        """All of them, now."""
        loop_s = vitals.ages("loop")
        writable = vitals.figure(WRITABLE)
        return Readings(
            rows=self._read_rows(notifies=NOTIFIER in loop_s),
            writable=None if writable is None else bool(writable),
            uptime_s=vitals.age("start"),
            listing_s=vitals.age("listing"),
            strangers=_as_count(vitals.figure(STRANGERS)),
            spared=_as_count(vitals.figure(SPARED)),
            strays=self._find_strays(vitals),
            loop_s=loop_s,
            notifies=NOTIFIER in loop_s,
            credit_usd=vitals.figure(CREDIT),
            free_bytes=self._read_disk(),
            backup_s=self._find_backup_age(),
            restored=self._find_restoration(),
            backup_failing=_is_backup_failing(vitals, self._settings.backup_s),
        )

    def judge(self, vitals: Vitals) -> list[Alarm]:
        """What is wrong now: as it is found, and as the loops found it where that is not known
        here. Nothing is written; ringing is for those who keep it."""
        now, readings = self._clock(), self.read(vitals)
        alerts = find_alerts(readings, self._settings, now)
        known = self._list_known()
        changed = follow_up(known, alerts, list_unknown(readings, now), now)
        alarms = {alarm.kind: alarm for alarm in (*known, *changed)}
        return list_standing(alarms.values())

    def list_found(self, vitals: Vitals, *, runs_here: bool) -> list[Alarm]:
        """What stands by what the loops found that run now, in this process or another. Of what
        an earlier process left standing each kind is nothing until this one has looked at it."""
        standing = list_standing(self._list_known())
        if not runs_here:
            return standing
        looked_at = vitals.ages(LOOKED_AT)
        return [alarm for alarm in standing if alarm.kind in looked_at]

    def _list_known(self) -> list[Alarm]:
        """As loops keep it, of this process or another; left rows tell nothing of now."""
        try:
            looked_at = self._store.figures.written_at()
            fresh = looked_at is not None and self._clock() - looked_at < _STALE_S
            return self._store.alarms.select() if fresh else []
        except _UNREADABLE:
            return []  # that it cannot be read is among what is found

    def _read_rows(self, *, notifies: bool) -> Rows | None:
        webhook = _WEBHOOK if self._settings.webhook_url else None
        try:
            rows = self._store.figures.take_rows(
                chats=NOTIFIER if notifies else None, webhook=webhook
            )
            return dataclasses.replace(
                rows,
                billed_usd=self._spending.today_usd(),
                committed_usd=self._store.machines.committed_usd(self._spending.midnight),
            )
        except _UNREADABLE:
            return None

    def _find_strays(self, vitals: Vitals) -> Backlog | None:
        count = _as_count(vitals.figure(STRAYS))
        if not count:
            return None if count is None else Backlog()
        clean_s = vitals.age(NO_STRAYS)
        if clean_s is None:
            clean_s = vitals.age("start") or 0.0
        return Backlog(count=count, since=self._clock() - clean_s)

    def _find_restoration(self) -> Restored | None:
        try:
            found = last_restoration(self._store)
        except _UNREADABLE:
            return None
        if found is None:
            return None
        return Restored(
            at=found.at,
            as_of=found.as_of,
            why=str(found.why),
            was_deployment=found.was_deployment if found.is_renamed else "",
        )

    def _find_backup_age(self) -> float | None:
        try:
            backups = find_backups(self._settings.backups_dir)
        except OSError:
            return None
        return self._clock() - backups[0].at if backups else None

    def _read_disk(self) -> int | None:
        try:
            return shutil.disk_usage(self._settings.data_dir).free
        except OSError:
            return None


def _is_backup_failing(vitals: Vitals, interval_s: float) -> bool | None:
    """Whether the newest news of a backup is bad, or too old; None where there is none."""
    if not interval_s:
        return False
    made_s, failed_s = vitals.age(BACKUP), vitals.counted_age(BACKUP_FAILURES)
    if made_s is None:
        return None if failed_s is None else True
    late = made_s > max(BACKUP_S, 2 * interval_s)
    return late or (failed_s is not None and failed_s < made_s)


def _as_count(figure: float | None) -> int | None:
    return None if figure is None else int(figure)
