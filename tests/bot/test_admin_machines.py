import pytest

from bot.cards.admin_callbacks import MachineAct, MachinePress
from controller.providers.base import InstanceStatus
from controller.states import (
    GIVEN_BACK,
    MAX_ATTEMPTS,
    AttemptState,
    JobState,
    MachineState,
    Reason,
)
from remote_runner.protocol import Phase
from tests.bot.pages import labels, press, shown, tap
from tests.bot.stage import ADMIN, USER, Stage
from tests.controller.conftest import video
from tests.controller.standins import make_offer


@pytest.fixture
def stage(rented, bot_settings):
    return Stage(rented, bot_settings)


async def working(stage, age_s=7200.0):
    """A job on a rented machine at $0.06 an hour."""
    job = await stage.house.queued("theirs.mp4", owner=USER)
    house = stage.house
    await house.tick()
    house.provider.show(house.machine().instance, status=InstanceStatus.RUNNING)
    house.clock.advance(age_s)
    return job


async def test_each_machine_with_its_price_its_job_and_its_end(stage):
    await working(stage)
    await stage.say(ADMIN, text="/machines", language="en")
    lines = shown(stage).text.split("\n")
    assert lines[0] == "Machines: 1, $0.06/h together"
    assert lines[3:] == [
        "1. RTX 3060 — starting",
        "$0.06/h, $0.12 so far, rented 2 h ago",
        "Works on theirs.mp4: 0%",
        lines[-1],
    ]
    assert lines[-1].startswith("Ends by itself ")
    moments = [each for each in shown(stage).entities if each.type == "date_time"]
    assert moments[-1].unix_time == int(stage.house.machine().expires_at)
    assert labels(stage) == ["⏏ Give back 1", "🔄 Refresh"]


async def test_no_machine_says_so(stage):
    await stage.say(ADMIN, text="/machines")
    assert (shown(stage).text, labels(stage)) == ("Машин сейчас нет.", ["🔄 Обновить"])


async def test_a_machine_is_given_back_after_a_question_and_its_job_tries_again(stage):
    job = await working(stage, age_s=30)
    machine = stage.house.machine()
    await stage.say(ADMIN, text="/machines")
    await tap(stage, "Вернуть 1")
    assert "Задача theirs.mp4 начнёт ещё одну попытку" in shown(stage).text
    await tap(stage, "Нет")
    assert stage.house.machine().retire_requested_at is None
    await tap(stage, "Вернуть 1")
    assert (await tap(stage, "Да, вернуть")).text == "Возвращаю"
    assert "освобождается" in shown(stage).text
    assert labels(stage) == ["🔄 Обновить"]
    await stage.house.tick()
    (attempt,) = stage.house.store.attempts.of_job(job.id)
    assert (attempt.state, attempt.reason) == (AttemptState.LOST, Reason.STOPPED)
    assert stage.house.job(job).state is JobState.QUEUED
    for _ in range(4):
        await stage.house.tick(60)
    assert stage.house.store.machines.get(machine.id).state is MachineState.GONE
    assert machine.instance in stage.house.provider.destroyed


async def test_a_job_that_would_fail_without_its_machine_is_named(stage):
    stage.house.provider.market = [make_offer(id=str(n), machine_id=f"m{n}") for n in range(3)]
    job = await working(stage, age_s=30)
    for _ in range(MAX_ATTEMPTS - 1):
        stage.house.store.machines.request_retire(stage.house.machine().id, GIVEN_BACK)
        for _ in range(6):
            await stage.house.tick(60)
    assert stage.house.job(job).attempts == MAX_ATTEMPTS
    await stage.say(ADMIN, text="/machines")
    await tap(stage, "Вернуть 1")
    assert shown(stage).text.endswith(
        "Для задачи theirs.mp4 это последняя попытка: она закончится неудачей."
    )
    await tap(stage, "Да, вернуть")
    await stage.house.tick()
    assert stage.house.job(job).state is JobState.FAILED


async def test_an_idle_machine_is_given_back_at_once(stage):
    await working(stage, age_s=30)
    house = stage.house
    house.runner.boot(house.machine())
    await house.tick()
    house.runner.heartbeat(house.machine(), phase=Phase.UPLOADING)
    await house.tick()
    house.runner.finish(house.machine(), video(width=640, height=360))
    for _ in range(3):
        await house.tick()
    machine = house.machine()
    assert machine.state is MachineState.READY
    await stage.say(ADMIN, text="/machines", language="en")
    await tap(stage, "Give back 1")
    assert shown(stage).text.endswith("Вернуть RTX 3060 сейчас?")
    await tap(stage, "Да, вернуть")
    await house.tick()
    assert machine.instance in house.provider.destroyed


async def test_a_machine_that_is_gone_or_made_up_is_not_given_back(stage):
    await working(stage)
    await stage.say(ADMIN, text="/machines")
    made_up = MachinePress(act=MachineAct.YES, machine="0" * 26).pack()
    assert (await press(stage, made_up)).text == "Эта машина уже освобождается"
    data = MachinePress(act=MachineAct.YES, machine=stage.house.machine().id).pack()
    assert (await press(stage, data)).text == "Возвращаю"
    assert (await press(stage, data)).text == "Эта машина уже освобождается"
    # asking about one that is not there asks nothing
    await press(stage, MachinePress(act=MachineAct.ASK, machine="0" * 26).pack())
    assert "Да, вернуть" not in labels(stage)


async def test_many_machines_have_pages(rented, bot_settings):
    rented.change(max_machines=8, job_budget=100.0, day_budget=100.0)
    stage = Stage(rented, bot_settings)
    rented.provider.market = [
        make_offer(id=str(n), machine_id=f"m{n}", name="GPU " + "x" * 300) for n in range(8)
    ]
    for number in range(8):
        await rented.queued(f"{number}.mp4", owner=100 + number)
    for _ in range(4):
        await rented.tick()
    await stage.say(ADMIN, text="/machines", language="en")
    assert shown(stage).text.startswith("Machines: 8, $0.4")
    assert len(shown(stage).text) < 4096
    assert "⏏ Give back 6" in labels(stage) and "⏏ Give back 7" not in labels(stage)
    await tap(stage, "2 ›")
    assert [each for each in labels(stage) if "⏏" in each] == ["⏏ Вернуть 1", "⏏ Вернуть 2"]
    await press(stage, MachinePress(page=999).pack())
    assert "‹ 1" in labels(stage)


async def test_a_local_machine_has_no_price(house, bot_settings):
    stage = Stage(house, bot_settings)
    house.provider.price = 0.0
    await house.queued("a.mp4", owner=USER)
    await house.tick()
    await stage.say(ADMIN, text="/machines", language="en")
    assert "$" not in shown(stage).text
    assert "Started 1 s ago" in shown(stage).text
