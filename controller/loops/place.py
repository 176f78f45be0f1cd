"""Places queued jobs: on a machine that is warm and free, else on one that it rents."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller import policy
from controller.errors import NoCredit, OfferGone, ProviderError, Unclear
from controller.loops.context import Context, end_attempt
from controller.loops.renting import Rent, assign, job_traffic_usd
from controller.records import Attempt, Job, Machine
from controller.states import AttemptState, MachineState, Reason

log = logging.getLogger(__name__)

_RENTS_A_TICK = 4
#: Credit below this is not worth a machine: it would be stopped in the middle of its work.
LOW_CREDIT_USD = 0.10
_CREDIT_S = 300.0


class RacedError(Exception):
    """The job or the machine is not any more what it was when it was read: nothing is done."""


class Place:
    """``renting``: machines whose create call of this process has not been answered yet."""

    def __init__(self, context: Context, *, may_rent: Callable[[], bool] = lambda: True) -> None:
        self._context = context
        self._may_rent = may_rent
        """False while it is not known what exists: then nothing more is rented."""
        self._rent = Rent(context)
        self._credit_at = 0.0
        self._credit: float | None = None
        self.renting: set[str] = set()

    async def tick(self) -> int:
        """How many jobs found a machine."""
        placed = rents = 0
        for job in self._context.store.jobs.queue():
            if await self._place_on_warm(job):
                placed += 1
            elif rents < _RENTS_A_TICK and self._has_room() and self._may_rent():
                if await self._rent_for(job):
                    placed += 1
                    rents += 1
                else:
                    rents = _RENTS_A_TICK
        return placed

    async def _place_on_warm(self, job: Job) -> bool:
        context = self._context
        now = context.clock()
        need_s = self._allowance_s(job)
        for machine in context.store.machines.select([MachineState.READY]):
            if machine.retire_requested_at is not None or machine.expires_at < now + need_s:
                continue
            try:
                with context.store.transaction():
                    assigned = assign(context, job, machine)
                    busy = context.store.machines.move(machine, MachineState.BUSY, idle_since=None)
                    if assigned is None or busy is None:
                        raise RacedError
                    traffic_usd = job_traffic_usd(context, job, machine, with_image=False)
                    context.store.machines.charge_traffic(machine.id, traffic_usd)
            except RacedError:
                continue
            await self._give_orders(busy, *assigned)
            return True
        return False

    def _has_room(self) -> bool:
        machines = self._context.store.machines.select()
        return len(machines) < self._context.settings.max_machines

    async def _rent_for(self, job: Job) -> bool:
        """Choose, commit, then pay: exactly one create call for one committed row."""
        context = self._context
        refusal = await self._look_at_credit()
        if refusal:
            self._wait(job, *refusal)
            return False
        try:
            market = await context.quotes.market(job)
        except (ProviderError, Unclear) as error:
            log.warning("No offers: %s", error)
            return False
        if market.best is None:
            self._wait(job, Reason.NO_OFFER, market.explain(context.settings.max_price))
            return False
        offer = market.best.offer
        machine = self._rent.new_machine(offer, job)
        if not self._fits_budget(job, machine):
            detail = f"${machine.reserved_usd:.2f} more would have to be reserved"
            self._wait(job, Reason.BUDGET, detail)
            return False
        with context.store.transaction():
            assigned = assign(context, job, machine, add=True)
        if assigned is None:
            return True  # somebody was faster: look at the next job
        context.quotes.take(offer)
        self.renting.add(machine.id)
        try:
            await self._give_orders(machine, *assigned)
            instance = await self._rent.create(offer, machine)
        except ProviderError as error:
            self._refused(machine, assigned[1], error)
        except Unclear as error:
            log.warning("Machine %s may or may not exist: %s", machine.id, error)
            self._record_created(machine.id, MachineState.UNKNOWN)
        else:
            log.info("Created instance %s on %s", instance, machine.name)
            self._record_created(machine.id, MachineState.BOOTING, instance=instance)
        finally:
            self.renting.discard(machine.id)
        return True

    async def _look_at_credit(self) -> tuple[Reason, str] | None:
        """Why nothing may be rented now: the account is all but empty."""
        now = self._context.clock()
        if self._context.provider.rents and now - self._credit_at > _CREDIT_S:
            try:
                self._credit = await self._context.provider.credit_usd()
                self._credit_at = now
            except (ProviderError, Unclear) as error:
                log.warning("The credit is not known: %s", error)
        if self._credit is not None and self._credit < LOW_CREDIT_USD:
            self._credit_at = min(self._credit_at, now - _CREDIT_S + 30)
            return Reason.NO_CREDIT, f"${self._credit:.2f} left"
        return None

    def _fits_budget(self, job: Job, machine: Machine) -> bool:
        midnight = self._context.clock() // 86400 * 86400
        return policy.fits_budget(
            machine.reserved_usd,
            self._context.settings,
            spent_usd=job.cost_usd,
            committed_today_usd=self._context.store.machines.committed_usd(midnight),
        )

    def _wait(self, job: Job, reason: Reason, detail: str) -> None:
        """Say once why a job gets no machine, and again when that changes."""
        told_before = (job.waits_for, job.waits_detail) == (reason, detail)
        if told_before or not self._context.provider.rents:
            return
        log.warning("Job %s waits, %s: %s", job.id, reason, detail)
        told = {"reason": str(reason), "detail": detail}
        event = "waiting" if job.waits_for != reason else None
        self._context.store.jobs.change(
            job, event=event, data=told, waits_for=reason, waits_detail=detail
        )

    def _refused(self, machine: Machine, attempt: Attempt, error: ProviderError) -> None:
        log.warning("Machine %s was refused: %s", machine.id, error)
        if isinstance(error, NoCredit):
            self._credit, self._credit_at = 0.0, self._context.clock()
        elif not isinstance(error, OfferGone):
            log.error("The provider refuses to rent: %s", error)
        store = self._context.store
        store.machines.request_retire(machine.id, Reason.RENT_FAILED)
        end_attempt(self._context, attempt, AttemptState.FAILED, Reason.RENT_FAILED, str(error))

    async def _give_orders(self, machine: Machine, job: Job, attempt: Attempt) -> None:
        context = self._context
        await context.mailbox.write_grant(machine, job, attempt, context.settings.runner_device)
        await context.mailbox.write_orders(
            machine,
            sequence=context.store.machines.next_orders(machine.id),
            attempt=attempt,
            idle_s=context.idle_orders_s,
        )

    def _record_created(self, machine_id: str, to: MachineState, **columns: str) -> None:
        machine = self._context.store.machines.get(machine_id)
        if machine and machine.state is MachineState.RENTING:
            self._context.store.machines.move(machine, to, **columns)

    def _allowance_s(self, job: Job) -> float:
        context = self._context
        expected = policy.estimate(job.facts, job.task, context.store.speeds.known)
        return policy.allowance_s(expected.seconds, context.settings)
