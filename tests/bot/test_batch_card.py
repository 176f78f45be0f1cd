import asyncio
import dataclasses
import json

import pytest

from bot.cards.batch import draw_batch, mark_held
from bot.cards.callbacks import BatchAct
from bot.cards.view import BatchSnapshot
from bot.handlers import batch as batch_handlers
from controller.records import Actor, Request
from controller.states import JobState, Reason
from remote_runner.protocol import Facts, from_json
from remote_runner.protocol import Reason as RunnerReason
from tests.bot.crowd import (
    album,
    all_cards,
    batch_card,
    deliver,
    handling,
    last_toast,
    press,
    put,
    shows,
    the_batch,
)
from tests.bot.stage import ADMIN, OTHER, USER, buttons, make_video
from tests.bot.test_notifier import BLOCKED
from tests.controller.conftest import video

OUTPUT = video(width=640, height=360)


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch):
    monkeypatch.setattr(batch_handlers, "SILENCE_S", 0.05)


def jobs_of(stage):
    return stage.house.controller.batches.jobs(the_batch(stage).id)


async def work_off(stage, *, fail=()):
    """Machines do what is queued, one after another; names in ``fail`` come to nothing."""
    for _ in range(60):
        await stage.house.tick()
        for machine in stage.house.store.machines.select():
            attempt = stage.house.store.attempts.open_on(machine.id)
            if attempt is None:
                continue
            job = stage.house.store.jobs.get(attempt.job)
            if job.source_name in fail:
                stage.house.runner.fail(machine, RunnerReason.CORRUPT)
            else:
                facts = from_json(Facts, OUTPUT)
                stage.house.runner.finish(machine, OUTPUT, facts=facts, extension="mp4")
        if all(job.state.is_terminal for job in jobs_of(stage)):
            return
    raise AssertionError([job.state for job in jobs_of(stage)])


async def test_a_folder_is_one_card_with_a_line_for_each_file(stage):
    await put(stage, "a.mp4", "b.mp4", "c.mp4")
    await stage.house.storage.write("input/c1/d.mp4", b"no video")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await stage.until(
            shows(stage, "input/c1", "3 файла", "a.mp4", "b.mp4", "c.mp4", "⛔ d.mp4")
        )
        await stage.until(shows(stage, "Займёт около"))
    assert "Старт для всех (3)" in buttons(batch_card(stage))
    assert len(stage.session.named("sendMessage")) == 1
    assert [job.state for job in jobs_of(stage)] == [JobState.DRAFT] * 3


async def test_an_empty_folder_and_a_missing_argument_are_explained(stage):
    await stage.say(text="/batch input/none")
    assert stage.session.sent[-1].text.startswith("Там нет видео")
    await stage.say(text="/batch")
    assert "/batch input/c1" in stage.session.sent[-1].text


async def test_others_files_are_not_listed(stage):
    await stage.house.storage.write("input/uploads/x/secret.mp4", OUTPUT)
    await stage.say(text="/batch input/uploads")
    assert stage.session.sent[-1].text.startswith("Там нет видео")


async def test_a_preset_is_for_all_and_start_all_starts_all(stage):
    await put(stage, "a.mp4", "b.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.PRESET, value="x4")
        await stage.until(shows(stage, "×4"))
        await press(stage, BatchAct.START)
    assert last_toast(stage) == "Запущено: 2 файла"
    assert {(job.state, job.task.scale) for job in jobs_of(stage)} == {(JobState.QUEUED, 4)}
    await press(stage, BatchAct.START)
    assert last_toast(stage) == "Эта кнопка уже не действует."


async def test_the_end_is_told_once_with_links_and_what_failed_can_be_retried(stage):
    await put(stage, "a.mp4", "b.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.START)
        await stage.until(shows(stage, "🕓 2"))
        await work_off(stage, fail=("b.mp4",))
        await stage.until(lambda: len(stage.session.named("sendMessage")) == 2)
        end = stage.session.sent[-1]
        assert not end.disable_notification
        assert "🏁 Закончено: input/c1" in end.text
        assert "✅ 1 готов · ❌ 1 не получился" in end.text
        assert "output/" in end.text
        assert buttons(end) == ["Повторить неудачные"]
        await press(stage, BatchAct.RETRY)
        assert last_toast(stage) == "Снова в очереди: 1 файл"
        await stage.until(shows(stage, "✅ a.mp4", "🕓 b.mp4"))
        await work_off(stage)
        await stage.until(lambda: len(stage.session.named("sendMessage")) == 3)
    assert "✅ 2 готовы" in stage.session.sent[-1].text
    assert len(jobs_of(stage)) == 2


async def test_what_was_done_before_is_left_out_until_it_is_asked_for(stage, monkeypatch):
    planned = note_plans(stage, monkeypatch)
    await put(stage, "a.mp4", "b.mp4")
    old = await stage.house.controller.accept_stored(
        Request(key="old", owner=USER), path="input/c1/a.mp4"
    )
    stage.house.controller.start(old.id, by=Actor(USER))
    await finish_one(stage, old)
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await stage.until(shows(stage, "↩️ a.mp4", "1 файл. Их пропущу"))
        assert "Старт для всех (1)" in buttons(batch_card(stage))
        await stage.until(lambda: planned == [{"b.mp4"}])
        await press(stage, BatchAct.AGAIN)
        await stage.until(lambda: "Старт для всех (2)" in buttons(batch_card(stage)))
        await stage.until(lambda: planned[-1] == {"a.mp4", "b.mp4"})
        await press(stage, BatchAct.START)
    assert last_toast(stage) == "Запущено: 2 файла"


def note_plans(stage, monkeypatch):
    """For which files the market was asked, each time."""
    planned = []
    batches = stage.house.controller.batches
    real = batches.plan

    async def plan(batch_id, *, by, only):
        planned.append({job.source_name for job in batches.jobs(batch_id) if job.id in only})
        return await real(batch_id, by=by, only=only)

    monkeypatch.setattr(batches, "plan", plan)
    return planned


async def test_a_bug_in_a_quote_leaves_the_card(stage, monkeypatch):
    async def plan(batch_id, **_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(stage.house.controller.batches, "plan", plan)
    await put(stage, "a.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await stage.until(shows(stage, "Рынок сейчас не отвечает"))
        await press(stage, BatchAct.START)
        await stage.until(shows(stage, "🕓 1"))


async def test_what_is_left_out_keeps_its_old_link(stage):
    await put(stage, "a.mp4", "b.mp4")
    old = await stage.house.controller.accept_stored(
        Request(key="old", owner=USER), path="input/c1/a.mp4"
    )
    stage.house.controller.start(old.id, by=Actor(USER))
    await finish_one(stage, old)
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.START)
        assert last_toast(stage) == "Запущено: 1 файл"
        await work_off(stage)
        await stage.until(lambda: "🏁" in (stage.session.sent[-1].text or ""))
    end = stage.session.sent[-1].text
    assert "↩️ 1 уже был сделан" in end
    assert stage.house.job(old).output_key in end


async def test_strangers_and_forged_presses_change_nothing(stage):
    await put(stage, "a.mp4")
    await stage.say(text="/batch input/c1")
    batch = the_batch(stage)
    for act in BatchAct:
        await press(stage, act, OTHER)
        assert last_toast(stage) == "Такой задачи нет, или она не ваша."
    await stage.feed(stage.press(f"bt:start:{'Z' * 26}:", USER))
    assert last_toast(stage) == "Такой задачи нет, или она не ваша."
    await press(stage, BatchAct.PRESET, USER, value="x9")
    assert last_toast(stage) == "Эта кнопка уже не действует."
    assert stage.house.controller.batches.jobs(batch.id)[0].state is JobState.DRAFT
    await press(stage, BatchAct.START, ADMIN)
    assert stage.house.controller.batches.jobs(batch.id)[0].state is JobState.QUEUED


async def test_cancel_asks_once_something_was_started(stage):
    await put(stage, "a.mp4", "b.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.START)
        await press(stage, BatchAct.ASK)
        await stage.until(shows(stage, "Отменить всё, что ещё не закончилось?"))
        await press(stage, BatchAct.NO)
        await stage.until(lambda: "Отменить всё" in buttons(batch_card(stage)))
        await press(stage, BatchAct.YES)
        await stage.until(lambda: all(job.state.is_terminal for job in jobs_of(stage)))
        await stage.until(lambda: all(card.finished for card in all_cards(stage)))
    assert len(stage.session.named("sendMessage")) == 1


async def test_what_is_being_cancelled_has_no_button_for_it(texts, house):
    batch = house.controller.batches.open(Request(key="k", owner=USER, chat=USER), name="c1")
    batch = house.controller.batches.finish(batch.id)
    job = dataclasses.replace(await house.draft(), state=JobState.RUNNING, started_at=1.0)
    going = dataclasses.replace(job, cancel_requested_at=2.0)
    for jobs, words in (((job, going), "Отменить всё"), ((going, going), "Отменяю…")):
        shot = BatchSnapshot(batch=batch, jobs=jobs, now=3.0)
        assert buttons_of(draw_batch(shot, texts["ru"])) == [words]


def buttons_of(view):
    return [each.text for row in view.keyboard.inline_keyboard for each in row]


async def test_twelve_files_have_two_pages(stage):
    await put(stage, *(f"{number:02}.mp4" for number in range(12)))
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await stage.until(shows(stage, "00.mp4", "09.mp4"))
        assert "11.mp4" not in batch_card(stage).text
        await press(stage, BatchAct.PAGE, value="1")
        await stage.until(shows(stage, "11.mp4"))
    assert "1/2" not in buttons(batch_card(stage))


async def test_an_album_is_one_card_and_one_turn(stage):
    deliver(stage, *album(stage, "a.mp4", "b.mp4", "c.mp4"))
    async with handling(stage):
        await stage.until(shows(stage, "Несколько видео", "3 файла", "a.mp4", "b.mp4", "c.mp4"))
        assert len(stage.session.named("setMessageReaction")) == 1
        await press(stage, BatchAct.START)
        await work_off(stage)
        await stage.until(lambda: len(stage.session.named("sendVideo")) == 3)
        await stage.until(lambda: "🏁" in str(stage.session.sent))
    assert len(stage.session.named("sendMessage")) == 2
    for sent in stage.session.named("sendVideo"):
        assert sent.disable_notification
    answered = {each.reply_parameters.message_id for each in stage.session.named("sendVideo")}
    assert answered == {job.reply_to for job in jobs_of(stage)}


@pytest.mark.parametrize("at", [0, 2])
async def test_a_command_in_the_caption_of_an_album_is_for_all_of_it(stage, at):
    updates = album(stage, "a.mp4", "b.mp4", "c.mp4")
    updates[at]["message"]["caption"] = "/x4"
    deliver(stage, *updates)
    async with handling(stage):
        await stage.until(shows(stage, "3 файла", "c.mp4"))
        await stage.until(lambda: {job.task.scale for job in jobs_of(stage)} == {4})


async def test_a_command_in_the_caption_of_one_of_several_files_is_for_that_one(stage):
    updates = album(stage, "a.mp4", "b.mp4", group=None)
    updates[1]["message"]["caption"] = "/x4"
    deliver(stage, *updates)
    async with handling(stage):
        await stage.until(shows(stage, "2 файла", "b.mp4"))
    assert {job.source_name: job.task.scale for job in jobs_of(stage)} == {"a.mp4": 2, "b.mp4": 4}


async def test_an_album_comes_in_beside_updates_of_no_known_shape(stage):
    # nobody has put them aside yet
    for number, odd in enumerate((5, [], {"chat": 1})):
        raw = {"update_id": 900 + number, "message": odd}
        stage.house.controller.inbox_add([(900 + number, json.dumps(raw))])
    for raw in album(stage, "a.mp4", "b.mp4"):
        await stage.feed(raw)
    assert [job.source_name for job in jobs_of(stage)] == ["a.mp4", "b.mp4"]


async def test_files_sent_at_once_are_one_batch_and_one_that_comes_alone_is_none(stage):
    deliver(stage, *album(stage, "a.mp4", "b.mp4", group=None))
    async with handling(stage):
        await stage.until(shows(stage, "2 файла"))
    await stage.say(video=make_video("alone.mp4"))
    (alone,) = [j for j in stage.house.controller.jobs() if j.source_name == "alone.mp4"]
    assert alone.batch is None


async def test_two_people_in_a_group_have_a_batch_each(stage):
    deliver(
        stage,
        *album(stage, "a.mp4", "b.mp4", chat=-5, kind="group"),
        *album(stage, "c.mp4", "d.mp4", chat=-5, kind="group", user=OTHER, group="g2"),
    )
    async with handling(stage):
        await stage.until(lambda: len(stage.house.controller.jobs()) == 4)
        await asyncio.sleep(0.2)
    batches = {(job.owner, job.batch) for job in stage.house.controller.jobs()}
    assert len(batches) == 2


async def test_a_file_that_is_too_large_is_a_line_with_its_reason(stage):
    large = stage.message(video=make_video("big.mp4", size=30 << 20), media_group_id="g1")
    deliver(stage, *album(stage, "a.mp4"), large)
    async with handling(stage):
        await stage.until(shows(stage, "⛔ big.mp4 · слишком велик для Telegram"))
    assert len(jobs_of(stage)) == 1


async def test_a_batch_counts_as_one_turn(stage):
    await put(stage, *(f"{number:02}.mp4" for number in range(25)))
    await stage.say(text="/batch input/c1")
    assert len(jobs_of(stage)) == 25
    job = await stage.plan()
    assert job.batch is None


async def test_a_sample_is_of_the_first_file(stage):
    await put(stage, "a.mp4", "b.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.SAMPLE)
    assert last_toast(stage) == "Делаю пробу первого файла"
    first = jobs_of(stage)[0]
    sample = stage.house.controller.newest_sample(first)
    assert (sample.sample_of, sample.batch) == (first.id, None)
    stage.house.controller.cancel(sample.id, by=Actor(first.owner))
    async with stage.showing():
        await press(stage, BatchAct.SAMPLE)
    assert stage.house.controller.newest_sample(first).id != sample.id


async def finish_one(stage, job):
    for _ in range(20):
        await stage.house.tick()
        for machine in stage.house.store.machines.select():
            if stage.house.store.attempts.open_on(machine.id):
                facts = from_json(Facts, OUTPUT)
                stage.house.runner.finish(machine, OUTPUT, facts=facts, extension="mp4")
        if stage.house.job(job).state.is_terminal:
            return
    raise AssertionError(stage.house.job(job).state)


async def test_a_batch_asks_admins_once_for_all_its_files(stage):
    await put(stage, "a.mp4", "b.mp4")
    store = stage.house.store.jobs
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        for job in jobs_of(stage):
            store.move(
                store.get(job.id), JobState.HELD, event="held", held_for=Reason.BUDGET,
                held_data={"usd": 1.5, "seconds": 60.0, "over": ["day_budget"]},
                deadline_at=stage.house.clock() + 1000,
            )  # fmt: skip
        asks = await stage.until(
            lambda: [each for each in stage.session.sent if each.chat_id == ADMIN]
        )
        await stage.until(shows(stage, "⏸ Ждёт согласия: 2 файла"))
        message = stage.house.controller.card(f"ask:{the_batch(stage).id}:{ADMIN}").message
        await stage.until(lambda: "3,00 $" in stage.session.screen[ADMIN, message].text)
        shown = mark_held(jobs_of(stage))
        await press(stage, BatchAct.APPROVE, USER, value=shown)
        assert last_toast(stage) == "Это может только администратор."
        await press(stage, BatchAct.APPROVE, ADMIN, value=mark_held(jobs_of(stage)[:1]))
        assert "условия изменились" in last_toast(stage)
        assert {job.state for job in jobs_of(stage)} == {JobState.HELD}
        await press(stage, BatchAct.APPROVE, ADMIN, value=shown)
        assert {job.state for job in jobs_of(stage)} == {JobState.QUEUED}
        await stage.until(lambda: not buttons(stage.session.screen[ADMIN, message]))
    assert len(asks) == 1
    assert len([each for each in stage.session.sent if each.chat_id == ADMIN]) == 1


async def test_a_closed_chat_is_told_of_the_end_when_it_is_open_again(stage):
    await put(stage, "a.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await press(stage, BatchAct.START)
        await stage.until(shows(stage, "🕓 1"))
        for name in ("editMessageText", "sendMessage"):
            stage.session.faults[name].extend([BLOCKED] * 20)
        await work_off(stage)
        await stage.until(lambda: all(card.finished for card in all_cards(stage)))
        stage.session.faults.clear()
        before = len(stage.session.sent)
        await stage.say(text="/help")
        await stage.until(lambda: "🏁" in str(stage.session.sent[before:]))
        await stage.until(shows(stage, "✅ a.mp4"))
