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
from typing import Any

from controller.alerts import STRANGERS_AT_MOST
from controller.backups import last_restoration
from controller.errors import ControllerError, DatabaseFull, ProviderError, Unclear
from controller.gauges import NO_STRAYS, SPARED, STRANGERS, STRAYS
from controller.labels import Label
from controller.log_ids import logged, note_ids
from controller.loops.context import Context, end_attempt
from controller.providers.base import Instance, InstanceStatus
from controller.queue import DRAINED
from controller.records import Attempt, Machine
from controller.states import GIVEN_BACK, AttemptState, MachineState, Reason
from controller.terms import ROUNDING_USD
from remote_runner.protocol import ProtocolError

log = logging.getLogger(__name__)

_KNOWN_S = 120.0
"""How old a listing may be to rent by it, beside three of its intervals."""
_SOON_S = 180.0
"""A row, a create call that nobody answers and the first look behind it take less than that."""
_LAST_LOOK_S = 600.0
_DESTROY_S = 120.0
_PROOF = 2
"""Complete listings without a machine that prove it gone."""


class Reap:
    """One pass over everything that may cost money."""

    def __init__(self, context: Context, *, renting: Collection[str]) -> None:
        self._context = context
        self._renting = renting
        self._deployment = context.store.deployment
        self._known_at = float("-inf")
        self._unwritten: set[str] = set()
        """Machines of which something was seen that could not be written down."""

    @property
    def knows(self) -> bool:
        """Whether it is known what exists: while it is not, nothing more is rented."""
        known_s = self._context.clock() - self._known_at
        return 0 <= known_s <= _KNOWN_S + 3 * self._context.settings.poll_s

    async def tick(self) -> int:
        """How many machines were destroyed or found gone."""
        context = self._context
        try:
            instances = await context.provider.instances()
        except (Unclear, ProviderError) as error:
            self._known_at = float("-inf")
            log.warning("The listing of machines is not known: %s", error)
            return 0
        self._known_at = context.clock()
        context.vitals.beat("listing")
        by_label: dict[str, list[Instance]] = defaultdict(list)
        for instance in instances:
            by_label[instance.label].append(instance)
        strangers = self._find_strangers(by_label)
        machines = context.store.machines.select()
        self._unwritten &= {machine.id for machine in machines}
        mended = await asyncio.gather(
            *(self._mend_safely(machine, by_label.get(machine.label, [])) for machine in machines)
        )
        doomed = {each.id: each for each in mended if each}
        return await self._destroy(doomed, by_label, strangers)

    @logged
    async def _mend_safely(self, machine: Machine, instances: list[Instance]) -> Machine | None:
        """One machine's trouble, storage that does not answer for instance, spares no other."""
        try:
            try:
                return await self._mend(machine, instances)
            except DatabaseFull:
                raise
            except ControllerError as error:
                log.warning("Machine %s cannot be judged now: %s", machine.id, error)
                return self._retire(machine.id)
        except DatabaseFull as error:
            log.warning("Machine %s: %s", machine.id, error)
            self._unwritten.add(machine.id)
            return self._doom_unwritten(machine.id)

    async def _mend(self, machine: Machine, instances: list[Instance]) -> Machine | None:
        """Bring one row up to what is listed; the machine where it is to be destroyed."""
        if machine.id in self._renting:
            return None
        noted = self._note_presence(machine, instances)
        if noted is None:
            return None
        machine = noted
        if machine.state in (MachineState.RENTING, MachineState.UNKNOWN):
            await self._resolve(machine, instances)
        elif machine.state is not MachineState.RETIRING:
            await self._check_alive(machine)
        return self._retire(machine.id)

    def _note_presence(self, machine: Machine, instances: list[Instance]) -> Machine | None:
        store, now = self._context.store, self._context.clock()
        if not instances:
            since = machine.absent_since or now
            return store.machines.change(
                machine, absences=machine.absences + 1, absent_since=since
            )
        changes = _news(machine, _own(machine, instances), now)
        if "usd_per_hour" in changes and not machine.usd_per_hour:
            # it was written off with the attempt that it was rented for
            traffic_usd = store.attempts.traffic_usd(machine.id)
            changes["traffic_usd"] = traffic_usd
            changes["reserved_usd"] += traffic_usd
        if machine.absences:
            changes |= {"absences": 0, "absent_since": None}
        return store.machines.change(machine, **changes) if changes else machine

    async def _resolve(self, machine: Machine, instances: list[Instance]) -> None:
        """A create call whose answer is lost: the label tells whether it worked."""
        store = self._context.store
        if instances:
            log.info("Adopting instance %s as machine %s", instances[0].id, machine.id)
            store.machines.move(machine, MachineState.BOOTING, instance=instances[0].id)
        elif self._is_absent(machine) and self._may_have_lived(machine):
            # it is paid for until the opposite is known
            detail = "whether the create call left a machine was not seen in its time"
            await self._lose(machine, Reason.RENT_FAILED, detail)
        elif self._is_absent(machine):
            detail = "the create call left no machine"
            await self._lose(machine, Reason.RENT_FAILED, detail, is_free=True)

    def _may_have_lived(self, machine: Machine) -> bool:
        """Whether it may have come and gone while nobody looked, or nothing could be written down,
        or by rows that are lost."""
        restored = last_restoration(self._context.store)
        is_lost = restored is not None and machine.created_at <= restored.as_of
        unseen_s = (machine.absent_since or 0.0) - machine.created_at
        is_late = unseen_s > _SOON_S + self._context.settings.poll_s
        return is_lost or is_late or machine.id in self._unwritten

    async def _check_alive(self, machine: Machine) -> None:
        now = self._context.clock()
        if self._is_absent(machine):
            await self._lose(machine, Reason.MACHINE_GONE, "the machine is in no listing any more")
        elif now >= machine.expires_at:
            await self._lose(machine, Reason.TIMEOUT, "the machine is past its deadline")
        elif machine.status == InstanceStatus.ENDED:
            # outbid, out of credit, or taken back by its host: it will not go on by itself
            detail = machine.status_detail or "it was stopped"
            await self._lose(machine, Reason.STOPPED, detail)
        elif self._is_overpriced(machine):
            detail = f"${machine.usd_per_hour:.3f}/hr is more than the cap"
            await self._lose(machine, Reason.OVERPRICED, detail)
        elif machine.retire_reason == GIVEN_BACK:
            await self._lose(machine, Reason.STOPPED, "an admin gave the machine back")
        elif machine.idle_since:
            if now < machine.idle_since:
                # it was noted by a clock that was ahead
                self._context.store.machines.change(machine, idle_since=now)
            elif now >= machine.idle_since + self._context.settings.idle_s:
                self._context.store.machines.request_retire(machine.id, "idle")
            elif self._context.store.switches.get(DRAINED):
                self._context.store.machines.request_retire(machine.id, DRAINED)

    def _is_overpriced(self, machine: Machine) -> bool:
        cap = self._context.settings.max_price
        if machine.usd_per_hour <= cap + ROUNDING_USD:
            return False
        # for one of the jobs that it worked on, more may have been agreed to
        agreed = self._context.store.machines.agreed_usd_per_hour(machine.id)
        return machine.usd_per_hour > max(cap, agreed) + ROUNDING_USD

    def _is_absent(self, machine: Machine) -> bool:
        # a listing may lag behind a create call
        since = max(machine.absent_since or 0.0, machine.created_at)
        settled = self._context.clock() - since >= self._context.provider.settle_s
        return machine.absences >= _PROOF and settled

    @logged
    async def _lose(
        self, machine: Machine, reason: Reason, detail: str, *, is_free: bool = False
    ) -> None:
        """Give a machine up, and its attempt with it unless that has left a result to look at."""
        store = self._context.store
        store.machines.request_retire(machine.id, reason)
        attempt = store.attempts.open_on(machine.id)
        if attempt is None:
            return
        note_ids(attempt)
        late = self._context.clock() > machine.expires_at + _LAST_LOOK_S
        # a result is looked at first, though not for ever: a machine is never kept for it
        if not late and await self._has_result(attempt):
            return
        with store.transaction():
            attempt = store.attempts.open_on(machine.id)
            if attempt:
                end_attempt(
                    self._context, attempt, AttemptState.LOST, reason, detail, is_free=is_free
                )

    async def _has_result(self, attempt: Attempt) -> bool:
        try:
            return await self._context.mailbox.result(attempt) is not None
        except ProtocolError:
            return False
        except ControllerError as error:
            # no storage keeps a machine alive that has to end
            log.warning("Whether job %s has a result is not known: %s", attempt.job, error)
            return False

    def _retire(self, machine_id: str) -> Machine | None:
        """The machine where its end was requested and nothing runs on it any more."""
        store = self._context.store
        machine = store.machines.get(machine_id)
        if machine is None or machine.retire_requested_at is None:
            return None
        if machine.state is MachineState.RETIRING:
            return machine
        with store.transaction():
            if store.attempts.open_on(machine.id):
                return None  # its attempt ends first
            machine = store.machines.move(machine, MachineState.RETIRING)
        if machine:
            log.info("Destroying machine %s: %s", machine.id, machine.retire_reason)
        return machine

    def _doom_unwritten(self, machine_id: str) -> Machine | None:
        """The machine where it has to end though that cannot be written down: destroying it needs
        no row, and the row is mended when there is room again."""
        store, now = self._context.store, self._context.clock()
        machine = store.machines.get(machine_id)
        if machine is None or now >= machine.expires_at:
            return machine
        if store.attempts.open_on(machine.id):
            return None
        idle_s = self._context.settings.idle_s
        idle = machine.idle_since is not None and now >= machine.idle_since + idle_s
        return machine if idle or machine.retire_requested_at is not None else None

    async def _destroy(
        self,
        doomed: dict[str, Machine],
        by_label: dict[str, list[Instance]],
        strangers: list[Instance],
    ) -> int:
        """Carry out requested ends in one call, for ever, until they are proven."""
        wanted = {
            machine.id: {instance.id for instance in by_label.get(machine.label, [])}
            | ({machine.instance} if machine.instance and not machine.destroyed_at else set())
            for machine in doomed.values()
        }
        strays = self._find_twins(by_label) | {each.id for each in strangers}
        self._note_strays(strays)
        ids = set().union(*wanted.values(), strays)
        gone = await self._destroy_all(ids)
        count = len(gone.intersection(each.id for each in strangers))
        for machine_id, machine in doomed.items():
            if wanted[machine_id] <= gone:
                try:
                    count += self._note_destroyed(machine, bool(by_label.get(machine.label)))
                except DatabaseFull as error:
                    log.warning("That machine %s ends is not noted: %s", machine_id, error)
        return count

    @logged
    def _note_destroyed(self, machine: Machine, was_listed: bool) -> int:
        store, now = self._context.store, self._context.clock()
        if machine.state is not MachineState.RETIRING:
            return 0  # its row comes after, when there is room for it
        if machine.destroyed_at is None or was_listed:
            changed = store.machines.change(
                machine, destroyed_at=now, absences=0, absent_since=None
            )
            return 1 if changed else 0
        if machine.absences >= _PROOF:
            # a clock that was set back in between must not make it cheaper than nothing
            ended_at = max(now, machine.created_at)
            store.machines.move(machine, MachineState.GONE, gone_at=ended_at)
            log.info("Machine %s is gone", machine.id)
            return 1
        return 0

    def _find_twins(self, by_label: dict[str, list[Instance]]) -> set[str]:
        """Further instances under the label of a machine that lives."""
        found = set()
        for machine in self._context.store.machines.select():
            instances = by_label.get(machine.label, [])
            if machine.state.is_live and machine.instance and len(instances) > 1:
                found |= {each.id for each in instances} - {machine.instance}
        return found

    def _find_strangers(self, by_label: dict[str, list[Instance]]) -> list[Instance]:
        """Instances of this deployment with no row, or with a row that is long gone."""
        store, now = self._context.store, self._context.clock()
        known, unknown = [], []
        for text, instances in by_label.items():
            label = Label.parse(text)
            if label is None or label.deployment != self._deployment:
                continue
            machine = store.machines.get(label.machine)
            if machine is None and now < label.expires_at + _LAST_LOOK_S:
                unknown += instances
            elif machine is None or machine.state is MachineState.GONE:
                known += instances
        vitals = self._context.vitals
        vitals.note(STRANGERS, len(known) + len(unknown))
        vitals.note(SPARED, len(unknown) if len(unknown) > STRANGERS_AT_MOST else 0)
        if len(unknown) > STRANGERS_AT_MOST:
            log.error("%d machines are ours and unknown: not touching them", len(unknown))
            unknown = []
        for stranger in known + unknown:
            log.warning("Destroying %s, which no work claims", stranger.id)
        return known + unknown

    def _note_strays(self, strays: set[str]) -> None:
        vitals = self._context.vitals
        vitals.note(STRAYS, len(strays))
        if not strays:
            vitals.beat(NO_STRAYS)

    async def _destroy_all(self, ids: set[str]) -> set[str]:
        """The ids that the provider called gone."""
        if not ids:
            return set()
        try:
            # what takes longer goes on with the next listing
            async with asyncio.timeout(_DESTROY_S):
                gone = await self._context.provider.destroy(sorted(ids))
        except (Unclear, ProviderError, TimeoutError) as error:
            log.warning("%d instances are not proven destroyed: %s", len(ids), error)
            return set()
        if left := ids - gone:
            log.warning("Instances %s are not proven destroyed", ", ".join(sorted(left)))
        return gone


def _own(machine: Machine, instances: list[Instance]) -> Instance:
    """Of several under one label the one that was created for it."""
    return next((each for each in instances if each.id == machine.instance), instances[0])


def _news(machine: Machine, instance: Instance, now: float) -> dict[str, Any]:
    """What a listing says of a machine and its row does not."""
    changes: dict[str, Any] = {}
    if (machine.status, machine.status_detail) != (instance.status, instance.detail):
        changes = {"status": instance.status, "status_detail": instance.detail, "status_at": now}
    if machine.running_at is None and instance.status is InstanceStatus.RUNNING:
        changes["running_at"] = now
    billed = instance.usd_per_hour
    if billed is not None and billed > machine.usd_per_hour + ROUNDING_USD:
        # the ledger and the reservation follow what is billed, not what was offered
        if machine.usd_per_hour:
            reserved_usd = machine.reserved_usd * billed / machine.usd_per_hour
        else:
            # it was thought never to have been made
            reserved_usd = billed * (machine.expires_at - machine.created_at) / 3600
        changes |= {"usd_per_hour": billed, "reserved_usd": reserved_usd}
    return changes
