"""What holds when something else has failed: a loop, an answer, another process, a clock."""

import dataclasses

import pytest
from ulid import ULID

from controller import policy
from controller.errors import AlreadyRunning, StorageError
from controller.providers.base import Instance
from controller.records import Actor
from controller.settings import Settings
from controller.states import JobState, MachineState, Reason
from controller.wiring import open_controller
from remote_runner.protocol import Phase
from tests.controller.conftest import video
from tests.controller.standins import make_offer
from tests.controller.test_renting import attempts, pass_time, start

OUTPUT = video(width=640, height=360)
KEY = "v" * 64


async def test_the_end_of_a_machine_is_asked_for_for_as_long_as_it_takes(rented):
    job, machine = await start(rented)
    rented.provider.destroy_faults.extend(["unclear"] * 400)
    rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 7200, step=30)
    assert list(rented.provider.alive) == [machine.instance]
    rented.provider.destroy_faults.clear()
    await pass_time(rented, 300, step=30)
    assert rented.provider.alive == {}
    assert rented.store.machines.get(machine.id).state is MachineState.GONE


async def test_no_machine_is_gone_while_it_lives_whatever_the_provider_says(rented):
    job, machine = await start(rented)
    rented.provider.destroy_faults.extend(["lies"] * 20)
    rented.controller.cancel(job.id, by=Actor(7))
    for _ in range(60):
        await rented.tick(30)
        gone = rented.store.machines.get(machine.id).state is MachineState.GONE
        assert not (gone and rented.provider.alive)
    assert gone


async def test_what_appears_under_the_label_of_a_machine_on_its_way_out_ends_with_it(rented):
    job, machine = await start(rented)
    rented.provider.destroy_faults.extend(["unclear"] * 3)
    rented.controller.cancel(job.id, by=Actor(7))
    await pass_time(rented, 30)
    assert rented.machine().state is MachineState.RETIRING
    rented.provider.alive["late"] = Instance(id="late", label=machine.label)
    await pass_time(rented, 120)
    assert rented.provider.alive == {}


async def test_a_copy_that_is_made_behind_the_cancel_does_not_stay(house):
    job = await house.queued()
    await house.tick()
    copies, copy = [], house.storage.copy

    async def lose_the_answer(source, target):
        copies.append((source, target))
        raise StorageError("no answer in time")

    house.storage.copy = lose_the_answer
    house.runner.heartbeat(house.machine())
    house.runner.finish(house.machine(), OUTPUT)
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    await house.prune.tick()
    await copy(*copies[0])  # there it is
    house.clock.advance(60)
    await house.prune.tick()
    assert await house.storage.entries("output/") == []
    house.clock.advance(3600)
    await house.prune.tick()
    assert house.store.claims.of_ended() == []


async def test_a_machine_is_no_stranger_while_its_create_call_is_answered(rented):
    create = rented.provider.create

    async def create_and_look(offer, launch):
        instance = await create(offer, launch)
        await rented.reap.tick()  # the listing is faster than the answer
        return instance

    rented.provider.create = create_and_look
    job = await rented.queued()
    await pass_time(rented, 30)
    assert rented.provider.destroyed == []
    assert rented.job(job).attempts == 1


async def test_a_machine_past_its_deadline_ends_though_nobody_watches_its_work(rented):
    _, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.clock.advance(machine.expires_at - rented.clock() + 1)
    for _ in range(4):
        rented.clock.advance(10)
        await rented.reap.tick()
    assert rented.provider.alive == {}


async def test_a_warm_machine_takes_no_job_that_would_outlive_it(rented):
    rented.change(max_machines=2, job_timeout_s=1800)
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(3)]
    _, machine = await start(rented)
    rented.runner.heartbeat(machine, phase=Phase.FINISHED)
    rented.runner.finish(machine, OUTPUT)
    await rented.tick(10)
    second = await rented.queued("b.mp4")
    warm = rented.machine()
    rented.store.machines.change(warm, expires_at=rented.clock() + 300)
    await rented.tick()
    (attempt,) = attempts(rented, second)
    assert attempt.machine != warm.id


async def test_a_job_whose_time_is_over_is_not_tried_again(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.store.jobs.change(rented.job(job), deadline_at=rented.clock() + 60)
    await rented.tick(61)
    await pass_time(rented, 60)
    ended = rented.job(job)
    assert (ended.state, ended.reason, ended.attempts) == (JobState.FAILED, Reason.TIMEOUT, 1)


async def test_a_cancel_holds_although_its_machine_goes_away_first(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.provider.alive.clear()
    for _ in range(9):  # not noticed yet
        rented.clock.advance(10)
        await rented.reap.tick()
        if rented.machine().absences > 1:
            break
    rented.controller.cancel(job.id, by=Actor(7))
    rented.clock.advance(60)
    await rented.reap.tick()
    assert rented.job(job).state is JobState.CANCELLED
    await pass_time(rented, 120)
    assert (rented.job(job).attempts, rented.provider.alive) == (1, {})


async def test_a_job_that_no_machine_brings_to_an_end_is_given_up_after_three(rented):
    rented.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(9)]
    job = await rented.queued()
    for _ in range(300):
        await rented.tick(30)
        if rented.job(job).state.is_terminal:
            break
    ended = rented.job(job)
    assert (ended.state, ended.attempts) == (JobState.FAILED, 3)
    assert len(rented.provider.launches) == 3


async def test_mailboxes_that_another_deployment_has_on_the_bucket_are_left(house):
    of_another = f"machines/{ULID.from_timestamp(house.clock() - 3600)}/orders"
    long_dead = f"machines/{ULID.from_timestamp(house.clock() - 30 * 86400)}/orders"
    for key in (of_another, long_dead):
        await house.storage.write(key, b"{}")
    await house.prune.tick()
    assert [entry.key for entry in await house.storage.entries("machines/")] == [of_another]


@pytest.mark.parametrize("usd_per_hour", [0.01, 0.4])
def test_a_reservation_is_enough_for_a_machine_that_lives_as_long_as_it_may(usd_per_hour):
    settings = Settings()
    lifetime_s = policy.lifetime_s(settings.job_timeout_s, settings)
    reserved_usd = policy.reservation_usd(usd_per_hour, 0.25, lifetime_s)
    assert reserved_usd >= usd_per_hour * lifetime_s / 3600 + 0.25
    assert lifetime_s >= settings.job_timeout_s + policy.BOOT_ALLOWANCE_S


async def test_nothing_that_a_machine_is_given_has_a_secret_of_the_account(rented):
    secrets = (KEY, "K004secret", "42:" + "A" * 35)
    rented.change(vast_api_key=KEY, b2_secret=secrets[1], secrets=secrets)
    await rented.queued()
    await rented.tick()
    (launch,) = rented.provider.launches
    given = repr(dataclasses.astuple(launch))
    for path in (rented.settings.storage_dir / "machines" / launch.machine).iterdir():
        given += path.read_text()
    for path in (rented.settings.storage_dir / "jobs").rglob("grant"):
        given += path.read_text()
    assert "orders" in given
    assert [secret for secret in secrets if secret in given] == []


async def test_the_addresses_that_a_machine_is_given_end_with_it(rented, monkeypatch):
    ends = []

    def note(make):
        def make_and_note(key, expires_at):
            ends.append(expires_at)
            return make(key, expires_at)

        return make_and_note

    for name in ("url_get", "url_put"):
        monkeypatch.setattr(rented.storage, name, note(getattr(rented.storage, name)))
    await rented.queued()
    await rented.tick()
    expires_at = rented.machine().expires_at
    assert len(ends) > 5
    # a result of the last minute still arrives
    assert expires_at <= min(ends) <= max(ends) <= expires_at + 900


async def test_a_second_process_on_a_data_directory_runs_no_loops(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    async with open_controller(settings, must_own=True) as first:
        assert first.reconciles
        async with open_controller(settings) as second:
            assert not second.reconciles
        with pytest.raises(AlreadyRunning):
            async with open_controller(settings, must_own=True):
                pass
