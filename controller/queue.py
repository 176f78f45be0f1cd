"""A part of the front door: the order of the queue, and whether anything is started at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from controller.errors import NoSuchJob, TooLate
from controller.people import require_admin
from controller.records import Actor, Job, Switch
from controller.states import JobState, MachineState
from controller.store import Store

Place = Literal["first", "up", "down", "last"]
PAUSED = "paused"
DRAINED = "drained"


class Queue:
    """Jobs that wait for a machine: higher priorities first, then in the order of their start."""

    def __init__(
        self, *, store: Store, clock: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._wake = wake

    def ahead(self, job: Job) -> int:
        """How many are before a job; of one that is not queued, how many it would wait for."""
        if job.state is JobState.QUEUED:
            return self._store.jobs.position(job) - 1
        return self._store.jobs.count_before(job.priority)

    def listing(self) -> list[Job]:
        """All that wait, the next one first; samples and jobs that wait for a retry too."""
        return self._store.jobs.waiting()

    def move(self, job_id: str, to: Place, *, by: Actor) -> Job:
        """Change a job's place among the others that wait; samples keep theirs.

        :class:`NoSuchJob` for one that is unknown, :class:`TooLate` for one that waits no more.
        """
        require_admin(by)
        with self._store.transaction():
            found = self._store.jobs.by_suffix(job_id) if 6 <= len(job_id) <= 26 else []
            if len(found) != 1:
                raise NoSuchJob
            jobs = [each for each in self.listing() if each.sample_of is None]
            ids = [each.id for each in jobs]
            if found[0].id not in ids:
                raise TooLate
            at = ids.index(found[0].id)
            goal = {"first": 0, "up": max(0, at - 1), "down": at + 1, "last": len(jobs)}[to]
            jobs.insert(goal, jobs.pop(at))
            for job, priority in _ranks(jobs):
                event = "moved" if job.id == found[0].id else None
                self._store.jobs.change(job, event=event, priority=priority)
        self._wake()
        return self._store.jobs.get(found[0].id)

    def pause(self, *, by: Actor) -> None:
        """Nothing more is started; what runs goes on to its end."""
        require_admin(by)
        self._store.switches.set(PAUSED, "yes", by=by.user)

    def resume(self, *, by: Actor) -> None:
        """Go on, after a pause or after a drain."""
        require_admin(by)
        with self._store.transaction():
            self._store.switches.drop(PAUSED)
            self._store.switches.drop(DRAINED)
        self._wake()

    @property
    def paused(self) -> Switch | None:
        """Who paused it, and when; None while it goes on."""
        return self._store.switches.get(PAUSED)

    def drain(self, *, by: Actor) -> None:
        """Pause, and keep no machine that has nothing to do, now or later."""
        require_admin(by)
        with self._store.transaction():
            self._store.switches.set(PAUSED, "yes", by=by.user)
            self._store.switches.set(DRAINED, "yes", by=by.user)
            for machine in self._store.machines.select([MachineState.READY, MachineState.BOOTING]):
                if self._store.attempts.open_on(machine.id) is None:
                    self._store.machines.request_retire(machine.id, DRAINED)
        self._wake()

    @property
    def drained(self) -> Switch | None:
        """Who drained the house, and when."""
        return self._store.switches.get(DRAINED)


def _ranks(jobs: Sequence[Job]) -> list[tuple[Job, int]]:
    """The lowest priorities that give this order, of those whose priority is another one.

    Later starts have priority 0: they come behind all that wait now.
    """
    changed = []
    priority, behind = 0, None
    for job in reversed(jobs):
        if behind and (job.started_at, job.id) > (behind.started_at, behind.id):
            priority += 1
        if job.priority != priority:
            changed.append((job, priority))
        behind = job
    return changed
