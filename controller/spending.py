"""A part of the front door: what was spent, on which day and for whom. Days are UTC.

A day has what machines cost on it, from the create call until each was proven gone. A person has
what machines cost while they worked on that person's jobs, and the traffic of these. The rest, a
machine's boot after a cancel and its wait for a next job, is the house's.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from controller.records import DaySpend, Job, Machine, UserSpend
from controller.store import Store

_DAY_S = 86400.0


class Spending:
    """Reads only."""

    def __init__(self, *, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    @property
    def midnight(self) -> float:
        """When today began."""
        return self._clock() // _DAY_S * _DAY_S

    def by_day(self, days: int = 14) -> list[DaySpend]:
        """The last days, the oldest first; the last one is today."""
        return [self._day(self.midnight - back * _DAY_S) for back in reversed(range(days))]

    def by_user(self, since: float) -> list[UserSpend]:
        """Whose jobs were on machines since then, the dearest first."""
        return self._store.spending.by_user(since)

    def of_house(self, since: float) -> float:
        """What machines have cost since then while they worked on no job."""
        spent_usd = self._store.spending.machines_usd(since, self._clock())
        return max(0.0, spent_usd - sum(each.usd for each in self.by_user(since)))

    def today_usd(self) -> float:
        """What machines have cost since midnight, until now."""
        return self._store.spending.machines_usd(self.midnight, self.midnight + _DAY_S)

    def of_user_today(self, user: int) -> float:
        return self._store.spending.of_user(user, self.midnight)

    def by_machine_now(self) -> list[tuple[Machine, float]]:
        """What may still cost money, and what each has cost so far, traffic included."""
        return [(each, self.machine_usd(each)) for each in self._store.machines.select()]

    def machine_usd(self, machine: Machine) -> float:
        """What one machine has cost so far, traffic included."""
        hours = ((machine.gone_at or self._clock()) - machine.created_at) / 3600
        return machine.usd_per_hour * max(0.0, hours) + machine.traffic_usd

    def job_usd(self, job: Job) -> float:
        """What a job has cost so far: ended attempts, and the one that runs until now."""
        attempts = self._store.attempts.of_job(job.id) if job.attempts else []
        current = attempts[-1] if attempts and not attempts[-1].state.is_terminal else None
        machine = self._store.machines.get(current.machine) if current else None
        if current is None or machine is None:
            return job.cost_usd
        hours = (self._clock() - current.assigned_at) / 3600
        return job.cost_usd + machine.usd_per_hour * hours + current.traffic_usd

    def _day(self, since: float) -> DaySpend:
        until = since + _DAY_S
        return DaySpend(
            date=datetime.datetime.fromtimestamp(since, datetime.UTC).date(),
            usd=self._store.spending.machines_usd(since, until),
            jobs=self._store.spending.jobs_done(since, until),
        )
