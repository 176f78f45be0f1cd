"""What a job would take on the machines to be had now, put together for a card."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable

from controller.judging import Judge, Look, Terms
from controller.queue import Queue
from controller.quotes import Quotes
from controller.records import Estimate, Job, Machine, PlanQuote
from controller.settings import Settings
from controller.store import Store
from controller.terms import round_price
from remote_runner.protocol import Task

KEEP_S = 600.0
"""How long a plan is good enough to be shown."""
_FASTER, _SLOWER = 0.6, 1.25
"""What a formula may be off by: its shares of a card's rate are taken low (see ``market``)."""


class Plans:
    """Asks, and keeps what was answered for a while."""

    def __init__(
        self,
        *,
        store: Store,
        quotes: Quotes,
        judge: Judge,
        queue: Queue,
        settings: Settings,
        clock: Callable[[], float],
        rents: bool,
    ) -> None:
        self._store = store
        self._quotes = quotes
        self._judge = judge
        self._queue = queue
        self._settings = settings
        self._clock = clock
        self._rents = rents
        self._known: dict[str, tuple[Task, PlanQuote]] = {}

    async def plan(self, job: Job, task: Task | None = None) -> PlanQuote:
        """The market is asked, once in half a minute for jobs of about one size.

        Where it cannot be asked, what was known before has to do: the quote is ``unknown``.
        """
        job = dataclasses.replace(job, task=task or job.task)
        look = await self._judge.look(job)
        quote = self._quote(job, look)
        now = self._clock()
        self._known = {k: kept for k, kept in self._known.items() if now - kept[1].at <= KEEP_S}
        self._known[job.id] = (job.task, quote)
        return quote

    def known_plan(self, job: Job, task: Task | None = None) -> PlanQuote | None:
        """What was asked last for this job and task, not older than ten minutes."""
        known = self._known.get(job.id)
        if known is None or known[0] != (task or job.task):
            return None
        return known[1] if 0 <= self._clock() - known[1].at <= KEEP_S else None

    def _quote(self, job: Job, look: Look) -> PlanQuote:
        expected = self._quotes.estimate(job)
        terms = look.terms or _known_terms(expected, self._settings)
        span = [terms] if terms.warm else list(look.best) or [terms]
        judged = look.market
        other = judged.cheapest_otherwise_fit if judged else None
        hold, hold_data = self._judge.hold(job, look.terms)
        return PlanQuote(
            seconds=terms.seconds,
            usd=terms.usd,
            low_usd=min(_usd(each, _FASTER) for each in span),
            high_usd=max(_usd(each, _SLOWER) for each in span),
            low_seconds=min(_seconds(each, _FASTER) for each in span),
            high_seconds=max(_seconds(each, _SLOWER) for each in span),
            gpu=terms.gpu,
            usd_per_hour=terms.usd_per_hour,
            fitting=sum(each.fits for each in judged.ranked) if judged else 0,
            removed={str(name): n for name, n in judged.removed().items()} if judged else {},
            cheapest_gpu=other.offer.name if other else None,
            cheapest_usd_per_hour=round_price(other.offer.usd_per_hour) if other else None,
            queue=self._queue.ahead(job),
            starts_in_s=self._wait_s(job),
            warm=terms.warm,
            measured=terms.measured,
            reckoned=expected.reckoned and not terms.measured,
            frames_out=expected.frames_out,
            width=expected.width,
            height=expected.height,
            hold=hold,
            hold_data=hold_data,
            paid=self._rents,
            at=self._clock(),
            unknown=self._rents and judged is None,
        )

    def _wait_s(self, job: Job) -> float:
        """How long until a machine is free: those that work end, those ahead go first."""
        machines = [each for each in self._store.machines.select() if each.state.is_live]
        free_in = [self._left_s(each) for each in machines]
        free_in += [0.0] * max(0, self._settings.max_machines - len(machines))
        if not free_in:
            free_in = [0.0]  # all are on their way out
        heapq.heapify(free_in)
        ahead = self._queue.ahead(job)
        for other in self._queue.listing()[:ahead]:
            heapq.heappush(
                free_in, heapq.heappop(free_in) + self._quotes.rough_estimate(other).seconds
            )
        return free_in[0]

    def _left_s(self, machine: Machine) -> float:
        """How long a machine goes on with what it has, as far as its runner says."""
        attempt = self._store.attempts.open_on(machine.id)
        if attempt is None:
            return 0.0
        if attempt.status and attempt.status.eta_s is not None:
            return max(0.0, attempt.status.eta_s - (self._clock() - (attempt.seen_at or 0.0)))
        ran_s = self._clock() - attempt.assigned_at
        expected = self._quotes.rough_estimate(self._store.jobs.get(attempt.job))
        return max(0.0, expected.seconds - ran_s)


def _known_terms(expected: Estimate, settings: Settings) -> Terms:
    """Where there is no machine to speak of: what is known without the market."""
    return Terms(
        gpu="",
        usd_per_hour=settings.max_price,
        seconds=expected.seconds,
        work_s=expected.seconds,
        usd=expected.usd,
        most_usd=0.0,
        new_usd=0.0,
        limit_s=settings.job_timeout_s,
        measured=expected.measured,
    )


def _seconds(terms: Terms, factor: float) -> float:
    return terms.seconds + (0.0 if terms.measured else (factor - 1) * terms.work_s)


def _usd(terms: Terms, factor: float) -> float:
    return terms.usd + (_seconds(terms, factor) - terms.seconds) / 3600 * terms.usd_per_hour
