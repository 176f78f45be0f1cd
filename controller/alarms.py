"""What is remembered of an alert: since when it stands, when people were last rung for it.

:func:`follow_up` is the whole of the memory's rules, and pure: what was kept, what is found now,
what is to be kept. A new alert rings; one that comes and goes, or of which there are many more
than were rung for, rings once an hour at most; one that is worse than what was rung for at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from controller.alerts import Alert, AlertKind, Figure, Severity

RING_S = 3600.0
MANY_TIMES, MANY_MORE = 2, 3
"""So many times, and so many more than people were rung for, are reason to ring again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The newest time that a kind of trouble was there. Times are UTC epoch seconds."""

    kind: AlertKind
    severity: Severity
    since: float
    figures: Mapping[str, Figure] = field(default_factory=dict)
    opened_at: float
    """When it was found; its trouble may be older."""
    worse_at: float
    """When it was found, or got worse: what people have to be rung for."""
    rung_at: float
    """When people were last rung for its kind."""
    rung_severity: Severity
    """How bad it was then."""
    rung_count: int | None = None
    """How many there were then; None where nothing is counted, or that is not known."""
    ended_at: float | None = None
    """When it was found to be over; None while it stands."""

    @property
    def stands(self) -> bool:
        return self.ended_at is None

    @property
    def count(self) -> int | None:
        """How many there are of what is wrong."""
        count = self.figures.get("count")
        return count if isinstance(count, int) else None

    @property
    def has_grown(self) -> bool:
        """Whether there are many more than people know of."""
        if self.count is None or self.rung_count is None:
            return False
        return (
            self.count >= self.rung_count * MANY_TIMES
            and self.count >= self.rung_count + MANY_MORE
        )


def follow_up(
    known: Iterable[Alarm], alerts: Sequence[Alert], unknown: Collection[AlertKind], now: float
) -> list[Alarm]:
    """The alarms that have changed. What is ``unknown`` stays as it was."""
    before = {alarm.kind: alarm for alarm in known}
    changed = []
    for alert in alerts:
        was = before.pop(alert.kind, None)
        alarm = _go_on(was, alert, now) if was and was.stands else _open(was, alert, now)
        if alarm != was:
            changed.append(alarm)
    changed += [
        dataclasses.replace(alarm, ended_at=now)
        for alarm in before.values()
        if alarm.stands and alarm.kind not in unknown
    ]
    return changed


def list_standing(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Those that are not over, in the order of their kinds."""
    order = list(AlertKind)
    return sorted(
        (each for each in alarms if each.stands), key=lambda each: order.index(each.kind)
    )


def find_last_episode(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Those of the last time that something was wrong: each began before another was over."""
    episode: list[Alarm] = []
    began_at = float("-inf")
    for alarm in sorted(alarms, key=lambda each: each.ended_at or float("inf"), reverse=True):
        if episode and (alarm.ended_at or began_at) < began_at:
            break
        began_at = min(began_at, alarm.opened_at) if episode else alarm.opened_at
        episode.append(alarm)
    return sorted(episode, key=lambda each: each.opened_at)


def _open(was: Alarm | None, alert: Alert, now: float) -> Alarm:
    """A new one, that rings unless its kind has rung a short while ago."""
    alarm = Alarm(
        kind=alert.kind,
        severity=alert.severity,
        since=alert.since,
        figures=dict(alert.figures),
        opened_at=now,
        worse_at=now,
        rung_at=was.rung_at if was else float("-inf"),
        rung_severity=was.rung_severity if was else alert.severity,
        rung_count=was.rung_count if was else None,
    )
    return _ring_if_due(alarm, now)


def _go_on(was: Alarm, alert: Alert, now: float) -> Alarm:
    alarm = dataclasses.replace(
        was,
        severity=alert.severity,
        figures=dict(alert.figures),
        worse_at=now if alert.severity.rank > was.severity.rank else was.worse_at,
    )
    return _ring_if_due(alarm, now)


def _ring_if_due(alarm: Alarm, now: float) -> Alarm:
    """What was kept quiet, as its kind had rung a short while before, rings if it stays."""
    if alarm.rung_at >= alarm.worse_at and not alarm.has_grown:
        return alarm
    if now - alarm.rung_at < RING_S and alarm.severity.rank <= alarm.rung_severity.rank:
        return alarm
    return dataclasses.replace(
        alarm, rung_at=now, rung_severity=alarm.severity, rung_count=alarm.count
    )
