import pytest

from controller.records import Actor
from controller.states import JobState
from remote_runner.protocol import Reason
from tests.controller.conftest import video

DOUBLED = video(width=640, height=360)


def at_work(house):
    """The machine with an open attempt; one that was lost may not be proven gone yet."""
    store = house.store
    (machine,) = (each for each in store.machines.select() if store.attempts.open_on(each.id))
    return machine


def numbers(house):
    """Segments that the machine at work is given to go on behind, by number: of which attempt."""
    found = {}
    for each in house.runner.grant(at_work(house)).finished:
        stem = each.content_url.rpartition("/")[2].removesuffix(".nut")
        assert each.manifest_url.endswith(f"{stem}.json")
        found[each.number] = int(stem.partition("-")[2])
    return found


async def lose_machine(house, job):
    """The machine vanishes; until the next attempt runs."""
    before = house.job(job).attempts
    house.provider.alive.clear()
    for _ in range(60):
        await house.tick(5)
        if house.job(job).attempts > before:
            return
    raise AssertionError("no next attempt")


@pytest.fixture
def short(house):
    house.change(segment_s=3.0)
    return house


async def test_an_attempt_goes_on_behind_what_a_lost_machine_left(short):
    job = await short.queued()
    await short.tick()
    assert numbers(short) == {}
    short.runner.heartbeat(at_work(short))
    short.runner.leave_segment(at_work(short), 0)
    short.runner.leave_segment(at_work(short), 1)
    await lose_machine(short, job)
    assert numbers(short) == {0: 1, 1: 1}
    short.runner.heartbeat(at_work(short))
    short.runner.leave_segment(at_work(short), 1)
    short.runner.leave_segment(at_work(short), 2)
    await lose_machine(short, job)
    assert numbers(short) == {0: 1, 1: 2, 2: 2}
    short.runner.finish(at_work(short), DOUBLED, resumed_frames=216)
    await short.tick()
    assert short.job(job).state is JobState.DONE
    assert short.job(job).result.resumed_frames == 216


async def test_a_restart_of_the_controller_grants_the_same_segments(short):
    job = await short.queued()
    await short.tick()
    short.runner.heartbeat(at_work(short))
    short.runner.leave_segment(at_work(short), 0)
    await lose_machine(short, job)
    short.runner.leave_segment(at_work(short), 1)
    short.restart()
    await short.tick(0.1)
    assert numbers(short) == {0: 1}, "an attempt's own segments are its own to know"


@pytest.mark.parametrize("wrong", ["gate", "lie"])
async def test_what_a_wrong_result_rested_on_is_made_anew(short, wrong):
    job = await short.queued()
    await short.tick()
    short.runner.leave_segment(at_work(short), 0)
    if wrong == "gate":
        short.runner.fail(at_work(short), Reason.GATE_FAILED)
    else:
        short.runner.finish(at_work(short), b"no video")
    for _ in range(60):
        await short.tick(5)
        if short.job(job).attempts == 2:
            break
    assert numbers(short) == {}


async def give_up(house, job):
    house.runner.fail(at_work(house), Reason.CORRUPT)
    await house.tick()
    assert house.job(job).state is JobState.FAILED


async def test_a_retry_goes_on_behind_what_the_job_left_that_it_repeats(short):
    first = await short.queued()
    await short.tick()
    short.runner.leave_segment(at_work(short), 0)
    await give_up(short, first)
    second = short.controller.retry(first.id, by=Actor(7), key="again")
    assert second.predecessor == first.id
    await short.tick()
    await short.tick()
    grant = short.runner.grant(at_work(short))
    assert grant.job == second.id
    assert numbers(short) == {0: 1}
    assert first.id in grant.finished[0].content_url
    short.runner.leave_segment(at_work(short), 1)
    await give_up(short, second)
    third = short.controller.retry(second.id, by=Actor(7), key="and again")
    await short.tick()
    await short.tick()
    grant = short.runner.grant(at_work(short))
    assert grant.job == third.id
    owners = [second.id in each.content_url for each in grant.finished]
    assert owners == [False, True]


async def test_a_result_that_is_there_is_not_made_of_old_segments_again(short):
    job = await short.queued()
    await short.tick()
    short.runner.leave_segment(at_work(short), 0)
    short.runner.finish(at_work(short), DOUBLED)
    await short.tick()
    again = short.controller.retry(job.id, by=Actor(7), key="again")
    assert again.predecessor is None
    await short.tick()
    await short.tick()
    assert short.runner.grant(at_work(short)).job == again.id
    assert numbers(short) == {}


async def test_segments_are_pruned_with_their_job_and_not_before(short):
    job = await short.queued()
    await short.tick()
    short.runner.leave_segment(at_work(short), 0)
    short.clock.advance(3000)
    await short.prune.tick()
    assert len(await short.storage.entries(f"jobs/{job.id}/parts/")) == 2
    short.runner.finish(at_work(short), DOUBLED)
    await short.tick()
    done = short.job(job)
    assert done.state is JobState.DONE
    short.clock.advance(24 * 3600 - 10)
    await short.prune.tick()
    assert await short.storage.entries(f"jobs/{job.id}/parts/")
    short.clock.advance(60)
    await short.prune.tick()
    assert await short.storage.entries(f"jobs/{job.id}/") == []
    assert (await short.storage.stat(done.output_key)).bytes == len(DOUBLED)


async def test_segments_are_kept_as_long_as_a_retry_may_go_on_behind_them(short):
    first = await short.queued()
    await short.tick()
    short.runner.leave_segment(at_work(short), 0)
    await give_up(short, first)
    short.clock.advance(20 * 3600)
    second = short.controller.retry(first.id, by=Actor(7), key="again")
    short.clock.advance(10 * 3600)
    await short.prune.tick()
    assert await short.storage.entries(f"jobs/{first.id}/parts/")
    short.controller.cancel(second.id, by=Actor(7))
    short.clock.advance(25 * 3600)
    await short.prune.tick()
    await short.prune.tick()
    assert await short.storage.entries("jobs/") == []


async def test_a_retry_that_comes_while_others_are_pruned_keeps_what_it_needs(short, monkeypatch):
    jobs = []
    for name in ("one.mp4", "two.mp4"):
        jobs.append(await short.queued(name))
        await short.tick()
        short.runner.leave_segment(at_work(short), 0)
        await give_up(short, jobs[-1])
    short.clock.advance(25 * 3600)
    delete_prefix = type(short.storage).delete_prefix

    async def delete(prefix):
        await delete_prefix(short.storage, prefix)
        if prefix == f"jobs/{jobs[0].id}/":
            short.controller.retry(jobs[1].id, by=Actor(7), key="again")

    monkeypatch.setattr(short.storage, "delete_prefix", delete)
    await short.prune.tick()
    left = {entry.key.split("/")[1] for entry in await short.storage.entries("jobs/")}
    assert left == {jobs[1].id}
