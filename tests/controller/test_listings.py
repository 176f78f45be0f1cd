import pytest

from controller.errors import Forbidden, StorageError, TooLate
from controller.records import TERMINAL, Actor
from controller.states import AttemptState, JobState, MachineState, Reason


def names(page):
    return [job.source_name for job in page.jobs]


async def test_what_runs_comes_first_then_the_queue_in_its_order(house):
    house.change(max_machines=1)
    for name in "abcd":
        await (house.draft if name == "a" else house.queued)(f"{name}.mp4")
        house.clock.advance(1)
    await house.tick()
    running = [job for job in house.controller.jobs() if job.state is JobState.RUNNING]
    last = house.controller.queue.listing()[-1]
    house.controller.queue.move(last.id, "first", by=TERMINAL)
    found = house.controller.listings.page(0, 10)
    waiting = [job.source_name for job in house.controller.queue.listing()]
    assert names(found) == [*(job.source_name for job in running), *waiting, "a.mp4"]


async def test_a_page_past_the_end_is_the_last_one(house):
    for number in range(7):
        await house.draft(f"{number}.mp4")
        house.clock.advance(1)
    page = house.controller.listings.page(99, 3)
    assert (page.page, page.pages, page.total, names(page)) == (2, 3, 7, ["6.mp4"])
    empty = house.controller.listings.page(5, 3, owner=12345)
    assert (empty.page, empty.pages, empty.total, names(empty)) == (0, 1, 0, [])


async def test_jobs_are_chosen_by_owner_chat_and_end(house):
    mine, theirs = await house.draft("a.mp4", owner=7), await house.draft("b.mp4", owner=8)
    listings = house.controller.listings
    assert names(listings.page(0, 9, owner=8)) == ["b.mp4"]
    assert names(listings.page(0, 9, chat=1)) == ["a.mp4", "b.mp4"]
    assert names(listings.page(0, 9, chat=2)) == []
    assert listings.owners() == [(7, 1), (8, 1)]
    house.controller.cancel(mine.id, by=Actor(7))
    now = house.clock()
    ended = (JobState.CANCELLED,)
    assert names(listings.page(0, 9, states=ended, ended_after=now)) == ["a.mp4"]
    assert names(listings.page(0, 9, states=ended, ended_after=now + 1)) == []
    assert listings.owners() == [(theirs.owner, 1)]


async def test_samples_are_listed_only_where_they_are_asked_for(house):
    draft = await house.draft()
    sample = house.controller.sample(draft.id, by=Actor(7), key="k")
    assert [job.id for job in house.controller.listings.page(0, 9).jobs] == [draft.id]
    whole = house.controller.listings.page(0, 9, samples=True)
    assert {job.id for job in whole.jobs} == {draft.id, sample.id}


# --- giving machines back --------------------------------------------------------------------


async def test_a_busy_machine_is_given_back_and_its_job_goes_on_elsewhere(house):
    job = await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    machine = house.machine()
    house.controller.release_machine(machine.id, by=TERMINAL)
    await house.tick()
    (attempt,) = house.store.attempts.of_job(job.id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, Reason.STOPPED)
    for _ in range(3):
        await house.tick(60)
    assert house.store.machines.get(machine.id).state is MachineState.GONE
    assert house.job(job).state is JobState.RUNNING
    assert house.machine().id != machine.id


async def test_a_machine_is_given_back_once_and_by_admins_only(house):
    await house.queued()
    await house.tick()
    machine = house.machine()
    with pytest.raises(Forbidden):
        house.controller.release_machine(machine.id, by=Actor(7))
    assert house.machine().retire_requested_at is None
    house.controller.release_machine(machine.id, by=TERMINAL)
    for machine_id in (machine.id, "nothing"):
        with pytest.raises(TooLate):
            house.controller.release_machine(machine_id, by=TERMINAL)


async def test_whether_storage_answers_is_known_without_writing(house, monkeypatch):
    before = sorted(house.settings.storage_dir.rglob("*"))
    assert await house.controller.storage_answers()
    assert sorted(house.settings.storage_dir.rglob("*")) == before

    async def fail(key):
        raise StorageError("down")

    monkeypatch.setattr(house.storage, "stat", fail)
    assert not await house.controller.storage_answers()
