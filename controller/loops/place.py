"""Places queued jobs: on a machine that is warm and free, else on one that it rents."""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum

from controller import policy
from controller.alerts import CREDIT_NONE_USD
from controller.errors import (
    BadImage,
    BadKey,
    NoCredit,
    OfferGone,
    ProviderError,
    StorageError,
    Unclear,
)
from controller.log_ids import logged, note_ids
from controller.loops.context import Context, end_attempt
from controller.loops.granting import clear_lost_time, write_grant
from controller.loops.renting import Rent, assign
from controller.loops.sampling import end_orphans
from controller.queue import PAUSED
from controller.records import Attempt, Job, Machine
from controller.states import AttemptState, MachineState, Reason
from controller.terms import price_cap

log = logging.getLogger(__name__)

_RENTS_A_TICK = 4
_CREDIT_S = 300.0
_REFUSED_S = 300.0


class Outcome(StrEnum):
    """What became of an attempt to rent."""

    RENTED = "rented"
    NOT_THIS_JOB = "not_this_job"
    """The next job may be luckier."""
    NOTHING_NOW = "nothing_now"
    """No job would be."""


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
        self._refusal = ""
        self._refusals = 0
        self._refused_until = 0.0
        self.renting: set[str] = set()

    async def tick(self) -> int:
        """How many jobs found a machine."""
        placed = rents = 0
        end_orphans(self._context)
        for job in self._context.store.jobs.queue():
            if self._context.store.switches.get(PAUSED):
                break
            if await self._place_on_warm(job):
                placed += 1
            elif rents < _RENTS_A_TICK and self._has_room() and self._may_rent():
                match await self._rent_for(job):
                    case Outcome.RENTED:
                        placed += 1
                        rents += 1
                    case Outcome.NOTHING_NOW:
                        rents = _RENTS_A_TICK
        return placed

    @logged
    async def _place_on_warm(self, job: Job) -> bool:
        context = self._context
        for machine in context.store.machines.select([MachineState.READY]):
            if not context.quotes.suits(job, machine):
                continue
            traffic_usd = context.quotes.traffic_usd(job, machine)
            if not self._fits_budget(job, traffic_usd):
                continue
            try:
                with context.store.transaction():
                    assigned = assign(context, job, machine, traffic_usd=traffic_usd)
                    busy = context.store.machines.move(machine, MachineState.BUSY, idle_since=None)
                    if assigned is None or busy is None:
                        raise RacedError
                    context.store.machines.charge_traffic(machine.id, traffic_usd)
            except RacedError:
                continue
            await self._give_orders(busy, *assigned)
            return True
        return False

    def _has_room(self) -> bool:
        machines = self._context.store.machines.select()
        return len(machines) < self._context.settings.max_machines

    @logged
    async def _rent_for(self, job: Job) -> Outcome:
        """Choose, commit, then pay: exactly one create call for one committed row."""
        context = self._context
        refusal = await self._look_at_account()
        if refusal:
            self._wait(job, *refusal)
            return Outcome.NOTHING_NOW
        try:
            market = await context.quotes.market(job)
        except (ProviderError, Unclear) as error:
            log.warning("No offers: %s", error)
            if isinstance(error, BadKey):
                self._wait(job, Reason.REFUSED, str(error))
            return Outcome.NOTHING_NOW
        if context.store.switches.get(PAUSED):
            return Outcome.NOTHING_NOW  # while the market was asked
        if market.best is None:
            self._wait(job, Reason.NO_OFFER, market.explain(price_cap(job, context.settings)))
            return Outcome.NOT_THIS_JOB
        offer = market.best.offer
        machine = self._rent.new_machine(offer, job)
        if not self._fits_budget(job, machine.reserved_usd):
            detail = f"${machine.reserved_usd:.2f} more would have to be reserved"
            self._wait(job, Reason.BUDGET, detail)
            return Outcome.NOT_THIS_JOB
        with context.store.transaction():
            assigned = assign(context, job, machine, add=True, traffic_usd=machine.traffic_usd)
        if assigned is None:
            return Outcome.NOT_THIS_JOB  # somebody was faster
        note_ids(assigned[1])
        self.renting.add(machine.id)
        try:
            await self._give_orders(machine, *assigned)
            instance = await self._rent.create(offer, machine)
        except ProviderError as error:
            self._refused(machine, assigned[1], error)
        except Unclear as error:
            log.warning("Machine %s may or may not exist: %s", machine.id, error)
            self._record_created(machine.id, MachineState.UNKNOWN)
        except StorageError as error:
            # nothing was sent: the machine's orders could not be written
            self._refused(machine, assigned[1], ProviderError(str(error)))
        else:
            log.info("Created instance %s on %s", instance, machine.name)
            self._record_created(machine.id, MachineState.BOOTING, instance=instance)
            self._refusals = 0
        finally:
            self.renting.discard(machine.id)
        return Outcome.RENTED

    async def _look_at_account(self) -> tuple[Reason, str] | None:
        """Why nothing may be rented now: the account is all but empty, or was refused."""
        now = self._context.clock()
        if now < self._refused_until:
            return Reason.REFUSED, self._refusal
        if self._context.provider.rents and now - self._credit_at > _CREDIT_S:
            try:
                self._credit = await self._context.provider.credit_usd()
                self._credit_at = now
            except (ProviderError, Unclear) as error:
                log.warning("The credit is not known: %s", error)
        if self._credit is not None and self._credit < CREDIT_NONE_USD:
            self._credit_at = min(self._credit_at, now - _CREDIT_S + 30)
            return Reason.NO_CREDIT, f"${self._credit:.2f} left"
        return None

    def _fits_budget(self, job: Job, usd: float) -> bool:
        midnight = self._context.clock() // 86400 * 86400
        return policy.fits_budget(
            usd,
            self._context.settings,
            spent_usd=job.cost_usd,
            committed_today_usd=self._context.store.machines.committed_usd(midnight),
            approved_usd=job.approved_usd,
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
        now = self._context.clock()
        if isinstance(error, OfferGone):
            self._context.quotes.note_taken(machine.host)
        elif isinstance(error, NoCredit):
            self._credit, self._credit_at = 0.0, now
        elif isinstance(error, (BadKey, BadImage)):
            # no other offer would do better: the next try is a while away, and each one longer
            self._refusal = str(error)
            self._refused_until = now + min(3600.0, _REFUSED_S * 2**self._refusals)
            self._refusals += 1
        store = self._context.store
        store.machines.request_retire(machine.id, Reason.RENT_FAILED)
        end_attempt(
            self._context, attempt, AttemptState.FAILED, Reason.RENT_FAILED, str(error),
            is_free=True,
        )  # fmt: skip

    async def _give_orders(self, machine: Machine, job: Job, attempt: Attempt) -> None:
        context = self._context
        await clear_lost_time(context, job, attempt)
        await write_grant(context, machine, job, attempt)
        await context.mailbox.write_orders(
            machine,
            sequence=context.store.machines.next_orders(machine.id),
            attempt=attempt,
            idle_s=context.idle_orders_s,
        )

    def _record_created(self, machine_id: str, to: MachineState, **columns: str) -> None:
        machine = self._context.store.machines.get(machine_id)
        if machine and machine.state is MachineState.RENTING:
            # listings from before the answer say nothing about it
            self._context.store.machines.move(
                machine, to, absences=0, absent_since=None, **columns
            )
