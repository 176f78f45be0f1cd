"""What happens to the computer that the program runs on, beside all calls."""

import asyncio
import random
from pathlib import Path

from filelock import FileLock, Timeout

from controller.backups import back_up, restore
from controller.errors import ControllerError, DatabaseError
from controller.records import TERMINAL, Request
from controller.recovery import recover
from tests.simulation.deployment import Life
from tests.simulation.faults import Fault
from tests.simulation.people import STORED

_KEYS = {"jobs": "id", "attempts": "job || '/' || number", "machines": "id"}
_STARTED = "SELECT id FROM jobs WHERE state IN ('queued', 'running') ORDER BY id"
_DAY_S = 24 * 3600.0
_NAP = 0.05
"""How likely it sleeps for a day, at a step at which nothing but waiting goes on."""


class Computer:
    """Power, disk, clock, and other processes on the same data."""

    def __init__(self, world) -> None:
        self.backup: Path | None = None
        self.replaced = False
        """The database was replaced by an older one: what came since is not known to anybody."""
        self.lost_outputs: set[str] = set()
        """What was published in that time."""
        self._outputs: set[str] = set()
        self._world = world
        self._deployment, self._faults = world.deployment, world.faults

    def happen(self) -> None:
        """Something, or nothing; at every step."""
        world, plan, states = self._world, self._world.plan, self._world.states()
        lives = self._deployment.life is not None
        if lives and plan.power_losses and self._faults.hit(Fault.POWER_LOSS, states, weight=0.2):
            world.tell("power fails")
            self._deployment.kill(Fault.POWER_LOSS)
        if plan.disk_faults:
            self._fail_disk(states)
        if plan.clock_jumps:
            self._turn_clock(states)
        if plan.stalls and self._faults.hit(Fault.STALL, states, weight=0.2):
            seconds = self._faults.after(20, 400)
            self._stand_still(seconds)
        if plan.stalls and self._is_all_waiting(states) and world.rng.random() < _NAP:
            self._faults.count(Fault.STALL, states)
            self._stand_still(_DAY_S)
        if plan.second_controller and self._faults.hit(
            Fault.SECOND_CONTROLLER, states, weight=0.2
        ):
            world.loop.spawn(self._run_second())
        if plan.old_backup:
            self._keep_backup(states)
        lives = self._deployment.life is not None
        if lives and self._faults.hit(Fault.CRASH, states, weight=min(1.0, 10 * plan.crashes)):
            world.tell("killed")
            self._deployment.kill()
        elif world.rng.random() < 0.004:
            world.tell("asked to stop")
            world.loop.spawn(self._deployment.restart())

    def _is_all_waiting(self, states: list[str]) -> bool:
        """Whether there is work, and no machine that could do it, or is not proven gone."""
        has_machines = self._world.watching.machines() != ("none",)
        return "queued" in states and not has_machines and not self._world.vast.alive()

    def _stand_still(self, seconds: float) -> None:
        self._world.tell(f"everything stands still for {seconds:.0f} s")
        self._world.loop.stall(seconds)

    def _fail_disk(self, states: list[str]) -> None:
        world, disk = self._world, self._world.disk
        if disk.fault is not None:
            if world.now() > disk.fault_until:
                disk.fault = None
            return
        for fault in (Fault.DISK_FULL, Fault.IO_ERROR):
            if self._faults.hit(fault, states, weight=0.1):
                world.tell(f"{fault} begins")
                disk.begin_fault(fault, self._faults.after(5, 120))
                return

    def _turn_clock(self, states: list[str]) -> None:
        world, clock = self._world, self._world.clock
        if clock.offset_s:
            if world.rng.random() < 0.05:
                clock.offset_s = 0.0
                world.tell("the clock is right again")
            return
        for fault, sign in ((Fault.CLOCK_FORWARD, 1), (Fault.CLOCK_BACK, -1)):
            if self._faults.hit(fault, states, weight=0.2):
                clock.offset_s = sign * self._faults.after(60, 3600)
                world.tell(f"the clock is wrong by {clock.offset_s:.0f} s")
                return

    async def _run_second(self) -> None:
        """Another process on the same data, as ``noxfvr batch`` is."""
        self._world.tell("a second controller")
        second = Life(self._deployment, has_bot=False, errand=self._run_errand)
        try:
            async with asyncio.timeout(self._faults.after(30, 300)):
                await second.over.wait()
        except TimeoutError:
            await second.stop()
        failure = await second.end()
        if failure is not None:
            self._deployment.on_failure(failure)
        self._world.tell("the second controller has ended")

    async def _run_errand(self, controller) -> None:
        """A video of the bucket, and an end to one of those that are open."""
        rng = self._world.rng
        key = rng.choice(STORED)
        try:
            request = Request(key=f"batch:{rng.getrandbits(40)}", owner=TERMINAL.user)
            job = await controller.accept_stored(request, path=key)
            await asyncio.sleep(self._faults.after(0, 20))
            controller.start(job.id, by=TERMINAL)
            await asyncio.sleep(self._faults.after(0, 200))
            started = [row["id"] for row in self._world.rows(_STARTED)]
            controller.cancel(rng.choice([job.id, *started]), by=TERMINAL)
        except ControllerError as error:
            self._world.tell(f"the second controller: {error!r}")

    def _keep_backup(self, states: list[str]) -> None:
        world, settings = self._world, self._world.settings
        if self.backup is None:
            if world.rng.random() < 0.05:
                self.backup = back_up(
                    settings.database, settings.backups_dir, why="schedule", clock=world.clock
                )
                self._outputs = set(world.objects.keys("output/"))
                world.tell("a backup is made")
        elif not self.replaced and self._faults.hit(Fault.OLD_BACKUP, states, weight=0.2):
            how = world.rng.choice((self._lose_database, self._damage_database, self._restore))
            world.tell(f"the disk fails: {how.__name__.strip('_')}")
            self.replaced = True
            self._deployment.before_start = lambda: self._go_back(how)
            self._deployment.kill()

    def _go_back(self, how) -> None:
        """As :func:`~controller.wiring.open_controller` does it: by whoever holds the lock."""
        world = self._world
        lock = FileLock(world.settings.data_dir / "noxfvr.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return  # another process has taken over: before the next life, then
        world.close_reader()
        try:
            how()
        except DatabaseError as error:
            world.tell(f"not restored yet: {error}")
            return
        finally:
            lock.release()
        self._deployment.before_start = lambda: None
        self.lost_outputs = set(world.objects.keys("output/")) - self._outputs
        world.watching.forget(self._read_states)

    def _lose_database(self) -> None:
        """It is gone, and what starts next takes the newest backup."""
        world = self._world
        for path in world.settings.data_dir.glob("noxfvr.db*"):
            path.unlink()
        recover(world.settings.database, clock=world.clock)

    def _damage_database(self) -> None:
        """Its first page is no page any more, and its journal is lost: the same."""
        world = self._world
        for path in world.settings.data_dir.glob("noxfvr.db-*"):
            path.unlink()
        with world.settings.database.open("r+b") as file:
            file.write(random.Random(world.plan.seed).randbytes(512))
        recover(world.settings.database, clock=world.clock)

    def _restore(self) -> None:
        """Somebody runs ``noxfvr restore``."""
        world = self._world
        restore(self.backup, world.settings.database, keep_deployment=True, clock=world.clock)

    def _read_states(self) -> dict[str, dict[str, str]]:
        return {
            table: {
                row["key"]: row["state"]
                for row in self._world.rows(f"SELECT {key} AS key, state FROM {table}")
            }
            for table, key in _KEYS.items()
        }
