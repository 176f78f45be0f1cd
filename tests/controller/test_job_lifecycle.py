import asyncio
import dataclasses

import pytest

from controller.errors import (
    BadTask,
    BadVideo,
    ForeignDatabase,
    NoSuchFile,
    NoSuchJob,
    TooLate,
    TooManyJobs,
)
from controller.records import Actor, Request
from controller.states import JobState, MachineState, Reason
from remote_runner.protocol import Mode, Phase, Task
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.conftest import video, write_video

DOUBLED = video(width=640, height=360)


async def test_a_video_goes_through_to_its_result(house):
    job = await house.queued()
    await house.tick()
    assert house.job(job).state is JobState.RUNNING
    machine = house.machine()
    assert machine.state is MachineState.BOOTING

    house.runner.heartbeat(machine)
    await house.tick()
    assert house.machine().state is MachineState.BUSY
    house.runner.heartbeat(machine, phase=Phase.UPLOADING)
    await house.tick()
    house.runner.finish(machine, DOUBLED)
    await house.tick()

    done = house.job(job)
    assert done.state is JobState.DONE
    assert done.output_key == f"output/clip_x2_{job.short_id}.mp4"
    assert (await house.storage.read(done.output_key)) == DOUBLED
    assert done.sha256_by == "controller"
    assert done.cost_usd > 0
    assert house.machine().state is MachineState.READY
    assert house.kinds(job) == ["drafted", "queued", "assigned", "started", "phase", "done"]


async def test_a_warm_machine_takes_the_next_job_and_an_idle_one_is_given_back(house):
    first, second = await house.queued("a.mp4"), await house.queued("b.mp4")
    house.settings = dataclasses.replace(house.settings, max_machines=1)
    house.restart()
    await house.tick()
    machine = house.machine()
    house.runner.heartbeat(machine)
    await house.tick()
    house.runner.finish(machine, DOUBLED)
    await house.tick()
    await house.tick()
    assert house.job(first).state is JobState.DONE
    assert house.runner.orders(machine).job == second.id
    house.runner.finish(machine, DOUBLED)
    await house.tick()
    assert house.job(second).state is JobState.DONE
    assert len(house.provider.launches) == 1

    for _ in range(4):
        await house.tick(60)
    assert house.store.machines.select() == []
    assert not house.provider.alive
    assert house.store.machines.get(machine.id).state is MachineState.GONE


async def test_the_same_request_twice_makes_one_job(house):
    assert (await house.draft()).id == (await house.draft()).id
    assert len(await house.storage.entries("input/")) == 1


async def test_starting_twice_queues_once(house):
    job = await house.queued()
    house.controller.start(job.id, by=Actor(7))
    assert house.kinds(job) == ["drafted", "queued"]


async def test_a_bad_video_leaves_nothing_behind(house):
    async def write_text(path):
        path.write_text("hello")

    with pytest.raises(BadVideo) as caught:
        await house.controller.accept_upload(
            Request(key="tg:1:1", owner=7), name="x.mp4", size=5, fetch=write_text
        )
    assert caught.value.code == "not_a_video"
    assert house.controller.jobs() == []
    assert [p.name for p in house.settings.data_dir.rglob("*") if p.is_file()] != []
    left = [p for p in house.settings.storage_dir.rglob("*") if p.is_file()]
    assert left == []
    assert [p for p in house.settings.work_dir.rglob("*") if p.is_file()] == []


async def test_an_upload_that_ends_takes_nothing_from_one_that_begins(house):
    other_is_done = asyncio.Event()

    async def write_late(path):
        await other_is_done.wait()
        await write_video(path)

    late = asyncio.create_task(
        house.controller.accept_upload(
            Request(key="late", owner=7), name="late.mp4", size=5, fetch=write_late
        )
    )
    await asyncio.sleep(0)
    await house.draft()
    other_is_done.set()
    assert (await late).source_name == "late.mp4"


async def test_a_file_over_the_limit_is_refused_before_it_is_fetched(house):
    async def never(path):
        raise AssertionError("fetched")

    with pytest.raises(BadVideo) as caught:
        await house.controller.accept_upload(
            Request(key="k", owner=7), name="x.mp4", size=10**12, fetch=never
        )
    assert caught.value.reason is RunnerReason.FILE_TOO_LARGE


async def test_a_task_that_makes_no_sense_is_refused(house):
    with pytest.raises(BadTask):
        await house.draft(task=Task(scale=3))
    job = await house.draft()
    with pytest.raises(BadTask):
        house.controller.set_task(job.id, by=Actor(7), task=Task(mode=Mode.INTERP, fps="1e9"))


async def test_only_a_draft_can_be_changed(house):
    job = await house.draft()
    changed = house.controller.set_task(job.id, by=Actor(7), task=Task(mode=Mode.BOTH))
    assert changed.task.mode is Mode.BOTH
    house.controller.start(job.id, by=Actor(7))
    with pytest.raises(TooLate):
        house.controller.set_task(job.id, by=Actor(7), task=Task())


async def test_another_user_cannot_see_or_touch_a_job_and_an_admin_can(house):
    job = await house.queued()
    for attempt in (house.controller.get, house.controller.cancel, house.controller.start):
        with pytest.raises(NoSuchJob):
            attempt(job.id, by=Actor(8))
    assert house.controller.get(job.short_id, by=Actor(8, admin=True)).id == job.id


async def test_one_user_has_a_bounded_number_of_waiting_jobs(house):
    for number in range(20):
        await house.draft(f"{number}.mp4")
    with pytest.raises(TooManyJobs):
        await house.draft("one_more.mp4")
    await house.draft("other.mp4", owner=8)


async def test_cancelling_a_queued_job_is_immediate(house):
    job = await house.queued()
    assert house.controller.cancel(job.id, by=Actor(7)).state is JobState.CANCELLED
    await house.tick()
    assert house.provider.launches == []
    with pytest.raises(TooLate):
        house.controller.cancel(job.id, by=Actor(7))


async def test_cancelling_a_running_job_stops_the_runner_and_keeps_the_machine(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.runner.heartbeat(machine)
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    await house.tick()
    assert house.runner.orders(machine).cancel
    house.runner.cancelled(machine)
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    assert house.job(job).reason is Reason.USER
    assert house.machine().state is MachineState.READY
    assert house.runner.orders(machine).job is None


async def test_a_runner_that_does_not_stop_loses_its_machine(house):
    job = await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    for _ in range(5):
        await house.tick(10)
    assert house.job(job).state is JobState.CANCELLED
    assert not house.provider.alive


@pytest.mark.parametrize(
    ("reason", "state"),
    [(RunnerReason.CORRUPT, JobState.FAILED), (RunnerReason.ENCODER_FAILED, JobState.QUEUED)],
)
async def test_only_a_machines_fault_is_retried(house, reason, state):
    job = await house.queued()
    await house.tick()
    house.runner.fail(house.machine(), reason)
    await house.tick()
    assert house.job(job).state is state


async def test_two_machines_that_fail_alike_are_the_jobs_fault(house):
    job = await house.queued()
    await house.tick()
    first = house.machine()
    house.runner.fail(first, RunnerReason.ENCODER_FAILED)
    for _ in range(5):
        await house.tick(3)
    assert house.job(job).attempts == 2
    second = house.machine()
    assert second.id != first.id
    house.runner.fail(second, RunnerReason.ENCODER_FAILED)
    await house.tick()
    failed = house.job(job)
    assert (failed.state, failed.reason) == (JobState.FAILED, RunnerReason.ENCODER_FAILED)


async def test_refused_offers_do_not_use_up_the_attempts(house):
    house.provider.create_faults.extend(["refused"] * 4)
    job = await house.queued()
    for _ in range(60):
        await house.tick(5)
        if house.provider.alive:
            break
    assert house.job(job).state is JobState.RUNNING


async def test_a_job_cancelled_while_it_is_placed_leaves_no_machine_busy(house):
    job, other = await house.queued("a.mp4"), await house.queued("b.mp4")
    queue = house.store.jobs.queue()
    house.store.jobs.queue = lambda: queue
    house.controller.cancel(job.id, by=Actor(7))
    await house.reap.tick()
    await house.place.tick()
    assert house.job(other).state is JobState.RUNNING
    assert len(house.store.machines.select()) == 1


async def test_a_retry_by_the_user_is_a_new_job_on_the_same_input(house):
    job = await house.queued()
    await house.tick()
    house.runner.fail(house.machine(), RunnerReason.CORRUPT)
    await house.tick()
    again = house.controller.retry(job.id, by=Actor(7), key="retry:1")
    assert again.id != job.id
    assert again.source_key == job.source_key
    assert house.controller.retry(job.id, by=Actor(7), key="retry:1").id == again.id


async def test_a_job_in_the_bucket_is_found_by_its_path(house):
    await house.storage.write("input/c1/film.mkv", video())
    request = Request(key="k", owner=7)
    job = await house.controller.accept_stored(request, path="input/c1/film.mkv")
    assert job.source_name == "film.mkv"
    assert not job.source_is_ours
    assert await house.controller.stored_videos("input/c1") == ["input/c1/film.mkv"]


@pytest.mark.parametrize("path", ["input/uploads/x/a.mp4", "output/a_x2_abcdef.mp4", "jobs/1/2"])
async def test_a_chat_user_cannot_name_what_may_be_somebody_elses(house, path):
    await house.storage.write(path, video())
    with pytest.raises(NoSuchFile):
        await house.controller.accept_stored(Request(key="k", owner=7), path=path)


async def test_a_draft_that_was_never_started_cannot_be_retried(house):
    job = await house.draft()
    house.controller.cancel(job.id, by=Actor(7))
    with pytest.raises(TooLate):
        house.controller.retry(job.id, by=Actor(7), key="again")


async def test_a_database_belongs_to_one_bot(house):
    house.controller.claim("bot 1")
    house.controller.claim("bot 1")
    with pytest.raises(ForeignDatabase, match="bot 1"):
        house.controller.claim("bot 2")


async def test_the_estimate_learns_from_what_was_measured(house):
    job = await house.queued()
    assert not house.controller.estimate(job).measured
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED)
    await house.tick()
    learned = house.controller.estimate(job)
    assert learned.measured
    assert learned.seconds == pytest.approx(6.0 + 4.0)


async def test_a_draft_that_nobody_starts_is_forgotten_with_its_upload(house):
    job = await house.draft()
    house.clock.advance(25 * 3600)
    await house.prune.tick()
    assert house.job(job).state is JobState.CANCELLED
    house.clock.advance(120)
    await house.prune.tick()
    assert await house.storage.entries("input/") == []


async def test_pruning_keeps_results_and_what_the_user_put_there(house):
    await house.storage.write("input/c1/film.mkv", video())
    request = Request(key="k", owner=7)
    job = await house.controller.accept_stored(request, path="input/c1/film.mkv")
    house.controller.start(job.id, by=Actor(7))
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED)
    await house.tick()
    for _ in range(4):
        await house.tick(200)
    house.clock.advance(48 * 3600)
    await house.prune.tick()
    keys = [entry.key for entry in await house.storage.entries("")]
    assert keys == ["input/c1/film.mkv", house.job(job).output_key]
    with pytest.raises(TooLate):
        house.controller.retry(job.id, by=Actor(7), key="late")


async def test_waiting_for_events_ends_with_the_first_one(house):
    assert not await house.controller.wait_for_events(0, 0.01)
    await house.draft()
    assert await house.controller.wait_for_events(0, 5)


async def test_an_upload_that_cannot_be_written_down_is_removed(house, monkeypatch):
    def fail(*args):
        raise RuntimeError("database")

    monkeypatch.setattr(house.store.jobs, "add", fail)
    with pytest.raises(RuntimeError):
        await house.controller.accept_upload(
            Request(key="k", owner=7), name="a.mp4", size=1, fetch=write_video
        )
    assert await house.storage.entries("input/") == []
