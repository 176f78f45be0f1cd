import dataclasses
import json

import pytest

from controller.errors import NoSuchJob, OverBudget, TooLate
from controller.loops.prune import KEEP_JOB_S
from controller.loops.webhook import Webhook
from controller.places import frame_key
from controller.records import Actor, Role
from controller.states import JobState, MachineState, Reason
from remote_runner.protocol import Mode, Status, Task, to_json
from remote_runner.transfer import put_bytes
from tests.controller.conftest import FACTS, video
from tests.controller.standins import RentedProvider, make_offer

OWNER, ADMIN = Actor(7), Actor(1, admin=True)
SAMPLE = video(width=640, height=360, duration_s=3.0, frames=72)
WHOLE = video(width=640, height=360)


async def running_sample(house, name="clip.mp4"):
    """A draft, and its sample on a machine."""
    draft = await house.draft(name)
    sample = house.controller.sample(draft.id, by=OWNER, key=f"sample:{draft.id}")
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    return draft, sample, house.machine()


async def done_sample(house, output=SAMPLE, **changes):
    draft, sample, machine = await running_sample(house)
    house.runner.finish(machine, output, **changes)
    await house.tick()
    return draft, sample, machine


def files(house, pattern):
    return sorted(path.name for path in house.settings.storage_dir.glob(pattern))


async def test_a_sample_is_made_of_a_draft_and_the_whole_on_the_same_machine(house):
    draft, sample, machine = await running_sample(house)
    first = house.runner.grant(machine)
    assert (first.sample_s, first.segments, first.preview_url, first.frame_url) == (
        3.0,
        (),
        "",
        "",
    )
    house.runner.finish(machine, SAMPLE)
    await house.tick()
    done = house.job(sample)
    assert (done.state, done.sample_of, done.priority) == (JobState.DONE, draft.id, 100)
    assert done.output_key == f"jobs/{sample.id}/sample.mp4"
    assert await house.storage.read(done.output_key) == SAMPLE
    assert files(house, "output/*") == []
    assert house.controller.newest_sample(house.job(draft)) == done
    async with house.controller.result_file(done) as path:
        assert path.read_bytes() == SAMPLE
    assert house.job(draft).state is JobState.DRAFT
    assert house.machine().state is MachineState.READY

    house.controller.start(draft.id, by=OWNER)
    await house.tick()
    second = house.runner.grant(machine)
    assert (second.job, second.sample_s, len(second.segments)) == (draft.id, 0.0, 2)
    assert second.source_id == first.source_id != ""
    assert second.frame_url
    house.runner.finish(machine, WHOLE)
    await house.tick()
    assert house.job(draft).output_key == f"output/clip_x2_{draft.short_id}.mp4"
    assert len(house.provider.launches) == 1


async def test_the_machine_of_a_sample_waits_as_long_as_any_and_is_given_back(house):
    await done_sample(house)
    await house.tick(house.settings.idle_s - 10)
    assert house.machine().state is MachineState.READY
    for _ in range(4):
        await house.tick(20)
    assert house.store.machines.select() == []
    assert not house.provider.alive


async def test_a_sample_goes_before_all_others(house):
    house.change(max_machines=1)
    for name in ("a.mp4", "b.mp4"):
        await house.queued(name)
    draft = await house.draft("c.mp4")
    sample = house.controller.sample(draft.id, by=OWNER, key="k")
    await house.tick()
    assert house.job(sample).state is JobState.RUNNING


async def test_asking_again_finds_the_same_sample_until_the_task_changes(house):
    draft = await house.draft()
    ask = house.controller.sample
    first = ask(draft.id, by=OWNER, key="a")
    assert ask(draft.id, by=OWNER, key="a").id == first.id == ask(draft.id, by=OWNER, key="b").id
    house.controller.set_task(draft.id, by=OWNER, task=Task(mode=Mode.BOTH))
    second = ask(draft.id, by=OWNER, key="c")
    assert (second.id != first.id, second.task.mode) == (True, Mode.BOTH)
    assert house.job(first).state is JobState.CANCELLED
    assert house.controller.newest_sample(house.job(draft)).id == second.id


async def test_a_sample_that_is_done_is_not_made_again(house):
    draft, sample, _ = await done_sample(house)
    assert house.controller.sample(draft.id, by=OWNER, key="again").id == sample.id
    assert house.job(draft).state is JobState.DRAFT


async def test_a_sample_that_failed_can_be_asked_for_again_and_is_not_retried(house):
    draft, sample, _ = await done_sample(house, output=video(duration_s=10.0))
    for _ in range(6):
        await house.tick(30)
        for machine in house.store.machines.select([MachineState.BOOTING, MachineState.BUSY]):
            house.runner.finish(machine, video(duration_s=10.0))
    failed = house.job(sample)
    assert (failed.state, failed.reason) == (JobState.FAILED, Reason.BAD_RESULT)
    with pytest.raises(TooLate):
        house.controller.retry(sample.id, by=OWNER, key="retry")
    assert house.controller.sample(draft.id, by=OWNER, key="again").id != sample.id


@pytest.mark.parametrize(
    "facts",
    [
        {"width": 320, "height": 180, "duration_s": 3.0, "frames": 72},
        {"width": 640, "height": 360, "duration_s": 3.2, "frames": 77},
        {"width": 640, "height": 360, "duration_s": 0.0, "frames": 1},
        {"width": 640, "height": 360, "duration_s": 3.0, "frames": 144},
    ],
)
async def test_what_is_no_sample_of_this_is_not_published(house, facts):
    _, sample, machine = await done_sample(house, output=video(**facts))
    assert house.job(sample).state is not JobState.DONE
    assert house.store.attempts.of_job(sample.id)[0].reason is Reason.BAD_RESULT
    assert files(house, f"jobs/{sample.id}/sample*") == []
    assert house.store.machines.get(machine.id).retire_requested_at is not None


async def test_a_sample_may_lack_the_sound_and_end_a_frame_late(house):
    short = video(width=640, height=360, duration_s=3.04, frames=73, audio=())
    _, sample, _ = await done_sample(house, output=short)
    assert house.job(sample).state is JobState.DONE


async def test_the_speed_of_a_sample_is_that_of_a_long_run(house):
    await done_sample(house, timings={"processing": 2.0}, device="CPU")
    assert house.store.speeds.known("upscale:auto:x2") == pytest.approx(320 * 180 * 72 / 2)
    assert house.controller.estimate(house.controller.jobs()[0]).measured


async def test_starting_the_draft_ends_its_sample_and_takes_over_its_machine(house):
    draft, sample, machine = await running_sample(house)
    house.controller.start(draft.id, by=OWNER)
    await house.tick()
    assert house.runner.orders(machine).cancel
    assert house.job(draft).state is JobState.QUEUED
    house.runner.cancelled(machine)
    await house.tick()
    assert house.job(sample).state is JobState.CANCELLED
    assert house.runner.orders(machine).job == draft.id
    assert len(house.provider.launches) == 1


async def test_a_sample_that_does_not_stop_keeps_its_draft_waiting_no_longer_than_that(house):
    draft, sample, _ = await running_sample(house)
    house.controller.start(draft.id, by=OWNER)
    for _ in range(5):
        await house.tick(5)
    assert house.job(sample).state is JobState.CANCELLED
    assert house.job(draft).state is JobState.RUNNING
    assert len(house.provider.launches) == 2


async def test_a_sample_that_waits_ends_at_once_with_its_draft(house):
    draft = await house.draft()
    sample = house.controller.sample(draft.id, by=OWNER, key="k")
    await house.controller.discard(draft.id, by=OWNER)
    assert house.job(sample).state is JobState.CANCELLED
    assert files(house, "input/uploads/*/*") == []
    await house.tick()
    assert house.provider.launches == []


async def test_a_request_to_start_ends_the_sample_too(house):
    draft, sample, _ = await running_sample(house)
    await house.controller.request_start(draft.id, by=OWNER)
    await house.tick()
    assert house.job(sample).cancel_requested_at is not None


async def test_a_draft_that_expires_takes_its_sample_along(house):
    draft, sample, _ = await running_sample(house)
    house.clock.advance(house.job(draft).deadline_at - house.clock() + 1)
    await house.prune.tick()
    assert house.job(draft).state is JobState.CANCELLED
    await house.place.tick()
    ended = house.job(sample)
    assert ended.state is JobState.CANCELLED or ended.cancel_requested_at is not None


async def test_the_source_stays_while_the_draft_is_wanted_and_goes_with_it(house):
    draft, sample, _ = await done_sample(house)
    house.clock.advance(KEEP_JOB_S - 3600)
    house.controller.set_task(draft.id, by=OWNER, task=Task(mode=Mode.BOTH))
    house.store.jobs.change(house.job(draft), deadline_at=house.clock() + 9 * 3600)
    house.clock.advance(2 * 3600)
    await house.prune.tick()
    assert not house.store.jobs.is_kept(sample.id)
    assert files(house, f"jobs/{sample.id}/**/*") == []
    assert files(house, "input/uploads/*/*") == ["clip.mp4"]
    await house.controller.discard(draft.id, by=OWNER)
    assert files(house, "input/uploads/*/*") == []


async def test_a_discarded_draft_takes_its_source_though_its_sample_is_still_kept(house):
    draft, sample, _ = await done_sample(house)
    await house.controller.discard(draft.id, by=OWNER)
    assert files(house, "input/uploads/*/*") == []
    assert house.store.jobs.is_kept(sample.id)


async def test_the_source_stays_until_a_sample_has_let_go_of_it(house):
    draft, _, machine = await running_sample(house)
    await house.controller.discard(draft.id, by=OWNER)
    assert files(house, "input/uploads/*/*") == ["clip.mp4"]
    await house.tick()
    house.runner.cancelled(machine)
    await house.tick()
    house.clock.advance(120)
    await house.prune.tick()
    assert files(house, "input/uploads/*/*") == []


async def test_a_cancelled_sample_publishes_nothing(house):
    draft, sample, machine = await running_sample(house)
    house.controller.cancel(sample.id, by=OWNER)
    house.runner.finish(machine, SAMPLE)
    await house.tick()
    assert house.job(sample).state is JobState.CANCELLED
    assert files(house, f"jobs/{sample.id}/sample*") == []
    assert house.job(draft).state is JobState.DRAFT


async def test_samples_are_told_to_nobody_who_asks_for_jobs(house, monkeypatch):
    (house.settings.storage_dir / "input").mkdir(parents=True, exist_ok=True)
    (house.settings.storage_dir / "input" / "c.mp4").write_bytes(video())
    draft, sample, _ = await done_sample(house)
    assert [job.id for job in house.controller.jobs()] == [draft.id]
    assert house.store.jobs.done_with(house.job(sample).source_etag) == []
    sent = []
    hook = Webhook(
        store=house.store, storage=house.storage, clock=house.clock,
        settings=type(house.settings)(webhook_url="http://127.0.0.1:9/", webhook_secret="x" * 16),
    )  # fmt: skip
    house.store.events.move_cursor("webhook", 0)

    async def post(event_id, body):
        sent.append(body)
        return 200

    monkeypatch.setattr(hook, "_post", post)
    await hook.tick()
    assert sent == []
    assert house.store.events.cursor("webhook") == house.store.events.newest()


async def test_samples_do_not_count_among_the_jobs_one_may_have(house):
    for number in range(19):
        await house.draft(f"{number}.mp4")
    draft = await house.draft("20.mp4")
    assert house.controller.sample(draft.id, by=OWNER, key="k").state is JobState.QUEUED
    house.controller.cancel(draft.id, by=OWNER)
    await house.draft("21.mp4")


async def test_only_its_owner_takes_a_sample_and_only_of_a_draft(house):
    draft = await house.draft()
    with pytest.raises(NoSuchJob):
        house.controller.sample(draft.id, by=Actor(8), key="k")
    sample = house.controller.sample(draft.id, by=OWNER, key="k")
    with pytest.raises(TooLate):
        house.controller.sample(sample.id, by=OWNER, key="l")
    house.controller.start(draft.id, by=OWNER)
    with pytest.raises(TooLate):
        house.controller.sample(draft.id, by=OWNER, key="m")


async def test_who_has_spent_the_day_s_money_gets_no_sample(rented):
    people = rented.controller.people
    people.accept(people.invite(Role.USER, by=ADMIN), 7, "Boris")
    people.set_day_budget(7, 0.0, by=ADMIN)
    await rented.queued("other.mp4")
    draft = await rented.draft()
    with pytest.raises(OverBudget):
        rented.controller.sample(draft.id, by=OWNER, key="k")


@pytest.mark.parametrize("stage", ["queued", "running", "finished", "done"])
async def test_a_restart_in_any_stage_changes_nothing(house, stage):
    draft = await house.draft()
    sample = house.controller.sample(draft.id, by=OWNER, key="k")
    if stage == "queued":
        house.restart()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    if stage == "running":
        house.restart()
    house.runner.finish(house.machine(), SAMPLE)
    if stage == "finished":
        house.restart()
    await house.tick()
    if stage == "done":
        house.restart()
    await house.tick()
    assert house.job(sample).state is JobState.DONE
    assert [k for k in house.kinds(sample) if k == "done"] == ["done"]
    assert house.machine().state is MachineState.READY


async def test_the_picture_of_the_newest_attempt_is_there_once_the_machine_says_so(house):
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    house.runner.heartbeat(machine)
    await house.tick()
    assert not house.controller.has_frame(job)
    with pytest.raises(TooLate):
        house.controller.frame_file(job)
    grant = house.runner.grant(machine)
    put_bytes(grant.frame_url, b"png")
    status = house.store.attempts.of_job(job.id)[0].status
    told = Status(
        sequence=99, heartbeat_at=house.clock(), phase=status.phase, job=job.id, attempt=1,
        done=20, total=240, frame=True,
    )  # fmt: skip
    put_bytes(grant.status_url, to_json(told).encode())
    await house.tick()
    assert house.controller.has_frame(job)
    async with house.controller.frame_file(job) as path:
        assert path.read_bytes() == b"png"
    assert grant.frame_url.endswith(frame_key(job.id, 1))


async def test_a_rented_machine_goes_on_from_the_sample_to_the_whole(rented):
    draft = await rented.draft()
    rented.controller.sample(draft.id, by=OWNER, key="k")
    await rented.tick()
    machine = rented.machine()
    rented.runner.boot(machine)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.runner.finish(machine, SAMPLE, timings={"processing": 2.0})
    await rented.tick(40)
    await rented.tick(40)
    assert rented.machine().state is MachineState.READY
    assert (await rented.controller.request_start(draft.id, by=OWNER)).state is JobState.QUEUED
    await rented.tick()
    assert rented.runner.orders(machine).job == draft.id
    assert len(rented.provider.launches) == 1


async def test_a_sample_reserves_what_its_machine_may_cost_at_most(rented):
    assert isinstance(rented.provider, RentedProvider)
    draft = await rented.draft()
    rented.controller.sample(draft.id, by=OWNER, key="k")
    await rented.tick()
    machine = rented.machine()
    lifetime_h = (machine.expires_at - machine.created_at) / 3600
    assert machine.reserved_usd >= lifetime_h * machine.usd_per_hour > 0


async def test_a_sample_of_a_film_that_takes_too_long_finds_a_machine(rented):
    rented.provider.market = [make_offer(tflops=0.5)]
    film = to_json(dataclasses.replace(FACTS, duration_s=9000.0, frames=216_000))
    draft = rented.store.jobs.change(await rented.draft(), facts=json.loads(film))
    quote = await rented.controller.plan(draft)
    assert quote.hold is Reason.TOO_LONG
    sample = rented.controller.sample(draft.id, by=OWNER, key="k")
    assert rented.controller.estimate(sample).seconds < quote.seconds / 10
    await rented.tick()
    assert rented.job(sample).state is JobState.RUNNING
