import pytest

from controller import policy
from controller.errors import OverBudget, Unclear
from controller.records import Actor
from controller.states import JobState, Reason
from tests.controller.standins import make_offer
from tests.controller.test_approvals import draft, expect_long

ADMIN, OWNER = Actor(1, admin=True), Actor(7)


def give(house, usd):
    house.controller.people.set_day_budget(7, usd, by=ADMIN)


@pytest.mark.parametrize("market", ["empty", "silent"])
async def test_a_persons_budget_holds_where_the_market_says_nothing(rented, monkeypatch, market):
    give(rented, 0.0)
    job = await draft(rented)
    rented.provider.market = []

    async def offers(need):
        raise Unclear("no answer")

    if market == "silent":
        monkeypatch.setattr(rented.provider, "offers", offers)
    quote = await rented.controller.plan(job)
    held = await rented.controller.request_start(job.id, by=OWNER)
    assert (held.state, held.held_for, quote.hold) == (
        JobState.HELD,
        Reason.BUDGET,
        Reason.BUDGET,
    )
    assert held.held_data["over"] == ["user_budget"]
    assert rented.controller.approve(job.id, by=ADMIN).state is JobState.QUEUED


async def test_an_owner_does_not_say_yes_to_more_than_their_budget_by_holding_first(rented):
    expect_long(rented)
    first, second = await draft(rented, "a.mp4"), await draft(rented, "b.mp4")
    give(rented, 1.5 * (await rented.controller.plan(first)).usd)
    for job in (first, second):
        held = await rented.controller.request_start(job.id, by=OWNER)
        assert held.held_data["over"] == ["time"]
    assert rented.controller.approve(first.id, by=OWNER).state is JobState.QUEUED
    held = rented.controller.approve(second.id, by=OWNER)
    assert (held.state, held.held_for) == (JobState.HELD, Reason.BUDGET)
    assert held.held_data["over"] == ["time", "user_budget"]
    assert rented.kinds(second) == ["drafted", "held", "held"]
    approved = rented.controller.approve(second.id, by=ADMIN)
    assert (approved.state, approved.approved_s) == (JobState.QUEUED, held.held_data["limit_s"])


async def test_a_repetition_that_is_held_keeps_the_time_that_was_agreed_to(rented):
    expect_long(rented)
    job = await draft(rented)
    await rented.controller.request_start(job.id, by=OWNER)
    queued = rented.controller.approve(job.id, by=OWNER)
    rented.controller.cancel(job.id, by=OWNER)
    give(rented, 0.0)
    again = rented.controller.retry(job.id, by=OWNER, key="again")
    assert again.state is JobState.HELD
    approved = rented.controller.approve(again.id, by=ADMIN)
    now = rented.clock.now
    assert approved.deadline_at == policy.queue_deadline(now, queued.approved_s)


async def test_a_job_that_got_its_yes_late_has_all_its_time(rented):
    rented.provider.market = [make_offer(usd_per_hour=0.2)]
    job = await rented.queued()
    await rented.tick()
    rented.clock.advance(policy.QUEUE_S - 60)
    agreed = await rented.controller.approve_price(job.id, by=ADMIN, at_most=0.2)
    assert agreed.deadline_at == rented.clock.now + policy.QUEUE_S


async def test_a_budget_of_nothing_buys_no_sample(rented):
    give(rented, 0.0)
    job = await rented.draft()
    with pytest.raises(OverBudget):
        rented.controller.sample(job.id, by=OWNER, key="k")


async def test_a_budget_of_nothing_is_enough_for_ones_own_computer(house):
    give(house, 0.0)
    job = await house.draft()
    assert house.controller.sample(job.id, by=OWNER, key="k").state is JobState.QUEUED


async def test_a_yes_to_a_price_is_none_to_a_budget_or_to_a_long_run(rented):
    slow = make_offer(tflops=0.001)
    rented.provider.market = [slow, make_offer(id="2", machine_id="m2", usd_per_hour=0.2)]
    rented.change(day_budget=0.05)
    job = await rented.queued()
    await rented.tick()
    assert rented.job(job).waits_for is Reason.NO_OFFER
    agreed = await rented.controller.approve_price(job.id, by=ADMIN, at_most=0.2)
    assert (agreed.approved_usd_per_hour, agreed.approved_usd, agreed.approved_s) == (
        0.2,
        None,
        None,
    )
    rented.clock.advance(200)
    await rented.tick()
    assert (rented.job(job).waits_for, rented.provider.launches) == (Reason.BUDGET, [])
