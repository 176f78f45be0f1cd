"""Readings with one thing wrong, the edges of every rule, and a look at what stands."""

from controller.alarms import list_standing
from controller.alerts import Alert, AlertKind, Severity
from controller.readings import Backlog, Failures, Readings, Restored, Rows
from controller.settings import Settings

NOW = 1_800_000_000.0
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
DAY = 86400.0
SETTINGS = Settings(day_budget=5.0)


def well(**changes) -> Readings:
    """A deployment of a day's age in which nothing is wrong, but for the changes."""
    values = {
        "rows": Rows(live_machines=2), "writable": True, "uptime_s": DAY, "listing_s": 5.0,
        "spared": 0, "strangers": 0, "strays": Backlog(),
        "loop_s": {"reap": 1.0, "place": 2.0}, "notifies": True,
        "credit_usd": 10.0, "free_bytes": 10**11, "backup_failing": False,
    }  # fmt: skip
    return Readings(**values | changes)


def waiting(name, age_s, **changes) -> Readings:
    """Three things that have waited so long."""
    backlog = Backlog(count=3, since=NOW - age_s, first="A" * 26)
    return well(rows=Rows(live_machines=2, **{name: backlog}), **changes)


def of_rows(**changes) -> Readings:
    return well(rows=Rows(**{"live_machines": 2} | changes))


def failing(count, reason="silent"):
    return of_rows(failures=(Failures(reason=reason, count=count, job="J" * 26),))


#: Kind, what is just well, what is just not, how bad that is.
EDGES = [
    (AlertKind.DESTROY, waiting("unwanted", 299), waiting("unwanted", 300), WARNING),
    (AlertKind.DESTROY, None, waiting("unwanted", 1799), WARNING),
    (AlertKind.DESTROY, None, waiting("unwanted", 1800), CRITICAL),
    (AlertKind.EXPIRED, waiting("expired", 599), waiting("expired", 600), CRITICAL),
    (AlertKind.OVERDUE, waiting("overdue", 599), waiting("overdue", 600), WARNING),
    (AlertKind.CHATS, waiting("chats", 299), waiting("chats", 300), WARNING),
    (AlertKind.WEBHOOK, waiting("webhook", 3599), waiting("webhook", 3600), WARNING),
    (AlertKind.LISTING, well(listing_s=299), well(listing_s=300), WARNING),
    (AlertKind.LISTING, None, well(listing_s=1799), WARNING),
    (AlertKind.LISTING, None, well(listing_s=1800), CRITICAL),
    (AlertKind.LISTING, of_rows(live_machines=1), well(listing_s=None, uptime_s=300), WARNING),
    (AlertKind.LISTING, well(rows=Rows(), listing_s=9e9), well(listing_s=9e9), CRITICAL),
    (
        AlertKind.LISTING, well(rows=Rows(waiting_jobs=1), listing_s=299),
        well(rows=Rows(waiting_jobs=1), listing_s=300), WARNING,
    ),
    (AlertKind.STRANGERS, well(spared=3), well(spared=4), CRITICAL),
    (AlertKind.LOOP, well(loop_s={"reap": 900.0}), well(loop_s={"reap": 901.0}), CRITICAL),
    (AlertKind.DISK, well(free_bytes=2 * 10**9), well(free_bytes=2 * 10**9 - 1), WARNING),
    (AlertKind.DISK, None, well(free_bytes=5 * 10**8), WARNING),
    (AlertKind.DISK, None, well(free_bytes=5 * 10**8 - 1), CRITICAL),
    (AlertKind.CREDIT, well(credit_usd=1.0), well(credit_usd=0.99), WARNING),
    (AlertKind.CREDIT, None, well(credit_usd=0.1), WARNING),
    (AlertKind.CREDIT, None, well(credit_usd=0.09), CRITICAL),
    (AlertKind.BUDGET, of_rows(committed_usd=3.99), of_rows(committed_usd=4.0), WARNING),
    (AlertKind.BUDGET, None, of_rows(committed_usd=4.99), WARNING),
    (AlertKind.BUDGET, None, of_rows(committed_usd=5.0), CRITICAL),
    (AlertKind.ALIKE, failing(4), failing(5), WARNING),
    (AlertKind.DATABASE, well(writable=True), well(writable=False), CRITICAL),
    (AlertKind.DATABASE, None, well(rows=None), CRITICAL),
    (AlertKind.BACKUP, well(backup_failing=False), well(backup_failing=True), WARNING),
    (
        AlertKind.RESTORED,
        well(restored=Restored(at=NOW - DAY, as_of=0, why="damaged")),
        well(restored=Restored(at=NOW - DAY + 1, as_of=0, why="damaged")),
        CRITICAL,
    ),
    (
        AlertKind.RESTORED, None, well(restored=Restored(at=NOW, as_of=0, why="asked")), WARNING,
    ),
]  # fmt: skip


def alert(kind=AlertKind.DESTROY, severity=WARNING, since=NOW, **figures):
    return Alert(kind=kind, severity=severity, since=since, figures=figures)


async def look(house):
    await house.alarm.tick()
    return {each.kind: each for each in list_standing(house.store.alarms.select())}
