import asyncio
import dataclasses
import json

import pytest

from bot.terminal import overview
from bot.terminal.overview import find_credit, show_status
from controller.errors import BadKey, RateLimited, Unclear
from controller.providers.base import InstanceStatus
from controller.records import Actor
from tests.bot.stage import ADMIN, USER, Stage
from tests.controller.standins import make_offer


@pytest.fixture
def stage(rented, bot_settings):
    return Stage(rented, bot_settings)


async def working(stage):
    """A job on a rented machine that has cost something: two hours at $0.06."""
    job = await stage.plan(name="theirs.mp4")
    await stage.tap(job)
    house = stage.house
    await house.tick()
    house.provider.show(house.machine().instance, status=InstanceStatus.RUNNING)
    house.clock.advance(7200)
    return job


async def admins_status(stage, language="en"):
    await stage.say(ADMIN, text="/status", language=language)
    return stage.session.sent[-1].text.split("\n")


async def test_an_admins_status_has_each_machine_with_its_cost_and_the_money(stage):
    await working(stage)
    stage.house.provider.credit = 12.345
    lines = await admins_status(stage)
    assert lines[-3:] == [
        "Machines: 1",
        "• RTX 3060 — starting, $0.06/h, $0.12 so far",
        "Spent today: $0.12. Credit: $12.34.",
    ]
    (last,) = (await admins_status(stage, "ru"))[-1:]
    assert last.startswith("Потрачено сегодня: ") and "12,34" in last


@pytest.mark.parametrize("error", [Unclear("no answer"), BadKey("refused"), RateLimited("later")])
async def test_trouble_of_the_provider_never_breaks_a_status(stage, error):
    async def credit_usd():
        raise error

    stage.house.provider.credit_usd = credit_usd
    lines = await admins_status(stage)
    assert lines[-1] == "Spent today: $0.00. The credit is not known."


async def test_a_provider_that_does_not_answer_holds_up_no_status(stage, monkeypatch):
    monkeypatch.setattr(overview, "_CREDIT_S", 0.02)

    async def credit_usd():
        await asyncio.sleep(60)

    stage.house.provider.credit_usd = credit_usd
    assert await find_credit(stage.house.controller) is None


async def test_other_users_see_no_machines_and_no_money(stage):
    await working(stage)
    await stage.say(USER, text="/status", language="en")
    text = stage.session.sent[-1].text
    assert "$" not in text and "RTX" not in text


async def test_many_machines_fit_into_one_message(rented, bot_settings):
    rented.settings = dataclasses.replace(
        rented.settings, max_machines=30, job_budget=100.0, day_budget=100.0
    )
    rented.restart()
    stage = Stage(rented, bot_settings)
    rented.provider.market = [
        make_offer(id=str(n), machine_id=f"m{n}", name="RTX 6000 Ada Generation " + "x" * 40)
        for n in range(30)
    ]
    for number in range(30):
        await rented.queued(f"{number}.mp4", owner=100 + number)
    for _ in range(10):
        await rented.tick()
    assert len(rented.store.machines.select()) == 30
    lines = await admins_status(stage)
    assert "Machines: 30" in lines
    assert "…and 25 more" in lines
    assert len("\n".join(lines)) < 4096


async def test_the_terminals_status_tells_the_same(stage, texts, capsys):
    job = await working(stage)
    await show_status(stage.house.controller, texts["en"], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{job.short_id}  running")
    assert lines[1].endswith("RTX 3060 @ $0.060/hr, $0.120 so far")
    assert lines[2] == "spent today $0.120, credit $10.00"


async def test_the_rows_of_a_status_have_what_each_machine_cost(stage, texts, capsys):
    await working(stage)
    machine = stage.house.machine()
    await show_status(stage.house.controller, texts["en"], as_json=True)
    document = json.loads(capsys.readouterr().out)
    (row,) = document["machines"]
    assert row["instance_id"] == machine.instance
    assert row["usd_per_hour"] == 0.06
    assert row["cost_usd"] == pytest.approx(0.12, abs=0.001)
    assert document["spent_today_usd"] == pytest.approx(0.12, abs=0.001)


async def test_a_job_that_waits_says_why_on_its_card_and_then_goes_on(stage):
    stage.house.provider.credit = 0.01
    async with stage.showing():
        job = await stage.plan()
        await stage.tap(job)
        await stage.until(stage.shows(job, "В очереди"))
        await stage.house.tick()
        await stage.until(stage.shows(job, "Ждёт: на счёте аренды нет денег."))
        stage.house.provider.credit = 5.0
        await stage.house.tick(400)
        await stage.until(lambda: "Ждёт" not in stage.card_of(job).text)


async def test_a_job_that_waits_says_why_in_the_list_and_in_the_terminal(stage, texts, capsys):
    stage.house.provider.market = [make_offer(usd_per_hour=0.2)]
    job = await stage.plan()
    stage.house.controller.start(job.id, by=Actor(USER))
    await stage.house.tick()
    await stage.say(text="/status", language="en")
    assert "waits: no machine fits the job within the limits" in stage.session.sent[-1].text
    await show_status(stage.house.controller, texts["en"], as_json=False)
    line = capsys.readouterr().out.splitlines()[0]
    assert (
        "no machine fits the job within the limits (none of 1 offers fits under $0.100/hr" in line
    )
