"""Plays the rented machines of a batch while the real command follows them."""

import asyncio
import re
from contextlib import asynccontextmanager, suppress
from itertools import count

from bot.terminal import batch, commands, fleet
from controller.providers.base import InstanceStatus
from remote_runner.protocol import GREETING, Phase, Task
from tests.controller.conftest import video

LINE = re.compile(r"\[\d\d:\d\d:\d\d\] \[(INFO|WARN|ERROR)\] (.*)")
OUTPUT = video(width=640, height=360)


class Director:
    """``acts`` are used up attempt by attempt; an attempt without one goes well.

    An act is a coroutine function of the director and the machine; it plays one attempt.
    """

    def __init__(self, house, monkeypatch) -> None:
        self.house = house
        self.acts = []
        self.moments = []
        """Called once a tick with the house, for what happens whatever is played."""
        self._played = set()
        monkeypatch.setattr(batch, "_LOOK_S", 0.02)
        monkeypatch.setattr(fleet, "_STEP_S", 0.005)

        @asynccontextmanager
        async def stay_open(settings, *, only_look=False):
            house.controller.reconciles = not only_look
            house.controller.settings = settings
            yield house.controller

        monkeypatch.setattr(commands, "open_controller", stay_open)

    async def put(self, *names, folder="input/c1", **changes):
        for name in names:
            await self.house.storage.write(f"{folder}/{name}", video(**changes))

    async def run(self, *sources, json_file=None, dry_run=False, task=None, yes=True):
        """What ``noxfvr batch`` would exit with: true for 0."""
        order = commands.Order(
            sources=sources or ("input/c1",), task=task or Task(), json_file=json_file,
            limits=False, dry_run=dry_run, yes=yes,
        )  # fmt: skip
        playing = asyncio.create_task(self._play())
        try:
            async with asyncio.timeout(20):
                return await commands.run_batch(self.house.settings, order)
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing

    def print(self, machine, *lines) -> None:
        """What the machine prints next."""
        self.house.provider.printed.setdefault(machine.instance, []).extend(lines)

    async def start(self, machine) -> None:
        """The machine runs, arms its watchdog and greets; a warm one has done so."""
        if machine.running_at is None:
            self.house.provider.show(machine.instance, status=InstanceStatus.RUNNING)
            self.house.runner.boot(machine)
            await self.pause()
            self.print(machine, "boot: the watchdog is armed", GREETING)
            await self.pause()

    async def pause(self, ticks=3) -> None:
        for _ in range(ticks):
            await asyncio.sleep(0.01)
            await self.house.tick()

    async def _play(self) -> None:
        for _ in count():
            await self.pause(1)
            for moment in self.moments:
                moment(self.house)
            for machine in self.house.store.machines.select():
                attempt = self.house.store.attempts.open_on(machine.id)
                key = attempt and (attempt.job, attempt.number)
                if machine.instance and key and key not in self._played:
                    self._played.add(key)
                    act = self.acts.pop(0) if self.acts else go_well
                    await act(self, machine)


async def go_well(director, machine) -> None:
    runner = director.house.runner
    await director.start(machine)
    director.print(machine, "[PROGRESS] 45% | 12.0 fps | ETA 0:11", "part 1 is stored")
    runner.heartbeat(machine, done=108)
    await director.pause()
    runner.heartbeat(machine, phase=Phase.UPLOADING, done=240)
    await director.pause()
    runner.finish(machine, OUTPUT)


def told(output: str) -> list[tuple[str, str]]:
    """Level and text of every line."""
    lines = [LINE.fullmatch(line) for line in output.splitlines()]
    assert all(lines), output
    return [(line[1], line[2]) for line in lines]


def texts_of(output: str) -> list[str]:
    """Without the lines of logs and progress."""
    return [t for _, t in told(output) if not t.startswith(("  [LOG] ", "[PROGRESS] "))]
