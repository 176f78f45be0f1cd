"""A part of the front door: work that is done once more, as it was or with another task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ulid import ULID

from controller import policy
from controller.approvals import Approvals, Find
from controller.errors import TooLate
from controller.intake import Intake
from controller.records import Actor, Job
from controller.states import JobState
from controller.store import Store


class Repeats:
    """Makes jobs of jobs. The same ``key`` again finds the same job."""

    def __init__(
        self,
        *,
        store: Store,
        intake: Intake,
        approvals: Approvals,
        find: Find,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._approvals = approvals
        self._find = find
        self._clock = clock
        self._wake = wake

    def retry(self, job_id: str, *, by: Actor, key: str) -> Job:
        """A new job with the same input and task as one that was started and has ended.

        What was agreed to for one that came to nothing still is. It is held where its owner has
        no budget left for the day.
        """
        job = self._find(job_id, by=by)
        known = self._store.jobs.by_request(key)
        if known:
            return known
        kept = self._store.jobs.is_kept(job.id)
        ran = job.started_at is not None and job.sample_of is None
        if not job.state.is_terminal or not ran or not kept:
            raise TooLate
        self._intake.require_turn(job.owner, job.batch)
        again = self._approvals.settle_retry(
            dataclasses.replace(
                job,
                id=str(ULID()),
                request_key=key,
                created_at=self._clock(),
                cost_usd=0.0,
                # what is done already would only be made the same again
                predecessor=None if job.state is JobState.DONE else job.id,
            ),
            before=job,
        )
        added = self._store.jobs.add(again, str(again.state))
        self._wake()
        return added

    def redo(self, job_id: str, *, by: Actor, key: str) -> Job:
        """A new draft from the input of a job that has ended, with its task to begin with.

        Nothing that was agreed to before holds for it. :class:`TooLate` while the job goes on, or
        where its input is no longer kept.
        """
        job = self._find(job_id, by=by)
        known = self._store.jobs.by_request(key)
        if known:
            return known
        # what lies where its user has put it is never pruned
        kept = not job.source_is_ours or self._store.jobs.is_kept(job.id)
        if not job.state.is_terminal or job.sample_of is not None or not kept:
            raise TooLate
        self._intake.require_turn(job.owner)
        now = self._clock()
        draft = dataclasses.replace(
            job, id=str(ULID()), request_key=key, state=JobState.DRAFT, created_at=now,
            deadline_at=now + policy.DRAFT_S, started_at=None, predecessor=None, batch=None,
            priority=0, held_for=None, held_data={}, approved_usd_per_hour=None,
            approved_usd=None, approved_s=None, approved_by=None,
        )  # fmt: skip
        return self._store.jobs.add(draft, "drafted")
