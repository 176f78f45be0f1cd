"""What goes wrong with machines, and with the jobs that wait for them."""

from controller.alerts import AlertKind
from controller.errors import Unclear
from controller.gauges import SPARED, STRANGERS
from controller.providers.base import Instance
from controller.readings import Backlog
from controller.records import Actor
from controller.states import AttemptState, MachineState, Reason
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.alerts.cases import CRITICAL, WARNING, look


async def rent(house):
    await house.queued()
    await house.tick()
    return house.machine()


async def test_jobs_that_wait_while_it_is_not_known_what_exists_are_told_of_without_a_machine(
    looked,
):
    house = looked
    instances = house.provider.instances

    async def refuse():
        raise Unclear("no listing")

    house.provider.instances = refuse
    for _ in range(3):
        await house.tick(300)
        assert AlertKind.LISTING not in await look(house)  # nothing is there, and nobody waits
    await house.queued("one.mp4")
    await house.queued("two.mp4")
    await house.tick(15)
    assert house.store.machines.select() == []
    alarm = (await look(house))[AlertKind.LISTING]
    assert alarm.figures == {"count": 0, "waiting": 2}
    assert alarm.rung_at == house.clock()
    house.provider.instances = instances
    await house.tick(15)
    assert AlertKind.LISTING not in await look(house)
    assert house.store.machines.select()


async def test_a_machine_is_unwanted_from_its_end_on_and_not_while_it_works(rented):
    machine = await rent(rented)
    job = rented.controller.jobs()[0]
    rows = rented.controller.readings().rows
    assert (rows.live_machines, rows.open_attempts) == (1, {"assigned": 1})
    rented.store.machines.request_retire(machine.id, "idle")
    rented.clock.advance(50)
    assert rented.controller.readings().rows.unwanted.count == 0
    rented.controller.cancel(job.id, by=Actor(7))
    attempt = rented.store.attempts.open_on(machine.id)
    ended = rented.clock()
    rented.store.attempts.move(
        attempt, AttemptState.CANCELLED, ended_at=ended, reason=Reason.USER, detail=""
    )
    rented.clock.advance(70)
    rows = rented.controller.readings().rows
    assert rows.unwanted == Backlog(count=1, since=ended, first=machine.id)
    assert rows.retiring.count == 0
    machine = rented.store.machines.get(machine.id)
    rented.store.machines.move(machine, MachineState.RETIRING)
    rows = rented.controller.readings().rows
    assert rows.retiring == rows.unwanted


async def test_an_end_that_is_not_proven_is_told_after_five_minutes_and_half_an_hour(looked):
    house = looked
    machine = await rent(house)
    job = house.controller.jobs()[0]
    house.provider.destroy_faults.extend(["lies"] * 1000)
    house.controller.cancel(job.id, by=Actor(7))
    house.runner.cancelled(machine)
    await house.tick()
    house.store.machines.request_retire(machine.id, "idle")
    for _ in range(29):
        await house.tick(10)
    assert AlertKind.DESTROY not in await look(house)
    await house.tick(20)
    found = (await look(house))[AlertKind.DESTROY]
    assert (found.severity, found.figures) == (WARNING, {"count": 1})
    house.clock.advance(1500)
    await house.tick()
    assert (await look(house))[AlertKind.DESTROY].severity is CRITICAL
    house.provider.destroy_faults.clear()
    for _ in range(4):
        await house.tick(15)
    assert not house.store.machines.select()
    assert AlertKind.DESTROY not in await look(house)


async def test_no_complete_listing_is_told_while_machines_exist_also_if_there_never_was_one(
    looked,
):
    house = looked
    await rent(house)
    house.provider.list_faults.extend(["x"] * 100)
    for _ in range(3):
        await house.tick(99)
    assert not await look(house)
    await house.tick(10)
    assert AlertKind.LISTING in await look(house)
    # a process that never saw one: at first it does not know, then it counts from its start
    house.restart()
    house.context.vitals.beat("start")
    house.context.vitals.beat("loop:reap")
    assert AlertKind.LISTING in await look(house)
    assert house.controller.readings().listing_s is None
    house.clock.advance(301)
    house.context.vitals.beat("loop:reap")
    assert house.store.machines.select()
    house.provider.list_faults.clear()
    await house.tick()
    assert AlertKind.LISTING not in await look(house)


async def test_a_stranger_that_cannot_be_ended_is_told_like_a_machine_of_ours(looked):
    house = looked
    label = f"nox1|{house.store.deployment}|{0:026d}|1"
    house.provider.alive["s"] = Instance(id="s", label=label)
    house.provider.destroy_faults.extend(["lies"] * 1000)
    for _ in range(30):
        await house.tick(9.9)
    assert AlertKind.DESTROY not in await look(house)
    await house.tick(10)
    found = (await look(house))[AlertKind.DESTROY]
    assert (found.severity, found.figures) == (WARNING, {"count": 1})
    house.clock.advance(1500)
    await house.tick()
    assert (await look(house))[AlertKind.DESTROY].severity is CRITICAL
    house.provider.destroy_faults.clear()
    for _ in range(3):
        await house.tick(15)
    assert not house.provider.alive
    assert AlertKind.DESTROY not in await look(house)


async def test_strangers_that_are_spared_are_told(looked):
    house = looked
    deployment = house.store.deployment
    for number in range(4):
        label = f"nox1|{deployment}|{number:026d}|zzzzzzz"
        house.provider.alive[f"s{number}"] = Instance(id=f"s{number}", label=label)
    await house.tick()
    vitals = house.context.vitals
    assert (vitals.figure(STRANGERS), vitals.figure(SPARED)) == (4, 4)
    assert (await look(house))[AlertKind.STRANGERS].figures == {"count": 4}
    del house.provider.alive["s0"]
    await house.tick()
    assert (vitals.figure(STRANGERS), vitals.figure(SPARED)) == (3, 0)
    assert not await look(house)


async def test_a_job_past_its_deadline_is_told_with_its_id(looked):
    house = looked
    job = await house.queued()
    house.clock.advance(house.job(job).deadline_at - house.clock() + 599)
    house.context.vitals.beat("loop:reap")
    assert AlertKind.OVERDUE not in await look(house)
    house.clock.advance(1)
    assert (await look(house))[AlertKind.OVERDUE].figures == {"count": 1, "job": job.id}
    await house.prune.tick()
    assert AlertKind.OVERDUE not in await look(house)


async def test_attempts_that_fail_alike_are_counted_by_reason_but_not_the_files_own_faults(rented):
    job = await rented.queued()
    now = rented.clock()
    machine = None
    ends = [(Reason.SILENT, 5), (RunnerReason.NOT_A_VIDEO, 9), (Reason.TIMEOUT, 2)]
    number = 0
    await rented.tick()
    machine = rented.machine()
    for reason, count in ends:
        for _ in range(count):
            number += 1
            rented.store._db.run(
                """INSERT INTO attempts (job, number, machine, state, assigned_at, ended_at,
                     deadline_at, reason)
                   VALUES (:job, :number, :machine, 'lost', :now, :ended, :now, :reason)""",
                job=job.id, number=100 + number, machine=machine.id, now=now,
                ended=now + number, reason=str(reason),
            )  # fmt: skip
    found = rented.controller.readings().rows.failures
    assert [(each.reason, each.count) for each in found] == [("silent", 5), ("timeout", 2)]
    assert found[0].job == job.id
    rented.clock.advance(3700)
    assert rented.controller.readings().rows.failures == ()
