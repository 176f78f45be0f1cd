"""The account behind the Vast.ai stand-in: what can be had, what is rented, what it costs."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.standins.vast_host import Bill, HostedInstance
from tests.standins.vast_manners import Manners
from tests.standins.vast_market import Row, make_offer


class OfferTaken(Exception):
    """Nobody can rent this offer now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was spent, destroyed instances included. In $."""

    instances: dict[int, Bill] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(bill.total for bill in self.instances.values())


class Cloud(Manners):
    """``offers`` by id and ``instances`` (all that ever were) by id."""

    def __init__(
        self, root: Path | None = None, offers: Iterable[Row] = (), **manners: Any
    ) -> None:
        super().__init__(**manners)
        self.offers: dict[int, Row] = {offer["id"]: offer for offer in offers}
        self.instances: dict[int, HostedInstance] = {}
        self._numbers = itertools.count(28_397_367)
        self._root = root
        self._own_root: tempfile.TemporaryDirectory[str] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    def add_offer(self, **changes: Any) -> Row:
        offer = make_offer(**changes)
        self.offers[offer["id"]] = offer
        return offer

    def alive(self) -> list[HostedInstance]:
        return [each for each in self.instances.values() if each.gone is None]

    def market(self) -> list[Row]:
        """Offers with ``rentable`` and ``rented`` as they are now."""
        free, held = self._free_gpus(), self._held_offers()
        mine = {instance.machine_id for instance in self.alive()}
        return [
            offer
            | {
                "rentable": offer["id"] not in held
                and free[offer["machine_id"]] >= offer["num_gpus"],
                "rented": offer["machine_id"] in mine,
            }
            for offer in self.offers.values()
        ]

    def rent(self, offer_id: int, body: Row, *, parked: bool = False) -> HostedInstance:
        """:class:`OfferTaken`. A parked instance is stopped, and its disk costs."""
        offer = self.offers.get(offer_id)
        if offer is None or not self._is_rentable(offer):
            raise OfferTaken
        instance = HostedInstance(
            next(self._numbers), secrets.token_hex(32), dict(offer), body, self, self.root
        )
        self.instances[instance.id] = instance
        if parked:
            instance.intended = instance.cur = instance.next = "stopped"
            instance.set("exited")
        else:
            instance.start()
        return instance

    def destroy(self, instance: HostedInstance) -> None:
        """Gone at once; its processes a moment later. :meth:`settle` waits for that."""
        instance.accrue()
        instance.gone = time.monotonic()
        instance.intended = instance.next = "stopped"
        instance.cur = "unloaded"
        self._later(self._end(instance))
        self.start_queued()

    def start(self, instance: HostedInstance) -> bool:
        """Whether it starts now; else it is queued and starts when the GPU is free."""
        if instance.cur == "running":
            return True
        if not self._fits(instance):
            instance.queue()
            return False
        instance.start()
        return True

    def start_queued(self) -> None:
        for instance in self.alive():
            if instance.queued and self._fits(instance):
                instance.start()

    def release(self, machine_id: int) -> None:
        """The stranger who had the machine has left; queued starts happen, and cost."""
        self.taken.discard(machine_id)
        self.start_queued()

    async def stop_by_vast(self, *instance_ids: int) -> None:
        """Outbid, out of credit, or the contract has ended: it looks the same."""
        for number in instance_ids:
            await self.instances[number].stop()

    def ledger(self) -> Ledger:
        return Ledger(instances={each.id: each.bill() for each in self.instances.values()})

    def credit_left(self) -> float:
        return self.credit - self.ledger().total

    async def settle(self) -> None:
        """Until every destroyed instance has no process left."""
        while self._ending:
            await asyncio.gather(*self._ending)

    @property
    def root(self) -> Path:
        if self._root is None:
            self._own_root = tempfile.TemporaryDirectory(prefix="vast-standin-")
            self._root = Path(self._own_root.name)
        return self._root

    async def open(self) -> None:
        self._keeper = asyncio.create_task(self._keep_account())

    async def shut(self) -> None:
        """Ends everything; no process of any instance is left."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self.settle()
        await asyncio.gather(*(instance.halt() for instance in self.instances.values()))
        if self._own_root:
            self._own_root.cleanup()

    async def _keep_account(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if self.alive() and self.credit_left() <= 0:
                running = [each.id for each in self.alive() if each.intended == "running"]
                await self.stop_by_vast(*running)

    async def _end(self, instance: HostedInstance) -> None:
        await asyncio.sleep(self.destroy_s)
        await instance.halt()
        if not self.keep_directories:
            instance.container.remove()

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _is_rentable(self, offer: Row) -> bool:
        free = self._free_gpus()[offer["machine_id"]] >= offer["num_gpus"]
        return free and offer["id"] not in self._held_offers()

    def _held_offers(self) -> set[int]:
        return {each.offer["id"] for each in self.alive() if each.holds_gpu}

    def _fits(self, instance: HostedInstance) -> bool:
        return self._free_gpus().get(instance.machine_id, 1) >= instance.offer["num_gpus"]

    def _free_gpus(self) -> dict[int, int]:
        """By machine: the GPUs of its largest offer, less those that are rented."""
        free: dict[int, int] = {}
        rented = [instance for instance in self.alive() if instance.holds_gpu]
        for offer in (*self.offers.values(), *(instance.offer for instance in rented)):
            machine = offer["machine_id"]
            free[machine] = max(free.get(machine, 0), offer["num_gpus"])
        for instance in rented:
            free[instance.machine_id] -= instance.offer["num_gpus"]
        return free | dict.fromkeys(self.taken, 0)
