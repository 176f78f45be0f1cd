"""The controller under load: the real one, in a process of its own, with a clock at its loop.

Settings come from the environment, orders as lines on standard input: ``phase NAME`` and
``cancel``. It ends with its standard input; its last line is JSON with what it measured itself.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

from controller.log_output import configure_logging
from controller.records import Actor
from controller.service import Controller
from controller.settings import load_settings
from controller.wiring import open_controller

ADMIN = Actor(1, admin=True)
_TICK_S = 0.1


class LoopClock:
    """How late a sleeper wakes up in this event loop, by phase of the run."""

    def __init__(self) -> None:
        self.phase = "start"
        self._late_s: defaultdict[str, list[float]] = defaultdict(list)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(_TICK_S)
            self._late_s[self.phase].append(max(0.0, loop.time() - began - _TICK_S))

    def report(self) -> dict[str, dict[str, float]]:
        """Seconds."""
        return {phase: _summary(sorted(late)) for phase, late in self._late_s.items()}


def _summary(late: list[float]) -> dict[str, float]:
    return {"p99": late[int(0.99 * (len(late) - 1))], "worst": late[-1]}


async def serve() -> dict[str, dict[str, float]]:
    """Until standard input ends."""
    settings = load_settings(os.environ)
    configure_logging(settings)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    clock = LoopClock()
    async with open_controller(settings, must_own=True) as controller:
        watching = asyncio.create_task(clock.run())
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async for line in orders:
            order, _, name = line.decode().strip().partition(" ")
            if order == "phase":
                clock.phase = name
            else:
                await cancel_all(controller)
        watching.cancel()
    return clock.report()


async def cancel_all(controller: Controller) -> None:
    """One after another, as people do: the loop is free in between."""
    for job in controller.jobs(active=True, limit=10_000):
        controller.cancel(job.id, by=ADMIN)
        await asyncio.sleep(0)


def main() -> None:
    profile = cProfile.Profile() if len(sys.argv) > 1 else None
    if profile:
        profile.enable()
    measured = asyncio.run(serve())
    if profile:
        profile.disable()
        profile.dump_stats(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
