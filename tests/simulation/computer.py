"""What happens to the computer that the program runs on, beside all calls."""

import asyncio
import shutil
from pathlib import Path

from tests.simulation.database import copy_database
from tests.simulation.deployment import Life
from tests.simulation.faults import Fault

_KEYS = {"jobs": "id", "attempts": "job || '/' || number", "machines": "id"}


class Computer:
    """Power, disk, clock, and other processes on the same data."""

    def __init__(self, world) -> None:
        self.backup: Path | None = None
        self.replaced = False
        """The database was replaced by an older one: what came since is not known to anybody."""
        self._world = world
        self._deployment, self._faults = world.deployment, world.faults

    def happen(self) -> None:
        """Something, or nothing; at every step."""
        world, plan, states = self._world, self._world.plan, self._world.states()
        if plan.power_losses and self._faults.hit(Fault.POWER_LOSS, states, weight=0.2):
            world.tell("power fails")
            self._deployment.kill(Fault.POWER_LOSS)
        if plan.disk_faults:
            self._fail_disk(states)
        if plan.clock_jumps:
            self._turn_clock(states)
        if plan.stalls and self._faults.hit(Fault.STALL, states, weight=0.2):
            seconds = self._faults.after(20, 400)
            world.tell(f"everything stands still for {seconds:.0f} s")
            world.loop.stall(seconds)
        if plan.second_controller and self._faults.hit(
            Fault.SECOND_CONTROLLER, states, weight=0.2
        ):
            world.loop.spawn(self._run_second())
        if plan.old_backup:
            self._keep_backup(states)
        if self._faults.hit(Fault.CRASH, states, weight=min(1.0, 10 * plan.crashes)):
            world.tell("killed")
            self._deployment.kill()
        elif world.rng.random() < 0.004:
            world.tell("asked to stop")
            world.loop.spawn(self._deployment.restart())

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
        second = Life(self._deployment, has_bot=False)
        try:
            async with asyncio.timeout(self._faults.after(30, 300)):
                await second.over.wait()
        except TimeoutError:
            await second.stop()
        failure = await second.end()
        if failure is not None:
            self._deployment.failures.append(failure)
        self._world.tell("the second controller has ended")

    def _keep_backup(self, states: list[str]) -> None:
        world = self._world
        if self.backup is None:
            if world.rng.random() < 0.02:
                self.backup = self._deployment.folder / "backup.db"
                copy_database(world.settings.database, self.backup)
                world.tell("a backup is made")
        elif not self.replaced and self._faults.hit(Fault.OLD_BACKUP, states, weight=0.2):
            world.tell("the disk is lost: the backup takes its place")
            self.replaced = True
            self._deployment.before_start = self._replace_database
            self._deployment.kill()

    def _replace_database(self) -> None:
        world = self._world
        self._deployment.before_start = lambda: None
        world.close_reader()
        for path in world.settings.data_dir.glob("noxfvr.db*"):
            path.unlink()
        shutil.copyfile(self.backup, world.settings.database)
        world.watching.forget(self._read_states)

    def _read_states(self) -> dict[str, dict[str, str]]:
        return {
            table: {
                row["key"]: row["state"]
                for row in self._world.rows(f"SELECT {key} AS key, state FROM {table}")
            }
            for table, key in _KEYS.items()
        }
