"""Places queued jobs: on a machine that is warm and free, else on one that it rents."""

from __future__ import annotations

import logging

from ulid import ULID

from controller import policy
from controller.errors import ProviderError, Unclear
from controller.labels import Label
from controller.loops.context import Context, end_attempt
from controller.providers.base import Launch, Offer
from controller.records import Attempt, Job, Machine
from controller.states import AttemptState, JobState, MachineState, Reason

log = logging.getLogger(__name__)

_RENTS_A_TICK = 4


class _RacedError(Exception):
    """The job or the machine is not any more what it was when it was read: nothing is done."""


class Place:
    """``renting``: machines whose create call of this process has not been answered yet."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.renting: set[str] = set()

    async def tick(self) -> int:
        """How many jobs found a machine."""
        placed = rents = 0
        for job in self._context.store.jobs.queue():
            if await self._place_on_warm(job):
                placed += 1
            elif self._has_room() and rents < _RENTS_A_TICK:
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
                    assigned = self._assign(job, machine)
                    busy = context.store.machines.move(machine, MachineState.BUSY, idle_since=None)
                    if busy is None:
                        raise _RacedError
            except _RacedError:
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
        try:
            offers = await context.provider.offers()
        except (ProviderError, Unclear) as error:
            log.warning("No offers: %s", error)
            return False
        midnight = context.clock() // 86400 * 86400
        committed_usd = context.store.machines.committed_usd(midnight)
        chosen = policy.choose_offer(
            offers, context.settings, spent_usd=job.cost_usd, committed_today_usd=committed_usd
        )
        if isinstance(chosen, Reason):
            log.debug("Nothing to rent for job %s: %s", job.id, chosen)
            return False
        machine = self._new_machine(chosen)
        try:
            with context.store.transaction():
                context.store.machines.add(machine)
                assigned = self._assign(job, machine)
        except _RacedError:
            return True
        self.renting.add(machine.id)
        try:
            await self._give_orders(machine, *assigned)
            await self._create(chosen, machine, assigned[1])
        finally:
            self.renting.discard(machine.id)
        return True

    def _new_machine(self, offer: Offer) -> Machine:
        context = self._context
        now = context.clock()
        machine_id = str(ULID())
        expires_at = now + policy.lifetime_s(context.settings)
        return Machine(
            id=machine_id,
            label=str(Label(context.store.deployment, machine_id, int(expires_at))),
            provider=context.provider.name,
            state=MachineState.RENTING,
            version=1,
            instance=None,
            name=offer.name,
            usd_per_hour=offer.usd_per_hour,
            reserved_usd=policy.reservation_usd(offer, context.settings),
            created_at=now,
            expires_at=expires_at,
            booted_at=None,
            idle_since=None,
            retire_requested_at=None,
            retire_reason="",
            absent_since=None,
            absences=0,
            destroyed_at=None,
            gone_at=None,
            orders_sequence=0,
        )

    def _assign(self, job: Job, machine: Machine) -> tuple[Job, Attempt]:
        context = self._context
        moved = context.store.jobs.move(
            job, JobState.RUNNING, event="assigned",
            data={"machine": machine.name, "number": job.attempts + 1},
            attempts=job.attempts + 1,
        )  # fmt: skip
        if moved is None:
            raise _RacedError
        deadline_at = min(
            machine.expires_at,
            context.clock() + policy.BOOT_ALLOWANCE_S + context.settings.job_timeout_s,
        )
        return moved, context.store.attempts.add(moved, machine.id, deadline_at)

    async def _give_orders(self, machine: Machine, job: Job, attempt: Attempt) -> None:
        context = self._context
        await context.mailbox.write_grant(machine, job, attempt, context.settings.device)
        await context.mailbox.write_orders(
            machine,
            sequence=context.store.machines.next_orders(machine.id),
            attempt=attempt,
            idle_s=context.settings.idle_s,
        )

    async def _create(self, offer: Offer, machine: Machine, attempt: Attempt) -> None:
        context = self._context
        launch = Launch(
            machine=machine.id,
            label=machine.label,
            orders_url=context.mailbox.orders_url(machine),
            deadline_at=machine.expires_at,
            env={},
        )
        try:
            instance = await context.provider.create(offer, launch)
        except ProviderError as error:
            log.warning("Machine %s was refused: %s", machine.id, error)
            context.store.machines.request_retire(machine.id, Reason.RENT_FAILED)
            end_attempt(context, attempt, AttemptState.FAILED, Reason.RENT_FAILED, str(error))
            return
        except Unclear as error:
            log.warning("Machine %s may or may not exist: %s", machine.id, error)
            self._record_created(machine.id, MachineState.UNKNOWN)
            return
        log.info("Created instance %s on %s", instance, machine.name)
        self._record_created(machine.id, MachineState.BOOTING, instance=instance)

    def _record_created(self, machine_id: str, to: MachineState, **columns: str) -> None:
        machine = self._context.store.machines.get(machine_id)
        if machine and machine.state is MachineState.RENTING:
            self._context.store.machines.move(machine, to, **columns)

    def _allowance_s(self, job: Job) -> float:
        context = self._context
        expected = policy.estimate(job.facts, job.task, context.store.speeds.known)
        return policy.allowance_s(expected.seconds, context.settings)
