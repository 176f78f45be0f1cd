"""Figures for Prometheus, read from the database, the disk and the vitals at each scrape.

Names end in their unit; ``docs/deployment.md`` lists them with what is worth an alert. A figure
that is not known is left out. Sources of the forms: the Prometheus text format, as its own client
library writes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.alerts import AlertKind
from controller.errors import DatabaseError
from controller.readings import Backlog, Readings, Rows
from controller.service import Controller
from controller.states import AttemptState, JobState, MachineState
from controller.vitals import BOUNDS_S

_OPEN = tuple(state for state in AttemptState if not state.is_terminal)
_COUNTERS = (
    ("loop_failures", "Ticks that failed.", "loop"),
    ("telegram_calls", "Calls of the Bot API.", "method"),
    ("telegram_floods", "Calls that were answered with 429.", "method"),
    ("upload_parts", "Parts that came through this process.", "how"),
)


class DeploymentCollector(Collector):
    """One deployment, as the process that runs it sees it."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Iterator[Metric]:
        readings = self._controller.readings()
        yield self._tell_alerts()
        # what cannot be read is an alert and must not hide the rest
        if readings.rows is not None:
            with contextlib.suppress(DatabaseError, sqlite3.Error):
                yield from [*self._count_work(), *self._count_machines()]
            yield from _tell_rows(readings.rows, self._controller.clock())
            yield from _tell_money(readings.rows, self._controller.settings.day_budget)
        yield from _tell_readings(readings)
        yield from self._tell_process(readings)

    def _tell_alerts(self) -> Metric:
        alerts = GaugeMetricFamily(
            "noxfvr_alerts", "1 while this is wrong, as the admins' chat has it.",
            labels=["kind", "severity"],
        )  # fmt: skip
        standing = {alarm.kind: alarm.severity for alarm in self._controller.judge()}
        for kind in AlertKind:
            alerts.add_metric([kind, standing.get(kind, "")], float(kind in standing))
        return alerts

    def _count_work(self) -> Iterator[Metric]:
        figures = self._controller.figures
        found = figures.jobs()
        counts = {str(state): float(found.get(state, 0)) for state in JobState}
        yield _by_label("noxfvr_jobs", "Jobs by state.", "state", counts)
        attempts = CounterMetricFamily(
            "noxfvr_attempts", "Attempts by state and by why they ended.",
            labels=["state", "reason"],
        )  # fmt: skip
        for (state, reason), count in figures.attempts().items():
            attempts.add_metric([state, reason], count)
        yield attempts
        queue = figures.queue()
        yield _gauge("noxfvr_queue_jobs", "Jobs that wait for a machine.", queue.length)
        yield _gauge(
            "noxfvr_queue_oldest_seconds", "How long the first of them has waited.", queue.oldest_s
        )

    def _count_machines(self) -> Iterator[Metric]:
        found = self._controller.figures.machines()
        states = [state for state in MachineState if state is not MachineState.GONE]
        counts = {str(state): float(found.get(state, (0, 0.0))[0]) for state in states}
        yield _by_label("noxfvr_machines", "Machines by state.", "state", counts)
        yield _gauge(
            "noxfvr_machine_usd_per_hour", "What the machines that are there cost an hour.",
            sum(usd for _, usd in found.values()),
        )  # fmt: skip

    def _tell_process(self, readings: Readings) -> Iterator[Metric]:
        vitals = self._controller.vitals
        yield _by_label(
            "noxfvr_loop_age_seconds", "Since a loop's last tick ended.", "loop", readings.loop_s
        )
        if (poller_s := vitals.age("poller")) is not None:
            text = "Since the last answer to the poller."
            yield _gauge("noxfvr_poller_age_seconds", text, poller_s)
        for name, text, label in _COUNTERS:
            family = CounterMetricFamily(f"noxfvr_{name}", text, labels=[label])
            for value, count in vitals.counts(name).items():
                family.add_metric([value], count)
            yield family
        failures = sum(vitals.counts("backup_failures").values())
        yield CounterMetricFamily(
            "noxfvr_backup_failures", "Backups that could not be made.", value=failures
        )
        yield self._tell_times("tick", "noxfvr_loop_tick_seconds", "How long ticks took.", "loop")
        yield self._tell_times(
            "lag", "noxfvr_event_loop_lag_seconds", "How late timers were called, once a second."
        )

    def _tell_times(self, timed: str, name: str, text: str, label: str = "") -> Metric:
        family = HistogramMetricFamily(name, text, labels=[label] if label else [])
        for value, times in self._controller.vitals.times(timed).items():
            total, buckets = 0, []
            for bound, count in zip((*BOUNDS_S, float("inf")), times.classes, strict=True):
                total += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
            family.add_metric([value] if label else [], buckets, times.sum_s)
        return family


def _tell_rows(rows: Rows, now: float) -> Iterator[Metric]:
    """What waits, how much of it, and how long the oldest has."""
    counts = {str(state): float(rows.open_attempts.get(state, 0)) for state in _OPEN}
    yield _by_label("noxfvr_open_attempts", "Attempts that go on.", "state", counts)
    pairs: tuple[tuple[str, str, Backlog], ...] = (
        ("unwanted_machines", "Machines that nothing wants, not proven gone", rows.unwanted),
        ("retiring_machines", "Those of them that are being destroyed", rows.retiring),
        ("unanswered_creates", "Create calls whose outcome is not known", rows.unanswered),
        ("expired_machines", "Machines past their own deadline", rows.expired),
        ("overdue_jobs", "Jobs past their deadline", rows.overdue),
        ("updates_pending", "Updates of the chat that are kept, not handled yet", rows.updates),
    )
    for name, text, backlog in pairs:
        yield _gauge(f"noxfvr_{name}", f"{text}.", backlog.count)
        yield _gauge(
            f"noxfvr_{name}_oldest_seconds", f"{text}: how long the oldest is.", backlog.age_s(now)
        )
    events = {"chats": rows.chats.count, "webhook": rows.webhook_events}
    yield _by_label(
        "noxfvr_outbox_events", "Events that were not told of yet.", "to",
        {to: float(count) for to, count in events.items()},
    )  # fmt: skip
    yield _by_label(
        "noxfvr_outbox_oldest_seconds", "How old the oldest of them is that has to be told.", "to",
        {"chats": rows.chats.age_s(now), "webhook": rows.webhook.age_s(now)},
    )  # fmt: skip


def _tell_money(rows: Rows, budget_usd: float) -> Iterator[Metric]:
    yield _gauge(
        "noxfvr_spent_today_usd", "What machines have cost since midnight, UTC.", rows.billed_usd
    )
    yield _gauge(
        "noxfvr_reserved_usd", "What machines that are there may cost at most.", rows.reserved_usd
    )
    yield _gauge(
        "noxfvr_committed_today_usd", "What counts against today's budget, spent or reserved.",
        rows.committed_usd,
    )  # fmt: skip
    yield _gauge("noxfvr_day_budget_usd", "The budget of a day.", budget_usd)


def _tell_readings(readings: Readings) -> Iterator[Metric]:
    """Single figures; those that are not known are left out."""
    listing_s = readings.listing_s
    if listing_s is None:
        listing_s = readings.uptime_s  # not one was complete since the loops began
    found: tuple[tuple[str, str, float | None], ...] = (
        ("listing_age_seconds", "Since the last complete listing, or the start.", listing_s),
        ("strangers", "Our instances without a row in the last listing.", readings.strangers),
        ("strangers_spared", "Those of them too many to be destroyed.", readings.spared),
        ("credit_usd", "What is left on the rental account.", readings.credit_usd),
        ("disk_free_bytes", "Free where the data directory is.", readings.free_bytes),
        ("backup_age_seconds", "Age of the newest backup.", readings.backup_s),
        ("database_writable", "1 where something could be committed.", _as_flag(readings)),
    )
    for name, text, value in found:
        if value is not None:
            yield _gauge(f"noxfvr_{name}", text, value)


def _as_flag(readings: Readings) -> float | None:
    return None if readings.writable is None else float(readings.writable)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _by_label(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, figure in values.items():
        family.add_metric([value], figure)
    return family
