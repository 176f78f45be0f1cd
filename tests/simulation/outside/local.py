"""This computer as the machine: runners that are processes of it, played in virtual time.

A runner is in the table of processes, whoever started it, and outlives the program; nothing but
the loss of power ends both. It costs nothing, has the right time, and there is one at a time.
"""

import asyncio
import itertools
from collections.abc import Collection

from controller.labels import Label
from controller.providers.base import Instance, Launch, Need, Offer
from controller.providers.local import LocalProvider
from tests.simulation.faults import Fault
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.states import Lazily
from tests.simulation.outside.vast import SimVast
from tests.simulation.process import Process

_DEVICE = "CPU x86_64 x2"
_FREE = {
    "gpu_name": _DEVICE, "total_flops": 12.7, "dph_base": 0.0, "storage_cost": 0.0,
    "inet_down_cost": 0.0, "inet_up_cost": 0.0,
}  # fmt: skip
_FIRST_PID = 4001
#: How often the kernel may end a runner for its memory, and how seldom it does.
_BETWEEN_S, _MISHAP_WEIGHT = (10, 40), 1 / 3


class SimComputer:
    """The table of processes. They are kept where all machines are, for those who look on."""

    def __init__(self, vast: SimVast) -> None:
        self._vast = vast
        self._pids = itertools.count(_FIRST_PID)

    def runners(self) -> list[SimInstance]:
        return [each for each in self._vast.alive() if each.is_local]

    def start(self, launch: Launch) -> SimInstance:
        """A runner in a session of its own."""
        vast, pid = self._vast, next(self._pids)
        body = {"disk": 0.0, "orders_url": launch.orders_url, "deadline_at": launch.deadline_at}
        now = vast.clock()
        process = SimInstance(
            id=pid, label=launch.label, offer=dict(_FREE), body=body, key="", created_at=now,
            price=0.0, clock=vast.clock, shows_at=now, is_local=True, actual="running",
        )  # fmt: skip
        vast.instances[pid] = process
        vast.most_alive[process.label] = max(
            vast.most_alive[process.label],
            sum(each.label == process.label for each in self.runners()),
        )
        vast.on_start(process)
        vast.spawn(self._endanger(process))
        return process

    def end(self, process: SimInstance) -> None:
        self._vast.end(process)

    def lose_power(self) -> None:
        for process in self.runners():
            self.end(process)

    async def _endanger(self, process: SimInstance) -> None:
        faults, states = self._vast.faults, Lazily(self._vast.states, process.label)
        while process.exists:
            await asyncio.sleep(faults.after(*_BETWEEN_S))
            if process.exists and faults.pick((Fault.VANISHES,), states, weight=_MISHAP_WEIGHT):
                self.end(process)


class SimLocalProvider(LocalProvider):
    """The provider, whose system calls are played; at each of them the program may die."""

    def __init__(self, process: Process, computer: SimComputer, deployment: str) -> None:
        self._process = process
        self._computer = computer
        self._deployment = deployment

    async def offers(self, need: Need) -> list[Offer]:
        labels = [Label.parse(each.label) for each in await self.instances()]
        if any(label and label.deployment == self._deployment for label in labels):
            return []
        return [Offer(id="local", name=_DEVICE, usd_per_hour=0.0)]

    async def create(self, offer: Offer, launch: Launch) -> str:
        self._process.point("before local create")
        runner = self._computer.start(launch)
        self._process.point("after local create")
        await asyncio.sleep(0.01)
        return str(runner.id)

    async def instances(self) -> list[Instance]:
        self._process.require_alive()
        await asyncio.sleep(0.01)
        return [Instance(id=str(each.id), label=each.label) for each in self._computer.runners()]

    async def destroy(self, instance_ids: Collection[str]) -> set[str]:
        self._process.point("before local destroy")
        await asyncio.sleep(0.1)
        for each in self._computer.runners():
            if str(each.id) in instance_ids:
                self._computer.end(each)
        self._process.point("after local destroy")
        return set(instance_ids)
