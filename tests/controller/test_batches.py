import dataclasses

import pytest

from controller import batches, policy
from controller.batches import add_up
from controller.errors import (
    Forbidden,
    NoSuchJob,
    NoVideos,
    TakesTooLong,
    TooLate,
    TooManyFiles,
    TooManyJobs,
)
from controller.records import Actor, Request
from controller.states import JobState, Reason
from remote_runner.protocol import Reason as RunnerReason
from remote_runner.protocol import Task
from tests.controller.conftest import video

OWNER, ADMIN, STRANGER = Actor(7), Actor(1, admin=True), Actor(8)


async def accept(house, *names, key="tg:1:5", task=None):
    for number, name in enumerate(names):
        await house.storage.write(f"input/c1/{name}", video(bytes=1000 + number))
    keys = await house.controller.batches.videos("input/c1", by=OWNER)

    async def accept_one(request, item):
        return await house.controller.accept_stored(request, path=item, task=task)

    request = Request(key=key, owner=7, chat=7, language="ru", reply_to=5)
    return await house.controller.batches.accept(
        request, name="input/c1", items=keys, accept_one=accept_one
    )


def states(house, batch):
    return [job.state for job in house.controller.batches.jobs(batch.id)]


async def test_the_same_request_again_finds_the_same_batch_and_jobs(house):
    first = await accept(house, "a.mp4", "b.mp4")
    again = await accept(house, "a.mp4", "b.mp4")
    assert first == again
    assert first.taken_at is not None
    assert states(house, first) == [JobState.DRAFT] * 2
    assert len(house.controller.jobs()) == 2


async def test_what_is_no_video_is_noted_with_its_reason_once(house):
    await house.storage.write("input/c1/z.mp4", b"text")
    await accept(house, "a.mp4")
    batch = await accept(house, "a.mp4")
    assert batch.refused == (("input/c1/z.mp4", "not_a_video"),)


async def test_a_folder_without_videos_and_one_with_too_many(house, monkeypatch):
    with pytest.raises(NoVideos):
        await house.controller.batches.videos("input/c1", by=OWNER)
    monkeypatch.setattr(batches, "MAX_FILES", 1)
    with pytest.raises(TooManyFiles):
        await accept(house, "a.mp4", "b.mp4")


async def test_private_folders_are_empty_for_users(house):
    await house.storage.write("output/a.mp4", video())
    with pytest.raises(NoVideos):
        await house.controller.batches.videos("output", by=OWNER)
    assert await house.controller.batches.videos("output", by=Actor(0, admin=True))


async def test_a_batch_takes_one_turn_and_its_files_no_more(house, monkeypatch):
    monkeypatch.setattr(policy, "MAX_ACTIVE_JOBS", 2)
    await accept(house, "a.mp4", "b.mp4", "c.mp4")
    await house.draft("alone.mp4")
    with pytest.raises(TooManyJobs):
        await house.draft("another.mp4")
    with pytest.raises(TooManyJobs):
        await accept(house, "a.mp4", key="tg:1:6")


async def test_others_batches_are_nobodys(house):
    batch = await accept(house, "a.mp4")
    facet = house.controller.batches
    with pytest.raises(NoSuchJob):
        facet.get(batch.id, by=STRANGER)
    for act in (facet.start, facet.cancel, facet.plan):
        with pytest.raises(NoSuchJob):
            await act(batch.id, by=STRANGER)
    with pytest.raises(NoSuchJob):
        facet.set_task(batch.id, by=STRANGER, task=Task(scale=4))
    assert facet.get(batch.id, by=ADMIN) == batch


async def test_start_all_and_cancel_all_once(house):
    batch = await accept(house, "a.mp4", "b.mp4")
    facet = house.controller.batches
    assert await facet.start(batch.id, by=OWNER) == 2
    with pytest.raises(TooLate):
        await facet.start(batch.id, by=OWNER)
    assert await facet.cancel(batch.id, by=OWNER) == 2
    assert states(house, batch) == [JobState.CANCELLED] * 2
    with pytest.raises(TooLate):
        await facet.cancel(batch.id, by=OWNER)


async def test_a_retry_stands_in_the_place_of_what_failed(house):
    batch = await accept(house, "a.mp4", "b.mp4")
    facet = house.controller.batches
    await facet.start(batch.id, by=OWNER)
    first, second = facet.jobs(batch.id)
    await house.tick()
    job = house.job(first)
    house.store.jobs.move(
        job, JobState.FAILED, event="failed", ended_at=house.clock(), reason=RunnerReason.CORRUPT,
        cost_usd=0.25,
    )  # fmt: skip
    assert facet.spent_before(batch.id) == 0
    assert facet.retry_failed(batch.id, by=OWNER) == 1
    assert facet.spent_before(batch.id) == 0.25
    again, other = facet.jobs(batch.id)
    assert (again.predecessor, again.state, other.id) == (first.id, JobState.QUEUED, second.id)
    assert again.batch == batch.id
    with pytest.raises(TooLate):
        facet.retry_failed(batch.id, by=OWNER)


async def test_the_quote_is_the_sum_of_the_drafts(house):
    batch = await accept(house, "a.mp4", "b.mp4")
    quote = await house.controller.batches.plan(batch.id, by=OWNER)
    single = await house.controller.plan(house.controller.batches.jobs(batch.id)[0])
    assert quote.files == 2
    assert quote.seconds == pytest.approx(2 * single.seconds)
    first = house.controller.batches.jobs(batch.id)[0]
    assert (await house.controller.batches.plan(batch.id, by=OWNER, only={first.id})).files == 1
    held = dataclasses.replace(single, hold=Reason.BUDGET)
    assert add_up([held, held, single]).held == {Reason.BUDGET: 2}


async def test_the_newest_batch_that_is_still_coming_in_is_found(house):
    facet = house.controller.batches
    batch = facet.open(Request(key="tg:7:album:g", owner=7, chat=7))
    assert facet.collecting(7, 7) == batch
    assert facet.collecting(8, 7) is None
    facet.expect(batch.id, 3)
    facet.expect(batch.id, 2)
    assert facet.require(batch.id).expected == 3
    facet.finish(batch.id)
    assert facet.collecting(7, 7) is None


def hold_for(house, job, reason):
    """A held job, whatever it would be held for by itself."""
    return house.store.jobs.move(
        house.job(job), JobState.HELD, event="held", held_for=reason, held_data={"seconds": 1.0}
    )


async def test_a_yes_to_all_is_one_to_what_may_be_agreed_to(house):
    batch = await accept(house, "a.mp4", "b.mp4")
    facet = house.controller.batches
    money, time = facet.jobs(batch.id)
    hold_for(house, money, Reason.BUDGET)
    hold_for(house, time, Reason.TOO_LONG)
    assert facet.approve(batch.id, by=OWNER) == 1
    assert states(house, batch) == [JobState.HELD, JobState.QUEUED]
    with pytest.raises(Forbidden):
        facet.approve(batch.id, by=OWNER)
    assert facet.approve(batch.id, by=ADMIN) == 1


async def test_a_file_that_takes_too_long_keeps_no_other_from_its_start(house, monkeypatch):
    batch = await accept(house, "a.mp4", "b.mp4")
    facet, ask = house.controller.batches, house.controller.request_start
    long = facet.jobs(batch.id)[0]

    async def request_start(job_id, *, by):
        if job_id == long.id:
            raise TakesTooLong(seconds=1e6)
        return await ask(job_id, by=by)

    monkeypatch.setattr(house.controller, "request_start", request_start)
    assert await facet.start(batch.id, by=OWNER) == 1
    assert states(house, batch) == [JobState.DRAFT, JobState.QUEUED]
    with pytest.raises(TakesTooLong):
        await facet.start(batch.id, by=OWNER)


async def test_what_cannot_be_repeated_keeps_nothing_else_from_it(house):
    batch = await accept(house, "a.mp4", "b.mp4")
    facet = house.controller.batches
    await facet.start(batch.id, by=OWNER)
    jobs = facet.jobs(batch.id)
    for job in jobs:
        house.store.jobs.move(
            job, JobState.FAILED, event="failed", ended_at=1.0, reason=RunnerReason.CORRUPT
        )
    house.store.jobs.set_pruned(jobs[0].id)
    assert facet.retry_failed(batch.id, by=OWNER) == 1
    with pytest.raises(TooLate):
        facet.retry_failed(batch.id, by=OWNER)


@pytest.mark.parametrize(
    ("owner", "same_file", "found"), [(7, False, 1), (8, False, 0), (8, True, 0)]
)
async def test_what_others_have_done_with_the_same_content_is_nobody_elses(
    house, owner, same_file, found
):
    batch = await accept(house, "a.mp4")
    (mine,) = house.controller.batches.jobs(batch.id)
    etag = mine.source_etag or "content"
    house.store.jobs.change(mine, source_etag=etag)
    key = mine.source_key if same_file else "input/uploads/x/private.mp4"
    other = house.store.jobs.add(
        dataclasses.replace(
            mine, id="0" * 26, request_key="other", owner=owner, source_key=key, source_etag=etag,
            batch=None, state=JobState.QUEUED, started_at=1.0,
        ),
        "queued",
    )  # fmt: skip
    running = house.store.jobs.move(other, JobState.RUNNING, event="assigned")
    house.store.jobs.move(
        running, JobState.DONE, event="done", ended_at=2.0, output_key="output/private_x2.mp4",
        output_sha256="0",
    )  # fmt: skip
    assert len(house.controller.batches.done_before(batch.id)) == found


async def test_a_discarded_upload_is_not_begun_anew(house):
    draft = await house.draft()
    await house.controller.discard(draft.id, by=OWNER)
    with pytest.raises(TooLate):
        house.controller.redo(draft.id, by=OWNER, key="again")
