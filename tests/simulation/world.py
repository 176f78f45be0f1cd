"""Half an hour of the controller in virtual time, every choice made by one seed.

The loops, the store and the folder are real; machines and runners are scripted. A crash drops the
process at any await of an outside effect: rows and objects stay, memory goes.
"""

import random
from collections import defaultdict
from pathlib import Path

from controller.errors import OverBudget, TooLate, Unclear
from controller.labels import Label
from controller.loops.prune import KEEP_JOB_S
from controller.providers.base import InstanceStatus
from controller.records import Actor
from controller.states import JobState, MachineState
from remote_runner.protocol import Phase, Reason
from tests.controller.conftest import Clock, House, video
from tests.controller.standins import RentedProvider, ScriptedProvider, make_offer
from tests.simulation.money import Money
from tests.simulation.segments import Segments, find_leftovers

OUTPUT = video(width=640, height=360)
SAMPLE = video(width=640, height=360, duration_s=3.0, frames=72)
OWNER = 7
CAP = 3


class Crash(BaseException):
    """The process is gone; not an error that anything may catch."""


class Flaky:
    """Machines that are refused, lost and hard to destroy, and crashes around each call."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        super().__init__()
        self.rng = rng
        self.rate = rate
        self.most_per_label = 0

    async def create(self, offer, launch):
        self._maybe_crash()
        if self._hit():
            self.create_faults.append(
                self.rng.choice(["refused", "lost_request", "lost_answer", "lost_answer"])
            )
        instance = await super().create(offer, launch)
        labels = [each.label for each in self.alive.values()]
        self.most_per_label = max(self.most_per_label, *map(labels.count, labels))
        self._maybe_crash()
        return instance

    async def instances(self):
        if self._hit():
            raise Unclear("no complete listing")
        return await super().instances()

    async def destroy(self, instance_ids):
        self._maybe_crash()
        for _ in instance_ids:
            if self._hit():
                self.destroy_faults.append(self.rng.choice(["unclear", "lies"]))
        gone = await super().destroy(instance_ids)
        self._maybe_crash()
        return gone

    def _hit(self) -> bool:
        return self.rng.random() < self.rate

    def _maybe_crash(self) -> None:
        if self.rng.random() < self.rate / 4:
            raise Crash


class FlakyProvider(Flaky, ScriptedProvider):
    """This computer."""


class FlakyMarket(Flaky, RentedProvider):
    """Other people's computers: several, with states and prices of their own."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        super().__init__(rng, rate)
        self.market = [
            make_offer(id=str(n), machine_id=f"m{n}", usd_per_hour=0.04 + n / 1000)
            for n in range(50)
        ]
        self.billed: defaultdict[str, float] = defaultdict(float)

    def bill(self, seconds: float) -> None:
        for instance in self.alive.values():
            self.billed[instance.label] += (instance.usd_per_hour or 0.0) * seconds / 3600


class World:
    """One run; :meth:`live` a while, :meth:`calm_down`, then look at :meth:`broken`."""

    def __init__(self, seed: int, folder: Path, *, rate: float = 0.15) -> None:
        self.rng = random.Random(seed)
        # every second seed rents
        self.provider = (FlakyMarket if seed % 2 else FlakyProvider)(self.rng, rate)
        self.house = House(folder, Clock(), self.provider)
        # every third seed looks at samples first
        self.samples = seed % 3 == 0
        self.jobs = []
        self.cancelled_first = set()
        self.story = []
        self.segments = Segments()
        self._number = 0
        self.house.change(segment_s=1.0)
        # every second seed that rents needs a yes for most of what it starts
        self.money = Money(self) if seed % 4 == 1 else None

    async def live(self, ticks: int) -> None:
        for _ in range(ticks):
            await self._act()
            await self._run_machines()
            await self._tick(self.rng.choice([0.5, 1, 2, 5, 30]))

    async def calm_down(self) -> None:
        """No more faults and no more wishes: everything has to come to rest."""
        self.provider.rate = 0.0
        if self.money:
            self.money.close()
        for _ in range(150):
            await self._run_machines(only_well=True)
            await self._tick(10)
        await self.house.prune.tick()
        # those who were allowed a long run have longer deadlines, and what they repeat waits
        for _ in range(3 if self.money else 1):
            self.house.clock.advance(KEEP_JOB_S + 3600)
            for _ in range(len(self.jobs) + 1):
                self.house.clock.advance(90)  # drafts expire first, and go a moment later
                await self.house.prune.tick()  # what a retry repeats goes a pass after it

    def broken(self) -> list[str]:
        """Invariants that do not hold."""
        house, found = self.house, []
        if self.provider.alive:
            found.append(f"machines left: {sorted(self.provider.alive)}")
        if self.provider.most_per_label > 1:
            found.append("two machines under one label")
        open_machines = [each.id for each in house.store.machines.select()]
        if open_machines:
            found.append(f"machines not proven gone: {open_machines}")
        for job in map(house.job, self.jobs):
            found += self._broken_job(job)
        found += self.segments.broken
        found += find_leftovers(house, map(house.job, self.jobs))
        if uploads := list(house.settings.storage_dir.glob("input/uploads/*/*")):
            found.append(f"uploads left: {uploads}")
        return found + self._broken_money()

    def _broken_money(self) -> list[str]:
        """Billed is at most reserved, and what the jobs were told at most a little off."""
        if not self.provider.rents:
            return []
        found = []
        for label, billed in self.provider.billed.items():
            machine = self.house.store.machines.get(Label.parse(label).machine)
            if billed > machine.reserved_usd + 1e-6:
                found.append(
                    f"{label}: ${billed:.4f} billed, ${machine.reserved_usd:.4f} reserved"
                )
        return found + (self.money.broken if self.money else [])

    def _broken_job(self, job) -> list[str]:
        found = []
        drafted = job.state is JobState.DRAFT  # never started, or taken back
        if not job.state.is_terminal and not drafted:
            found.append(f"job {job.id} is {job.state}")
        ends = [k for k in self.house.kinds(job) if k in ("done", "failed", "cancelled")]
        if len(ends) != (0 if drafted else 1):
            found.append(f"job {job.id} ended as {ends}")
        if job.id in self.cancelled_first and job.state is JobState.DONE:
            found.append(f"job {job.id} was cancelled and is done")
        outputs = list(self.house.settings.storage_dir.glob(f"output/*_{job.short_id}.*"))
        published = job.state is JobState.DONE and job.sample_of is None
        if len(outputs) != published:
            found.append(f"job {job.id} is {job.state} with {len(outputs)} outputs")
        if outputs and outputs[0].read_bytes() != OUTPUT:
            found.append(f"job {job.id} published something else")
        return found

    async def _act(self) -> None:
        """Something a user does."""
        choice = self.rng.random()
        if self.samples and choice < 0.30:
            await self._act_on_drafts(choice)
        elif choice < 0.25 and len(self.jobs) < 6:
            self._number += 1
            job = await self.house.draft(f"{self._number}.mp4", owner=OWNER)
            self.jobs.append(await self._start(job))
        elif choice < 0.30 and self.jobs:
            job = self.rng.choice(self.jobs)
            try:
                self.house.controller.cancel(job.id, by=Actor(OWNER))
                self.cancelled_first.add(job.id)
                self.story.append(f"cancel {self.jobs.index(job)}")
            except TooLate:
                return
        elif choice < 0.33:
            self._restart("asked")
        elif choice < 0.38 and self.jobs:
            self._retry(self.rng.choice(self.jobs))
        elif choice < 0.65 and self.money:
            await self.money.answer()

    async def _start(self, draft):
        if self.money:
            return await self.money.start(draft)
        return self.house.controller.start(draft.id, by=Actor(OWNER))

    async def _act_on_drafts(self, choice: float) -> None:
        """A new draft, a sample of one, or a start, whatever goes on for it."""
        drafts = [job for job in map(self.house.job, self.jobs) if job.state is JobState.DRAFT]
        if choice < 0.12 and len(self.jobs) < 9:
            self._number += 1
            self.jobs.append(await self.house.draft(f"{self._number}.mp4", owner=OWNER))
        elif drafts:
            draft = self.rng.choice(drafts)
            if choice < 0.22:
                self._number += 1
                key = f"sample:{self._number}"
                try:
                    sample = self.house.controller.sample(draft.id, by=Actor(OWNER), key=key)
                except OverBudget:
                    return
                if sample.id not in [each.id for each in self.jobs]:
                    self.jobs.append(sample)
            elif choice < 0.27:
                await self._start(draft)
            else:
                await self.house.controller.discard(draft.id, by=Actor(OWNER))
                self.cancelled_first.add(draft.id)

    def _retry(self, job) -> None:
        """Once, whatever has become of it; refused where it goes on."""
        try:
            again = self.house.controller.retry(job.id, by=Actor(OWNER), key=f"retry:{job.id}")
        except TooLate:
            return
        if again.id not in [each.id for each in self.jobs]:
            self.story.append(f"retry {self.jobs.index(job)}")
            self.jobs.append(again)

    async def _run_machines(self, *, only_well: bool = False) -> None:
        """What the runners do meanwhile."""
        for machine in self.house.store.machines.select():
            alive = any(each.label == machine.label for each in self.provider.alive.values())
            watched = machine.state in (
                MachineState.BOOTING, MachineState.READY, MachineState.BUSY, MachineState.UNKNOWN,
            )  # fmt: skip
            if alive and watched:
                self._run_machine(machine, only_well=only_well)

    def _run_machine(self, machine, *, only_well: bool) -> None:
        runner, rng = self.house.runner, self.rng
        if self.provider.rents and not self._boot(machine, only_well=only_well):
            return
        orders = runner.orders(machine)
        if orders.job is None:
            runner.idle(machine)
            return
        deed = (
            "done"
            if only_well
            else rng.choice(
                [
                    "beat",
                    "beat",
                    "beat",
                    "beat",
                    "done",
                    "done",
                    "silent",
                    "fail",
                    "vanish",
                    "babble",
                ]
            )
        )
        if orders.cancel and rng.random() < 0.7:
            deed = "stopped"
        self.story.append(f"{self.house.clock.now:.0f} {machine.id[-4:]} {deed}")
        self.segments.begin(self.house, machine)
        match deed:
            case "beat":
                runner.heartbeat(machine, phase=rng.choice(list(Phase)[1:5]))
                self.segments.work(self.house, machine)
            case "done":
                runner.heartbeat(machine)
                runner.finish(machine, SAMPLE if runner.grant(machine).sample_s else OUTPUT)
            case "stopped":
                runner.cancelled(machine)
            case "fail":
                runner.fail(machine, rng.choice([Reason.ENCODER_FAILED, Reason.CORRUPT]))
            case "babble":
                runner.babble(machine, rng.choice(["status", "result"]))
            case "vanish":
                for each in list(self.provider.alive.values()):
                    if each.label == machine.label:
                        del self.provider.alive[each.id]

    def _boot(self, machine, *, only_well: bool) -> bool:
        """Whether a rented machine is up; it may be a while, or come to nothing."""
        (instance,) = (
            each for each in self.provider.alive.values() if each.label == machine.label
        )
        if instance.status is InstanceStatus.RUNNING:
            self.house.runner.boot(machine)
            return True
        states = [InstanceStatus.RUNNING, InstanceStatus.RUNNING, InstanceStatus.PULLING]
        if not only_well:
            states += [InstanceStatus.HOST_FAILED, InstanceStatus.OFFLINE, InstanceStatus.ENDED]
        self.provider.show(instance.id, status=self.rng.choice(states))
        return False

    async def _tick(self, seconds: float) -> None:
        self.house.clock.advance(seconds)
        if self.provider.rents:
            self.provider.bill(seconds)
        loops = [self.house.reap, self.house.watch, self.house.place]
        self.rng.shuffle(loops)
        try:
            for loop in loops:
                await loop.tick()
            if self.rng.random() < 0.8:
                await self.house.watch.settle()
            if self.money:
                self.money.check()
        except Crash:
            self._restart("crash")

    def _restart(self, why: str) -> None:
        self.story.append(f"{self.house.clock.now:.0f} restart: {why}")
        for task in list(self.house.watch._checking.values()):
            task.cancel()
        self.house.restart()
