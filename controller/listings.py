"""A part of the front door: pages of jobs for lists that people turn over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from controller.records import Job
from controller.states import JobState
from controller.store import Store

ACTIVE = (JobState.DRAFT, JobState.HELD, JobState.QUEUED, JobState.RUNNING)
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsPage:
    """Some of the jobs of a list, and which part of it that is."""

    jobs: Sequence[Job]
    total: int
    page: int
    """From 0; the last one where a later one was asked for."""
    pages: int
    """At least 1."""


class Listings:
    """What runs comes first, then the queue in its order, what waits for people, what ended."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        page: int,
        size: int,
        *,
        states: Collection[JobState] = ACTIVE,
        owner: int | None = None,
        chat: int | None = None,
        ended_after: float | None = None,
        samples: bool = False,
    ) -> JobsPage:
        """A page of ``size`` jobs; what is None does not matter."""
        page = max(0, page)
        while True:
            jobs, total = self._store.listings.page(
                states=states, owner=owner, chat=chat, ended_after=ended_after, samples=samples,
                limit=size, offset=page * size,
            )  # fmt: skip
            pages = max(1, -(-total // size))
            if page < pages:
                return JobsPage(jobs=jobs, total=total, page=page, pages=pages)
            page = pages - 1

    def owners(self, states: Collection[JobState] = ACTIVE) -> list[tuple[int, int]]:
        """Whose jobs there are and how many each has, most first."""
        return self._store.listings.owners(states)
