import dataclasses

import pytest

from controller.backups import back_up, restore
from controller.labels import Label
from controller.providers.base import Instance
from controller.records import Actor
from controller.states import AttemptState, JobState, MachineState, Reason
from remote_runner.protocol import Phase
from tests.controller.conftest import video

DOUBLED = video(width=640, height=360)


async def test_the_row_and_its_reservation_are_committed_before_the_create_call(house):
    seen = []
    create = house.provider.create

    async def look_then_create(offer, launch):
        seen.append(house.machine())
        return await create(offer, launch)

    house.provider.create = look_then_create
    await house.queued()
    await house.tick()
    assert seen[0].state is MachineState.RENTING
    assert seen[0].reserved_usd > 0
    assert Label.parse(seen[0].label).machine == seen[0].id


async def test_a_crash_between_row_and_rent_leaves_no_machine(house):
    job = await house.queued()

    async def die(offer, launch):
        raise KeyboardInterrupt

    await house.reap.tick()
    create, house.provider.create = house.provider.create, die
    with pytest.raises(KeyboardInterrupt):
        await house.place.tick()
    house.provider.create = create
    house.restart()
    for _ in range(20):
        await house.tick()
    assert house.job(job).attempts == 2
    assert len(house.provider.alive) == 1
    first = house.store.attempts.of_job(job.id)[0]
    assert (first.state, first.reason) == (AttemptState.LOST, Reason.RENT_FAILED)


async def test_a_machine_whose_create_answer_was_lost_is_adopted_by_its_label(house):
    house.provider.create_faults.append("lost_answer")
    job = await house.queued()
    await house.tick()
    assert house.machine().state is MachineState.UNKNOWN
    await house.tick()
    machine = house.machine()
    assert (machine.state, machine.instance) == (MachineState.BOOTING, "i1")
    house.runner.heartbeat(machine)
    await house.tick()
    house.runner.finish(machine, DOUBLED)
    await house.tick()
    assert house.job(job).state is JobState.DONE
    assert len(house.provider.launches) == 1


@pytest.mark.parametrize("away_s", [200.0, 7200.0])
async def test_a_machine_that_may_have_lived_while_nobody_looked_is_paid_for(house, away_s):
    house.provider.create_faults.append("lost_answer")
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.clock.now += away_s
    house.provider.alive.clear()  # its host took it back, or it ended at its deadline
    await house.tick()
    await house.tick()
    (first,) = house.store.attempts.of_job(job.id)
    assert (first.state, first.reason) == (AttemptState.LOST, Reason.RENT_FAILED)
    assert house.store.machines.get(machine.id).reserved_usd == machine.reserved_usd
    assert 0 <= house.job(job).cost_usd <= machine.reserved_usd


async def test_a_machine_that_shows_up_after_it_was_written_off_is_paid_for(rented):
    house = rented
    house.provider.market = [
        dataclasses.replace(each, usd_per_gb_down=0.002) for each in house.provider.market
    ]
    house.provider.create_faults.append("lost_answer")
    await house.queued()
    await house.tick()
    machine = house.machine()
    house.provider.show("i1", usd_per_hour=machine.usd_per_hour)
    hidden = dict(house.provider.alive)
    house.provider.alive.clear()
    house.change(max_machines=0)
    for _ in range(8):
        await house.tick(10)
    assert house.store.machines.get(machine.id).reserved_usd == 0
    house.provider.alive.update(hidden)
    await house.reap.tick()
    late = house.store.machines.get(machine.id)
    assert late.usd_per_hour == pytest.approx(machine.usd_per_hour, rel=0.01)
    assert late.reserved_usd == pytest.approx(machine.reserved_usd, rel=0.01)
    assert late.traffic_usd == machine.traffic_usd > 0
    for _ in range(8):
        await house.tick(10)
    assert hidden.keys().isdisjoint(house.provider.alive)
    assert house.store.machines.committed_usd(0) > 0


async def test_a_machine_that_may_have_lived_by_rows_that_are_lost_is_paid_for(house):
    house.provider.create_faults.append("lost_answer")
    job = await house.queued()
    await house.tick()
    machine, settings = house.machine(), house.settings
    backup = back_up(settings.database, settings.backups_dir, why="test", clock=house.clock)
    house.clock.advance(60)
    house.store.close()
    house.provider.alive.clear()  # it came and went
    restore(backup, settings.database, keep_deployment=True, clock=house.clock)
    house.open()
    await house.tick()
    await house.tick()
    (first,) = house.store.attempts.of_job(job.id)
    assert (first.state, first.reason) == (AttemptState.LOST, Reason.RENT_FAILED)
    assert house.store.machines.get(machine.id).reserved_usd == machine.reserved_usd


async def test_a_create_request_that_was_lost_is_given_up_only_after_the_listing_settled(house):
    house.provider.settle_s = 120.0
    house.provider.create_faults.append("lost_request")
    job = await house.queued()
    await house.tick()
    for _ in range(5):
        await house.tick(10)
    assert house.machine().state is MachineState.UNKNOWN
    for _ in range(12):
        await house.tick(10)
    assert house.job(job).attempts == 2


async def test_a_refused_offer_is_retried_and_leaves_no_row_behind(house):
    house.provider.create_faults.append("refused")
    job = await house.queued()
    await house.tick()
    assert house.job(job).state is JobState.QUEUED
    for _ in range(10):
        await house.tick()
    assert house.job(job).attempts == 2
    assert len(house.store.machines.select()) == 1


async def test_a_listing_that_failed_concludes_nothing(house):
    job = await house.queued()
    await house.tick()
    house.provider.list_faults.extend(["x"] * 10)
    for _ in range(10):
        await house.tick()
    assert house.job(job).state is JobState.RUNNING
    assert house.provider.destroyed == []


async def test_a_machine_that_went_away_costs_an_attempt_not_the_job(house):
    job = await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    house.provider.alive.clear()
    await house.tick()
    assert house.job(job).state is JobState.RUNNING
    await house.tick()
    assert house.job(job).state is JobState.QUEUED
    assert "retrying" in house.kinds(job)
    for _ in range(8):
        await house.tick()
    assert house.job(job).attempts == 2


async def test_destroying_is_repeated_until_it_is_proven(house):
    job = await house.queued()
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    house.provider.destroy_faults.extend(["unclear", "unclear", "lies", "lies"])
    for _ in range(3):
        await house.tick(10)
    machine = house.machine()
    assert machine.state is MachineState.RETIRING
    for _ in range(8):
        await house.tick(10)
    assert house.store.machines.get(machine.id).state is MachineState.GONE
    assert not house.provider.alive


async def test_gone_needs_two_complete_listings(house):
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED)
    await house.tick()
    house.controller.release_idle_machines()
    await house.tick()
    machine = house.machine()
    assert machine.destroyed_at is not None
    await house.tick()
    assert house.machine().state is MachineState.RETIRING
    house.provider.list_faults.append("x")
    await house.tick()
    assert house.machine().state is MachineState.RETIRING
    await house.tick()
    assert house.store.machines.select() == []
    assert house.job(job).state is JobState.DONE


async def test_a_machine_under_our_label_that_no_row_knows_is_destroyed(house):
    label = str(Label(house.store.deployment, "01J" + "0" * 23, 1_900_000_000))
    house.provider.alive["x"] = Instance(id="x", label=label)
    await house.tick()
    assert house.provider.destroyed == ["x"]


async def test_foreign_machines_are_never_touched(house):
    others = ["", "somebody", "nox1|other123|01J" + "0" * 23 + "|zzzzzz", "nox1|x", "NOX1|a|b|c"]
    for number, label in enumerate(others):
        house.provider.alive[f"f{number}"] = Instance(id=f"f{number}", label=label)
    for _ in range(5):
        await house.tick(10_000)
    assert len(house.provider.alive) == len(others)


async def test_many_unknown_machines_under_our_label_are_left_alone(house):
    for number in range(5):
        label = str(Label(house.store.deployment, f"01J{number:023d}", 1_900_000_000))
        house.provider.alive[f"x{number}"] = Instance(id=f"x{number}", label=label)
    await house.tick()
    assert house.provider.destroyed == []


async def test_a_second_machine_under_one_label_is_destroyed_with_the_first(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.provider.alive["twin"] = Instance(id="twin", label=machine.label)
    house.runner.finish(machine, DOUBLED)
    await house.tick()
    house.controller.release_idle_machines()
    for _ in range(4):
        await house.tick()
    assert not house.provider.alive
    assert house.job(job).state is JobState.DONE


async def test_a_silent_runner_is_given_up_and_its_machine_with_it(house):
    job = await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    await house.tick(61)
    (attempt,) = house.store.attempts.of_job(job.id)
    assert attempt.reason is Reason.SILENT
    await house.tick()
    assert not house.provider.alive


async def test_a_runner_that_never_reports_is_given_up(house):
    job = await house.queued()
    await house.tick()
    await house.tick(121)
    (attempt,) = house.store.attempts.of_job(job.id)
    assert attempt.reason is Reason.BOOT_TIMEOUT


async def test_nonsense_in_the_mailbox_is_silence_or_a_bad_result(house):
    job = await house.queued()
    await house.tick()
    house.runner.babble(house.machine(), "status")
    await house.tick()
    assert house.job(job).state is JobState.RUNNING
    house.runner.babble(house.machine(), "result")
    await house.tick()
    (attempt,) = house.store.attempts.of_job(job.id)
    assert attempt.reason is Reason.BAD_RESULT


async def test_an_attempt_has_its_own_time_limit(house):
    job = await house.queued()
    await house.tick()
    for _ in range(80):
        house.runner.heartbeat(house.machine())
        await house.tick(50)
        if house.job(job).attempts > 1 or house.job(job).state is not JobState.RUNNING:
            break
    first = house.store.attempts.of_job(job.id)[0]
    assert first.reason is Reason.TIMEOUT


async def test_every_accepted_job_ends_even_if_nothing_can_be_rented(house):
    house.provider.price = 0.5
    job = await house.queued()
    await house.tick()
    assert house.provider.launches == []
    await house.tick(25 * 3600)
    await house.prune.tick()
    assert (house.job(job).state, house.job(job).reason) == (JobState.FAILED, Reason.EXPIRED)


async def test_nothing_is_rented_beyond_the_budgets(house):
    house.settings = dataclasses.replace(house.settings, day_budget=0.001)
    house.restart()
    await house.queued()
    await house.tick()
    assert house.provider.launches == []


async def test_no_more_machines_than_allowed_run_side_by_side(house):
    house.settings = dataclasses.replace(house.settings, max_machines=2)
    house.restart()
    for number in range(5):
        await house.queued(f"{number}.mp4")
    for _ in range(5):
        await house.tick()
    assert len(house.provider.alive) == 2


async def test_a_restart_in_the_middle_goes_on_with_the_same_machine(house):
    job = await house.queued()
    for phase in (None, Phase.FETCHING, Phase.PROCESSING, Phase.UPLOADING):
        house.restart()
        await house.tick()
        if phase:
            house.runner.heartbeat(house.machine(), phase=phase)
    house.runner.finish(house.machine(), DOUBLED)
    house.restart()
    await house.tick()
    assert house.job(job).state is JobState.DONE
    assert house.job(job).attempts == 1
    assert len(house.provider.launches) == 1


async def test_a_job_cancelled_while_its_machine_boots_leaves_a_usable_machine(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.controller.cancel(job.id, by=Actor(7))
    await house.tick()
    house.runner.cancelled(machine)
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    house.runner.idle(machine)
    await house.tick()
    assert house.machine().state is MachineState.READY
