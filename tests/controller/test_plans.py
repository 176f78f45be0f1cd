import asyncio

import pytest

from controller.errors import Unclear
from controller.planning import KEEP_S
from controller.providers.base import InstanceStatus
from controller.records import Actor
from controller.states import JobState
from remote_runner.protocol import Facts, Mode, Task, from_json
from tests.controller.conftest import video
from tests.controller.standins import make_offer
from tests.controller.test_renting import start

OWNER = Actor(7)
OUTPUT = video(width=640, height=360)


async def test_a_plan_says_what_the_market_has_and_what_the_cap_excludes(rented):
    rented.provider.market = [
        make_offer(id="a", machine_id="m1", name="RTX 3060", usd_per_hour=0.06),
        make_offer(id="b", machine_id="m2", name="RTX 4090", usd_per_hour=0.09, tflops=80.0),
        make_offer(id="c", machine_id="m3", name="A100", usd_per_hour=0.5),
        make_offer(id="d", machine_id="m4", name="L4", usd_per_hour=0.1304),
        make_offer(id="e", machine_id="m5", usd_per_hour=0.05, up_mbps=1.0),
    ]
    job = await rented.draft()
    quote = await rented.controller.plan(job)
    assert (quote.gpu, quote.usd_per_hour, quote.paid) == ("RTX 3060", 0.06, True)
    assert (quote.fitting, quote.removed) == (2, {"price": 2, "network": 1})
    assert (quote.cheapest_gpu, quote.cheapest_usd_per_hour) == ("L4", 0.131)
    assert (quote.width, quote.height, quote.frames_out) == (640, 360, 240)
    assert quote.low_usd <= quote.usd <= quote.high_usd
    assert quote.low_seconds < quote.seconds < quote.high_seconds
    assert (quote.measured, quote.unknown, quote.warm, quote.hold) == (False, False, False, None)
    assert quote.at == rented.clock.now
    best = (await rented.controller.quote(job)).best
    assert quote.usd == best.usd


async def test_what_was_planned_is_known_for_ten_minutes_and_this_task(rented):
    job = await rented.draft()
    assert rented.controller.known_plan(job) is None
    quote = await rented.controller.plan(job)
    assert rented.controller.known_plan(job) == quote
    other = Task(mode=Mode.INTERP)
    assert rented.controller.known_plan(job, other) is None
    smooth = await rented.controller.plan(job, other)
    assert smooth.frames_out == 480
    assert rented.controller.known_plan(job, other) == smooth
    rented.clock.advance(KEEP_S + 1)
    assert rented.controller.known_plan(job, other) is None


async def slow_down(house, monkeypatch, *, error=None):
    """A market that answers later; how often it was asked, and when it may go on."""
    asked, go = [], asyncio.Event()
    offers = house.provider.offers

    async def answer(need):
        asked.append(need)
        await go.wait()
        if error:
            raise error
        return await offers(need)

    monkeypatch.setattr(house.provider, "offers", answer)
    return asked, go


@pytest.mark.parametrize("error", [None, Unclear("no answer")])
async def test_many_who_ask_at_once_share_one_search(rented, monkeypatch, error):
    jobs = [await rented.draft(f"{number}.mp4") for number in range(8)]
    asked, go = await slow_down(rented, monkeypatch, error=error)
    tasks = [asyncio.create_task(rented.controller.plan(job)) for job in jobs]
    await asyncio.sleep(0.01)
    tasks[0].cancel()  # who came first goes: the others get their answer all the same
    await asyncio.sleep(0.01)
    go.set()
    quotes = await asyncio.gather(*tasks[1:])
    assert len(asked) == 2
    assert {quote.unknown for quote in quotes} == {error is not None}
    await rented.controller.plan(jobs[0])
    assert len(asked) == (3 if error else 2)


async def test_without_a_market_a_plan_is_from_what_was_known(rented, monkeypatch):
    job = await rented.draft()
    before = rented.controller.estimate(job)

    async def offers(need):
        raise Unclear("no answer")

    monkeypatch.setattr(rented.provider, "offers", offers)
    quote = await rented.controller.plan(job)
    assert (quote.unknown, quote.gpu, quote.fitting) == (True, "", 0)
    assert (quote.seconds, quote.usd) == (before.seconds, before.usd)


async def boot_and_finish(house, machine, **result):
    house.runner.heartbeat(machine)
    await house.tick()
    house.runner.finish(machine, OUTPUT, **result)
    for _ in range(2):
        await house.tick(20)


async def test_a_warm_machine_makes_it_sooner_and_cheaper(rented):
    job = await rented.draft("next.mp4")
    cold = await rented.controller.plan(job)
    _, machine = await start(rented)
    await boot_and_finish(rented, machine)
    warm = await rented.controller.plan(job)
    assert (warm.warm, warm.measured, warm.gpu) == (True, True, "RTX 3060")
    assert warm.seconds == 4.0  # as the job before it
    assert warm.low_seconds == warm.high_seconds == warm.seconds
    assert warm.low_usd == warm.high_usd == warm.usd < cold.usd
    assert warm.starts_in_s == 0.0


async def test_a_sample_makes_the_plan_exact(rented):
    draft = await rented.draft()
    rented.controller.sample(draft.id, by=OWNER, key="sample")
    await rented.tick()
    machine = rented.machine()
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    rented.runner.boot(machine)
    await rented.tick()
    content = video(width=640, height=360, duration_s=3.0, frames=72)
    rented.runner.heartbeat(machine)
    await rented.tick()
    # what is known of others of its kind is not what this one does
    rented.store.speeds.learn("RTX 3060", "upscale:auto:x2", 1e9)
    rented.runner.finish(
        machine, content, facts=from_json(Facts, content), timings={"processing": 6.0}
    )
    for _ in range(2):
        await rented.tick(20)
    quote = await rented.controller.plan(draft)
    assert (quote.warm, quote.measured) == (True, True)
    assert quote.low_seconds == quote.high_seconds == quote.seconds == pytest.approx(20.0)
    assert quote.low_usd == quote.high_usd == pytest.approx(20 / 3600 * machine.usd_per_hour)
    other = await rented.controller.plan(draft, Task(mode=Mode.INTERP))
    assert not other.measured


async def test_the_queue_and_the_machines_say_when_it_begins(rented):
    rented.change(max_machines=1)
    _, machine = await start(rented)
    for number in range(2):
        await rented.queued(f"{number}.mp4")
    rented.runner.heartbeat(machine)
    await rented.tick()
    job = await rented.draft("last.mp4")
    quote = await rented.controller.plan(job)
    assert quote.queue == 2
    each = rented.controller.estimate(job).seconds
    assert 2 * each < quote.starts_in_s <= 3 * each
    rented.change(max_machines=4)
    assert (await rented.controller.plan(job)).starts_in_s == 0.0


async def test_jobs_ahead_take_the_warm_machine(rented):
    _, machine = await start(rented)
    await boot_and_finish(rented, machine)
    job = await rented.draft("next.mp4")
    assert (await rented.controller.plan(job)).warm
    await rented.queued("ahead.mp4")
    assert not (await rented.controller.plan(job)).warm


async def test_a_machine_that_ends_too_soon_is_not_counted_on(rented):
    _, machine = await start(rented)
    await boot_and_finish(rented, machine)
    job = await rented.draft("next.mp4")
    rented.store.machines.change(rented.machine(), expires_at=rented.clock.now + 60)
    assert not (await rented.controller.plan(job)).warm


async def test_ones_own_computer_has_no_price(house):
    quote = await house.controller.plan(await house.draft())
    expected = house.controller.estimate(await house.draft())
    assert (quote.paid, quote.usd, quote.high_usd, quote.unknown) == (False, 0.0, 0.0, False)
    assert quote.seconds == expected.seconds
    assert quote.low_seconds < quote.seconds < quote.high_seconds
    assert quote.hold is None


async def test_a_start_is_never_faster_than_the_state_of_the_machine(rented):
    job = await rented.queued()
    await rented.tick()
    rented.provider.show(rented.machine().instance, status=InstanceStatus.PULLING)
    await rented.tick()
    assert rented.job(job).state is JobState.RUNNING
    other = await rented.draft("other.mp4")
    assert not (await rented.controller.plan(other)).warm
