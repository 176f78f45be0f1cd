"""Which machine a job would get now, and what somebody must say yes to for that.

The machine that counts is the one that would be taken: one that is warm and free, else the offer
that is cheapest for the whole job. Where none fits, it is the one that asks for the least yes: one
within the money before a dearer one, and of these the cheapest by the hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller import market, policy
from controller.errors import ProviderError, Unclear
from controller.market import Filter, Market, Ranked
from controller.people import People
from controller.queue import Queue
from controller.quotes import Quotes
from controller.records import Job, Limit, Machine
from controller.settings import Settings
from controller.spending import Spending
from controller.states import JobState, MachineState, Reason
from controller.store import Store
from controller.terms import money_cap, price_cap, round_price, round_usd, time_limit_s

_BEST = 5
"""Offers of which one will still be there."""
_ASKABLE = frozenset({Filter.PRICE, Filter.TIME, Filter.BUDGET})
"""What somebody can say yes to; a machine that lacks memory lacks it all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """One machine, and what a job needs to be allowed for it."""

    gpu: str
    usd_per_hour: float
    seconds: float
    """Expected, with the start of the machine."""
    work_s: float
    """Of these the work alone."""
    usd: float
    """Expected."""
    most_usd: float
    """What it may cost at most, to the end of the machine's life."""
    new_usd: float
    """What would have to be reserved for it now."""
    limit_s: float
    """The most that one attempt may run."""
    measured: bool
    warm: bool = False
    over: frozenset[Limit] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the market says to a job."""

    terms: Terms | None
    """None where nothing would do, or the market could not be asked."""
    best: tuple[Terms, ...] = ()
    market: Market | None = None


class Judge:
    """Asks the market, and knows the budgets."""

    def __init__(
        self,
        *,
        store: Store,
        quotes: Quotes,
        settings: Settings,
        spending: Spending,
        people: People,
        queue: Queue,
        rents: bool,
    ) -> None:
        self._store = store
        self._quotes = quotes
        self._settings = settings
        self._spending = spending
        self._people = people
        self._queue = queue
        self._rents = rents

    async def look(self, job: Job) -> Look:
        """The machine that would be taken, and the ones beside it."""
        if not self._rents:
            return Look(terms=self._own_terms(job))
        warm = self._warm_terms(job)
        try:
            # above the cap as well: people are told what it excludes
            judged = await self._quotes.market(job, whole=True)
        except (ProviderError, Unclear):
            return Look(terms=warm)
        best = [each for each in judged.ranked if each.fits][:_BEST]
        # in between a machine may have become free, or have been taken
        warm = self._warm_terms(job)
        return Look(
            terms=warm or self._choose(job, judged),
            best=tuple(self._offer_terms(job, each) for each in best),
            market=judged,
        )

    def hold(self, job: Job, terms: Terms | None) -> tuple[Reason | None, dict[str, Any]]:
        """What a start would be held for now, and what would be agreed to.

        Money comes first: whoever says yes to it says yes to the time as well. Without terms the
        loops keep the caps; the budget of a person is nobody else's to keep.
        """
        if terms is None:
            return self.hold_unasked(job)
        over = terms.over | self._over_budgets(job, terms)
        if not over:
            return None, {}
        reason = Reason.TOO_LONG
        if Limit.PRICE in over:
            reason = Reason.NO_OFFER
        elif over & {Limit.JOB_BUDGET, Limit.DAY_BUDGET, Limit.USER_BUDGET}:
            reason = Reason.BUDGET
        return reason, {
            "usd_per_hour": round_price(terms.usd_per_hour),
            "usd": round_usd(job.cost_usd + terms.most_usd),
            "expected_usd": terms.usd,
            "seconds": terms.seconds,
            "limit_s": terms.limit_s,
            "gpu": terms.gpu,
            "over": sorted(over),
        }

    def hold_unasked(self, job: Job) -> tuple[Reason | None, dict[str, Any]]:
        """As :meth:`hold` without the market: whether the owner's budget of a day needs a yes."""
        expected = self._quotes.estimate(job)
        if not self.over_user_budget(job, expected.usd):
            return None, {}
        return Reason.BUDGET, {
            "usd_per_hour": round_price(price_cap(job, self._settings)),
            "usd": round_usd(money_cap(job, self._settings)),
            "expected_usd": expected.usd,
            "seconds": expected.seconds,
            "limit_s": time_limit_s(job, self._settings),
            "gpu": "",
            "over": [Limit.USER_BUDGET],
        }

    def over_user_budget(self, job: Job, usd: float) -> bool:
        """Whether a job that is expected to cost ``usd`` exceeds its owner's budget of a day.

        What their other jobs cost today counts, and what those that go on are expected to.
        """
        budget = self._people.day_budget(job.owner) if job.owner else None
        if budget is None or not self._rents:
            return False
        others = self._store.jobs.select(
            states=[JobState.QUEUED, JobState.RUNNING], owner=job.owner
        )
        coming = sum(
            max(0.0, self._quotes.rough_estimate(each).usd - self._spending.job_usd(each))
            for each in others
            if each.id != job.id and each.sample_of is None
        )
        return self._spending.of_user_today(job.owner) + coming + usd > budget

    def _over_budgets(self, job: Job, terms: Terms) -> frozenset[Limit]:
        if not self._rents or job.approved_usd is not None:
            return frozenset()
        over = set()
        committed_usd = self._store.machines.committed_usd(self._spending.midnight)
        if committed_usd + terms.new_usd > self._settings.day_budget:
            over.add(Limit.DAY_BUDGET)
        # who was let go on once is not asked again for what it has cost meanwhile
        if job.approved_by is None and self.over_user_budget(job, terms.usd):
            over.add(Limit.USER_BUDGET)
        return frozenset(over)

    def _own_terms(self, job: Job) -> Terms:
        """One's own computer: it costs nothing, but it takes its time."""
        expected = self._quotes.estimate(job)
        machine = self._warm_machine(job)
        seconds, measured = expected.seconds, expected.measured
        if machine and measured:
            # a sample on it is better than what was learned elsewhere
            seconds, _ = self._quotes.machine_seconds(job, machine)
        limit_s = time_limit_s(job, self._settings)
        too_long = seconds > limit_s
        return Terms(
            gpu=self._own_name(),
            usd_per_hour=0.0,
            seconds=seconds,
            work_s=seconds,
            usd=0.0,
            most_usd=0.0,
            new_usd=0.0,
            limit_s=policy.agreed_limit_s(seconds) if too_long else limit_s,
            measured=measured,
            warm=machine is not None,
            over=frozenset({Limit.TIME} if too_long else ()),
        )

    def _own_name(self) -> str:
        machines = self._store.machines.select()
        return machines[-1].name if machines else ""

    def _warm_machine(self, job: Job) -> Machine | None:
        """One that is free for this job, when those ahead have taken theirs."""
        free = [
            machine
            for machine in self._store.machines.select([MachineState.READY])
            if self._quotes.suits(job, machine)
        ]
        ahead = self._queue.ahead(job)
        return free[ahead] if ahead < len(free) else None

    def _warm_terms(self, job: Job) -> Terms | None:
        machine = self._warm_machine(job)
        if machine is None:
            return None
        seconds, measured = self._quotes.machine_seconds(job, machine)
        traffic_usd = self._quotes.traffic_usd(job, machine)
        return Terms(
            gpu=machine.name,
            usd_per_hour=machine.usd_per_hour,
            seconds=seconds,
            work_s=seconds,
            usd=seconds / 3600 * machine.usd_per_hour + traffic_usd,
            most_usd=self._quotes.most_usd(job, machine),
            new_usd=traffic_usd,
            limit_s=time_limit_s(job, self._settings),
            measured=measured,
            warm=True,
        )

    def _choose(self, job: Job, judged: Market) -> Terms | None:
        """Of what is to be had the offer that fits, else the one that needs the least yes."""
        if judged.best:
            return self._offer_terms(job, judged.best)
        nearly = [
            self._asked_terms(job, each) for each in judged.ranked if set(each.failed) <= _ASKABLE
        ]
        lasting = [each for each in nearly if each]
        return min(lasting, key=_least_yes, default=None)

    def _asked_terms(self, job: Job, ranked: Ranked) -> Terms | None:
        """None where the offer ends before a longer run that would be agreed to."""
        terms = self._offer_terms(job, ranked)
        lasts_s = ranked.offer.duration_s
        longest_s = self._quotes.longest_s(terms.limit_s)
        return terms if lasts_s is None or lasts_s >= longest_s else None

    def _offer_terms(self, job: Job, ranked: Ranked) -> Terms:
        offer, settings = ranked.offer, self._settings
        wish = self._quotes.wish(job)
        limit_s = time_limit_s(job, settings)
        if Filter.TIME in ranked.failed:
            limit_s = policy.agreed_limit_s(ranked.seconds)
        traffic_usd = market.traffic_usd(
            wish,
            usd_per_gb_down=offer.usd_per_gb_down,
            usd_per_gb_up=offer.usd_per_gb_up,
            with_image=True,
        )
        most_usd = policy.reservation_usd(
            round_price(offer.usd_per_hour) if ranked.failed else offer.usd_per_hour,
            traffic_usd,
            self._quotes.longest_s(limit_s),
        )
        over = {
            Limit.PRICE: Filter.PRICE in ranked.failed,
            Limit.TIME: Filter.TIME in ranked.failed,
            Limit.JOB_BUDGET: most_usd > wish.max_usd,
        }
        return Terms(
            gpu=offer.name,
            usd_per_hour=offer.usd_per_hour,
            seconds=market.START_S + ranked.seconds,
            work_s=ranked.seconds,
            usd=ranked.usd,
            most_usd=most_usd,
            new_usd=most_usd,
            limit_s=limit_s,
            measured=self._quotes.is_measured(job, offer.name),
            over=frozenset(name for name, is_over in over.items() if is_over),
        )


def _least_yes(terms: Terms) -> tuple[bool, int, float, float]:
    return bool(terms.over - {Limit.TIME}), len(terms.over), terms.usd_per_hour, terms.usd
