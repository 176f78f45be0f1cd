"""What happens on rented machines: the dead-man switch, the boot, and a runner that is played.

A machine goes on whether the program lives or not. Its scripts are the real ones, read and not
run: times, tries and documents are those of :mod:`controller.bootstrap` and
:mod:`remote_runner.boot`.
"""

import ast
import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from remote_runner.protocol import BootPhase, Grant, Reason
from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.objects import SimObjects
from tests.simulation.outside.rented import Network, NotThere, TransferFailed
from tests.simulation.outside.runner import SimRunner
from tests.simulation.outside.states import Lazily
from tests.simulation.outside.vast import SimVast

_FIRST = re.compile(r"^T,API,BOOT,NEXT,P,N=(\[.*\])$", re.M)
_SECOND = re.compile(r"^sys\.exit\(main\(json\.loads\((.*)\)\)\)$", re.M)
_FOR_EVER = 1_000_000
_REPORT_TRIES = 5
_RESTARTS = 3
_MOST_SKEW_S = 240.0
_BOOT_FAILURES = (
    Reason.NO_DEVICE, Reason.INSTALL_FAILED, Reason.DEVICE_TOO_SMALL, Reason.DEVICE_UNSUPPORTED,
    Reason.DISK_FULL, Reason.INTERNAL,
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Work:
    """What a machine made of one attempt. Numbers are those of segments."""

    job: str
    attempt: int
    label: str
    begun_at: float
    given: frozenset[int]
    """What its grant had of earlier attempts."""
    resumed: int = 0
    """Behind how many of these it went on."""
    left: dict[int, float] = field(default_factory=dict)
    """What it saved, and when."""
    outcome: str = ""
    """What its result said; nothing where it wrote none."""
    outputs: list[str] = field(default_factory=list)
    """SHA-256 of what was right to put together, whatever was uploaded then."""


class SimMachines:
    """All machines there ever were. ``works`` has what they did, by job and attempt."""

    def __init__(
        self,
        faults: Faults,
        vast: SimVast,
        objects: SimObjects,
        clock: Callable[[], float],
        *,
        spawn: Callable[[Any], object],
    ) -> None:
        self.faults, self.vast, self.objects, self.clock = faults, vast, objects, clock
        self.spawn = spawn
        self.works: dict[tuple[str, int], Work] = {}
        self.speed = 10.0
        """Output frames a second of the slowest card."""
        self.armed: set[int] = set()
        """Instances whose dead-man switch runs, or ran to its end."""
        self.on_begin: Callable[[Work, SimInstance], None] = lambda work, instance: None
        """Called whenever a machine begins an attempt."""
        self._tasks: dict[int, asyncio.Task] = {}
        vast.on_start, vast.on_stop = self._start, self._stop

    @property
    def states(self) -> Callable[[str | None, int | None], tuple[str, ...]]:
        """States of an attempt, for the count of faults: those that the bucket asks for."""
        return self.objects.states

    @states.setter
    def states(self, states: Callable[[str | None, int | None], tuple[str, ...]]) -> None:
        self.objects.states = states

    def is_armed(self, instance: SimInstance) -> bool:
        """Whether it ends by itself, at its deadline at the latest."""
        return instance.id in self.armed

    def begin(self, grant: Grant, instance: SimInstance) -> Work:
        """An attempt is begun; again where its runner was started again."""
        key = grant.job, grant.attempt
        if key not in self.works:
            self.works[key] = Work(
                job=grant.job, attempt=grant.attempt, label=instance.label,
                begun_at=self.clock(), given=frozenset(each.number for each in grant.finished),
            )  # fmt: skip
        work = self.works[key]
        self.on_begin(work, instance)
        return work

    def _start(self, instance: SimInstance) -> None:
        self.spawn(self._live(instance))

    async def _live(self, instance: SimInstance) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[instance.id] = task
        try:
            await (LocalMachine if instance.is_local else SimMachine)(self, instance).live()
        finally:
            self._tasks.pop(instance.id, None)

    def _stop(self, instance: SimInstance) -> None:
        task = self._tasks.get(instance.id)
        if task is not None and task is not asyncio.current_task():
            task.cancel()


class SimMachine:
    """One container, from its start to its end."""

    def __init__(self, machines: SimMachines, instance: SimInstance) -> None:
        self.machines, self.instance = machines, instance
        self.faults = machines.faults
        self.network = Network(instance, machines.objects, machines.spawn)
        self._states = Lazily(machines.vast.states, instance.label)
        self._skew_s = self._draw_skew()

    def now(self) -> float:
        """By the host's clock."""
        return self.machines.clock() + self._skew_s

    async def live(self) -> None:
        """Work under the dead-man switch, then end, whatever that takes."""
        if self.faults.hit(Fault.WATCHDOG_MISSING, self._states):
            self.instance.say("[BOOT] no python")
            return
        self.machines.armed.add(self.instance.id)
        deadline_at, _, boot_url, next_url, pause_s, _ = _read_first(self.instance.script)
        try:
            async with asyncio.timeout(max(0.0, deadline_at - self.now())):
                await self._boot(boot_url, next_url, pause_s)
        except TimeoutError:
            self.instance.say("[ERROR] The deadline has come")
        while self.instance.runs:
            if self.machines.vast.destroy_itself(self.instance):
                self.instance.say("[BOOT] destroy 200")
            await asyncio.sleep(pause_s)

    def _draw_skew(self) -> float:
        skewed = self.faults.hit(Fault.HOST_CLOCK_SKEW, self._states)
        return self.faults.after(-_MOST_SKEW_S, _MOST_SKEW_S) if skewed else 0.0

    async def _boot(self, boot_url: str, next_url: str, pause_s: float) -> None:
        await self._keep(pause_s, lambda: self._report(boot_url, BootPhase.ARMED, tries=1))
        text: bytes = await self._keep(pause_s, lambda: self.network.get(next_url, tries=1))
        plan = _read_second(text.decode())
        for phase, seconds in (
            (BootPhase.CHECKING, (0.5, 8)),
            (BootPhase.INSTALLING, (1, 20)),
            (BootPhase.TESTING, (2, 12)),
        ):
            await self._tell(plan, phase)
            await asyncio.sleep(self.faults.after(*seconds))
            if self.faults.hit(Fault.RUNNER_FAILS, self._states, weight=0.3):
                reason = self.faults.rng.choice(_BOOT_FAILURES)
                await self._tell(plan, BootPhase.FAILED, reason=reason, detail="it will not do")
                return
            if phase is BootPhase.INSTALLING and not await self._fetch(plan):
                return
        await self._tell(plan, BootPhase.STARTING, device=self.instance.offer["gpu_name"])
        await self._run_orders(plan)

    async def _fetch(self, plan: dict[str, Any]) -> bool:
        """The runner's own files, where they come from storage."""
        if not plan["bundle_url"]:
            return True
        try:
            await self.network.get(plan["bundle_url"], tries=_REPORT_TRIES)
        except (NotThere, TransferFailed):
            reason = Reason.INSTALL_FAILED
            await self._tell(plan, BootPhase.FAILED, reason=reason, detail="storage: HTTP 404")
            return False
        return True

    async def _run_orders(self, plan: dict[str, Any]) -> None:
        """One that is killed is started again, some times."""
        for _ in range(_RESTARTS + 1):
            code = await SimRunner(self, plan["orders_url"]).run()
            self.instance.say(f"[BOOT] the runner ended: exit code {code}")
            if code >= 0:
                return
            await asyncio.sleep(plan["pause_s"])

    async def _keep(self, pause_s: float, do: Callable[[], Any]) -> Any:
        """Until it works."""
        for _ in range(_FOR_EVER):
            try:
                return await do()
            except (NotThere, TransferFailed):
                await asyncio.sleep(pause_s)
        raise AssertionError("the deadline comes before that")

    async def _tell(self, plan: dict[str, Any], phase: BootPhase, **facts: str) -> None:
        """A report that is lost is no reason to stop."""
        self.instance.say(": ".join([f"[BOOT] {phase}", *facts.values()]))
        try:
            await self._report(plan["boot_url"], phase, tries=_REPORT_TRIES, **facts)
        except (NotThere, TransferFailed):
            self.instance.say("[BOOT] report: storage")

    async def _report(self, url: str, phase: BootPhase, *, tries: int, **facts: str) -> None:
        document = {"version": 1, "phase": phase, **facts}
        await self.network.put(url, json.dumps(document).encode(), tries=tries)


class LocalMachine(SimMachine):
    """A runner without a machine around it: nobody starts it again, and its end is all of it."""

    async def live(self) -> None:
        instance = self.instance
        self.machines.armed.add(instance.id)
        try:
            async with asyncio.timeout(max(0.0, instance.body["deadline_at"] - self.now())):
                await SimRunner(self, instance.body["orders_url"]).run()
        except TimeoutError:
            instance.say("[ERROR] The deadline has come")
        self.machines.vast.end(instance)

    def _draw_skew(self) -> float:
        return 0.0  # it is the clock of the program, or of what keeps it right


def _read_first(script: str) -> list[Any]:
    """What the first script was made with: see :func:`controller.bootstrap.first_script`."""
    found = _FIRST.search(script)
    assert found is not None, "the first script has another form"
    return json.loads(found[1])


def _read_second(script: str) -> dict[str, Any]:
    found = _SECOND.search(script)
    assert found is not None, "the second script has another form"
    return json.loads(ast.literal_eval(found[1]))
