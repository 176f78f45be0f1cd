"""The settings page of a batch's card."""

from bot.cards.callbacks import BATCH_MARK, BatchAct, OptionPress, PagePress
from bot.cards.choices import Setting
from bot.defaults import find_task, save_task
from controller.states import JobState
from remote_runner.protocol import Task
from tests.bot.crowd import batch_card, last_toast, press, put, shows, the_batch
from tests.bot.stage import ADMIN, OTHER, USER, buttons
from tests.bot.test_batch_card import jobs_of


async def tap(stage, label, user=USER):
    """A button of the batch card, once it is there."""
    await stage.until(shows(stage))
    await stage.until(lambda: any(label in each for each in buttons(batch_card(stage))))
    card = batch_card(stage)
    rows = card.reply_markup.inline_keyboard
    found = next(each for row in rows for each in row if label in each.text)
    await stage.feed(stage.press(found.callback_data, user))


async def test_settings_are_for_all_files_and_for_the_next_ones(stage):
    await put(stage, "a.mp4", "b.mp4")
    async with stage.showing():
        await stage.say(text="/batch input/c1")
        await tap(stage, "Настройки")
        await stage.until(shows(stage, "⚙️ input/c1"))
        await tap(stage, "Кодек")
        await tap(stage, "AV1")
        await stage.until(lambda: "Кодек: AV1" in buttons(batch_card(stage)))
        assert {job.task.codec for job in jobs_of(stage)} == {"av1"}
        assert find_task(stage.house.controller, USER).codec == "av1"
        await tap(stage, "Назад")
        await tap(stage, "Старт для всех (2)")
    assert {(job.state, job.task.codec) for job in jobs_of(stage)} == {(JobState.QUEUED, "av1")}
    await stage.feed(stage.press(option(stage, Setting.CODEC, "hevc")))
    assert last_toast(stage) == "Эта кнопка уже не действует."
    assert {job.task.codec for job in jobs_of(stage)} == {"av1"}


def option(stage, setting=None, code=None):
    job = BATCH_MARK + the_batch(stage).id
    return OptionPress(job=job, setting=setting, code=code).pack()


async def test_settings_of_a_batch_suit_each_of_its_files(stage):
    await put(stage, "a.mp4")
    await put(stage, "b.mp4", width=1920, height=1080)
    save_task(stage.house.controller, USER, Task(size="720p"))
    await stage.say(text="/batch input/c1")
    assert [job.task.size for job in jobs_of(stage)] == ["720p", None]
    await stage.feed(stage.press(option(stage, Setting.SIZE, "1080p")))
    assert last_toast(stage) == "Эта кнопка уже не действует."
    await stage.feed(stage.press(option(stage, Setting.CODEC, "hevc")))
    assert [(job.task.size, job.task.codec) for job in jobs_of(stage)] == [
        ("720p", "hevc"), (None, "hevc"),
    ]  # fmt: skip


async def test_settings_of_a_batch_are_its_owners_and_admins(stage):
    await put(stage, "a.mp4")
    await stage.say(text="/batch input/c1")
    page = PagePress(job=BATCH_MARK + the_batch(stage).id, page="options").pack()
    for data in (page, option(stage, Setting.CODEC, "av1"), option(stage)):
        await stage.feed(stage.press(data, OTHER))
        assert last_toast(stage) == "Такой задачи нет, или она не ваша."
    await stage.feed(stage.press(page.replace("options", "nothing")))
    assert last_toast(stage) == "Эта кнопка уже не действует."
    assert jobs_of(stage)[0].task == Task()
    await press(stage, BatchAct.PRESET, ADMIN, value="x4")
    assert jobs_of(stage)[0].task.scale == 4
    for user in (ADMIN, USER):
        assert find_task(stage.house.controller, user) == Task()
