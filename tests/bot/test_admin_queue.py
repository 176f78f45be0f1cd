import pytest

from bot.cards.admin_callbacks import QueueAct, QueuePress
from bot.cards.queue import QueuePage, Stop, draw_drain
from controller.records import Actor
from controller.states import JobState
from tests.bot.pages import find_data, labels, press, shown, tap
from tests.bot.stage import ADMIN, OTHER, USER, Stage

BOSS = Actor(ADMIN, admin=True)


@pytest.fixture
async def jobs(stage):
    """Seven jobs in the queue."""
    made = []
    for number in range(7):
        made.append(await stage.house.queued(f"{number}.mp4", owner=USER + number % 2))
        stage.house.clock.advance(1)
    return made


def order(stage):
    return [job.source_name[0] for job in stage.house.controller.queue.listing()]


async def test_the_order_is_changed_by_buttons(stage, jobs):
    await stage.say(ADMIN, text="/queue", language="en")
    text = shown(stage).text
    assert text.startswith("🕓 Queue: 7\nUpdated ")
    assert f"1. 0.mp4 · ×2 · {jobs[0].short_id} · by {USER}" in text
    assert "4.mp4" in text and "5.mp4" not in text
    for label, expected in (
        ("⬇ 1", "1023456"),
        ("⏫ 5", "4102356"),
        ("⬆ 3", "4012356"),
        ("⏬ 1", "0123564"),
        ("⬆ 1", "0123564"),
    ):
        await tap(stage, label)
        assert order(stage) == list(expected), label
    await tap(stage, "2 ›")
    assert labels(stage)[:4] == ["⏫ 6", "⬆ 6", "⬇ 6", "⏬ 6"]
    stage.restart()
    await tap(stage, "⏫ 7")
    assert order(stage) == list("4012356")


async def test_a_job_that_has_left_the_queue_is_not_moved(stage, jobs):
    await stage.say(ADMIN, text="/queue")
    stage.house.controller.cancel(jobs[1].id, by=BOSS)
    assert (await tap(stage, "⏫ 2")).text == "Этой задачи в очереди уже нет"
    made_up = QueuePress(act=QueueAct.FIRST, job="0" * 26).pack()
    assert (await press(stage, made_up)).text == "Этой задачи в очереди уже нет"
    assert (await press(stage, QueuePress(act=QueueAct.UP).pack())).text.startswith("Эта кнопка")
    assert order(stage) == list("023456")


async def test_a_pause_starts_nothing_until_it_ends(stage, jobs):
    await stage.say(OTHER, text="/help")
    await stage.say(ADMIN, text="/queue", language="en")
    assert (await tap(stage, "Pause")).text == "Очередь на паузе"
    assert "⏸ На паузе" in shown(stage).text and "(A)" in shown(stage).text
    await stage.house.tick()
    assert stage.house.store.machines.select() == []
    await stage.say(ADMIN, text="/status", language="en")
    assert "⏸ The queue is paused." in shown(stage).text
    stage.restart()
    await stage.say(ADMIN, text="/queue", language="en")
    await tap(stage, "Go on")
    assert "пауз" not in shown(stage).text
    await stage.house.tick()
    assert stage.house.store.machines.select()


async def test_an_empty_queue_says_so(stage):
    await stage.say(ADMIN, text="/queue", language="en")
    assert shown(stage).text.endswith("Nobody waits.")
    assert labels(stage) == ["🔄 Refresh", "⏸ Pause"]


async def test_a_drain_is_asked_about_first(rented, bot_settings):
    rented.change(max_machines=1)
    stage = Stage(rented, bot_settings)
    for name in "abc":
        await rented.queued(f"{name}.mp4", owner=USER)
    await rented.tick()
    await stage.say(ADMIN, text="/drain", language="en")
    asked = shown(stage).text
    assert "Running: 1 job," in asked and "Waiting: 2 jobs," in asked
    await tap(stage, "No")
    assert rented.controller.queue.paused is None
    await stage.say(ADMIN, text="/drain", language="en")
    await tap(stage, "Yes, stop")
    assert rented.controller.queue.drained is not None
    assert "Ещё в работе: 1 задача." in shown(stage).text
    await stage.say(ADMIN, text="/drain", language="en")
    assert "Still running: 1 job." in shown(stage).text
    assert labels(stage) == ["🔄 Refresh", "▶ Go on"]
    await tap(stage, "Refresh")
    assert "Ещё в работе: 1 задача." in shown(stage).text
    data = find_data(stage, "Обновить")
    await stage.say(ADMIN, text="/drain off", language="en")
    assert rented.controller.queue.paused is None
    assert shown(stage).text.startswith("🕓 Queue: 2")
    # to look how far it is does not drain anew what goes on again
    await press(stage, data)
    assert rented.controller.queue.paused is None
    assert shown(stage).text.startswith("🕓 Очередь: 2")


def test_nothing_is_switched_off_while_machines_are_on_their_way_out(texts):
    stop = Stop(name="Ann", at=1.8e9, drained=True)
    for machines, told in ((2, "Ещё освобождаются машины: 2."), (0, "Можно выключать.")):
        page = QueuePage(place=QueuePress(), now=1.8e9, machines=machines, stop=stop)
        text = draw_drain(page, texts["ru"]).text.render()[0]
        assert told in text
        assert ("Можно" in text) is (machines == 0)


async def test_the_end_of_a_drain_says_that_nothing_runs(stage):
    await stage.say(ADMIN, text="/drain", language="en")
    await tap(stage, "Yes, stop")
    await stage.say(ADMIN, text="/drain", language="en")
    assert shown(stage).text.endswith("It can be switched off.")
    await tap(stage, "Go on")
    assert stage.house.controller.queue.drained is None


async def test_a_sample_keeps_its_place(stage, jobs):
    draft = await stage.house.draft("s.mp4", owner=USER)
    sample = stage.house.controller.sample(draft.id, by=Actor(USER), key="k")
    assert sample.state is JobState.QUEUED
    await stage.say(ADMIN, text="/queue")
    assert "1. s.mp4 · проба" in shown(stage).text
    assert "⏫ 1" not in labels(stage) and "⏫ 2" in labels(stage)
