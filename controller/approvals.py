"""A part of the front door: what needs somebody's yes before it is started, and the yes itself.

Nothing is loosened here by itself. What was agreed to is written down with the job, for it alone,
and every loop keeps to it: ``approved_usd_per_hour`` in the place of the deployment's cap,
``approved_usd`` of both budgets, ``approved_s`` of the time limit.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from controller import policy
from controller.errors import (
    Forbidden,
    MarketSilent,
    NothingFits,
    PriceRose,
    TakesTooLong,
    TooLate,
)
from controller.judging import Judge
from controller.market import Market
from controller.people import require_admin
from controller.records import Actor, Job, Limit
from controller.states import JobState, Reason
from controller.store import Store
from controller.terms import LONGEST_ATTEMPT_S, round_price

_STARTED = (JobState.HELD, JobState.QUEUED, JobState.RUNNING, JobState.DONE)
_WAITS_FOR_YES = (Reason.NO_OFFER, Reason.BUDGET)


class Find(Protocol):
    """A job that an actor may deal with."""

    def __call__(self, job_id: str, *, by: Actor) -> Job: ...


class Approvals:
    """Starts, holds and lets go."""

    def __init__(
        self,
        *,
        store: Store,
        judge: Judge,
        find: Find,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._judge = judge
        self._find = find
        self._clock = clock
        self._wake = wake

    async def request_start(self, job_id: str, *, by: Actor) -> Job:
        """Queue a draft, or hold it where price, budget or time need a yes first.

        Starting again changes nothing. Where the market cannot be asked, the job is queued: the
        caps hold there all the same. :class:`TakesTooLong` where no machine may be kept so long.
        """
        while True:
            job = self._find(job_id, by=by)
            if job.state in _STARTED:
                return job
            if job.state is not JobState.DRAFT:
                raise TooLate
            look = await self._judge.look(job)
            await asyncio.sleep(0)  # of a batch hundreds are started in a row
            # what others have started meanwhile counts
            reason, data = self._judge.hold(job, look.terms)
            if reason and data["seconds"] > LONGEST_ATTEMPT_S:
                raise TakesTooLong(seconds=data["seconds"])
            moved = self._hold(job, reason, data) if reason else self._queue(job, "queued")
            if moved:
                return moved

    def approve(self, job_id: str, *, by: Actor, version: int | None = None) -> Job:
        """Say yes to what a job is held for, no more than that, and queue it.

        Money is for administrators to agree to; to a long run its owner may. Saying it again
        changes nothing; :class:`TooLate` where the job is held no more. ``version`` is that of
        the job that was shown: :class:`PriceRose` where it was held anew on other terms since.
        An owner's yes to a long run holds it for their budget where that is used up by now.
        """
        while True:
            job = self._find(job_id, by=by)
            if job.state is JobState.QUEUED and job.approved_by is not None:
                return job
            if job.state is not JobState.HELD:
                raise TooLate
            if job.held_for is not Reason.TOO_LONG and not by.admin:
                raise Forbidden
            if version is not None and job.version != version:
                raise PriceRose(usd_per_hour=job.held_data.get("usd_per_hour", 0.0))
            expected_usd = job.held_data.get("expected_usd", 0.0)
            if not by.admin and self._judge.over_user_budget(job, expected_usd):
                moved = self._hold_on(job)
            else:
                moved = self._queue(job, "approved", by=by.user, **agreed(job.held_data))
            if moved:
                return moved

    async def approve_price(self, job_id: str, *, by: Actor, at_most: float | None = None) -> Job:
        """Allow a queued job that gets no machine for its money the cheapest that would do now.

        Of a held one as :meth:`approve`. ``at_most`` is the price an hour that was shown: nothing
        else is agreed to then, no budget and no time, and where it has risen,
        :class:`PriceRose` has the new one, and nothing was allowed.
        :class:`NothingFits` where no price would help, :class:`MarketSilent` where none is known.
        """
        require_admin(by)
        while True:
            job = self._find(job_id, by=by)
            if job.state is JobState.HELD:
                return self.approve(job_id, by=by)
            if job.state is not JobState.QUEUED or job.waits_for not in _WAITS_FOR_YES:
                raise TooLate
            look = await self._judge.look(job)
            if look.market is None:
                raise MarketSilent
            if look.terms is None:
                raise NothingFits
            _, data = self._judge.hold(job, look.terms)
            if at_most is not None and look.terms.over:
                data = _price_alone(look.market, at_most)
            columns = agreed(data)
            # what it has waited for is not taken from the time that it may run
            deadline_at = policy.queue_deadline(
                self._clock(), columns.get("approved_s", job.approved_s)
            )
            changed = self._store.jobs.change(
                job, event="approved", data={"by": by.user, **data}, waits_for=None,
                waits_detail="", approved_by=by.user, deadline_at=deadline_at, **columns,
            )  # fmt: skip
            if changed:
                self._wake()
                return changed

    def decline(self, job_id: str, *, by: Actor) -> Job:
        """Say no: a held job is cancelled."""
        require_admin(by)
        while True:
            job = self._find(job_id, by=by)
            if job.state is JobState.CANCELLED and job.reason is Reason.DECLINED:
                return job
            if job.state is not JobState.HELD:
                raise TooLate
            with self._store.transaction():
                moved = self._store.jobs.move(
                    job, JobState.CANCELLED, event="cancelled",
                    data={"reason": Reason.DECLINED, "by": by.user},
                    ended_at=self._clock(), reason=Reason.DECLINED, approved_by=by.user,
                )  # fmt: skip
                if moved:
                    self._store.jobs.record(job.id, "declined", {"by": by.user})
                    return moved

    def take_back(self, job_id: str, *, by: Actor) -> Job:
        """Make a held job a draft again, so that it can be changed."""
        while True:
            job = self._find(job_id, by=by)
            if job.state is JobState.DRAFT:
                return job
            if job.state is not JobState.HELD:
                raise TooLate
            moved = self._store.jobs.move(
                job, JobState.DRAFT, event="drafted",
                deadline_at=self._clock() + policy.DRAFT_S, held_for=None, held_data={},
                # what was agreed to before was for the work as it was
                approved_usd_per_hour=None, approved_usd=None, approved_s=None, approved_by=None,
            )  # fmt: skip
            if moved:
                return moved

    def settle_retry(self, job: Job, before: Job) -> Job:
        """How a repetition of ``before`` enters: queued, or held for its owner's budget.

        What was agreed to goes on to hold for work that came to nothing: the price and the time
        as they are, of the money what is left of it. Of a job that is done it was used up.
        """
        if before.state is JobState.DONE:
            job = dataclasses.replace(
                job,
                approved_usd_per_hour=None,
                approved_usd=None,
                approved_s=None,
                approved_by=None,
            )
        elif before.approved_usd is not None:
            job = dataclasses.replace(
                job, approved_usd=max(0.0, before.approved_usd - before.cost_usd)
            )
        now = self._clock()
        reason, data = self._judge.hold_unasked(job)
        if reason:
            return dataclasses.replace(
                job, state=JobState.HELD, held_for=reason, held_data=data, started_at=None,
                deadline_at=now + policy.HOLD_S,
            )  # fmt: skip
        return dataclasses.replace(
            job, state=JobState.QUEUED, held_for=None, held_data={}, started_at=now,
            deadline_at=policy.queue_deadline(now, job.approved_s),
        )  # fmt: skip

    def _hold(self, job: Job, reason: Reason, data: dict[str, Any]) -> Job | None:
        return self._store.jobs.move(
            job, JobState.HELD, event="held", data={"reason": reason, **data},
            held_for=reason, held_data=data, deadline_at=self._clock() + policy.HOLD_S,
        )  # fmt: skip

    def _hold_on(self, job: Job) -> Job | None:
        """What was held for its time alone is held for its owner's budget as well."""
        over = sorted({*job.held_data.get("over", ()), Limit.USER_BUDGET})
        data = {**job.held_data, "over": over}
        return self._store.jobs.change(
            job, event="held", data={"reason": Reason.BUDGET, **data},
            held_for=Reason.BUDGET, held_data=data, deadline_at=self._clock() + policy.HOLD_S,
        )  # fmt: skip

    def _queue(self, job: Job, event: str, *, by: int | None = None, **columns: Any) -> Job | None:
        now = self._clock()
        if by is not None:
            columns |= {"approved_by": by, "held_for": None}
        # of a repetition that was held, more time may have been agreed to before
        deadline_at = policy.queue_deadline(now, columns.get("approved_s", job.approved_s))
        moved = self._store.jobs.move(
            job, JobState.QUEUED, event=event, data={} if by is None else {"by": by},
            started_at=now, deadline_at=deadline_at, **columns,
        )  # fmt: skip
        if moved:
            self._wake()
        return moved


def _price_alone(market: Market, at_most: float) -> dict[str, Any]:
    """What would be agreed to with the price of the cheapest machine that lacks nothing else."""
    other = market.cheapest_otherwise_fit
    if other is None:
        raise NothingFits
    price = round_price(other.offer.usd_per_hour)
    if price > at_most:
        raise PriceRose(usd_per_hour=price)
    return {"usd_per_hour": price, "gpu": other.offer.name, "over": [Limit.PRICE]}


def agreed(data: Mapping[str, Any]) -> dict[str, float]:
    """The columns for what somebody says yes to: only for what is exceeded."""
    over = set(data.get("over", ()))
    columns: dict[str, float] = {}
    if Limit.PRICE in over:
        columns["approved_usd_per_hour"] = data["usd_per_hour"]
    if over & {Limit.JOB_BUDGET, Limit.DAY_BUDGET}:
        columns["approved_usd"] = data["usd"]
    if Limit.TIME in over:
        columns["approved_s"] = data["limit_s"]
    return columns
