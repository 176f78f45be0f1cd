import pytest

from controller import policy
from controller.errors import Forbidden, TooLate
from controller.states import JobState, Reason
from tests.controller.test_approvals import ADMIN, OWNER, expect_over_user, hold


async def fail(house, job):
    house.controller.cancel(job.id, by=OWNER)
    return house.job(job)


async def test_a_retry_of_what_came_to_nothing_keeps_what_was_agreed_to(rented):
    held = await hold(rented)
    queued = rented.controller.approve(held.id, by=ADMIN)
    rented.store.jobs.change(queued, approved_usd=0.50, cost_usd=0.20, approved_s=9000.0)
    await fail(rented, queued)
    again = rented.controller.retry(held.id, by=OWNER, key="again")
    assert again.state is JobState.QUEUED
    assert (again.approved_usd_per_hour, again.approved_s) == (0.131, 9000.0)
    assert again.approved_usd == pytest.approx(0.30)
    assert again.deadline_at == rented.clock.now + policy.QUEUE_S + 9000.0


async def test_a_retry_is_held_where_the_owner_has_no_budget_left(rented):
    job = await fail(rented, await rented.queued())
    expect_over_user(rented)
    again = rented.controller.retry(job.id, by=OWNER, key="again")
    assert (again.state, again.held_for) == (JobState.HELD, Reason.BUDGET)
    assert rented.kinds(again) == ["held"]
    with pytest.raises(Forbidden):
        rented.controller.approve(again.id, by=OWNER)
    assert rented.controller.approve(again.id, by=ADMIN).state is JobState.QUEUED


async def test_the_same_again_is_a_draft_with_nothing_agreed_to(rented):
    held = await hold(rented)
    queued = rented.controller.approve(held.id, by=ADMIN)
    with pytest.raises(TooLate):
        rented.controller.redo(held.id, by=OWNER, key="redo")
    await fail(rented, queued)
    again = rented.controller.redo(held.id, by=OWNER, key="redo")
    assert (again.state, again.task, again.source_key) == (
        JobState.DRAFT, held.task, held.source_key,
    )  # fmt: skip
    assert again.approved_usd_per_hour is None
    assert rented.controller.redo(held.id, by=OWNER, key="redo") == again
    assert (await rented.controller.request_start(again.id, by=OWNER)).state is JobState.HELD


async def test_an_input_that_is_gone_cannot_be_used_again(rented):
    job = await fail(rented, await rented.queued())
    rented.store.jobs.set_pruned(job.id)
    with pytest.raises(TooLate):
        rented.controller.redo(job.id, by=OWNER, key="redo")
    rented.store.jobs.change(rented.job(job), source_is_ours=False)
    assert rented.controller.redo(job.id, by=OWNER, key="redo").state is JobState.DRAFT


async def test_what_was_agreed_to_does_not_outlive_a_change_of_the_work(rented):
    queued = rented.controller.approve((await hold(rented)).id, by=ADMIN)
    await fail(rented, queued)
    expect_over_user(rented)
    again = rented.controller.retry(queued.id, by=OWNER, key="again")
    assert (again.state, again.approved_usd_per_hour) == (JobState.HELD, 0.131)
    taken = rented.controller.take_back(again.id, by=OWNER)
    assert (taken.approved_usd_per_hour, taken.approved_by) == (None, None)
