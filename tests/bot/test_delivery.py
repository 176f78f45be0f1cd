import asyncio
import dataclasses

import pytest
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramServerError,
)

from bot.cards.results import Link, Obstacle, draw_caption, draw_result
from bot.screen.pace import Pace
from remote_runner.protocol import NOTES, Facts, Result, from_json
from tests.bot.stage import FAST, USER, Stage, buttons
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
    assert "Файл больше 0 МБ" in sent.text
    assert job.output_key in sent.text
    assert not sent.disable_notification


async def test_a_file_on_the_bots_computer_is_named_and_not_linked(stage, texts):
    job = await deliver(stage)
    link = stage.house.controller.result_link(job)
    assert link.startswith("file://")
    view = draw_result(job, Link(url=link), Obstacle.REFUSED, texts["en"], limit=50_000_000, now=0)
    text, entities = view.text.render()
    assert link not in text
    assert f"on the computer that runs the bot, in its storage: {job.output_key}" in text
    assert "larger than" not in text
    assert [each for each in entities if each.url] == []
    assert buttons(type("M", (), {"reply_markup": view.keyboard})) == ["Again with…"]


async def test_a_web_link_is_a_button_and_no_preview(stage, texts):
    job = await deliver(stage)
    link = "https://s3.example.com/" + "k" * 450
    view = draw_result(
        job, Link(url=link, expires_at=90.0), Obstacle.LARGE, texts["en"], limit=1, now=30.0
    )
    text, entities = view.text.render()
    assert link not in text
    assert "The link ends in 1 min." in text
    assert [each.unix_time for each in entities if each.type == "date_time"] == [90]
    assert [each for each in entities if each.url] == []
    (download, renew), (again,) = view.keyboard.inline_keyboard
    assert (download.text, download.url) == ("Download", link)
    assert (renew.text, again.text) == ("New link", "Again with…")


async def test_a_large_result_in_a_bucket_comes_as_a_button_with_its_web_link(stage, monkeypatch):
    link = "https://s3.example.com/output/clip.mp4?X-Amz-Signature=" + "k" * 400
    monkeypatch.setattr(stage.house.storage, "link", lambda key, **_: link)
    monkeypatch.setattr(type(stage.settings), "upload_limit", 10)
    await deliver(stage)
    sent = stage.session.sent[-1]
    assert stage.session.named("sendVideo") == []
    assert link not in sent.text
    assert sent.reply_markup.inline_keyboard[0][0].url == link


async def test_a_file_that_telegram_refuses_becomes_a_link(stage):
    stage.session.faults["sendVideo"].append(
        TelegramEntityTooLarge(method=None, message="Request Entity Too Large")
    )
    job = await deliver(stage)
    assert "Telegram не принял файл." in stage.session.sent[-1].text
    assert job.output_key in stage.session.sent[-1].text


@pytest.mark.parametrize(
    "words", ["not enough rights to send videos to the chat", "CHAT_SEND_VIDEOS_FORBIDDEN"]
)
async def test_a_group_that_forbids_media_gets_the_text(stage, words):
    stage.session.faults["sendVideo"].append(
        TelegramBadRequest(method=None, message=f"Bad Request: {words}")
    )
    job = await deliver(stage)
    assert "В этот чат нельзя отправлять файлы." in stage.session.sent[-1].text
    assert job.output_key in stage.session.sent[-1].text


async def test_a_group_that_forbids_text_is_closed(stage):
    stage.session.faults["sendVideo"].append(
        TelegramBadRequest(
            method=None, message="Bad Request: not enough rights to send text messages to the chat"
        )
    )
    await deliver(stage)
    assert [each.__api_method__ for each in stage.session.sent] == ["sendMessage", "sendVideo"]


async def test_a_broken_upload_is_repeated(stage):
    stage.session.faults["sendVideo"].extend(
        [TelegramNetworkError(method=None, message="reset")] * 2
    )
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 3


@pytest.mark.parametrize(
    "fault",
    [
        TelegramNetworkError(method=None, message="Request timeout error"),
        TelegramServerError(method=None, message="Bad Gateway"),
    ],
)
async def test_after_three_broken_uploads_the_text_goes_out(stage, fault):
    stage.session.faults["sendVideo"].extend([fault] * 3)
    job = await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 3
    assert "Не удалось отправить файл через Telegram." in stage.session.sent[-1].text
    assert job.output_key in stage.session.sent[-1].text


async def test_an_outage_of_everything_does_not_end_the_uploads(stage):
    reset = TelegramNetworkError(method=None, message="reset")
    job = await running(stage)
    await finish(stage, job)
    stage.session.faults["sendVideo"].extend([reset] * 3)
    stage.session.faults["sendMessage"].append(reset)
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    assert len(stage.session.named("sendVideo")) == 4


async def test_an_unknown_failure_is_tried_until_it_passes(house, bot_settings):
    pace = dataclasses.replace(FAST, stubborn=FAST.backoff)
    stage = Stage(house, bot_settings, pace=pace)
    stage.session.faults["sendVideo"].extend([RuntimeError("novel")] * 8)
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 9


def test_the_waits_after_unknown_failures_grow_to_five_minutes():
    waits = [Pace().stubborn.wait_s(failures) for failures in (1, 2, 5, 9, 10, 99)]
    assert waits == [1, 2, 16, 256, 300, 300]


@pytest.mark.parametrize("result", [{"message_id": 1234, "novel": 1}, {}])
async def test_a_result_whose_answer_cannot_be_read_is_sent_once(stage, result):
    stage.session.faults["sendVideo"].append(
        ClientDecodeError("Failed to deserialize", ValueError(), {"ok": True, "result": result})
    )
    await deliver(stage)
    assert len(stage.session.named("sendVideo")) == 1
    assert len(stage.session.sent) == 2


async def test_a_message_whose_answer_cannot_be_read_has_its_id(stage):
    answer = {"ok": True, "result": {"message_id": 1234, "novel": 1}}
    stage.session.faults["sendMessage"].append(
        ClientDecodeError("Failed to deserialize", ValueError(), answer)
    )
    job = await stage.plan()
    assert stage.house.controller.card(job.id).message == 1234


@pytest.mark.parametrize("body", ["<html>", {"ok": False}, [1]])
async def test_an_answer_that_is_no_yes_stays_an_error(stage, body):
    stage.session.faults["sendMessage"].append(ClientDecodeError("Failed", ValueError(), body))
    with pytest.raises(ClientDecodeError):
        await stage.bot.send_message(USER, "a")


async def test_a_result_that_is_gone_is_said(stage):
    job = await running(stage)
    await finish(stage, job)
    (stage.house.settings.storage_dir / stage.house.job(job).output_key).unlink()
    stage.house.clock.advance(300)
    async with stage.showing():
        await stage.until(is_finished(stage, job))
    assert "в хранилище уже нет" in stage.session.sent[-1].text


async def test_a_result_that_does_not_show_yet_is_waited_for(stage):
    job = await running(stage)
    await finish(stage, job)
    path = stage.house.settings.storage_dir / stage.house.job(job).output_key
    hidden = path.rename(path.with_suffix(".hidden"))
    async with stage.showing():
        await asyncio.sleep(0.1)
        hidden.rename(path)
        await stage.until(is_finished(stage, job))
    assert len(stage.session.named("sendVideo")) == 1
    texts = [each.text for each in stage.session.named("sendMessage")]
    assert not any("в хранилище уже нет" in text for text in texts)


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
        assert len(draw_caption(job, texts[language])) <= 1024


async def test_a_caption_of_all_notes_fits_and_begins_with_what_was_left_out(house, texts):
    job = await house.draft("clip.mp4")
    notes = tuple(f"{code}:bt470bg" for code in sorted(NOTES))
    result = Result(
        job="j", attempt=1, outcome="done", facts=from_json(Facts, video()), notes=notes,
        dropped=tuple("\U0001f600" * 300 for _ in range(50)),
    )  # fmt: skip
    job = dataclasses.replace(job, result=result, source_name="я" * 3000, output_bytes=1)
    for language, dropped in (("ru", "• не перенесено: "), ("en", "• not carried over: ")):
        caption = draw_caption(job, texts[language])
        text, _ = caption.render()
        assert len(text.encode("utf-16-le")) // 2 == len(caption) <= 1024
        (first,) = [line for line in text.split("\n") if line.startswith(dropped)]
        assert first.endswith(", +42")
        notes_shown = [line for line in text.split("\n") if line.startswith("• ")]
        assert notes_shown[0] == first
        assert len(notes_shown) > 3


async def test_without_dropped_streams_more_than_eight_notes_are_shown(house, texts):
    job = await house.draft("clip.mp4")
    notes = tuple(f"{code}:1" for code in sorted(NOTES))
    result = Result(job="j", attempt=1, outcome="done", facts=None, notes=notes)
    job = dataclasses.replace(job, result=result)
    assert draw_caption(job, texts["en"]).render()[0].count("• ") > 12
