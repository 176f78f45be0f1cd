import hashlib

import pytest

from controller.records import Actor
from controller.states import AttemptState, JobState, Reason
from tests.controller.conftest import video

DOUBLED = video(width=640, height=360)


async def test_cancel_before_done_is_never_followed_by_done(house):
    job = await house.queued()
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    house.runner.finish(house.machine(), DOUBLED)
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    assert await house.storage.entries("output/") == []


async def test_a_cancel_during_the_check_of_the_result_wins(house, monkeypatch):
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED)
    copy = house.storage.copy

    async def cancel_then_copy(source, target):
        house.controller.cancel(job.id, by=Actor(7))
        await copy(source, target)

    monkeypatch.setattr(house.storage, "copy", cancel_then_copy)
    await house.tick()
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    assert await house.storage.entries("output/") == []


@pytest.mark.parametrize(
    ("output", "changes"),
    [
        (DOUBLED, {"sha256": "0" * 64}),
        (DOUBLED, {"bytes": 5}),
        (DOUBLED, {"checks": ()}),
        (DOUBLED, {"extension": "exe"}),
        (video(), {}),
        (video(width=640, height=360, duration_s=9.0), {}),
        (video(width=640, height=360, frames=200), {}),
        (b"no video", {}),
    ],
)
async def test_a_result_that_does_not_hold_is_never_published(house, output, changes):
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), output, **changes)
    await house.tick()
    assert house.job(job).state is JobState.QUEUED
    (attempt,) = house.store.attempts.of_job(job.id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, Reason.BAD_RESULT)
    assert await house.storage.entries("output/") == []


async def test_a_late_runner_cannot_finish_a_newer_attempt(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    old_grant = house.runner.grant(machine)
    house.provider.alive.clear()
    for _ in range(12):
        await house.tick(2)
    assert house.job(job).attempts == 2
    house.runner.finish(machine, DOUBLED, grant=old_grant)
    await house.tick()
    assert house.job(job).state is JobState.RUNNING


async def test_a_result_is_kept_although_its_machine_has_left(house):
    job = await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    house.runner.finish(house.machine(), DOUBLED)
    house.provider.alive.clear()
    for _ in range(3):  # the controller was busy or away while the runner idled out
        await house.reap.tick()
    await house.tick()
    assert house.job(job).state is JobState.DONE
    for _ in range(4):
        await house.tick()
    assert house.store.machines.select() == []


async def test_a_check_that_outlives_its_attempt_touches_nothing(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.runner.finish(machine, DOUBLED)
    (attempt,) = house.store.attempts.of_job(job.id)
    result = await house.context.mailbox.result(attempt)
    house.store.attempts.move(attempt, AttemptState.LOST, ended_at=1.0)
    await house.watch._publisher.publish(house.job(job), attempt, result)
    assert await house.storage.entries("output/") == []


@pytest.mark.parametrize("lost", [{"audio": ()}, {"bit_depth": 7}])
async def test_a_result_that_lost_a_stream_or_depth_is_never_published(house, lost):
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), video(width=640, height=360, **lost))
    await house.tick()
    assert house.job(job).state is JobState.QUEUED


async def test_what_is_said_to_be_left_out_may_be_missing(house):
    job = await house.queued()
    await house.tick()
    output = video(width=640, height=360, audio=())
    house.runner.finish(house.machine(), output, dropped=("audio:aac/rus",))
    await house.tick()
    assert house.job(job).state is JobState.DONE


@pytest.mark.parametrize("by", ["controller", "runner"])
async def test_the_record_says_who_computed_the_hash(house, monkeypatch, by):
    async def ask_too_much(key):
        return None  # of a large object in a bucket it would have to be fetched

    if by == "runner":
        monkeypatch.setattr(house.storage, "sha256", ask_too_much)
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED)
    await house.tick()
    done = house.job(job)
    assert (done.state, done.sha256_by) == (JobState.DONE, by)
    assert done.output_sha256 == hashlib.sha256(DOUBLED).hexdigest()
