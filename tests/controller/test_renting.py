import dataclasses

import pytest

from controller.providers.base import Instance, InstanceStatus
from controller.records import Actor
from controller.states import AttemptState, JobState, MachineState, Reason
from remote_runner.protocol import BootPhase, Phase
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.conftest import video
from tests.controller.standins import make_offer

OUTPUT = video(width=640, height=360)


def set_settings(house, **changes):
    house.settings = dataclasses.replace(house.settings, **changes)
    house.store.close()
    house.open()


async def start(house, name="clip.mp4"):
    """A job on a machine that runs and is armed."""
    job = await house.queued(name)
    await house.tick()
    machine = house.machine()
    house.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    house.runner.boot(machine)
    await house.tick()
    return job, house.machine()


def attempts(house, job):
    return house.store.attempts.of_job(job.id)


async def pass_time(house, seconds, step=10.0):
    for _ in range(int(seconds / step)):
        await house.tick(step)


async def test_the_launch_holds_a_small_script_an_image_and_a_disk(rented):
    await rented.queued()
    await rented.tick()
    (launch,) = rented.provider.launches
    assert len(launch.script) < 4000
    assert launch.image == rented.settings.image
    assert launch.disk_gb >= 16


async def test_nothing_is_rented_while_the_listing_is_unknown(rented):
    rented.provider.list_faults.extend(["error"] * 3)
    await rented.queued()
    for _ in range(3):
        await rented.tick()
    assert rented.provider.launches == []
    await rented.tick()
    assert len(rented.provider.launches) == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (InstanceStatus.IMAGE_FAILED, Reason.IMAGE_FAILED),
        (InstanceStatus.HOST_FAILED, Reason.HOST_FAILED),
        (InstanceStatus.ENDED, Reason.STOPPED),
    ],
)
async def test_a_machine_that_cannot_start_is_given_up_at_once(rented, status, reason):
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(rented.machine().instance, status=status, detail="said so")
    await rented.tick()
    first = attempts(rented, job)[0]
    assert (first.state, first.reason, first.detail) == (AttemptState.LOST, reason, "said so")


async def phase_ends(house, job):
    """Seconds until the first attempt ended, and why."""
    for second in range(0, 3000, 10):
        await house.tick(10)
        first = attempts(house, job)[0]
        if first.state.is_terminal:
            await house.tick(1)
            return second, first.reason
    raise AssertionError("it never ended")


async def test_an_image_that_never_comes_has_a_limit_of_its_own(rented):
    job = await rented.queued()
    await rented.tick()
    instance = rented.machine().instance
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.PULL_TIMEOUT
    assert 290 <= seconds <= 330
    assert instance in rented.provider.destroyed


async def test_an_image_that_stalls_in_the_middle_is_waited_for_longer(rented):
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(
        rented.machine().instance, status=InstanceStatus.PULLING, detail="Pull complete"
    )
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.PULL_TIMEOUT
    assert 590 <= seconds <= 640


async def test_a_machine_that_does_not_report_that_it_is_armed_is_destroyed(rented):
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(rented.machine().instance, status=InstanceStatus.RUNNING)
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.NOT_ARMED
    assert 170 <= seconds <= 210
    assert len(rented.provider.destroyed) == 1


async def test_a_machine_that_cannot_end_itself_is_destroyed(rented):
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(rented.machine().instance, status=InstanceStatus.RUNNING)
    rented.runner.boot(rented.machine(), key=False)
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.NO_SELF_END
    assert seconds <= 10


async def test_a_card_that_does_not_work_is_a_typed_failure_and_the_job_goes_elsewhere(rented):
    rented.provider.market = [
        make_offer(id="1", usd_per_hour=0.04),
        make_offer(id="2", usd_per_hour=0.05, machine_id="m2"),
    ]
    job, machine = await start(rented)
    rented.runner.boot(
        machine, BootPhase.FAILED, reason=RunnerReason.DEVICE_UNSUPPORTED, detail="sm_120"
    )
    await pass_time(rented, 60)
    first, second = attempts(rented, job)
    assert first.reason is RunnerReason.DEVICE_UNSUPPORTED
    assert rented.store.bans.active() == {"m1": "device_unsupported"}
    assert rented.store.machines.get(second.machine).host == "m2"


async def test_armed_and_no_sign_of_life_has_a_limit(rented):
    job, _ = await start(rented)
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.BOOT_TIMEOUT
    assert 280 <= seconds <= 330


async def test_alive_and_not_one_frame_has_a_limit(rented):
    job, machine = await start(rented)
    for _ in range(100):
        if attempts(rented, job)[0].state.is_terminal:
            break
        rented.runner.heartbeat(machine, done=0)
        await rented.tick(10)
    assert attempts(rented, job)[0].reason is Reason.NO_FRAMES


async def test_silence_after_the_first_frames_has_a_limit(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.SILENT
    assert 290 <= seconds <= 330


async def test_an_offline_host_may_come_back_and_one_that_stays_away_is_given_up(rented):
    job = await rented.queued()
    await rented.tick()
    instance = rented.machine().instance
    rented.provider.show(instance, status=InstanceStatus.OFFLINE)
    await pass_time(rented, 100)
    assert not attempts(rented, job)[0].state.is_terminal
    seconds, reason = await phase_ends(rented, job)
    assert reason is Reason.MACHINE_GONE
    assert seconds <= 120


async def test_a_machine_that_was_stopped_in_the_middle_is_destroyed_and_the_job_goes_on(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.provider.show(machine.instance, status=InstanceStatus.ENDED, detail="outbid")
    await pass_time(rented, 20)
    first = attempts(rented, job)[0]
    assert (first.reason, first.detail) == (Reason.STOPPED, "outbid")
    assert machine.instance in rented.provider.destroyed


async def test_a_price_above_the_cap_after_create_destroys_the_machine(rented):
    job = await rented.queued()
    await rented.tick()
    instance = rented.machine().instance
    rented.provider.show(instance, usd_per_hour=0.26)
    await pass_time(rented, 30)
    assert attempts(rented, job)[0].reason is Reason.OVERPRICED
    assert instance in rented.provider.destroyed


async def test_what_is_billed_within_the_cap_moves_price_and_reservation(rented):
    await rented.queued()
    await rented.tick()
    before = rented.machine()
    rented.provider.show(before.instance, usd_per_hour=0.09)
    await rented.tick()
    after = rented.machine()
    assert after.usd_per_hour == 0.09
    assert after.reserved_usd == pytest.approx(before.reserved_usd * 1.5)


async def test_hosts_are_banned_longer_each_time_and_forgiven(rented):
    bans, clock = rented.store.bans, rented.clock
    for hours in (1, 2, 4):
        bans.strike("m1", "silent")
        clock.advance(hours * 3600 - 10)
        assert bans.active() == {"m1": "silent"}
        clock.advance(20)
        assert bans.active() == {}
    clock.advance(30 * 86400)
    bans.strike("m1", "silent")
    clock.advance(3610)
    assert bans.active() == {}


async def test_nothing_that_fits_waits_says_why_once_and_never_looks_looser(rented):
    rented.provider.market = [make_offer(usd_per_hour=0.2), make_offer(id="2", cpu_cores=2.0)]
    job = await rented.queued()
    for _ in range(5):
        await rented.tick(40)
    waiting = rented.job(job)
    assert waiting.state is JobState.QUEUED
    assert waiting.waits_for is Reason.NO_OFFER
    assert "price 1, cores 1" in waiting.waits_detail
    assert rented.kinds(job).count("waiting") == 1
    assert rented.provider.launches == []
    rented.provider.market = [make_offer()]
    await rented.tick(40)
    assert rented.job(job).state is JobState.RUNNING
    assert rented.job(job).waits_for is None


async def test_an_empty_purse_stops_renting_and_a_full_one_starts_it_again(rented):
    rented.provider.credit = 0.03
    job = await rented.queued()
    await pass_time(rented, 60)
    assert rented.job(job).waits_for is Reason.NO_CREDIT
    assert rented.job(job).waits_detail == "$0.03 left"
    assert rented.provider.launches == []
    rented.provider.credit = 9.0
    await pass_time(rented, 60)
    assert rented.job(job).state is JobState.RUNNING


async def test_a_budget_that_is_used_up_is_said(rented):
    set_settings(rented, day_budget=0.01)
    job = await rented.queued()
    await rented.tick()
    assert rented.job(job).waits_for is Reason.BUDGET
    assert rented.provider.launches == []


async def test_an_offer_that_is_gone_is_not_asked_for_again_at_once(rented):
    rented.provider.market = [
        make_offer(id="1", usd_per_hour=0.04),
        make_offer(id="2", usd_per_hour=0.05, machine_id="m2"),
    ]
    rented.provider.create_faults.append("refused")
    job = await rented.queued()
    await pass_time(rented, 20, step=5)
    assert rented.job(job).state is JobState.RUNNING
    assert rented.machine().host == "m2" or len(rented.store.machines.select()) == 2
    assert rented.store.bans.active() == {}


async def test_a_batch_pays_the_start_of_a_machine_once(rented):
    set_settings(rented, max_machines=1)
    jobs = [await rented.queued(f"{n}.mp4") for n in range(3)]
    await rented.tick()
    machine = rented.machine()
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    rented.runner.boot(machine)
    for _ in range(3):
        await rented.tick()
        rented.runner.heartbeat(machine, phase=Phase.FINISHED)
        rented.runner.finish(machine, OUTPUT)
        await rented.tick(10)
        await rented.tick(10)
    assert [rented.job(job).state for job in jobs] == [JobState.DONE] * 3
    assert len(rented.provider.launches) == 1
    await pass_time(rented, 200)
    assert rented.provider.alive == {}
    gone = rented.store.machines.get(machine.id)
    assert gone.state is MachineState.GONE
    spent = sum(rented.job(job).cost_usd for job in jobs)
    assert spent <= gone.reserved_usd


async def test_machines_work_side_by_side_up_to_their_number(rented):
    set_settings(rented, max_machines=2)
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(5)]
    for n in range(4):
        await rented.queued(f"{n}.mp4")
    await pass_time(rented, 60)
    assert len(rented.provider.alive) == 2
    assert len({machine.host for machine in rented.store.machines.select()}) == 2


async def test_traffic_is_part_of_what_a_job_cost(rented):
    rented.provider.market = [make_offer(usd_per_gb_down=0.01, usd_per_gb_up=0.02)]
    job, machine = await start(rented)
    rented.runner.heartbeat(machine, phase=Phase.FINISHED)
    rented.runner.finish(machine, OUTPUT)
    await rented.tick(10)
    done = rented.job(job)
    assert done.state is JobState.DONE
    assert machine.traffic_usd == pytest.approx(0.04, rel=0.01)  # 4 GB of image
    assert done.cost_usd > machine.traffic_usd
    assert machine.reserved_usd > machine.traffic_usd


async def test_many_machines_end_in_one_call_and_a_foreign_label_is_left_alone(rented):
    set_settings(rented, max_machines=10, day_budget=100)
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(8)]
    jobs = [await rented.queued(f"{n}.mp4") for n in range(8)]
    await pass_time(rented, 60)
    assert len(rented.provider.alive) == 8
    rented.provider.alive["other"] = Instance(id="other", label="somebody else's")
    calls = []
    destroy = rented.provider.destroy

    async def count(ids):
        calls.append(len(ids))
        return await destroy(ids)

    rented.provider.destroy = count
    for job in jobs:
        rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 60)
    assert list(rented.provider.alive) == ["other"]
    assert max(calls) == 8


async def test_an_estimate_has_time_and_price_before_the_market_was_asked(rented):
    job = await rented.draft()
    unasked = rented.controller.estimate(job)
    assert 300 < unasked.seconds < 400
    assert 0 < unasked.usd <= 0.1 * unasked.seconds / 3600 + 1e-9
    market = await rented.controller.quote(job)
    asked = rented.controller.estimate(job)
    assert asked.usd == market.best.usd
    rented.store.speeds.learn("RTX 3060", "upscale:auto:x2", 1000.0)
    assert rented.controller.estimate(job).seconds > 10_000
