"""Cases that once leaked a machine, a job or money."""

import dataclasses
import time

import pytest

from controller.errors import BadImage, StorageError
from controller.machine_logs import clean, last_lines, log_path, new_lines
from controller.orphans import find_orphans
from controller.providers.base import Instance, InstanceStatus
from controller.records import Actor
from controller.states import AttemptState, JobState, MachineState, Reason
from remote_runner.protocol import Phase
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.conftest import FACTS, video
from tests.controller.standins import make_offer
from tests.controller.test_renting import attempts, pass_time, set_settings, start

OUTPUT = video(width=640, height=360)


async def finish(house, machine):
    house.runner.heartbeat(machine, phase=Phase.FINISHED)
    house.runner.finish(machine, OUTPUT)
    await house.tick(10)


async def test_a_warm_machine_of_any_age_takes_a_next_job(rented):
    set_settings(rented, max_machines=1)
    _, machine = await start(rented)
    for _ in range(40):
        rented.runner.heartbeat(machine)
        await rented.tick(30)
    await finish(rented, machine)
    second = await rented.queued("b.mp4")
    for _ in range(4):
        await rented.tick(10)
    (attempt,) = attempts(rented, second)
    assert attempt.machine == machine.id
    assert not attempt.state.is_terminal


async def test_storage_that_is_down_keeps_no_machine_alive(rented, monkeypatch):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()

    async def fail(*_, **__):
        raise StorageError("the bucket is at its cap")

    monkeypatch.setattr(rented.storage, "read", fail)
    rented.provider.show(machine.instance, status=InstanceStatus.ENDED)
    await pass_time(rented, 30)
    assert machine.instance not in rented.provider.alive
    assert attempts(rented, job)[0].reason is Reason.STOPPED


async def test_a_cancel_is_heard_although_storage_is_down(rented, monkeypatch):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()

    async def fail(*_, **__):
        raise StorageError("the bucket is at its cap")

    monkeypatch.setattr(rented.storage, "read", fail)
    rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 60)
    assert rented.job(job).state is JobState.CANCELLED
    assert rented.provider.alive == {}


async def test_a_document_that_is_too_large_is_nonsense_and_harms_nobody_else(rented):
    set_settings(rented, max_machines=2)
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(6)]
    job, machine = await start(rented)
    rented.runner.heartbeat(machine, phase=Phase.UPLOADING)
    folder = rented.settings.storage_dir / "jobs" / job.id / "1"
    (folder / "result").write_bytes(b"x" * 400_000)
    await pass_time(rented, 30)
    assert attempts(rented, job)[0].reason is Reason.BAD_RESULT
    assert machine.instance in rented.provider.destroyed


async def test_a_result_that_cannot_be_checked_is_given_up_at_its_deadline(rented, monkeypatch):
    set_settings(rented, job_timeout_s=600)
    job, machine = await start(rented)

    async def fail(*_, **__):
        raise OSError("too many open files")

    monkeypatch.setattr(rented.watch._publisher, "_probe", fail)
    rented.runner.heartbeat(machine, phase=Phase.FINISHED)
    rented.runner.finish(machine, OUTPUT)
    await pass_time(rented, 6000, step=60)
    first = attempts(rented, job)[0]
    assert first.state is AttemptState.LOST
    assert machine.instance in rented.provider.destroyed


async def test_a_refused_create_costs_nothing(rented):
    rented.provider.market = [
        make_offer(id=str(n), machine_id=f"m{n}", usd_per_gb_down=0.03) for n in range(9)
    ]
    rented.provider.create_faults.extend(["refused"] * 5)
    job = await rented.queued()
    for _ in range(40):
        if rented.provider.alive:
            break
        await rented.tick(15)
    assert rented.job(job).cost_usd == 0
    (machine,) = (m for m in rented.store.machines.select() if m.state.is_live)
    assert rented.controller.spent_today_usd() == pytest.approx(machine.traffic_usd, rel=0.05)


async def test_each_job_on_a_warm_machine_pays_its_own_traffic(rented):
    set_settings(rented, max_machines=1)
    rented.provider.market = [make_offer(usd_per_gb_down=0.1, usd_per_gb_up=0.1)]
    first, machine = await start(rented)
    await finish(rented, machine)
    second = await rented.queued("b.mp4")
    rented.store.jobs.change(rented.job(second), source_bytes=200_000_000)
    before = rented.machine().reserved_usd
    await rented.tick(10)
    assert rented.machine().reserved_usd > before + 0.019
    await finish(rented, machine)
    assert 0.04 < rented.job(second).cost_usd < 0.2
    assert rented.job(first).cost_usd > 0.4  # with the image


async def test_a_job_that_is_too_large_for_a_warm_machine_gets_one_of_its_own(rented):
    set_settings(rented, max_machines=2)
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(3)]
    _, machine = await start(rented)
    await finish(rented, machine)
    second = await rented.queued("b.mp4")
    rented.store.jobs.change(rented.job(second), source_bytes=15_000_000_000)
    await rented.tick(10)
    (attempt,) = attempts(rented, second)
    assert attempt.machine != machine.id
    assert rented.store.machines.get(attempt.machine).disk_gb > machine.disk_gb


async def test_a_job_that_nothing_fits_holds_up_no_other(rented):
    huge = await rented.queued("huge.mp4")
    facts = dataclasses.replace(FACTS, width=7680, height=4320)
    rented.store.jobs.change(rented.job(huge), facts=facts)
    small = await rented.queued("small.mp4")
    await rented.tick()
    assert rented.job(huge).waits_for is Reason.NO_OFFER
    assert rented.job(small).state is JobState.RUNNING


async def test_a_cancel_between_assignment_and_create_rents_nothing(rented):
    job = await rented.queued()
    write = rented.context.mailbox.write_second_script

    async def cancel_then_write(*arguments):
        rented.controller.cancel(job.id, by=Actor(7))
        return await write(*arguments)

    rented.context.mailbox.write_second_script = cancel_then_write
    await pass_time(rented, 60)
    assert rented.provider.launches == []
    assert rented.job(job).state is JobState.CANCELLED
    assert rented.store.machines.select() == []


async def test_a_second_instance_under_a_living_label_is_destroyed_at_once(rented):
    _, machine = await start(rented)
    twin = Instance(id="0twin", label=machine.label, usd_per_hour=0.5)
    rented.provider.alive = {"0twin": twin, **rented.provider.alive}
    await rented.tick()
    assert list(rented.provider.alive) == [machine.instance]
    assert rented.machine().usd_per_hour == machine.usd_per_hour


async def test_one_failure_is_one_strike(rented):
    job = await rented.queued()
    await rented.tick()
    rented.provider.list_faults.extend(["unknown"] * 30)
    rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 1200, step=30)
    row = rented.store._db.rows("SELECT * FROM bans")
    assert all(each["strikes"] <= 1 for each in row)


async def test_a_retry_never_takes_the_machine_that_failed(rented):
    rented.provider.market = [
        make_offer(id="1", usd_per_hour=0.04),
        make_offer(id="2", usd_per_hour=0.05, machine_id="m2"),
    ]
    job, machine = await start(rented)
    rented.runner.heartbeat(machine, phase=Phase.FINISHED)
    rented.runner.fail(machine, RunnerReason.OUT_OF_MEMORY)
    await pass_time(rented, 60)
    hosts = [rented.store.machines.get(each.machine).host for each in attempts(rented, job)]
    assert hosts == ["m1", "m2"]


async def test_a_refusal_that_no_other_offer_would_mend_is_said_and_not_repeated_at_once(rented):
    async def refuse(offer, launch):
        rented.provider.launches.append(launch)
        raise BadImage("the image is refused")

    rented.provider.create = refuse
    job = await rented.queued()
    await pass_time(rented, 3600, step=30)
    assert len(rented.provider.launches) <= 5
    assert rented.job(job).waits_for is Reason.REFUSED


async def test_own_machines_that_appear_late_are_destroyed_however_many(rented):
    job, machine = await start(rented)
    rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 120)
    gone = rented.store.machines.get(machine.id)
    assert gone.state is MachineState.GONE
    rented.provider.alive = {str(n): Instance(id=str(n), label=machine.label) for n in range(6)}
    await rented.tick()
    assert rented.provider.alive == {}


def test_a_claim_ends_with_the_deadline():
    label = f"nox1|abcd1234|{'0' * 26}|1000"
    from_base = int("1000", 36)
    instance = Instance(id="1", label=label)
    claimed = {"0" * 26}
    now = from_base + 10
    assert not find_orphans([instance], deployment="abcd1234", claimed=claimed, now=now)
    later = from_base + 700
    assert find_orphans([instance], deployment="abcd1234", claimed=claimed, now=later)


def test_a_line_without_end_costs_no_time():
    started = time.monotonic()
    for line in ("a" * 2_000_000, "x:/" * 700_000, "http" * 500_000 + "://"):
        assert len(clean(line, ("secret",))) <= 520
    assert time.monotonic() - started < 1


def test_an_older_look_at_a_log_adds_nothing(tmp_path):
    lines = [f"line {n}" for n in range(450)]
    assert new_lines(lines, lines[:50]) == []
    assert new_lines(lines, lines) == []
    assert new_lines(lines[400:], lines) == []
    assert new_lines(lines[400:440], lines) == lines[440:]
    assert new_lines([*lines, "[PROGRE"], [*lines[-3:], "[PROGRESS] 5%", "next"]) == ["next"]
    assert last_lines(log_path(tmp_path, "none")) == []
