import asyncio
import hashlib

import pytest

from controller import bootstrap
from controller.grants import Grants, Lot
from controller.labels import Label
from controller.places import machine_prefix, output_key, segment_keys
from controller.providers.base import Launch, Need
from controller.records import Attempt
from controller.states import AttemptState
from remote_runner.protocol import (
    MARKER,
    Boot,
    BootPhase,
    Facts,
    Orders,
    Outcome,
    Phase,
    Result,
    Status,
    Task,
    from_json,
    to_json,
)
from tests.controller.conftest import video
from tests.simulation.faults import Fault
from tests.simulation.outside.storage import SimStorage
from tests.simulation.outside.vast_http import URL, make_provider

MACHINE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
JOB = "01BX5ZZKBKACTAV9WEVGEMMVRZ"
LIFE_S = 7200.0


class Rental:
    """A machine with orders, as the controller makes them, and nobody who watches it."""

    def __init__(self, outside) -> None:
        self.outside = outside
        self.storage = SimStorage(outside.process, outside.objects, outside.now)
        self.ends_at = outside.now() + LIFE_S
        self.label = str(Label("simulate", MACHINE, int(self.ends_at)))
        self.prefix = machine_prefix(MACHINE)
        self.sequence = 0

    async def start(self, *, job: bool = True, attempt: int = 1) -> None:
        url = self.storage.url_get
        await self.order(attempt if job else None)
        plan = bootstrap.BootPlan(
            orders_url=url(f"{self.prefix}orders", self.ends_at),
            boot_url=self.storage.url_put(f"{self.prefix}boot", self.ends_at),
            deadline_at=self.ends_at, device="cuda", git_url="https://git.sim/x", git_ref="main",
        )  # fmt: skip
        await self.storage.write(f"{self.prefix}second", bootstrap.second_script(plan))
        script = bootstrap.first_script(
            deadline_at=self.ends_at, api_url=URL, boot_url=plan.boot_url,
            second_url=url(f"{self.prefix}second", self.ends_at),
        )  # fmt: skip
        provider = make_provider(
            self.outside.process, self.outside.vast, "simulate", self.outside.now
        )
        (offer, *_) = await provider.offers(Need(disk_gb=20.0, max_usd_per_hour=0.1))
        launch = Launch(
            machine=MACHINE, label=self.label, orders_url=plan.orders_url,
            deadline_at=self.ends_at, env={}, script=script, image="i:1", disk_gb=20.0,
        )  # fmt: skip
        await provider.create(offer, launch)

    async def order(self, attempt: int | None = None, **changes) -> None:
        self.sequence += 1
        values = {
            "machine": MACHINE, "sequence": self.sequence, "deadline_at": self.ends_at,
            "idle_s": 60.0, "status_url": self.put(f"{self.prefix}status"),
        }  # fmt: skip
        if attempt is not None:
            url = self.storage.url_get(f"jobs/{JOB}/{attempt}/grant", self.ends_at)
            values |= {"job": JOB, "attempt": attempt, "grant_url": url}
        await self.storage.write(
            f"{self.prefix}orders", to_json(Orders(**values | changes)).encode()
        )

    async def grant(self, attempt=1, *, lots=(), **facts) -> None:
        source = video(**facts)
        await self.storage.write("input/a.mp4", source)
        job = FakeJob(from_json(Facts, source))
        grants = Grants(self.storage, segment_s=2.0, clock=self.outside.now)
        document = await grants.draw_up(job, make_attempt(attempt), "cuda", self.ends_at, lots)
        await self.storage.write(f"jobs/{JOB}/{attempt}/grant", document)

    def put(self, key):
        return self.storage.url_put(key, self.ends_at)

    def read(self, kind, key):
        data = self.outside.objects.newest(key)
        return data and from_json(kind, data)

    def result(self, attempt=1):
        return self.read(Result, f"jobs/{JOB}/{attempt}/result")

    @property
    def instance(self):
        return next(e for e in self.outside.vast.instances.values() if e.label == self.label)


class FakeJob:
    """As much of a job as a grant is drawn up from."""

    id = JOB
    sample_of = None
    source_key = "input/a.mp4"
    source_name = "a.mp4"
    source_etag = "1"
    source_is_ours = True
    source_bytes = 1000

    def __init__(self, facts) -> None:
        self.facts = facts
        self.task = Task()


def make_attempt(number):
    return Attempt(
        job=JOB, number=number, machine=MACHINE, state=AttemptState.ASSIGNED, version=1,
        assigned_at=0.0, started_at=None, seen_at=None, ended_at=None, deadline_at=2e9,
        status=None, reason=None, detail="", traffic_usd=0.0,
    )  # fmt: skip


def play_with_rental(simulated, play):
    async def run(outside):
        rental = Rental(outside)
        await rental.grant()
        await play(rental, outside)

    simulated(run)


def test_a_machine_boots_works_waits_and_ends_itself(simulated):
    async def play(rental, outside):
        await rental.start()
        await asyncio.sleep(600)
        assert rental.read(Boot, f"{rental.prefix}boot").phase is BootPhase.STARTING
        status = rental.read(Status, f"jobs/{JOB}/1/status")
        assert (status.phase, status.done, status.segments) == (Phase.FINISHED, 240, 5)
        assert status.preview and status.frame
        result = rental.result()
        await rental.storage.finish_upload(output_key(make_attempt(1)), result.bytes)
        output = outside.objects.newest(f"jobs/{JOB}/1/output")
        assert hashlib.sha256(output).hexdigest() == result.sha256
        facts = from_json(Facts, output)
        assert (facts.width, facts.height, facts.frames) == (640, 360, 240)
        assert rental.instance.printed.count(MARKER) == 1
        assert rental.read(Status, f"{rental.prefix}status").phase is Phase.IDLE
        assert not rental.instance.exists

    play_with_rental(simulated, play)


def test_a_machine_stops_where_its_orders_say_so(simulated):
    async def play(rental, outside):
        await rental.grant(duration_s=2000.0, frames=48000)
        await rental.start()
        await asyncio.sleep(500)
        await rental.order(1, cancel=True)
        await asyncio.sleep(60)
        assert rental.result().outcome is Outcome.CANCELLED
        await rental.order(stop=True)
        await asyncio.sleep(60)
        assert not rental.instance.exists

    play_with_rental(simulated, play)


def test_an_attempt_goes_on_behind_what_an_earlier_one_left(simulated):
    async def play(rental, outside):
        await rental.start()
        await asyncio.sleep(600)
        rental.outside.vast.end(rental.instance)
        content, _ = segment_keys(JOB, 3, 1)
        outside.objects.objects[content] = []
        await rental.grant(2, lots=[Lot(job=JOB, attempts={1})])
        await rental.start(attempt=2)
        await asyncio.sleep(600)
        work = outside.machines.works[JOB, 2]
        assert work.given == {0, 1, 2, 4}
        assert work.resumed == 3
        assert set(work.left) == {3, 4}
        assert rental.result(2).resumed_frames == 144

    play_with_rental(simulated, play)


def test_a_machine_ends_at_its_deadline_whatever_hangs(simulated):
    async def play(rental, outside):
        outside.force(Fault.RUNNER_HANGS, Fault.HOST_CLOCK_SKEW)
        await rental.start()
        await asyncio.sleep(LIFE_S - 400)
        assert rental.instance.exists
        await asyncio.sleep(800)
        assert not rental.instance.exists

    play_with_rental(simulated, play)


def test_a_machine_without_its_watchdog_never_says_that_it_is_armed(simulated):
    async def play(rental, outside):
        outside.force(Fault.WATCHDOG_MISSING)
        await rental.start()
        await asyncio.sleep(2 * LIFE_S)
        assert rental.instance.exists
        assert rental.read(Boot, f"{rental.prefix}boot") is None

    play_with_rental(simulated, play)


def test_nobody_is_there_any_more_so_the_machine_ends(simulated):
    async def play(rental, outside):
        await rental.start(job=False)
        await asyncio.sleep(400)
        outside.objects.objects.pop(f"{rental.prefix}orders")
        await asyncio.sleep(600)
        assert not rental.instance.exists

    play_with_rental(simulated, play)


@pytest.mark.parametrize("fault", [Fault.RUNNER_CRASHES, Fault.RUNNER_OUT_OF_MEMORY])
def test_a_runner_that_is_killed_is_started_again_and_one_that_fails_is_not(simulated, fault):
    async def play(rental, outside):
        outside.force(fault)
        await rental.start()
        await asyncio.sleep(900)
        killed = fault is Fault.RUNNER_OUT_OF_MEMORY
        assert bool(rental.result()) is killed

    play_with_rental(simulated, play)


def test_a_late_result_arrives_when_its_machine_is_long_gone(simulated):
    async def play(rental, outside):
        outside.force(Fault.RESULT_LATE)
        await rental.start()
        await asyncio.sleep(300)
        assert rental.result() is None
        outside.vast.end(rental.instance)
        await asyncio.sleep(1000)
        assert rental.result().outcome is Outcome.DONE

    play_with_rental(simulated, play)


@pytest.mark.parametrize("fault", [Fault.PART_MISSING, Fault.UPLOAD_TRUNCATED])
def test_an_upload_may_not_be_what_was_said(simulated, fault):
    async def play(rental, outside):
        outside.force(fault)
        await rental.start()
        await asyncio.sleep(600)
        (upload,) = outside.objects.uploads.values()
        assert sum(map(len, upload.parts.values())) < rental.result().bytes

    play_with_rental(simulated, play)


def test_a_machine_goes_on_while_its_host_is_cut_off(simulated):
    async def play(rental, outside):
        await rental.start()
        await asyncio.sleep(250)
        rental.instance.set_offline(True)
        await asyncio.sleep(200)
        rental.instance.set_offline(False)
        await asyncio.sleep(400)
        assert rental.result().outcome is Outcome.DONE

    play_with_rental(simulated, play)
