"""The controller's loops against the Vast.ai stand-in over HTTP: what an unclear answer may do."""

import asyncio
import dataclasses
import itertools

import pytest

from controller.labels import Label
from controller.providers.vast import VastProvider
from controller.records import Actor
from controller.states import JobState, MachineState
from tests.controller.conftest import House
from tests.controller.standins import RentedProvider
from tests.standins.vast import VastStandin, make_offer

pytestmark = pytest.mark.timeout(60)


class VastHouse:
    """Loops ticked by hand; the clock of the house runs ahead, that of HTTP is the real one."""

    def __init__(self, tmp_path, clock, standin) -> None:
        self.standin = standin
        self.clock = clock
        self.house = House(tmp_path / "data", clock, RentedProvider())
        self.provider = self.house.provider = VastProvider(
            key=standin.account_key, url=standin.url, deployment=self.house.store.deployment,
            clock=clock, sleep=self.sleep, random=lambda: 0.5,
        )  # fmt: skip
        self.house.restart()

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await asyncio.sleep(0.005)

    async def tick(self, times=1, seconds=15.0):
        # without the tail of logs: its waits would add up in the house's clock
        for _ in range(times):
            self.clock.advance(seconds)
            for loop in (self.house.reap, self.house.watch, self.house.place):
                await loop.tick()
            await asyncio.sleep(0.02)

    async def close(self):
        await self.provider.close()
        self.house.store.close()


@pytest.fixture
async def world(tmp_path, clock):
    offers = [make_offer(dph_base=0.03 + n / 100) for n in range(4)]
    async with VastStandin(tmp_path / "hosts", offers, runs=False, hold_s=0.2) as standin:
        world = VastHouse(tmp_path, clock, standin)
        yield world
        await world.close()


CREATE_FAULTS = [
    "timeout", "timeout_after", "drop", "drop_after_body", "lost_answer", "half_answer",
    "500_html", "500_html_after", "502", "503_after", "success_false", "success_false_after",
    "html_200", "html_200_after", "not_json", "not_json_after", "empty", "empty_after",
    "error_with_contract", "429", "410", "no_such_ask", "insufficient_credit", "404_auth",
]  # fmt: skip


@pytest.mark.parametrize("fault", CREATE_FAULTS)
async def test_an_unclear_create_never_makes_two_machines_nor_an_orphan(world, fault):
    house, standin = world.house, world.standin
    most = 0

    async def watch():
        nonlocal most
        labels = [each.label for each in standin.alive()]
        most = max([most, *(labels.count(label) for label in labels)])

    job = await house.queued()
    standin.faults["create"].append(fault)
    for _ in range(30):
        await world.tick()
        await watch()
        live = [m for m in house.store.machines.select() if m.state.is_live]
        assert len(live) <= 1
        if house.job(job).state is JobState.RUNNING and standin.alive() and not live:
            raise AssertionError("a machine that no row knows")
    assert most <= 1
    labels = [create.label for create in standin.creates]
    assert len(labels) == len(set(labels)), "the same machine was asked for twice"
    if house.job(job).state in (JobState.RUNNING, JobState.QUEUED):
        house.controller.cancel(job.id, by=Actor(7))
    await world.tick(20)
    assert standin.alive() == []
    assert house.store.machines.select() == []


LIST_FAULTS = [
    "410", "missing_page", "empty_list", "no_rows", "500_html", "html_200", "success_false",
    "not_json", "empty", "drop", "timeout", "401", "404_auth",
]  # fmt: skip


@pytest.mark.parametrize("fault", LIST_FAULTS)
async def test_a_listing_that_is_not_complete_concludes_nothing(world, fault):
    house, standin = world.house, world.standin
    first = await house.queued("a.mp4")
    await world.tick(3)
    assert house.machine().state is MachineState.BOOTING
    standin.faults["list"].extend([fault] * 200)
    await house.queued("b.mp4")
    await world.tick(6, seconds=5)
    assert len(standin.alive()) == 1
    assert len(standin.creates) == 1, "something was rented although it is not known what exists"
    machine = house.machine()
    assert (machine.state, machine.absences) == (MachineState.BOOTING, 0)
    assert house.job(first).state is JobState.RUNNING


async def test_a_listing_from_a_minute_ago_kills_nothing_that_is_new(world):
    house, standin = world.house, world.standin
    standin.lag_s = 0.5  # of the real clock; the house's clock runs a minute meanwhile
    await house.queued()
    await world.tick(4, seconds=15)
    assert len(standin.alive()) == 1
    assert house.machine().state is MachineState.BOOTING


async def test_more_machines_than_a_page_are_all_seen_and_all_ended(world):
    house, standin = world.house, world.standin
    house.settings = dataclasses.replace(house.settings, max_machines=60, day_budget=1000)
    house.store.close()
    house.open()
    for _ in range(60):
        standin.add_offer(dph_base=0.03)
    jobs = [await house.queued(f"{n}.mp4", owner=n) for n in range(60)]
    for _ in range(60):
        if len(standin.alive()) == 60:
            break
        await world.tick(seconds=1)
        for machine in house.store.machines.select([MachineState.BOOTING, MachineState.BUSY]):
            house.runner.boot(machine)
            house.runner.heartbeat(machine)
    assert len(standin.alive()) == 60
    assert len({create.offer for create in standin.creates}) == 60
    foreign = standin.rent(standin.add_offer()["id"], {**standin.creates[0].body, "label": "x"})
    for job in jobs:
        house.controller.cancel(job.id, by=Actor(job.owner))
    before = standin.requests["destroy_many"]
    await world.tick(6)
    assert standin.alive() == [foreign]
    assert standin.requests["destroy_many"] - before <= 6
    assert standin.requests["destroy"] == 0
    assert house.store.machines.select() == []


async def test_an_offer_that_others_take_costs_a_try_and_not_the_job(world):
    house, standin = world.house, world.standin
    standin.gone_offer_as = "rotate"
    standin.faults["create"].extend(["no_such_ask"] * 3)
    job = await house.queued()
    await world.tick(12)
    assert house.job(job).state is JobState.RUNNING
    assert len(standin.alive()) == 1
    asked = [create.offer for create in standin.creates]
    assert len(asked) == 4
    assert all(a != b for a, b in itertools.pairwise(asked))


async def test_labels_say_whose_and_until_when(world):
    house, standin = world.house, world.standin
    await house.queued()
    await world.tick(2)
    label = Label.parse(standin.alive()[0].label)
    assert label.deployment == house.store.deployment
    assert label.expires_at == int(house.machine().expires_at)
    assert label.machine == house.machine().id
