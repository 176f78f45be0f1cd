import asyncio
import json

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError

from bot.terminal.rows import as_item, job_row
from controller.errors import StorageError
from tests.bot.stage import USER, Stage
from tests.bot.test_delivery import deliver
from tests.bot.test_notifier import finish, is_finished, running
from tests.controller.standins import _put


async def with_clip(stage, content=b"clip", **changes):
    job = await running(stage)
    _put(stage.house.runner.grant(stage.house.machine()).clip_url, content)
    await finish(stage, job, clip_bytes=len(content), **changes)
    return job


async def shown(stage, job):
    async with stage.showing():
        await stage.until(is_finished(stage, job))
        await stage.until(lambda: not stage.notifier._delivering)


async def test_the_clip_answers_the_result_quietly(stage):
    job = await with_clip(stage)
    await shown(stage, job)
    result, clip = stage.session.named("sendVideo")
    ((_, number),) = (at for at, method in stage.session.screen.items() if method is result)
    assert clip.chat_id == USER
    assert clip.reply_parameters.message_id == number
    assert clip.video.filename == result.video.filename.replace(".mp4", "_clip.mp4")
    assert clip.caption == "До и после, рядом"
    assert clip.disable_notification


async def test_a_result_too_large_for_the_chat_still_has_its_clip(
    house, bot_settings, monkeypatch
):
    monkeypatch.setattr(type(bot_settings), "upload_limit", property(lambda _: 10))
    stage = Stage(house, bot_settings)
    await shown(stage, await with_clip(stage))
    assert len(stage.session.named("sendVideo")) == 1
    assert stage.session.sent[-2].text.startswith("✅ clip.mp4")


async def test_a_large_clip_is_left_out_without_a_word(house, bot_settings, monkeypatch):
    monkeypatch.setattr(type(bot_settings), "upload_limit", property(lambda _: 1000))
    stage = Stage(house, bot_settings)
    job = await with_clip(stage, b"c" * 1001)
    sent = len(stage.session.sent)
    await shown(stage, job)
    assert len(stage.session.sent) == sent + 1


async def test_a_clip_that_was_only_spoken_of_is_left_out(stage):
    await deliver(stage, clip_bytes=5)
    assert len(stage.session.named("sendVideo")) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        TelegramBadRequest(method=None, message="Bad Request: wrong file"),
        TelegramNetworkError(method=None, message="broken"),
        StorageError("no answer"),
    ],
)
async def test_trouble_with_the_clip_never_sends_the_result_again(stage, monkeypatch, trouble):
    job = await with_clip(stage)
    if isinstance(trouble, StorageError):

        async def clip_bytes(job):
            raise trouble

        monkeypatch.setattr(stage.house.controller, "clip_bytes", clip_bytes)
    else:
        stage.session.faults["sendVideo"].extend([None, trouble])
    await shown(stage, job)
    results = [each for each in stage.session.named("sendVideo") if "640×360" in each.caption]
    assert len(results) == 1


async def test_what_went_on_behind_an_earlier_attempt_is_said(stage, texts):
    job = await running(stage)
    await finish(stage, job, resumed_frames=72)
    await shown(stage, job)
    (result,) = stage.session.named("sendVideo")
    assert "Сохранилось с прошлой попытки: 72 кадра" in result.caption
    assert "Сохранилось с прошлой попытки: 72 кадра" in stage.card_of(job).text
    item = as_item(stage.house.controller, stage.house.job(job), 1, texts["en"])
    row = job_row(stage.house.controller, item)
    assert (row["resumed_frames"], row["clip_url"]) == (72, None)


async def test_the_row_of_a_job_has_the_address_of_its_clip(stage, texts):
    job = await with_clip(stage)
    item = as_item(stage.house.controller, stage.house.job(job), 1, texts["en"])
    row = job_row(stage.house.controller, item)
    assert row["clip_url"].endswith(f"jobs/{job.id}/1/clip.mp4")
    assert json.dumps(row)


async def test_a_kill_while_the_clip_is_on_its_way_does_not_bring_the_result_again(stage):
    job = await with_clip(stage)
    on_its_way = asyncio.Event()

    async def hang(method):
        on_its_way.set()
        await asyncio.Event().wait()

    stage.session.faults["sendVideo"].extend([None, hang])
    async with stage.showing():
        await asyncio.wait_for(on_its_way.wait(), 3)
    assert is_finished(stage, job)()
    stage.restart()
    sent = len(stage.session.sent)
    await shown(stage, job)
    assert len(stage.session.sent) == sent
