"""A house that Hypothesis lives in: its parts, and what the rules of all sorts are made of."""

import asyncio
import random
import tempfile
from pathlib import Path
from unittest.mock import patch

import ulid
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from controller.errors import UserError
from controller.providers.base import InstanceStatus
from controller.records import Actor
from controller.states import JobState, MachineState
from remote_runner.protocol import Mode, Task
from tests.bot.virtual_time import VirtualLoop
from tests.controller.conftest import Clock, House, video
from tests.stateful.invariants import Watcher
from tests.stateful.outside import Computer, Market

ADMIN, OWNER, OTHER = Actor(1, admin=True), Actor(7), Actor(8)
PEOPLE = (OWNER, OWNER, OTHER, ADMIN)
TASKS = {
    "x2": Task(mode=Mode.UPSCALE, scale=2), "x4": Task(mode=Mode.UPSCALE, scale=4),
    "smooth": Task(mode=Mode.INTERP),
}  # fmt: skip
#: What a good machine makes of the source for each.
RESULTS = {
    "x2": video(width=640, height=360), "x4": video(width=1280, height=720),
    "smooth": video(frames=480, fps="48/1"),
}  # fmt: skip
SAMPLES = {
    "x2": video(width=640, height=360, duration_s=3.0, frames=72),
    "x4": video(width=1280, height=720, duration_s=3.0, frames=72),
    "smooth": video(frames=144, fps="48/1", duration_s=3.0),
}  # fmt: skip
_LONG_S = 1000
#: A folder in memory where there is one: each step writes, and waits until that is safe.
_FAST = Path("/dev/shm")

WORKING = (MachineState.BUSY, MachineState.BOOTING, MachineState.UNKNOWN)

#: Which one of several: each as often as any other, which no range of integers would be.
numbers = st.sampled_from(range(60))
people = st.sampled_from(PEOPLE)
tasks = st.sampled_from(list(TASKS))


class Stage(RuleBasedStateMachine):
    """One house. Jobs and machines are chosen by number: what is not there is not chosen."""

    rents = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=_FAST if _FAST.is_dir() else None))
        # where files are read at once: threads would come in another order each time
        self.loop = asyncio.Runner(loop_factory=VirtualLoop)
        clock = Clock()
        # ids decide the order of what happens at one time: the same steps give the same ids
        rng = random.Random(0)
        ids = ulid.ULIDGenerator(
            clock=lambda: int(clock() * 1000), randomness=lambda _: rng.randbytes(10)
        )
        self.ids = patch.object(ulid, "default_generator", ids)
        self.ids.start()
        self.provider = (Market if self.rents else Computer)(clock)
        self.provider.risen = False
        self.house = House(self.folder / "data", clock, self.provider)
        outputs = (*RESULTS.values(), *SAMPLES.values())
        self.watcher = Watcher(self.house, self.provider, outputs)
        self.batches: list[str] = []
        self.old_grants: list = []
        """Of attempts that were seen to work: some of them have ended since."""
        self.was_away = False
        self.names = iter(range(10_000))

    def do(self, work):
        """Something that is awaited."""

        async def wait():
            return await work

        return self.loop.run(wait())

    def ask(self, ask, *args, **more):
        """Something that may be refused, in words for people; None then."""
        try:
            answer = ask(*args, **more)
            return self.do(answer) if asyncio.iscoroutine(answer) else answer
        except UserError:
            return None

    @property
    def service(self):
        return self.house.controller

    def jobs(self, *states):
        return self.house.store.jobs.select(states=states or list(JobState), limit=10_000)

    def job(self, number, *states):
        """One of those in these states; None where there is none."""
        found = self.jobs(*states)
        return found[number % len(found)] if found else None

    def any_job(self, *states) -> bool:
        """Whether there was one at the last look."""
        return any(each.state in states for each in self.watcher.jobs.values())

    def any_attempt(self) -> bool:
        return any(not each.state.is_terminal for each in self.watcher.attempts.values())

    def machine(self, number, *states):
        """One that exists outside, with its row."""
        rows = self.house.store.machines.select()
        found = [
            each for each in rows
            if self.provider.of(each.label) and (each.state in states or not states)
        ]  # fmt: skip
        return found[number % len(found)] if found else None

    def working(self, number):
        """A machine that has read its grant; None where none can have."""
        machine = self.machine(number, *WORKING)
        if machine is None or not self.is_up(machine):
            return None
        try:
            if self.house.runner.orders(machine).job is None:
                return None
            grant = self.house.runner.grant(machine)
        except FileNotFoundError:
            return None
        if grant not in self.old_grants:
            self.old_grants.append(grant)
        return machine

    def is_up(self, machine) -> bool:
        (instance,) = self.provider.of(machine.label)
        return instance.status is InstanceStatus.RUNNING

    def sleep(self, seconds):
        """Time passes outside: what is billed, and what ends by itself at its deadline."""
        until = self.house.clock.now + seconds
        # what the house believes of money meanwhile is what it saw last
        self.watcher.slept |= seconds > _LONG_S and bool(self.house.store.machines.select())
        while ended := self.provider.next_end(until):
            self.house.clock.now = max(self.house.clock.now, ended.at)
            self.provider.bill()
            self.provider.lose(ended.instance)
        self.house.clock.now = until
        self.provider.bill()

    def pass_by(self, seconds, order=(0, 1, 2)):
        """Time passes, and each loop has its turn."""
        self.sleep(seconds)
        loops = (self.house.reap, self.house.watch, self.house.place)

        async def tick():
            for each in order:
                await loops[each].tick()
                await self.house.watch.settle()

        self.loop.run(tick())


def good_output(grant) -> bytes:
    """What a good machine makes of it."""
    task = grant.task
    name = "smooth" if task.mode is Mode.INTERP else f"x{task.scale}"
    return (SAMPLES if grant.sample_s else RESULTS)[name]
