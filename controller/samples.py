"""A part of the front door: the busiest seconds of a draft, made before the whole is started.

A sample is a job of its own on the same input, before all others in the queue. It belongs to its
draft: it ends with it, and its result is a leftover like any other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ulid import ULID

from controller import policy
from controller.approvals import Find
from controller.errors import OverBudget, TooLate
from controller.judging import Judge
from controller.loops.sampling import cancel_samples
from controller.places import PICTURE_BYTES, frame_key
from controller.records import Actor, Attempt, Job
from controller.states import JobState
from controller.storage.base import Storage
from controller.store import Store

PRIORITY = 100
"""Somebody looks at the chat and waits for it."""
_LEAST_USD = 0.01
"""What a budget must have left: a sample costs about as much."""


class Samples:
    """Makes and finds samples, and the pictures of work that goes on."""

    def __init__(
        self,
        *,
        store: Store,
        storage: Storage,
        judge: Judge,
        find: Find,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._storage = storage
        self._judge = judge
        self._find = find
        self._clock = clock
        self._wake = wake

    def sample(self, job_id: str, *, by: Actor, key: str) -> Job:
        """Queue a sample of a draft. The same ``key`` again finds the same one.

        One of the same task that is not finished, or whose result is still there, is returned as
        it is; what goes on for another task is cancelled. :class:`TooLate` once the draft was
        started, :class:`OverBudget` where its owner has no money left for the day.
        """
        draft = self._find(job_id, by=by)
        known = self._store.jobs.by_request(key)
        if known:
            return known
        if draft.state is not JobState.DRAFT or draft.sample_of is not None:
            raise TooLate
        newest = self.newest_sample(draft)
        if newest and newest.task == draft.task and self._serves(newest):
            return newest
        now = self._clock()
        wanted = dataclasses.replace(
            draft, id=str(ULID()), request_key=key, state=JobState.QUEUED, created_at=now,
            started_at=now, deadline_at=policy.queue_deadline(now, None), sample_of=draft.id,
            priority=PRIORITY, batch=None, predecessor=None,
        )  # fmt: skip
        if self._judge.over_user_budget(wanted, _LEAST_USD):
            raise OverBudget
        with self._store.transaction():
            cancel_samples(self._store, draft.id, now)
            added = self._store.jobs.add(wanted, "queued")
        self._wake()
        return added

    def newest_sample(self, job: Job) -> Job | None:
        """Of a draft, or of what became of one."""
        samples = self._store.jobs.samples_of(job.id)
        return samples[-1] if samples else None

    def end(self, draft: Job) -> None:
        """What goes on for a draft that is one no more is not wanted."""
        with self._store.transaction():
            cancel_samples(self._store, draft.id, self._clock())

    def has_frame(self, job: Job) -> bool:
        """Whether there is a before/after picture of work that goes on."""
        return self._with_frame(job) is not None

    def frame_file(self, job: Job) -> AbstractAsyncContextManager[Path]:
        """The before/after picture (PNG) of the first segment that the newest attempt has
        finished, as a local file; :class:`TooLate` where there is none."""
        attempt = self._with_frame(job)
        if attempt is None:
            raise TooLate
        key = frame_key(job.id, attempt.number)
        return self._storage.local_file(key, limit=PICTURE_BYTES)

    def _with_frame(self, job: Job) -> Attempt | None:
        attempts = self._store.attempts.of_job(job.id)
        newest = attempts[-1] if attempts else None
        return newest if newest and newest.status and newest.status.frame else None

    def _serves(self, sample: Job) -> bool:
        if sample.state is JobState.DONE:
            return self._store.jobs.is_kept(sample.id)
        return not sample.state.is_terminal and sample.cancel_requested_at is None
