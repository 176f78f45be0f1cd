"""The controller's loops on a bucket: what a rented machine may do with its URLs, and what not."""

import asyncio
import hashlib
import time
import urllib.error
import urllib.request

import pytest

from controller.providers.base import InstanceStatus
from controller.records import TERMINAL, Request
from controller.states import AttemptState, JobState, Reason
from controller.storage.s3 import S3Storage
from remote_runner import transfer
from remote_runner.protocol import (
    Check,
    Grant,
    Orders,
    Outcome,
    Phase,
    Result,
    Status,
    Task,
    from_json,
    to_json,
)
from tests.controller.conftest import House, video
from tests.controller.standins import RentedProvider, make_offer
from tests.standins.b2 import B2Standin

OUTPUT = video(width=640, height=360)


class BucketHouse(House):
    """Loops by hand, the bucket over HTTP."""

    def __init__(self, data_dir, clock, provider, b2) -> None:
        self.b2 = b2
        super().__init__(data_dir, clock, provider)

    def make_storage(self):
        return S3Storage(
            bucket=self.b2.bucket, key=self.b2.key, secret=self.b2.secret, endpoint=self.b2.url,
            region=self.b2.region, work_dir=self.settings.work_dir, clock=self.clock,
        )  # fmt: skip


class BucketRunner:
    """Follows orders with nothing but the URLs that it is given."""

    def __init__(self, orders_url, clock) -> None:
        self.orders_url = orders_url
        self.clock = clock
        self.sequence = 0

    async def grant(self) -> Grant:
        orders = from_json(Orders, await get(self.orders_url))
        return from_json(Grant, await get(orders.grant_url))

    async def finish(self, grant, output: bytes, folder, **changes) -> None:
        self.sequence += 1
        status = Status(
            sequence=self.sequence, heartbeat_at=self.clock(), phase=Phase.FINISHED,
            job=grant.job, attempt=grant.attempt, done=10, total=10,
        )  # fmt: skip
        path = folder / "output"
        path.write_bytes(output)
        await asyncio.to_thread(transfer.put_parts, grant.output_parts, path)
        await self.report(grant, output, **changes)
        await put(grant.status_url, to_json(status))

    async def report(self, grant, output: bytes, **changes) -> None:
        values = {
            "job": grant.job, "attempt": grant.attempt, "outcome": Outcome.DONE,
            "sha256": hashlib.sha256(output).hexdigest(), "bytes": len(output),
            "extension": "mp4", "checks": (Check(name="duration", passed=True, detail=""),),
            "device": "RTX 3060", "timings": {"processing": 4.0},
        }  # fmt: skip
        await put(grant.result_url, to_json(Result(**values | changes)))


async def get(url) -> bytes:
    return await asyncio.to_thread(transfer.read, url, 1 << 20)


async def put(url, text) -> None:
    await asyncio.to_thread(transfer.put_bytes, url, text.encode())


@pytest.fixture
async def world(tmp_path):
    """A house on a bucket with the real clock, and one job on a machine that runs."""
    provider = RentedProvider()
    provider.market = [make_offer(), make_offer(id="2", machine_id="m2")]
    async with B2Standin() as b2:
        house = BucketHouse(tmp_path / "data", Ahead(time.time), provider, b2)
        b2.put("input/c1/clip.mp4", video())
        request = Request(key="k", owner=0)
        job = await house.controller.accept_stored(request, path="input/c1/clip.mp4")
        house.controller.start(job.id, by=TERMINAL)
        await house.tick()
        machine = house.machine()
        provider.show(machine.instance, status=InstanceStatus.RUNNING)
        runner = BucketRunner(provider.launches[0].orders_url, house.clock)
        yield house, job, runner
        await house.storage.close()
        house.store.close()


class Ahead:
    """The real time, for signatures have it in them, and what the test adds to it."""

    def __init__(self, now) -> None:
        self._now = now
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._now() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


async def test_parts_are_put_together_by_the_controller_and_published(world, tmp_path):
    house, job, runner = world
    grant = await runner.grant()
    assert len(grant.output_parts) == 64
    await runner.finish(grant, OUTPUT, tmp_path)
    await house.tick(35)
    done = house.job(job)
    assert done.state is JobState.DONE
    assert house.b2.get(done.output_key) == OUTPUT
    assert done.sha256_by == "controller"
    assert house.b2.open_uploads() == []


@pytest.mark.parametrize(
    ("output", "changes", "complaint"),
    [
        (b"this is not a video", {}, "cannot be read"),
        (OUTPUT, {"bytes": len(OUTPUT) + 1}, "no output of the size"),
        (OUTPUT, {"sha256": "0" * 64}, "hash is not the one"),
        (OUTPUT, {"sha256": None}, "hash is not the one"),
        (video(width=320, height=180), {}, "320x180 is not 640x360"),
        (OUTPUT, {"checks": ()}, "gate did not pass"),
        (OUTPUT, {"extension": "sh"}, "never a .sh"),
    ],
)
async def test_a_host_that_lies_publishes_nothing(world, tmp_path, output, changes, complaint):
    house, job, runner = world
    await runner.finish(await runner.grant(), output, tmp_path, **changes)
    await house.tick(35)
    (attempt,) = house.store.attempts.of_job(job.id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, Reason.BAD_RESULT)
    assert complaint in attempt.detail
    assert house.b2.keys("output/") == []
    assert house.store.bans.active() == {"m1": "bad_result"}


async def test_a_result_without_an_object_publishes_nothing(world):
    house, job, runner = world
    await runner.report(await runner.grant(), OUTPUT)
    await house.tick(35)
    (attempt,) = house.store.attempts.of_job(job.id)
    assert attempt.reason is Reason.BAD_RESULT
    assert house.b2.keys("output/") == []


async def test_an_object_without_a_result_is_not_believed(world, tmp_path):
    house, job, runner = world
    grant = await runner.grant()
    path = tmp_path / "output"
    path.write_bytes(OUTPUT)
    await asyncio.to_thread(transfer.put_parts, grant.output_parts, path)
    await house.tick(35)
    assert house.job(job).state is JobState.RUNNING
    assert house.b2.keys("output/") == []


async def test_the_urls_of_a_machine_open_nothing_else(world):
    house, _job, runner = world
    grant = await runner.grant()
    assert grant.output_url == ""
    for url, key in (
        (grant.picture_url, "output/mine.mp4"),
        (grant.result_url, "jobs/other/1/result"),
        (grant.source_url, "input/c1/clip.mp4"),
    ):
        target = url.split("?")[0].rsplit(house.b2.bucket, 1)[0] + f"{house.b2.bucket}/{key}"
        request = urllib.request.Request(f"{target}?{url.split('?')[1]}", data=b"x", method="PUT")
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(urllib.request.urlopen, request)
        assert refused.value.code == 403
        refused.value.close()
    assert house.b2.get("input/c1/clip.mp4") == video()


async def test_a_bucket_at_its_cap_or_out_of_reach_is_no_verdict(world, tmp_path):
    house, job, runner = world
    await runner.finish(await runner.grant(), OUTPUT, tmp_path)
    house.b2.cap = True
    await house.tick(35)
    assert house.job(job).state is JobState.RUNNING
    house.b2.cap = False
    await house.tick(35)
    assert house.job(job).state is JobState.DONE


async def test_the_grant_after_a_crash_goes_on_with_the_same_upload(world, tmp_path):
    house, job, runner = world
    before = await runner.grant()
    (attempt,) = house.store.attempts.of_job(job.id)
    await house.context.mailbox.write_grant(house.machine(), job, attempt, "cuda")
    after = await runner.grant()
    assert len(house.b2.open_uploads()) == 1
    assert after.output_parts[0].split("?")[0] == before.output_parts[0].split("?")[0]
    await runner.finish(after, OUTPUT, tmp_path)
    await house.tick(35)
    assert house.job(job).state is JobState.DONE


def test_a_grant_with_all_its_urls_is_small_enough_for_the_runner():
    url = "https://" + "x" * 520
    grant = Grant(
        job="j" * 26, attempt=1, task=Task(), source_url=url,
        source_name="n" * 255, source_bytes=1, output_url=url, picture_url=url, status_url=url,
        log_url=url, result_url=url, result_seen_url=url, output_parts=(url,) * 64,
        deadline_at=1.0,
    )  # fmt: skip
    assert len(to_json(grant)) < 100_000
