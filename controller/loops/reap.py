"""Sees that nothing outlives its work: adopts, retires, destroys, and believes only proof.

The listing is taken before the rows are read, and a row is committed before its machine is
created, so that a label in the listing always has a row. A listing that is not complete raises,
and nothing is concluded from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection

from controller.errors import ProviderError, Unclear
from controller.labels import Label
from controller.loops.context import Context, end_attempt
from controller.providers.base import Instance
from controller.records import Attempt, Machine
from controller.states import AttemptState, MachineState, Reason
from remote_runner.protocol import ProtocolError

log = logging.getLogger(__name__)

#: More strangers under our own label than this point to a wrong database, not to leaks.
_STRANGERS_AT_MOST = 3
_PROOF = 2
"""Complete listings without a machine that prove it gone."""


class Reap:
    """One pass over everything that may cost money."""

    def __init__(self, context: Context, *, renting: Collection[str]) -> None:
        self._context = context
        self._renting = renting

    async def tick(self) -> int:
        """How many machines were destroyed or found gone."""
        context = self._context
        try:
            instances = await context.provider.instances()
        except (Unclear, ProviderError) as error:
            log.warning("The listing of machines is not known: %s", error)
            return 0
        by_label: dict[str, list[Instance]] = defaultdict(list)
        for instance in instances:
            by_label[instance.label].append(instance)
        acted = await self._destroy_strangers(by_label)
        machines = context.store.machines.select()
        results = await asyncio.gather(
            *(self._mend(machine, by_label.get(machine.label, [])) for machine in machines)
        )
        return acted + sum(results)

    async def _mend(self, machine: Machine, instances: list[Instance]) -> int:
        noted = self._note_presence(machine, bool(instances))
        if noted is None or noted.id in self._renting:
            return 0
        machine = noted
        if machine.state in (MachineState.RENTING, MachineState.UNKNOWN):
            await self._resolve(machine, instances)
        elif machine.state is not MachineState.RETIRING:
            await self._check_alive(machine)
        return await self._retire(machine.id, instances)

    def _note_presence(self, machine: Machine, present: bool) -> Machine | None:
        store, now = self._context.store, self._context.clock()
        if not present:
            since = machine.absent_since or now
            return store.machines.change(
                machine, absences=machine.absences + 1, absent_since=since
            )
        if machine.absences:
            return store.machines.change(machine, absences=0, absent_since=None)
        return machine

    async def _resolve(self, machine: Machine, instances: list[Instance]) -> None:
        """A create call whose answer is lost: the label tells whether it worked."""
        store = self._context.store
        if instances:
            log.info("Adopting instance %s as machine %s", instances[0].id, machine.id)
            store.machines.move(machine, MachineState.BOOTING, instance=instances[0].id)
        elif self._is_absent(machine):
            await self._lose(machine, Reason.RENT_FAILED, "the create call left no machine")

    async def _check_alive(self, machine: Machine) -> None:
        now = self._context.clock()
        if self._is_absent(machine):
            await self._lose(machine, Reason.MACHINE_GONE, "the machine is in no listing any more")
        elif now >= machine.expires_at:
            await self._lose(machine, Reason.TIMEOUT, "the machine is past its deadline")
        elif machine.idle_since and now >= machine.idle_since + self._context.settings.idle_s:
            self._context.store.machines.request_retire(machine.id, "idle")

    def _is_absent(self, machine: Machine) -> bool:
        # a listing may lag behind a create call
        since = max(machine.absent_since or 0.0, machine.created_at)
        settled = self._context.clock() - since >= self._context.provider.settle_s
        return machine.absences >= _PROOF and settled

    async def _lose(self, machine: Machine, reason: Reason, detail: str) -> None:
        """Give a machine up, and its attempt with it unless that has left a result to look at."""
        store = self._context.store
        store.machines.request_retire(machine.id, reason)
        attempt = store.attempts.open_on(machine.id)
        if attempt is None or await self._has_result(attempt):
            return
        with store.transaction():
            attempt = store.attempts.open_on(machine.id)
            if attempt:
                end_attempt(self._context, attempt, AttemptState.LOST, reason, detail)

    async def _has_result(self, attempt: Attempt) -> bool:
        try:
            return await self._context.mailbox.result(attempt) is not None
        except ProtocolError:
            return False

    async def _retire(self, machine_id: str, instances: list[Instance]) -> int:
        """Carry out a requested end, for ever, until it is proven."""
        store = self._context.store
        machine = store.machines.get(machine_id)
        if machine is None or machine.retire_requested_at is None:
            return 0
        if machine.state is not MachineState.RETIRING:
            with store.transaction():
                if store.attempts.open_on(machine.id):
                    return 0  # its attempt ends first
                machine = store.machines.move(machine, MachineState.RETIRING)
            if machine is None:
                return 0
            log.info("Destroying machine %s: %s", machine.id, machine.retire_reason)
        ids = {instance.id for instance in instances} | (
            {machine.instance} if machine.instance and machine.destroyed_at is None else set()
        )
        if not await self._destroy_all(ids):
            return 0
        now = self._context.clock()
        if machine.destroyed_at is None or instances:
            machine = store.machines.change(
                machine, destroyed_at=now, absences=0, absent_since=None
            )
            return 1 if machine else 0
        if machine.absences >= _PROOF:
            store.machines.move(machine, MachineState.GONE, gone_at=now)
            log.info("Machine %s is gone", machine.id)
            return 1
        return 0

    async def _destroy_strangers(self, by_label: dict[str, list[Instance]]) -> int:
        """Instances of this deployment with no row, or with a row that is long gone."""
        store = self._context.store
        strangers = []
        for text, instances in by_label.items():
            label = Label.parse(text)
            if label is None or label.deployment != store.deployment:
                continue
            machine = store.machines.get(label.machine)
            if machine is None or machine.state is MachineState.GONE:
                strangers += instances
        if len(strangers) > _STRANGERS_AT_MOST:
            log.error("%d machines are ours and unknown: not touching them", len(strangers))
            return 0
        for stranger in strangers:
            log.warning("Destroying %s, which no work claims", stranger.id)
        await self._destroy_all({stranger.id for stranger in strangers})
        return len(strangers)

    async def _destroy_all(self, ids: set[str]) -> bool:
        """Whether the provider called all of them gone."""
        gone = True
        for instance_id in sorted(ids):
            try:
                await self._context.provider.destroy(instance_id)
            except (Unclear, ProviderError) as error:
                log.warning("Instance %s is not proven destroyed: %s", instance_id, error)
                gone = False
        return gone
