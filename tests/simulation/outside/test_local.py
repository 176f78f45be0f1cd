import asyncio

import pytest

from controller.labels import Label
from controller.providers.base import Launch, Need
from remote_runner.protocol import Orders, to_json
from tests.simulation.faults import Fault
from tests.simulation.outside.local import SimComputer, SimLocalProvider
from tests.simulation.outside.storage import SimStorage
from tests.simulation.process import Process

MACHINE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NEED = Need(disk_gb=20.0, max_usd_per_hour=0.1)


class House:
    """A computer with a provider on it, and orders for a runner that waits ``idle_s``."""

    def __init__(self, outside) -> None:
        self.outside = outside
        self.computer = SimComputer(outside.vast)
        self.provider = SimLocalProvider(outside.process, self.computer, "simulate")

    async def start(self, *, idle_s: float = 600.0, lives_s: float = 3600.0) -> str:
        outside, ends_at = self.outside, self.outside.now() + lives_s
        storage = SimStorage(outside.process, outside.objects, outside.now)
        orders = Orders(
            machine=MACHINE, sequence=1, deadline_at=ends_at, idle_s=idle_s,
            status_url=storage.url_put("status", ends_at),
        )  # fmt: skip
        await storage.write("orders", to_json(orders).encode())
        (offer,) = await self.provider.offers(NEED)
        launch = Launch(
            machine=MACHINE, label=str(Label("simulate", MACHINE, int(ends_at))), env={},
            orders_url=storage.url_get("orders", ends_at), deadline_at=ends_at,
        )  # fmt: skip
        return await self.provider.create(offer, launch)

    async def listed(self) -> list[str]:
        return [each.id for each in await self.provider.instances()]


@pytest.fixture
def local(simulated):
    return lambda play: simulated(lambda outside: play(House(outside)))


def test_a_runner_is_listed_until_it_is_ended_and_costs_nothing(local):
    async def play(house):
        runner = await house.start()
        assert await house.listed() == [runner]
        assert await house.provider.offers(NEED) == []
        await asyncio.sleep(300)
        assert house.outside.vast.billed_usd() == 0
        assert await house.provider.destroy({runner}) == {runner}
        assert await house.listed() == []
        assert len(await house.provider.offers(NEED)) == 1

    local(play)


def test_a_runner_outlives_the_program_and_not_the_loss_of_power(local):
    async def play(house):
        runner, outside = await house.start(), house.outside
        outside.process.kill()
        await asyncio.sleep(60)
        next_life = Process(outside.faults, spawn=outside.loop.spawn)
        house.provider = SimLocalProvider(next_life, house.computer, "simulate")
        assert await house.listed() == [runner]
        house.computer.lose_power()
        assert await house.listed() == []

    local(play)


@pytest.mark.parametrize("limits", [{"idle_s": 60.0}, {"lives_s": 60.0}])
def test_a_runner_ends_by_itself(local, limits):
    async def play(house):
        await house.start(**limits)
        await asyncio.sleep(30)
        assert len(await house.listed()) == 1
        await asyncio.sleep(90)
        assert await house.listed() == []

    local(play)


def test_the_kernel_may_end_a_runner(local):
    async def play(house):
        await house.start()
        house.outside.force(Fault.VANISHES)
        await asyncio.sleep(60)
        assert await house.listed() == []

    local(play)
