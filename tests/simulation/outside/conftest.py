import random

import pytest

from tests.simulation.faults import Faults
from tests.simulation.loop import SimLoop
from tests.simulation.outside.machines import SimMachines
from tests.simulation.outside.objects import SimObjects
from tests.simulation.outside.telegram import SimTelegram
from tests.simulation.outside.vast import SimVast
from tests.simulation.process import Process

START = 1_800_000_000.0


class Outside:
    """All that is outside, one process, and no program in it. ``rate`` is 0 until it is set."""

    def __init__(self, loop, folder) -> None:
        self.loop = loop
        self.faults = Faults(random.Random(5), 0.0)
        self.vast = SimVast(self.faults, self.now, spawn=loop.spawn)
        self.objects = SimObjects(self.faults, self.now)
        self.telegram = SimTelegram(self.faults, self.now, folder)
        self.machines = SimMachines(
            self.faults, self.vast, self.objects, self.now, spawn=loop.spawn
        )
        self.process = Process(self.faults, spawn=loop.spawn)

    def now(self) -> float:
        return START + self.loop.time()

    def force(self, *faults) -> None:
        """The next occasions of these have them."""
        self.faults.forced += faults


@pytest.fixture
def simulated(tmp_path):
    """Runs a coroutine function on everything that is outside, in virtual time."""

    def run(play):
        loop = SimLoop()
        return loop.run_to_end(play(Outside(loop, tmp_path)))

    return run
