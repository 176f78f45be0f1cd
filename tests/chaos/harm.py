"""What is done to a deployment: deaths and standstills at moments that a seed chooses."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass

import psutil

from tests.chaos.deployment import Deployment
from tests.chaos.screen import Screen

#: Lines of the controller right after which a death is worth trying.
MOMENTS = (
    r"Created instance",
    r"Job \S+ is done",
    r"trying again",
    r"Destroying machine",
    r"Machine \S+ is gone",
)
#: What dies of a machine, and how a report calls it.
WAYS = {
    "group": "all of a machine killed",
    "runner": "the runner alone killed",
    "any": "any one process of a machine killed",
}
_REFUSED = "another process works on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """How much of it. Times in seconds."""

    kills: int = 8
    runner_kills: int = 6
    freezes: int = 0
    """Times that the controller stands still while a second one is started."""
    freeze_s: float = 60.0
    runner_freezes: int = 0
    """Times that a runner stands still for ``runner_freeze_s``."""
    runner_freeze_s: float = 75.0
    """Longer than the silence that a local runner is allowed."""
    pause_s: float = 3.0
    """How long the controller lives between two of its deaths, on average."""


class Harm:
    """Hurts until the dose is used up. ``told`` is the story of it, ``done`` counts."""

    def __init__(
        self, deployment: Deployment, screen: Screen, rng: random.Random, dose: Dose
    ) -> None:
        self.told: list[str] = []
        self.done: Counter[str] = Counter()
        self.broken: list[str] = []
        """Promises that broke while it went on."""
        self._deployment = deployment
        self._screen = screen
        self._rng = rng
        self._dose = dose
        self._began_at = time.monotonic()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hurt_controller())
            group.create_task(self._hurt_runners())
            group.create_task(self._freeze_runners())

    async def _hurt_controller(self) -> None:
        """Deaths, with the standstills spread evenly among them."""
        every = max(1, self._dose.kills // (self._dose.freezes + 1))
        for number in range(1, self._dose.kills + 1):
            await self._wait_for_a_moment()
            async with self._deployment.lock:
                if not self._deployment.is_up():
                    self.broken.append(f"the controller ended by itself\n{self._last_lines()}")
                    await self._deployment.start_bot()
                    continue
                await self._deployment.kill_bot()
                self._tell("controller killed")
                if self._rng.random() < 0.3:
                    await asyncio.sleep(self._rng.uniform(0, 3))
                await self._deployment.start_bot()
            if number % every == 0 and self.done["controller frozen"] < self._dose.freezes:
                # one that does not yet own its data directory would leave it to the second one
                await self._deployment.wait_until_up()
                await self._freeze_controller()

    async def _wait_for_a_moment(self) -> None:
        """During the start, at any time, right after a line of the log, or after a message."""
        if self._rng.random() < 0.2:
            await asyncio.sleep(self._rng.uniform(0, 1.2 * self._deployment.startup_s))
            return
        await self._deployment.wait_until_up()
        # a busy machine needs longer for everything
        pause_s = max(self._dose.pause_s, self._deployment.startup_s)
        match self._rng.choice(["any", "line", "message"]):
            case "any":
                await asyncio.sleep(self._rng.uniform(0, pause_s * 2))
            case "line":
                line = self._rng.choice(MOMENTS)
                await self._deployment.wait_for_log(line, pause_s * 2)
                await asyncio.sleep(self._rng.uniform(0, 0.05))
            case "message":
                await asyncio.sleep(self._rng.uniform(0, pause_s))
                before = len(self._screen.entries)
                await self._screen.until(lambda: self._has_sent(before), pause_s)

    def _has_sent(self, since: int) -> bool:
        return any(each.kind == "send" and each.from_bot for each in self._screen.entries[since:])

    async def _freeze_controller(self) -> None:
        """A stale owner: whoever is started beside it must not run."""
        async with self._deployment.lock:
            began_at = time.monotonic()
            async with self._deployment.frozen():
                self._tell("controller frozen")
                code, output = await self._deployment.try_second()
                if code != 1 or _REFUSED not in output or "Traceback" in output:
                    self.broken.append(f"a second controller ran beside a frozen one: {output}")
                left_s = self._dose.freeze_s - (time.monotonic() - began_at)
                await asyncio.sleep(max(0.0, left_s))
            self._tell("controller thawed")

    async def _hurt_runners(self) -> None:
        while self.done["runner killed"] < self._dose.runner_kills:
            # from its first breath to the middle of its work, and while it waits for more
            await asyncio.sleep(self._rng.uniform(0.2, 6))
            if not self._is_a_runners_turn():
                continue
            machines = await asyncio.to_thread(self._deployment.machines)
            if machines:
                self._kill_one(self._rng.choice(machines))

    def _is_a_runners_turn(self) -> bool:
        """Spread evenly among the deaths of the controller: else no work would ever be done."""
        share = self.done["controller killed"] / max(1, self._dose.kills)
        return self.done["runner killed"] <= share * self._dose.runner_kills

    def _kill_one(self, machine: list[psutil.Process]) -> None:
        """A whole group, the runner alone, or any one process, which may be the runner too."""
        how = self._rng.choice(list(WAYS))
        self._deployment.note_death(machine)
        try:
            match how:
                case "group":
                    os.killpg(os.getpgid(machine[0].pid), signal.SIGKILL)
                case "runner":
                    machine[0].kill()
                case "any":
                    self._rng.choice(machine).kill()
        except (ProcessLookupError, psutil.NoSuchProcess):
            return  # it was faster
        self._tell("runner killed", how)
        self.done[WAYS[how]] += 1

    async def _freeze_runners(self) -> None:
        for _ in range(self._dose.runner_freezes):
            await asyncio.sleep(self._rng.uniform(5, 30))
            machines: list[list[psutil.Process]] = []
            while not machines:
                await asyncio.sleep(0.5)
                machines = await asyncio.to_thread(self._deployment.machines)
            runner = self._rng.choice(machines)[0]
            try:
                runner.suspend()
                self._tell("runner frozen")
                await asyncio.sleep(self._dose.runner_freeze_s)
                runner.resume()
            except psutil.NoSuchProcess:
                self._tell("frozen runner ended")

    def _tell(self, what: str, how: str = "") -> None:
        self.done[what] += 1
        at = time.monotonic() - self._began_at
        self.told.append(f"{time.strftime('%H:%M:%S')} +{at:.1f}s {what} {how}".rstrip())

    def _last_lines(self) -> str:
        return "\n".join(self._deployment.log().splitlines()[-30:])
