"""Segments and weights through presigned URLs of a bucket."""

import asyncio
import urllib.error
import urllib.request

import pytest

from controller.providers.base import InstanceStatus
from controller.records import TERMINAL, Request
from controller.states import JobState
from remote_runner import transfer
from remote_runner.protocol import Task
from tests.controller.conftest import video
from tests.controller.test_bucket_house import OUTPUT, BucketRunner, get, put, world

__all__ = ["world"]


async def lose_machine(house, job):
    """The runner of the next attempt, on another machine."""
    house.provider.alive.clear()
    for _ in range(40):
        await house.tick(30)
        if house.job(job).attempts == 2 and len(house.provider.launches) == 2:
            break
    (machine,) = (m for m in house.store.machines.select() if house.store.attempts.open_on(m.id))
    house.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    return BucketRunner(house.provider.launches[1].orders_url, house.clock)


async def test_what_a_lost_machine_put_into_the_bucket_is_read_by_the_next_one(world, tmp_path):
    house, job, runner = world
    lost = await runner.grant()
    assert len(lost.segments) == 2
    await put(lost.segments[0].content_url, "frames")
    await put(lost.segments[0].manifest_url, "{}")
    await put(lost.segments[1].content_url, "half of it")
    runner = await lose_machine(house, job)
    grant = await runner.grant()
    (found,) = grant.finished
    assert (found.number, await get(found.content_url)) == (0, b"frames")
    assert await get(found.manifest_url) == b"{}"
    assert (
        grant.segments[0].content_url.split("?")[0] != lost.segments[0].content_url.split("?")[0]
    )
    await runner.finish(grant, OUTPUT, tmp_path)
    for _ in range(3):
        await house.tick(35)
    assert house.job(job).state is JobState.DONE
    house.clock.advance(25 * 3600)
    await house.prune.tick()
    assert house.b2.keys(f"jobs/{job.id}/") == []
    assert house.b2.get(house.job(job).output_key) == OUTPUT


async def test_a_url_for_reading_a_segment_writes_none_and_opens_no_other(world):
    house, job, runner = world
    lost = await runner.grant()
    for url in (lost.segments[0].content_url, lost.segments[0].manifest_url):
        await put(url, "{}")
    grant = await (await lose_machine(house, job)).grant()
    url = grant.finished[0].content_url
    other = url.replace("/parts/00000-1.nut", "/1/result")
    for place, method in ((url, "PUT"), (other, "GET")):
        body = b"x" if method == "PUT" else None
        request = urllib.request.Request(place, data=body, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, request)
        assert refused.value.code == 403
        refused.value.close()


async def test_weights_come_from_exactly_the_key_that_the_task_names_and_from_the_mirror(world):
    house, first, runner = world
    house.b2.put("input/models/mine.pth", b"mine")
    house.b2.put("models/flownet_v4.6.pkl", b"published")
    house.b2.put("models/private.pth", b"nobody's but the operator's")
    house.b2.put("input/c1/other.mp4", video())
    house.controller.cancel(first.id, by=TERMINAL)
    task = Task(model=f"b2://{house.b2.bucket}/input/models/mine.pth")
    request = Request(key="other", owner=0)
    job = await house.controller.accept_stored(request, path="input/c1/other.mp4", task=task)
    assert job.task.model == "input/models/mine.pth"
    job = house.controller.start(job.id, by=TERMINAL)
    house.clock.advance(600)  # what was known of the mirror is old by then
    for _ in range(10):
        await house.tick(30)
        if house.job(job).attempts:
            break
    runner = BucketRunner(house.provider.launches[-1].orders_url, house.clock)
    grant = await runner.grant()
    assert grant.job == job.id
    read = {name: await get(url) for name, url in grant.weights.items()}
    assert read == {"input/models/mine.pth": b"mine", "flownet_v4.6.pkl": b"published"}
    assert transfer.local_path(grant.weights["flownet_v4.6.pkl"]) is None
