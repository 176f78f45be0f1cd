import datetime

import pytest

from controller.errors import OverBudget
from controller.records import Actor, UserSpend
from remote_runner.protocol import Mode, Task
from tests.controller.conftest import video
from tests.controller.test_renting import start

OUTPUT = video(width=640, height=360)


async def test_a_running_job_costs_what_its_machine_does(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    before = rented.controller.spent_usd(rented.job(job))
    rented.clock.advance(1800)
    after = rented.controller.spent_usd(rented.job(job))
    assert after - before == pytest.approx(machine.usd_per_hour / 2)
    assert rented.job(job).cost_usd == 0.0
    rented.runner.finish(machine, OUTPUT)
    await rented.tick(0)
    done = rented.job(job)
    assert rented.controller.spent_usd(done) == done.cost_usd == pytest.approx(after)


async def test_people_have_what_machines_cost_while_they_worked_for_them(rented):
    job, machine = await start(rented)
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.clock.advance(200)
    rented.runner.finish(machine, OUTPUT)
    await rented.tick()
    rented.clock.advance(90)  # idle
    spending, since = rented.controller.spending, rented.clock.now - 86400
    assert spending.by_user(since) == [
        UserSpend(owner=7, usd=pytest.approx(rented.job(job).cost_usd), jobs=1)
    ]
    assert spending.of_user_today(7) == pytest.approx(rented.job(job).cost_usd)
    assert spending.of_user_today(8) == 0.0
    assert spending.of_house(since) == pytest.approx(machine.usd_per_hour * 90 / 3600)
    ((shown, usd),) = spending.by_machine_now()
    assert shown.id == machine.id
    assert usd == pytest.approx(spending.today_usd())


async def test_a_night_is_split_between_its_days(rented):
    midnight = rented.clock.now // 86400 * 86400 + 86400
    rented.clock.now = midnight - 600
    _, machine = await start(rented)
    began = machine.created_at
    rented.runner.heartbeat(machine)
    await rented.tick()
    rented.clock.now = midnight + 900
    rented.runner.heartbeat(machine)
    rented.runner.finish(machine, OUTPUT)
    await rented.tick(0)
    yesterday, today = rented.controller.spending.by_day(2)
    assert today.date - yesterday.date == datetime.timedelta(days=1)
    assert today.date == datetime.datetime.fromtimestamp(midnight, datetime.UTC).date()
    hour = machine.usd_per_hour
    assert yesterday.usd == pytest.approx(hour * (midnight - began) / 3600 + machine.traffic_usd)
    assert today.usd == pytest.approx(hour * 900 / 3600)
    assert (yesterday.jobs, today.jobs) == (0, 1)
    assert rented.controller.spending.of_user_today(7) == pytest.approx(hour * 900 / 3600)
    assert len(rented.controller.spending.by_day()) == 14


async def test_a_machine_that_never_came_costs_nobody_anything(rented):
    rented.provider.create_faults.append("refused")
    await rented.queued()
    await rented.tick()
    assert rented.controller.spending.today_usd() == 0.0
    assert sum(each.usd for each in rented.controller.spending.by_user(0)) == 0.0


async def test_what_a_sample_costs_is_its_owners_and_comes_off_their_budget(rented):
    draft = await rented.draft()
    owner, admin = Actor(7), Actor(1, admin=True)
    sample = rented.controller.sample(draft.id, by=owner, key="first")
    await rented.tick()
    machine = rented.machine()
    rented.runner.boot(machine)
    rented.runner.heartbeat(machine)
    await rented.tick(600)
    rented.runner.finish(machine, video(width=640, height=360, duration_s=3.0, frames=72))
    await rented.tick(40)
    spent_usd = rented.job(sample).cost_usd
    assert spent_usd == pytest.approx(machine.usd_per_hour * 641 / 3600, rel=0.01)
    spending, people = rented.controller.spending, rented.controller.people
    assert spending.of_user_today(7) == pytest.approx(spent_usd)
    people.set_day_budget(7, spent_usd, by=admin)
    rented.controller.set_task(draft.id, by=owner, task=Task(mode=Mode.BOTH))
    with pytest.raises(OverBudget):
        rented.controller.sample(draft.id, by=owner, key="second")
