import asyncio

import pytest

from bot.cards.callbacks import NO_JOB, OptionPress, PagePress, PresetPress
from bot.cards.choices import Setting
from bot.cards.presets import Preset
from bot.defaults import find_task, save_task
from controller.states import JobState
from remote_runner.protocol import DENOISABLE, Mode, Task, to_json
from tests.bot.stage import ADMIN, OTHER, USER, buttons
from tests.bot.taps import press_data, tap_card

STALE = "Эта кнопка уже не действует."


async def test_a_setting_is_chosen_on_the_same_card_and_asks_a_new_quote(stage):
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Настройки")
        await stage.until(stage.shows(job, "⚙️ clip.mp4"))
        await tap_card(stage, job, "Размер: ×2")
        await stage.until(stage.shows(job, "Какого размера станет"))
        assert buttons(stage.card_of(job)) == [
            "✓ ×2", "×4", "720p", "1080p", "1440p", "4K", "‹ Назад",
        ]  # fmt: skip
        await tap_card(stage, job, "1080p")
        await stage.until(stage.shows(job, "Станет: 1920×1080"))
        assert "Размер: 1080p" in buttons(stage.card_of(job))
        await tap_card(stage, job, "Назад")
        await stage.until(stage.shows(job, "Выберите, что сделать"))
        task = stage.house.job(job).task
        await stage.until(lambda: stage.house.controller.known_plan(stage.house.job(job)))
    assert task == Task(size="1080p")
    assert len(stage.session.named("sendMessage")) == 1


async def test_what_was_chosen_last_is_where_the_next_video_begins(stage):
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Кадры ×2")
        await stage.plan(OTHER)
    assert stage.house.controller.jobs(owner=OTHER)[0].task == Task()
    stage.restart()
    again = await stage.plan(name="b.mp4")
    assert again.task == Task(mode=Mode.INTERP)


async def test_a_choice_that_makes_no_sense_for_the_next_video_gives_way(stage):
    save_task(stage.house.controller, USER, Task(size="720p", codec="hevc"))
    stage.session.file_bytes = b"""
        {"container": "mp4", "bytes": 1000, "duration_s": 10.0, "width": 1920, "height": 1080,
         "rotation": 0, "sar": "1:1", "fps": "24/1", "vfr": false, "frames": 240,
         "codec": "h264", "pix_fmt": "yuv420p", "bit_depth": 8, "matrix": "bt709",
         "range": "limited", "transfer": "bt709", "interlaced": false, "audio": [],
         "subtitles": [], "chapters": 0}"""
    job = await stage.plan(size=len(stage.session.file_bytes))
    assert stage.house.job(job).task == Task(codec="hevc")
    assert find_task(stage.house.controller, USER) == Task(size="720p", codec="hevc")


async def test_reset_brings_back_the_usual_for_this_video_and_the_next(stage):
    save_task(stage.house.controller, USER, Task(codec="av1", mode=Mode.BOTH))
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Настройки")
        assert await tap_card(stage, job, "Сбросить") == "Всё как обычно"
        await stage.until(lambda: "Сбросить" not in buttons(stage.card_of(job)))
    assert stage.house.job(job).task == find_task(stage.house.controller, USER) == Task()


async def test_noise_is_offered_where_the_model_can_take_it_out(stage):
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Настройки")
        await tap_card(stage, job, "Модель")
        await tap_card(stage, job, DENOISABLE)
        await tap_card(stage, job, "Шум: убрать")
        await tap_card(stage, job, "наполовину")
        await stage.until(lambda: "Шум: наполовину" in buttons(stage.card_of(job)))
    assert stage.house.job(job).task.denoise == 0.5


def option(job, setting=None, code=None):
    return OptionPress(job=job, setting=setting, code=code).pack()


async def test_choices_that_no_button_has_are_refused(stage):
    job = await stage.plan()
    for setting, code in [
        (Setting.SIZE, "8k"),
        (Setting.MODEL, "weights.pth"),
        (Setting.DENOISE, "half"),
        (Setting.RATE, "f2"),
        (Setting.QUALITY, None),
    ]:
        assert await press_data(stage, option(job.id, setting, code)) == STALE
    for data in (
        f"o:{job.id}:nonsense:x2", f"o:{job.id}:size:../../etc", "o:::", f"g:{job.id}:UPPER",
        f"g:{job.id}:nothing", f"p:{job.id}:x16", "t:-:1", f"w:{'9' * 30}", "o:" + "я" * 20,
    ):  # fmt: skip
        assert await press_data(stage, data) == STALE
    assert stage.house.job(job).task == Task()


async def test_strangers_turn_no_pages_and_choose_nothing(stage):
    job = await stage.plan()
    for data in (
        option(job.id, Setting.SIZE, "x4"),
        PagePress(job=job.id, page="options").pack(),
        PresetPress(job=job.id, preset=Preset.X4).pack(),
    ):
        assert await press_data(stage, data, OTHER) == "Такой задачи нет, или она не ваша."
    assert stage.house.job(job).task == Task()
    assert stage.notifier.shown(job.id).page == ""


async def test_pages_and_choices_of_a_started_job_are_stale(stage):
    job = await stage.plan()
    await stage.tap(job)
    for data in (
        option(job.id, Setting.SIZE, "x4"),
        PagePress(job=job.id, page="options").pack(),
        option(job.id),
    ):
        assert await press_data(stage, data) == STALE
    assert stage.house.job(job).state is JobState.QUEUED


async def test_an_admin_who_changes_anothers_job_keeps_the_own_defaults(stage):
    job = await stage.plan()
    await press_data(stage, option(job.id, Setting.SIZE, "x4"), ADMIN)
    assert stage.house.job(job).task.scale == 4
    assert find_task(stage.house.controller, ADMIN) == Task()
    assert find_task(stage.house.controller, USER) == Task()


async def test_the_page_of_a_card_survives_a_restart(stage):
    async with stage.showing():
        job = await stage.plan()
        await tap_card(stage, job, "Настройки")
        await stage.until(stage.shows(job, "⚙️ clip.mp4"))
    stage.restart()
    async with stage.showing():
        await asyncio.sleep(0.05)
        await tap_card(stage, job, "Кодек")
        await tap_card(stage, job, "AV1")
    assert stage.house.job(job).task.codec == "av1"


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_defaults_are_changed_without_a_video(stage, language):
    stage.house.controller.set_preference(USER, "language", language)
    await press_data(stage, PagePress(job=NO_JOB, page="options").pack())
    shown = stage.session.named("editMessageText")[-1]
    assert shown.text.startswith({"ru": "⚙️ Для следующих", "en": "⚙️ For your next"}[language])
    await press_data(stage, PagePress(job=NO_JOB, page="mode").pack())
    saved = {"ru": "Запомнил для следующих видео", "en": "Saved for your next videos"}
    assert await press_data(stage, option(NO_JOB, Setting.MODE, "both")) == saved[language]
    assert find_task(stage.house.controller, USER) == Task(mode=Mode.BOTH)
    assert (await stage.plan()).task == Task(mode=Mode.BOTH)
    await press_data(stage, option(NO_JOB))
    assert find_task(stage.house.controller, USER) == Task()
    stale = {"ru": STALE, "en": "This button no longer works."}
    assert await press_data(stage, option(NO_JOB, Setting.RATE, "60")) == stale[language]


@pytest.mark.parametrize(
    "noted",
    ["", "nonsense", "[]", '{"mode": "melt"}', to_json(Task(scale=7)), to_json(Task(model="a"))],
)
def test_what_an_older_version_has_noted_does_no_harm(house, noted):
    house.controller.set_preference(USER, "task", noted)
    assert find_task(house.controller, USER) == Task()


def test_a_weight_file_is_not_remembered(house):
    save_task(house.controller, USER, Task(model="models/own.pth", scale=4))
    assert find_task(house.controller, USER) == Task(scale=4)
