"""What is wrong with a deployment, as far as its figures tell: pure rules, no memory.

What cannot be told from the figures is no alert, and is not "well" either: :func:`list_unknown`
names it, so that an alert that stands is neither repeated nor taken back by a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from controller.readings import Backlog, Readings
from controller.settings import Settings

Figure = str | int | float

DESTROY_S, DESTROY_LATE_S = 300.0, 1800.0
LISTING_S, LISTING_LATE_S = 300.0, 1800.0
OVERDUE_S = 600.0
"""Of jobs past their deadline, and of machines past theirs."""
CHATS_S = 300.0
WEBHOOK_S = 3600.0
STRANGERS_AT_MOST = 3
"""More than these are not destroyed: they point to a wrong database, not to leaks."""
LOOP_S = 900.0
"""A tick may rent, delete or probe; after this long without one a loop is taken for dead."""
DISK_LOW_BYTES, DISK_FULL_BYTES = 2 * 10**9, 5 * 10**8
CREDIT_LOW_USD, CREDIT_NONE_USD = 1.00, 0.10
"""Below the second it is not worth a machine, which would be stopped in the middle of its work."""
BUDGET_SHARE = 0.8
BACKUP_S = 86400.0
"""After so long without a backup that was made, or found needless, none are made."""
RESTORED_S = 86400.0
"""How long it is told that the database is an earlier one."""
ALIKE_AT_LEAST = 5
"""Attempts with one reason in an hour: no chance, but a fault."""


class AlertKind(StrEnum):
    """What can be wrong, the costliest first: so they are listed."""

    EXPIRED = "expired"  #: a machine outlives its own deadline
    DESTROY = "destroy"  #: a machine that nothing wants is not proven gone
    STRANGERS = "strangers"  #: machines of ours that no row knows, too many to be destroyed
    LISTING = "listing"  #: it is not known which machines there are
    DATABASE = "database"  #: it cannot be read or written
    LOOP = "loop"  #: a part of this process stands still
    RESTORED = "restored"  #: the database was taken from a backup
    BACKUP = "backup"  #: no backups are made
    DISK = "disk"  #: the disk is nearly full
    CREDIT = "credit"  #: the rental account is nearly empty
    BUDGET = "budget"  #: the day's budget is nearly used up
    OVERDUE = "overdue"  #: a job does not end
    ALIKE = "alike"  #: many attempts fail for one reason
    CHATS = "chats"  #: chats are not told what happened
    WEBHOOK = "webhook"  #: the webhook does not accept


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"  #: it wants a look today
    CRITICAL = "critical"  #: it costs money, or work, now

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One kind of trouble. ``figures`` change with what they are of, never with the time alone."""

    kind: AlertKind
    severity: Severity
    since: float
    """Since when, UTC epoch: as far as that is known, else since it was seen."""
    figures: Mapping[str, Figure] = field(default_factory=dict)


def find_alerts(readings: Readings, settings: Settings, now: float) -> list[Alert]:
    """What is wrong now, at most one of a kind, in the order of :class:`AlertKind`."""
    found = [
        *_judge_backlogs(readings, now),
        *_judge_machines(readings, now),
        *_judge_process(readings, now),
        *_judge_money(readings, settings, now),
    ]
    order = list(AlertKind)
    return sorted(found, key=lambda alert: order.index(alert.kind))


def list_unknown(readings: Readings, now: float) -> frozenset[AlertKind]:
    """Kinds of which it cannot be told now whether they are wrong."""
    unknown: dict[AlertKind, bool] = {
        AlertKind.STRANGERS: readings.spared is None,
        AlertKind.DATABASE: readings.writable is None and readings.rows is not None,
        AlertKind.LOOP: not readings.loops_run,
        AlertKind.BACKUP: readings.backup_failing is None,
        AlertKind.DISK: readings.free_bytes is None,
        AlertKind.CREDIT: readings.credit_usd is None,
        AlertKind.LISTING: readings.rows is None or _is_listing_unknown(readings),
        AlertKind.RESTORED: readings.rows is None,
        AlertKind.BUDGET: readings.rows is None,
        AlertKind.ALIKE: readings.rows is None,
    }
    for kind, wait in _WAITS.items():
        late = wait.find(readings).age_s(now) >= wait.limit_s
        # what has waited longer than this process runs, it had no time to mend
        unknown[kind] = readings.rows is None or (late and not _has_run(readings, wait.limit_s))
        if kind is AlertKind.DESTROY:
            unknown[kind] |= not late and readings.strays is None
    unknown[AlertKind.CHATS] |= not readings.notifies
    return frozenset(kind for kind, is_unknown in unknown.items() if is_unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """How long something may wait, and from when on that is critical, if ever."""

    find: Callable[[Readings], Backlog]
    limit_s: float
    critical_s: float = float("inf")


def _of_rows(name: str) -> Callable[[Readings], Backlog]:
    def find(readings: Readings) -> Backlog:
        found: Backlog = getattr(readings.rows, name) if readings.rows else Backlog()
        return found

    return find


def _find_unwanted(readings: Readings) -> Backlog:
    """Machines that a row gives up, and those that no row knows."""
    rows = _of_rows("unwanted")(readings)
    strays = readings.strays or Backlog()
    since = [each.since for each in (rows, strays) if each.since is not None]
    return Backlog(
        count=rows.count + strays.count, since=min(since, default=None), first=rows.first
    )


_WAITS: Mapping[AlertKind, _Wait] = {
    AlertKind.EXPIRED: _Wait(find=_of_rows("expired"), limit_s=OVERDUE_S, critical_s=OVERDUE_S),
    AlertKind.DESTROY: _Wait(find=_find_unwanted, limit_s=DESTROY_S, critical_s=DESTROY_LATE_S),
    AlertKind.OVERDUE: _Wait(find=_of_rows("overdue"), limit_s=OVERDUE_S),
    AlertKind.CHATS: _Wait(find=_of_rows("chats"), limit_s=CHATS_S),
    AlertKind.WEBHOOK: _Wait(find=_of_rows("webhook"), limit_s=WEBHOOK_S),
}


def _judge_backlogs(readings: Readings, now: float) -> Iterator[Alert]:
    """Things that wait longer than they may."""
    unknown = list_unknown(readings, now)
    for kind, wait in _WAITS.items():
        backlog = wait.find(readings)
        age_s = backlog.age_s(now)
        if backlog.since is None or kind in unknown or age_s < wait.limit_s:
            continue
        figures: dict[str, Figure] = {"count": backlog.count}
        if kind is AlertKind.OVERDUE:
            figures["job"] = backlog.first
        severity = Severity.CRITICAL if age_s >= wait.critical_s else Severity.WARNING
        yield Alert(kind=kind, severity=severity, since=backlog.since, figures=figures)


def _judge_machines(readings: Readings, now: float) -> Iterator[Alert]:
    """What there is to rented machines, beside single ones."""
    rows = readings.rows
    if (spared := readings.spared or 0) > STRANGERS_AT_MOST:
        yield Alert(
            kind=AlertKind.STRANGERS, severity=Severity.CRITICAL, since=now,
            figures={"count": spared},
        )  # fmt: skip
    age_s = _find_listing_age(readings)
    if rows and (rows.live_machines or rows.waiting_jobs) and age_s >= LISTING_S:
        yield Alert(
            kind=AlertKind.LISTING,
            severity=Severity.CRITICAL if age_s >= LISTING_LATE_S else Severity.WARNING,
            since=now - age_s,
            figures={"count": rows.live_machines, "waiting": rows.waiting_jobs},
        )
    worst = rows.failures[0] if rows and rows.failures else None
    if worst and worst.count >= ALIKE_AT_LEAST:
        yield Alert(
            kind=AlertKind.ALIKE, severity=Severity.WARNING, since=now,
            figures={"count": worst.count, "reason": worst.reason, "job": worst.job},
        )  # fmt: skip


def _judge_process(readings: Readings, now: float) -> Iterator[Alert]:
    """The process itself, its database and its disk."""
    if readings.rows is None or readings.writable is False:
        cannot = "read" if readings.rows is None else "write"
        yield Alert(
            kind=AlertKind.DATABASE, severity=Severity.CRITICAL, since=now,
            figures={"cannot": cannot},
        )  # fmt: skip
    dead = {name: age_s for name, age_s in readings.loop_s.items() if age_s > LOOP_S}
    if dead:
        yield Alert(
            kind=AlertKind.LOOP, severity=Severity.CRITICAL, since=now - max(dead.values()),
            figures={"count": len(dead), "names": ", ".join(sorted(dead))},
        )  # fmt: skip
    restored = readings.restored
    if restored is not None and now - restored.at < RESTORED_S:
        figures: dict[str, Figure] = {"why": restored.why, "as_of": restored.as_of}
        if restored.was_deployment:
            figures["deployment"] = restored.was_deployment
        yield Alert(
            kind=AlertKind.RESTORED,
            severity=Severity.WARNING if restored.why == "asked" else Severity.CRITICAL,
            since=restored.at,
            figures=figures,
        )
    if readings.backup_failing:
        yield Alert(kind=AlertKind.BACKUP, severity=Severity.WARNING, since=now)
    free = readings.free_bytes
    if free is not None and free < DISK_LOW_BYTES:
        yield Alert(
            kind=AlertKind.DISK,
            severity=Severity.CRITICAL if free < DISK_FULL_BYTES else Severity.WARNING,
            since=now,
            # a tenth of a gigabyte more or less is no news
            figures={"free_bytes": free // 10**8 * 10**8},
        )


def _judge_money(readings: Readings, settings: Settings, now: float) -> Iterator[Alert]:
    """What is left of the account and of the day's budget; none at all is a choice."""
    credit = readings.credit_usd
    if credit is not None and credit < CREDIT_LOW_USD:
        yield Alert(
            kind=AlertKind.CREDIT,
            severity=Severity.CRITICAL if credit < CREDIT_NONE_USD else Severity.WARNING,
            since=now,
            figures={"left_usd": round(credit, 2)},
        )
    budget = settings.day_budget
    committed = readings.rows.committed_usd if readings.rows else 0.0
    if budget > 0 and committed >= budget * BUDGET_SHARE:
        yield Alert(
            kind=AlertKind.BUDGET,
            severity=Severity.CRITICAL if committed >= budget else Severity.WARNING,
            since=now,
            figures={"committed_usd": round(committed, 2), "budget_usd": budget},
        )


def _find_listing_age(readings: Readings) -> float:
    """Since the last complete listing; where there was none, since one could have been."""
    if readings.listing_s is not None:
        return readings.listing_s
    return readings.uptime_s or 0.0


def _is_listing_unknown(readings: Readings) -> bool:
    """Whether there was no listing yet, and no time for one."""
    return readings.listing_s is None and (readings.uptime_s or 0.0) < LISTING_S


def _has_run(readings: Readings, seconds: float) -> bool:
    """Whether the loops have run for so long; where they do not run, the rows are believed."""
    return readings.uptime_s is None or readings.uptime_s >= seconds
