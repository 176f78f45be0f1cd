import dataclasses

from controller.records import Actor
from controller.states import JobState
from remote_runner.protocol import Phase, Status, to_json
from tests.controller.conftest import video
from tests.controller.standins import _put

DOUBLED = video(width=640, height=360)


async def test_the_clip_of_a_result_can_be_fetched_once_it_is_there(house):
    job = await house.queued()
    await house.tick()
    assert house.controller.clip_link(house.job(job)) is None
    _put(house.runner.grant(house.machine()).clip_url, b"clip")
    house.runner.finish(house.machine(), DOUBLED, clip_bytes=4)
    await house.tick()
    done = house.job(job)
    assert done.state is JobState.DONE
    assert house.controller.clip_link(done).endswith(f"jobs/{job.id}/1/clip.mp4")
    assert await house.controller.clip_bytes(done) == 4
    async with house.controller.clip_file(done) as path:
        assert path.read_bytes() == b"clip"


async def test_a_clip_that_was_removed_has_no_address(house):
    job = await house.queued()
    await house.tick()
    _put(house.runner.grant(house.machine()).clip_url, b"clip")
    house.runner.finish(house.machine(), DOUBLED, clip_bytes=4)
    await house.tick()
    house.clock.advance(25 * 3600)
    await house.prune.tick()
    assert house.controller.clip_link(house.job(job)) is None


async def test_a_clip_that_a_machine_only_spoke_of_is_none(house):
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), DOUBLED, clip_bytes=4)
    await house.tick()
    assert await house.controller.clip_bytes(house.job(job)) == 0


async def test_the_preview_can_be_seen_while_the_work_goes_on(house):
    job = await house.queued()
    assert house.controller.preview_link(job) is None
    await house.tick()
    grant = house.runner.grant(house.machine())
    house.runner.heartbeat(house.machine())
    await house.tick()
    assert house.controller.preview_link(house.job(job)) is None
    _put(grant.preview_url, b"preview")
    status = Status(
        sequence=9, heartbeat_at=house.clock(), phase=Phase.PROCESSING, job=job.id, attempt=1,
        done=48, total=480, segments=1, preview=True,
    )  # fmt: skip
    _put(grant.status_url, to_json(status).encode())
    await house.tick()
    link = house.controller.preview_link(house.controller.get(job.id, by=Actor(7)))
    assert link == grant.preview_url
    _put(grant.status_url, to_json(dataclasses.replace(status, sequence=10)).encode())
    await house.tick()
    assert house.controller.attempt(job.id).status.segments == 1
