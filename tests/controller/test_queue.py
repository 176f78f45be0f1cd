import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.errors import Forbidden, NoSuchJob, TooLate
from controller.queue import _ranks
from controller.records import Actor
from controller.states import JobState, MachineState
from tests.controller.conftest import video

ADMIN = Actor(1, admin=True)
OUTPUT = video(width=640, height=360)


async def fill(house, count=4):
    jobs = []
    for number in range(count):
        jobs.append(await house.queued(f"{number}.mp4"))
        house.clock.advance(1)
    return jobs


def names(house):
    return [job.source_name[0] for job in house.controller.queue.listing()]


@pytest.mark.parametrize(
    ("who", "to", "order"),
    [
        (2, "first", "2013"),
        (0, "first", "0123"),
        (2, "up", "0213"),
        (0, "up", "0123"),
        (1, "down", "0213"),
        (3, "down", "0123"),
        (0, "last", "1230"),
        (3, "last", "0123"),
    ],
)
async def test_an_admin_puts_a_job_in_its_place(house, who, to, order):
    jobs = await fill(house)
    house.controller.queue.move(jobs[who].id, to, by=ADMIN)
    assert names(house) == list(order)
    assert [job.source_name[0] for job in house.store.jobs.queue()] == list(order)
    places = [house.controller.queue.ahead(house.job(each)) for each in jobs]
    assert places == [order.index(str(number)) for number in range(4)]


async def test_what_is_started_later_comes_behind_all_that_wait(house):
    jobs = await fill(house, 3)
    house.controller.queue.move(jobs[0].id, "last", by=ADMIN)
    await house.queued("9.mp4")
    assert names(house) == ["1", "2", "0", "9"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["first", "up", "down", "last"]))))
async def test_any_moves_keep_the_order_that_they_made(house, moves):
    if not house.store.jobs.waiting():
        await fill(house)
    jobs = sorted(house.store.jobs.waiting(), key=lambda job: job.source_name)
    for who, to in moves:
        before = names(house)
        at = before.index(str(who))
        goal = {"first": 0, "up": max(0, at - 1), "down": at + 1, "last": 4}[to]
        before.insert(goal, before.pop(at))
        house.controller.queue.move(jobs[who].id, to, by=ADMIN)
        assert names(house) == before
    assert _ranks(house.controller.queue.listing()) == []


async def test_samples_keep_their_place(house):
    jobs = await fill(house, 2)
    sample = house.store.jobs.change(house.job(jobs[1]), sample_of=jobs[0].id, priority=100)
    house.controller.queue.move(jobs[0].id, "first", by=ADMIN)
    assert house.controller.queue.listing()[0].id == sample.id
    with pytest.raises(TooLate):
        house.controller.queue.move(sample.id, "last", by=ADMIN)


async def test_only_admins_order_the_queue(house):
    jobs = await fill(house, 2)
    queue, owner = house.controller.queue, Actor(7)
    for deed in (
        lambda: queue.move(jobs[1].id, "first", by=owner),
        lambda: queue.pause(by=owner),
        lambda: queue.resume(by=owner),
        lambda: queue.drain(by=owner),
    ):
        with pytest.raises(Forbidden):
            deed()
    assert names(house) == ["0", "1"]
    assert queue.paused is None


async def test_what_does_not_wait_is_not_moved(house):
    draft = await house.draft("a.mp4")
    with pytest.raises(TooLate):
        house.controller.queue.move(draft.id, "first", by=ADMIN)
    with pytest.raises(NoSuchJob):
        house.controller.queue.move("nothing", "first", by=ADMIN)


async def test_a_paused_queue_starts_nothing_and_what_runs_goes_on(house):
    first = await house.queued("a.mp4")
    await house.tick()
    house.controller.queue.pause(by=ADMIN)
    second = await house.queued("b.mp4")
    switch = house.controller.queue.paused
    assert (switch.by, switch.at) == (1, house.clock.now)
    house.restart()
    house.runner.heartbeat(house.machine())
    house.runner.finish(house.machine(), OUTPUT)
    for _ in range(3):
        await house.tick()
    assert house.job(first).state is JobState.DONE
    assert house.job(second).state is JobState.QUEUED
    assert house.machine().state is MachineState.READY
    house.controller.queue.resume(by=ADMIN)
    await house.tick()
    assert house.job(second).state is JobState.RUNNING


async def test_a_drained_house_keeps_no_idle_machine(house):
    await house.queued("a.mp4")
    await house.tick()
    house.controller.queue.drain(by=ADMIN)
    assert house.controller.queue.drained
    await house.queued("b.mp4")
    await house.tick()
    assert house.machine().retire_requested_at is None  # it works
    house.runner.heartbeat(house.machine())
    house.runner.finish(house.machine(), OUTPUT)
    for _ in range(6):
        await house.tick()
    assert house.store.machines.select() == []
    assert len(house.provider.launches) == 1
    house.controller.queue.resume(by=ADMIN)
    await house.tick()
    assert len(house.provider.launches) == 2
    assert not house.controller.queue.drained


async def test_a_drain_gives_idle_machines_back_at_once(house):
    await house.queued("a.mp4")
    await house.tick()
    house.runner.heartbeat(house.machine())
    house.runner.finish(house.machine(), OUTPUT)
    await house.tick()
    assert house.machine().state is MachineState.READY
    house.controller.queue.drain(by=ADMIN)
    assert house.machine().retire_requested_at == house.clock.now


async def test_a_pause_while_the_market_is_asked_keeps_the_money(rented, monkeypatch):
    await rented.queued()
    ask = rented.provider.offers

    async def offers(need):
        rented.controller.queue.pause(by=ADMIN)
        return await ask(need)

    monkeypatch.setattr(rented.provider, "offers", offers)
    await rented.tick()
    assert rented.provider.launches == []
    rented.controller.queue.resume(by=ADMIN)
    monkeypatch.undo()
    await rented.tick()
    assert len(rented.provider.launches) == 1
