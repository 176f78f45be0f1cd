import dataclasses

from aiogram.exceptions import TelegramBadRequest, TelegramEntityTooLarge, TelegramNetworkError

from bot.results import draw_caption, draw_link
from remote_runner.protocol import Facts, Result, from_json
from tests.bot.stage import Stage, buttons
from tests.bot.test_notifier import BLOCKED, finish, is_finished, running
from tests.controller.conftest import video


async def deliver(stage, **changes):
    job = await running(stage)
    await finish(stage, job, **changes)
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    return stage.house.job(job)


async def test_a_result_is_a_video_with_its_facts(stage):
    job = await deliver(stage, notes=("matrix_assumed:bt601",), dropped=("data:bin",))
    (sent,) = stage.session.named("sendVideo")
    assert (sent.width, sent.height, sent.duration, sent.supports_streaming) == (
        640,
        360,
        10,
        True,
    )
    assert sent.video.filename == job.output_key.rpartition("/")[2]
    lines = sent.caption.split("\n")
    assert lines[:3] == ["✅ clip.mp4", "640×360, 24 к/с", "10 с, 240 кадров"]
    assert "• цветовая матрица в файле не указана, принята bt601" in lines
    assert "• не перенесено: data:bin" in lines
    assert len(sent.caption) <= 1024
    assert sent.parse_mode is None


async def test_another_container_is_sent_as_a_document(stage):
    await deliver(stage, extension="mkv")
    (sent,) = stage.session.named("sendDocument")
    assert sent.document.filename.endswith(".mkv")
    assert sent.disable_content_type_detection


async def test_a_large_result_is_a_link(house, bot_settings, monkeypatch):
    monkeypatch.setattr(type(bot_settings), "upload_limit", property(lambda _: 10))
    stage = Stage(house, bot_settings)
    job = await deliver(stage)
    assert stage.session.named("sendVideo") == []
    sent = stage.session.sent[-1]
    assert house.controller.result_link(job) in sent.text
    assert not sent.disable_notification


async def test_a_web_link_is_a_button_and_no_preview(stage, texts):
    job = await deliver(stage)
    link = "https://s3.example.com/" + "k" * 450
    view = draw_link(job, link, 50_000_000, texts["en"])
    text, entities = view.text.render()
    assert link not in text
    assert [each.url for each in entities if each.type == "text_link"] == [link]
    assert buttons(type("M", (), {"reply_markup": view.keyboard})) == ["Open the result"]


async def test_a_file_that_telegram_refuses_becomes_a_link(stage):
    stage.session.faults["sendVideo"].append(
        TelegramEntityTooLarge(method=None, message="Request Entity Too Large")
    )
    job = await deliver(stage)
    assert stage.house.controller.result_link(job) in stage.session.sent[-1].text


async def test_a_broken_upload_is_repeated(stage):
    stage.session.faults["sendVideo"].extend(
        [TelegramNetworkError(method=None, message="reset")] * 3
    )
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 4


async def test_a_result_that_is_gone_is_said(stage):
    job = await running(stage)
    await finish(stage, job)
    (stage.house.settings.storage_dir / stage.house.job(job).output_key).unlink()
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    assert "в хранилище уже нет" in stage.session.sent[-1].text


async def test_a_chat_closed_at_the_end_ends_the_card(stage):
    stage.session.faults["sendVideo"].append(BLOCKED)
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_chat_that_is_no_more_ends_the_card(stage):
    stage.session.faults["sendVideo"].append(
        TelegramBadRequest(method=None, message="Bad Request: chat not found")
    )
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 1


async def test_the_longest_caption_fits(house, texts):
    job = await house.draft("clip.mp4")
    notes = tuple(f"{'n' * 200}{number}" for number in range(50))
    result = Result(
        job="j", attempt=1, outcome="done", facts=from_json(Facts, video()), notes=notes,
        dropped=("d" * 300,) * 50,
    )  # fmt: skip
    job = dataclasses.replace(job, result=result, source_name="x" * 3000, output_bytes=1)
    for language in ("ru", "en"):
        assert len(draw_caption(job, texts[language]).render()[0]) <= 1024
