"""A restoration under the same name: what happened since the backup is met again."""

import pytest

from controller.states import JobState
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.recovery.putting_back import OUTPUT, put_back, take


async def test_a_kept_name_keeps_its_machines_and_their_work_goes_on(working):
    backup, instance = take(working), working.machine().instance
    done = put_back(working, backup, keep=True)
    assert not done.is_renamed
    assert working.machine().instance == instance
    await working.tick()
    working.runner.finish(working.machine(), OUTPUT)
    await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


async def test_a_machine_that_was_rented_since_is_ended_within_five_minutes(rented):
    backup = take(rented)
    await rented.queued()
    await rented.tick()
    (instance,) = rented.provider.alive
    put_back(rented, backup, keep=True)
    began = rented.clock()
    while instance in rented.provider.alive:
        await rented.tick(10)
        assert rented.clock() - began <= 300
    assert rented.store.machines.select() == []


async def test_a_result_that_came_since_is_found_where_it_lies(working):
    backup = take(working)
    working.runner.finish(working.machine(), OUTPUT)
    await working.tick(31)
    assert working.job(working.first).state is JobState.DONE
    put_back(working, backup, keep=True)
    assert working.job(working.first).state is JobState.RUNNING
    await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert (working.settings.storage_dir / job.output_key).read_bytes() == OUTPUT


async def test_a_result_is_found_also_where_its_machine_has_gone_since(working):
    backup = take(working)
    working.runner.finish(working.machine(), OUTPUT)
    working.provider.alive.clear()
    put_back(working, backup, keep=True)
    for _ in range(20):
        await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


async def test_a_failure_that_a_lost_attempt_left_does_not_end_the_one_of_its_number(rented):
    job = await rented.queued()
    backup = take(rented)
    await rented.tick()
    rented.runner.heartbeat(rented.machine())
    rented.runner.fail(rented.machine(), RunnerReason.INTERNAL)
    put_back(rented, backup, keep=True)
    rented.provider.alive.clear()
    await rented.tick()
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.RUNNING, 1)
    rented.runner.heartbeat(rented.machine())
    for _ in range(3):
        await rented.tick(31)
        rented.runner.heartbeat(rented.machine())
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.RUNNING, 1)


async def test_a_result_that_a_lost_attempt_left_is_taken(rented):
    job = await rented.queued()
    backup = take(rented)
    await rented.tick()
    rented.runner.finish(rented.machine(), OUTPUT)
    put_back(rented, backup, keep=True)
    for _ in range(3):
        await rented.tick(31)
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.DONE, 1)


async def test_a_machine_obeys_orders_of_a_database_that_went_back(working):
    backup = take(working)
    for _ in range(5):
        working.store.machines.next_orders(working.machine().id)
    newest = working.machine().orders_sequence
    put_back(working, backup, keep=True)
    await working.tick()
    assert working.runner.orders(working.machine()).sequence > newest


@pytest.mark.parametrize("keep", [False, True])
async def test_numbers_of_events_never_come_again(working, keep):
    # a receiver of the webhook knows a repeat by the number
    backup, known = take(working), working.store.events.newest()
    await working.queued("lost.mp4")
    lost = working.store.events.newest()
    put_back(working, backup, keep=keep)
    await working.queued("another.mp4")
    new = [event.id for event in working.store.events.after(known, 1000)]
    assert new
    assert min(new) > lost


async def test_numbers_of_events_never_come_again_where_there_were_none(house):
    backup = take(house)
    await house.queued()
    lost = house.store.events.newest()
    put_back(house, backup, keep=True)
    await house.queued("another.mp4")
    assert all(event.id > lost for event in house.store.events.after(0, 1000))


async def test_what_telegram_still_holds_is_asked_for_and_nothing_is_handled_twice(house):
    store = house.store
    store.inbox.add([(5, "five"), (6, "six")])
    for update in (5, 6):
        store.inbox.set_handled(update)
    backup = take(house)
    store.inbox.add([(7, "seven")])  # confirmed by the next request, or not any more
    put_back(house, backup, keep=True)
    assert house.store.inbox.offset() is None  # everything that was not confirmed
    house.store.inbox.add([(6, "six"), (7, "seven"), (8, "eight")])
    assert [update.id for update in house.store.inbox.pending(10)] == [7, 8]
    assert house.store.inbox.offset() == 9
