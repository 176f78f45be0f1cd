import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import policy
from controller.errors import (
    Forbidden,
    MarketSilent,
    NoSuchJob,
    NothingFits,
    PriceRose,
    TakesTooLong,
    TooLate,
    Unclear,
)
from controller.providers.base import InstanceStatus
from controller.records import TERMINAL, Actor
from controller.states import JobState, MachineState, Reason
from remote_runner.protocol import to_json
from tests.controller.conftest import FACTS, video
from tests.controller.standins import make_offer

ADMIN, OWNER, OTHER = Actor(1, admin=True), Actor(7), Actor(8)
OUTPUT = video(width=640, height=360)
DEAR = {"usd_per_hour": 0.1304}


async def draft(house, name="clip.mp4", **facts):
    """A draft whose video has other facts."""
    job = await house.draft(name)
    longer = to_json(dataclasses.replace(FACTS, **facts))
    return house.store.jobs.change(job, facts=json.loads(longer)) if facts else job


def expect_over_day(house):
    house.change(day_budget=0.01)


def expect_over_job(house):
    house.change(job_budget=0.01)


def expect_over_user(house):
    house.controller.people.set_day_budget(7, 0.0, by=ADMIN)


def expect_dear(house):
    house.provider.market = [make_offer(**DEAR), make_offer(id="2", usd_per_hour=0.2)]


def expect_long(house):
    house.provider.market = [make_offer(tflops=0.001)]


#: What is made of the world, what the job is then held for, who may say yes, and what that sets.
HOLDS = {
    "price": (expect_dear, Reason.NO_OFFER, ["price"], {"approved_usd_per_hour": 0.131}),
    "job budget": (expect_over_job, Reason.BUDGET, ["job_budget"], {"approved_usd": None}),
    "day budget": (expect_over_day, Reason.BUDGET, ["day_budget"], {"approved_usd": None}),
    "user budget": (expect_over_user, Reason.BUDGET, ["user_budget"], {}),
    "time": (expect_long, Reason.TOO_LONG, ["time"], {"approved_s": None}),
}


@pytest.mark.parametrize("name", sorted(HOLDS))
async def test_what_needs_a_yes_is_held_and_goes_its_way_after_it(rented, name):
    arrange, reason, over, columns = HOLDS[name]
    arrange(rented)
    job = await draft(rented)
    quote = await rented.controller.plan(job)
    held = await rented.controller.request_start(job.id, by=OWNER)
    assert (held.state, held.held_for, quote.hold) == (JobState.HELD, reason, reason)
    assert held.held_data == quote.hold_data
    assert held.held_data["over"] == over
    assert {"usd_per_hour", "usd", "seconds", "gpu", "limit_s"} <= set(held.held_data)
    assert held.deadline_at == rented.clock.now + policy.HOLD_S
    await rented.tick()
    assert rented.provider.launches == []

    if reason is not Reason.TOO_LONG:
        with pytest.raises(Forbidden):
            rented.controller.approve(job.id, by=OWNER)
    approver = OWNER if reason is Reason.TOO_LONG else ADMIN
    queued = rented.controller.approve(job.id, by=approver)
    assert (queued.state, queued.approved_by) == (JobState.QUEUED, approver.user)
    data = held.held_data
    given = {"approved_usd": data["usd"], "approved_s": data["limit_s"]}
    expected = {key: given.get(key) if value is None else value for key, value in columns.items()}
    names = ("approved_usd_per_hour", "approved_usd", "approved_s")
    assert {n: getattr(queued, n) for n in names if getattr(queued, n) is not None} == expected

    await rented.tick()
    assert len(rented.provider.launches) == 1
    machine = rented.machine()
    assert machine.reserved_usd <= data["usd"]
    assert machine.usd_per_hour <= data["usd_per_hour"]
    assert rented.kinds(job) == ["drafted", "held", "approved", "assigned"]


async def test_what_fits_is_queued_at_once(rented):
    job = await draft(rented)
    queued = await rented.controller.request_start(job.id, by=OWNER)
    assert (queued.state, queued.held_for) == (JobState.QUEUED, None)
    assert await rented.controller.request_start(job.id, by=OWNER) == queued


async def test_an_admins_own_press_is_held_too_and_the_admin_may_say_yes(rented):
    expect_dear(rented)
    job = await rented.draft(owner=ADMIN.user)
    held = await rented.controller.request_start(job.id, by=ADMIN)
    assert held.state is JobState.HELD
    assert rented.controller.approve(job.id, by=ADMIN).state is JobState.QUEUED


async def test_the_terminal_is_never_held_and_keeps_the_caps(rented):
    expect_dear(rented)
    job = rented.controller.start((await rented.draft()).id, by=TERMINAL)
    await rented.tick()
    assert rented.job(job).waits_for is Reason.NO_OFFER
    assert rented.provider.launches == []


async def test_without_a_market_a_start_is_queued_and_the_caps_hold(rented, monkeypatch):
    job = await draft(rented)

    async def offers(need):
        raise Unclear("no answer")

    monkeypatch.setattr(rented.provider, "offers", offers)
    quote = await rented.controller.plan(job)
    assert quote.unknown
    assert (await rented.controller.request_start(job.id, by=OWNER)).state is JobState.QUEUED
    await rented.tick()
    assert rented.provider.launches == []


async def test_nothing_that_could_never_run_is_asked_for(rented):
    rented.provider.market = [make_offer(tflops=0.0000001)]
    job = await draft(rented)
    with pytest.raises(TakesTooLong):
        await rented.controller.request_start(job.id, by=OWNER)
    assert rented.job(job).state is JobState.DRAFT


async def test_a_machine_that_lacks_more_than_the_price_is_not_proposed(rented):
    rented.provider.market = [make_offer(**DEAR, gpu_ram_gb=1.0)]
    job = await draft(rented)
    quote = await rented.controller.plan(job)
    assert (quote.hold, quote.cheapest_gpu, quote.fitting) == (None, None, 0)
    assert quote.removed == {"price": 1, "gpu_memory": 1}


async def hold(house, arrange=expect_dear):
    arrange(house)
    job = await draft(house)
    return await house.controller.request_start(job.id, by=OWNER)


async def test_a_no_cancels_the_job_and_is_told_once(rented):
    held = await hold(rented)
    with pytest.raises(Forbidden):
        rented.controller.decline(held.id, by=OWNER)
    declined = rented.controller.decline(held.id, by=ADMIN)
    assert (declined.state, declined.reason) == (JobState.CANCELLED, Reason.DECLINED)
    assert rented.controller.decline(held.id, by=ADMIN) == declined
    assert rented.kinds(held) == ["drafted", "held", "cancelled", "declined"]
    with pytest.raises(TooLate):
        rented.controller.approve(held.id, by=ADMIN)


async def test_the_owner_takes_a_held_job_back_and_changes_it(rented):
    held = await hold(rented)
    with pytest.raises(NoSuchJob):
        rented.controller.take_back(held.id, by=OTHER)
    taken = rented.controller.take_back(held.id, by=OWNER)
    assert (taken.state, taken.held_for, taken.held_data) == (JobState.DRAFT, None, {})
    assert rented.controller.take_back(held.id, by=OWNER) == taken
    with pytest.raises(TooLate):
        rented.controller.approve(held.id, by=ADMIN)


async def test_a_held_job_that_nobody_answers_ends_at_its_deadline(rented):
    held = await hold(rented)
    rented.clock.advance(policy.HOLD_S + 1)
    await rented.prune.tick()
    ended = rented.job(held)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, Reason.EXPIRED)


async def test_strangers_say_nothing(rented):
    held = await hold(rented)
    for deed in (rented.controller.approve, rented.controller.take_back):
        with pytest.raises(NoSuchJob):
            deed(held.id, by=OTHER)
    assert rented.job(held) == held


async def test_an_approved_price_is_for_its_job_alone(rented):
    held = await hold(rented)
    rented.controller.approve(held.id, by=ADMIN)
    other = await rented.queued("other.mp4")
    await rented.tick()
    assert rented.job(held).state is JobState.RUNNING
    assert rented.job(other).waits_for is Reason.NO_OFFER
    machine = rented.machine()
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    rented.runner.boot(machine)
    await rented.tick()
    rented.runner.heartbeat(machine)
    rented.runner.finish(machine, OUTPUT)
    for _ in range(3):
        await rented.tick(20)
    # the machine is warm, and dearer than what was agreed to for anybody else
    assert rented.job(held).state is JobState.DONE
    assert rented.machine().state is MachineState.READY
    assert rented.job(other).state is JobState.QUEUED


@pytest.mark.parametrize(("billed", "kept"), [(0.1310, True), (0.1400, False)])
async def test_the_bill_is_held_against_the_price_that_was_agreed_to(rented, billed, kept):
    held = await hold(rented)
    rented.controller.approve(held.id, by=ADMIN)
    await rented.tick()
    rented.provider.show(rented.machine().instance, usd_per_hour=billed)
    await rented.tick()
    assert (rented.machine().retire_requested_at is None) == kept


async def test_a_long_run_that_was_agreed_to_gets_its_time(rented):
    held = await hold(rented, expect_long)
    queued = rented.controller.approve(held.id, by=OWNER)
    assert queued.approved_s > rented.settings.job_timeout_s
    await rented.tick()
    machine = rented.machine()
    assert machine.expires_at - machine.created_at >= queued.approved_s + rented.settings.idle_s
    assert rented.store.attempts.open_on(machine.id).deadline_at > (
        rented.clock.now + queued.approved_s
    )
    rented.provider.show(machine.instance, status=InstanceStatus.RUNNING)
    rented.runner.boot(machine)
    await rented.tick()
    for _ in range(int(rented.settings.job_timeout_s / 200) + 3):
        rented.runner.heartbeat(machine)
        await rented.tick(200)
    assert rented.job(held).state is JobState.RUNNING
    assert rented.job(held).attempts == 1
    rented.clock.advance(queued.approved_s)
    rented.runner.heartbeat(machine)
    await rented.tick()
    assert rented.store.attempts.of_job(held.id)[0].reason is Reason.TIMEOUT


async def test_a_queued_job_gets_the_price_that_was_shown_and_no_higher_one(rented):
    expect_dear(rented)
    job = await rented.queued()
    await rented.tick()
    quote = await rented.controller.plan(rented.job(job))
    assert (quote.cheapest_gpu, quote.cheapest_usd_per_hour) == ("RTX 3060", 0.131)
    with pytest.raises(Forbidden):
        await rented.controller.approve_price(job.id, by=OWNER)
    rented.provider.market = [make_offer(usd_per_hour=0.15)]
    rented.clock.advance(60)
    with pytest.raises(PriceRose) as rose:
        await rented.controller.approve_price(job.id, by=ADMIN, at_most=0.131)
    assert rose.value.data["usd_per_hour"] == 0.15
    assert rented.job(job).approved_usd_per_hour is None
    agreed = await rented.controller.approve_price(job.id, by=ADMIN, at_most=0.15)
    assert (agreed.approved_usd_per_hour, agreed.waits_for) == (0.15, None)
    rented.clock.advance(200)
    await rented.tick()
    assert rented.machine().usd_per_hour == 0.15


async def test_no_price_helps_where_nothing_would_do(rented, monkeypatch):
    rented.provider.market = [make_offer(gpu_ram_gb=1.0)]
    job = await rented.queued()
    await rented.tick()
    with pytest.raises(NothingFits):
        await rented.controller.approve_price(job.id, by=ADMIN)

    async def offers(need):
        raise Unclear("no answer")

    monkeypatch.setattr(rented.provider, "offers", offers)
    rented.clock.advance(60)
    with pytest.raises(MarketSilent):
        await rented.controller.approve_price(job.id, by=ADMIN)


async def test_a_users_budget_counts_what_their_other_jobs_are_expected_to_cost(rented):
    first = await draft(rented, "a.mp4")
    expected = (await rented.controller.plan(first)).usd
    rented.controller.people.set_day_budget(7, expected * 1.5, by=ADMIN)
    started = await rented.controller.request_start(first.id, by=OWNER)
    assert started.state is JobState.QUEUED
    second = await draft(rented, "b.mp4")
    held = await rented.controller.request_start(second.id, by=OWNER)
    assert held.held_data["over"] == ["user_budget"]
    rented.clock.advance(86400)
    rented.controller.cancel(first.id, by=OWNER)
    rented.controller.take_back(second.id, by=OWNER)
    assert (await rented.controller.request_start(second.id, by=OWNER)).state is JobState.QUEUED


async def test_ones_own_computer_costs_nothing_and_asks_for_its_time_alone(house):
    expect_over_user(house)
    house.provider.price = 0.0
    job = await draft(house, duration_s=20_000.0, frames=480_000)
    held = await house.controller.request_start(job.id, by=OWNER)
    assert (held.held_for, held.held_data["over"]) == (Reason.TOO_LONG, ["time"])
    queued = house.controller.approve(job.id, by=OWNER)
    await house.tick()
    assert house.machine().expires_at > house.clock.now + queued.approved_s


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["approve", "decline", "take_back", "request_start"]), max_size=6))
async def test_an_approval_never_changes_another_job(rented, deeds):
    expect_dear(rented)
    others = []
    for state in ("held", "queued", "draft"):
        other = await draft(rented, f"{state}{rented.clock.now}.mp4")
        if state == "held":
            other = await rented.controller.request_start(other.id, by=OWNER)
        elif state == "queued":
            other = rented.controller.start(other.id, by=OWNER)
        others.append(other)
    job = await draft(rented, f"job{rented.clock.now}.mp4")
    await rented.controller.request_start(job.id, by=OWNER)
    for deed in deeds:
        try:
            if deed == "request_start":
                await rented.controller.request_start(job.id, by=OWNER)
            else:
                getattr(rented.controller, deed)(job.id, by=ADMIN)
        except TooLate:
            continue
    assert [rented.job(each) for each in others] == others
    for each in [*others, rented.job(job)]:
        if not rented.job(each).state.is_terminal:
            rented.controller.cancel(each.id, by=OWNER)
    rented.clock.advance(1)


async def test_terms_that_were_never_shown_are_not_agreed_to(rented):
    shown = await hold(rented)
    rented.controller.take_back(shown.id, by=OWNER)
    rented.provider.market = [make_offer(usd_per_hour=0.25)]
    rented.clock.advance(60)
    anew = await rented.controller.request_start(shown.id, by=OWNER)
    assert anew.held_data["usd_per_hour"] == 0.25
    with pytest.raises(PriceRose):
        rented.controller.approve(shown.id, by=ADMIN, version=shown.version)
    assert rented.job(shown).state is JobState.HELD
    approved = rented.controller.approve(shown.id, by=ADMIN, version=anew.version)
    assert approved.approved_usd_per_hour == 0.25


async def test_money_that_is_used_up_is_asked_for_again(rented):
    expect_over_job(rented)
    held = await rented.controller.request_start((await draft(rented)).id, by=OWNER)
    queued = rented.controller.approve(held.id, by=ADMIN)
    # an attempt that came to nothing has cost some of it
    rented.store.jobs.change(queued, cost_usd=0.05)
    await rented.tick()
    waiting = rented.job(held)
    assert (waiting.state, waiting.waits_for) == (JobState.QUEUED, Reason.NO_OFFER)
    agreed = await rented.controller.approve_price(held.id, by=ADMIN)
    assert agreed.approved_usd >= queued.approved_usd + 0.05 - 0.011
    rented.clock.advance(200)
    await rented.tick()
    assert len(rented.provider.launches) == 1
    assert rented.machine().reserved_usd + 0.05 <= agreed.approved_usd


async def test_many_that_are_started_in_a_row_share_a_search(rented):
    rented.controller.people.set_day_budget(7, 100.0, by=ADMIN)
    rented.change(day_budget=1000.0)
    rented.provider.market = [
        make_offer(id=str(n), machine_id=f"m{n}", usd_per_hour=0.04 + n / 1000) for n in range(60)
    ]
    first = await draft(rented)
    jobs = [
        rented.store.jobs.add(
            dataclasses.replace(first, id=f"01M87{n:021d}", request_key=f"many:{n}"), "drafted"
        )
        for n in range(40)
    ]
    for job in jobs:
        await rented.controller.request_start(job.id, by=OWNER)
    assert rented.controller.queue.ahead(first) == 40
    assert len(rented.provider.searches) == 1
    quote = await rented.controller.plan(first)
    assert quote.queue == 40
    assert quote.starts_in_s > 9 * 300
