import asyncio
import dataclasses

import pytest
from aiogram.exceptions import TelegramBadRequest

from bot.cards.callbacks import Act, JobPress, LinkPress, Place
from bot.cards.results import AS_FILE, Link, Obstacle, draw_result
from bot.texts import LANGUAGES
from controller.states import JobState
from remote_runner.protocol import NOTES
from tests.bot.stage import OTHER, USER, Stage, buttons
from tests.bot.taps import find_button, last_toast, press_data, tap_card, tap_on
from tests.bot.test_delivery import deliver
from tests.bot.test_notifier import finish, is_finished, running
from tests.controller.standins import _put

STALE = "Эта кнопка уже не действует."


@pytest.fixture
def public(house, bot_settings):
    house.change(public_url="https://bot.example.com")
    return Stage(house, bot_settings)


async def test_a_result_has_its_short_link_what_it_cost_and_its_hash(public):
    job = await deliver(public)
    (sent,) = public.session.named("sendVideo")
    assert buttons(sent) == ["Скачать", "Новая ссылка", "Сделать иначе…"]
    assert find_button(sent, "Скачать").url.startswith("https://bot.example.com/d/")
    lines = sent.caption.split("\n")
    assert "Ссылка перестанет работать через 168 ч." in lines
    assert lines[-1] == f"SHA-256 {job.output_sha256}"
    kinds = [each.type for each in sent.caption_entities]
    assert "expandable_blockquote" in kinds and "date_time" in kinds
    assert not sent.disable_notification


async def test_without_a_web_address_there_is_nothing_to_download_by_a_button(stage):
    await deliver(stage)
    (sent,) = stage.session.named("sendVideo")
    assert buttons(sent) == ["Сделать иначе…"]
    assert "Ссылка" not in sent.caption


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("why", [AS_FILE, *Obstacle])
async def test_a_caption_keeps_its_limit_whatever_is_to_be_told(stage, texts, why, language):
    job = await deliver(stage, notes=tuple(sorted(NOTES)), dropped=("data:bin",) * 9)
    job = dataclasses.replace(job, source_name="я" * 500, cost_usd=1.5)
    link = Link(url="https://bot.example.com/d/x", expires_at=99.0)
    view = draw_result(job, link, why, texts[language], limit=50_000_000, now=1.0)
    text = view.text.render()[0]
    assert len(text.encode("utf-16-le")) // 2 <= 1024
    assert job.output_sha256 in text
    for row in view.keyboard.inline_keyboard:
        assert all(each.url or len(each.callback_data.encode()) <= 64 for each in row)


async def test_picture_and_clip_come_together_quietly_behind_the_result(stage):
    job = await running(stage)
    grant = stage.house.runner.grant(stage.house.machine())
    _put(grant.clip_url, b"clip")
    _put(grant.picture_url, b"picture")
    await finish(stage, job, clip_bytes=4)
    async with stage.showing():
        await stage.until(lambda: stage.session.named("sendMediaGroup"))
    (album,) = stage.session.named("sendMediaGroup")
    assert [each.type for each in album.media] == ["photo", "video"]
    assert album.disable_notification
    assert album.reply_parameters.message_id == max(n for _, n in stage.session.screen)
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_picture_that_is_refused_leaves_the_clip(stage):
    job = await running(stage)
    grant = stage.house.runner.grant(stage.house.machine())
    _put(grant.clip_url, b"clip")
    _put(grant.picture_url, b"picture")
    stage.session.faults["sendMediaGroup"].append(
        TelegramBadRequest(method=None, message="Bad Request: PHOTO_INVALID_DIMENSIONS")
    )
    await finish(stage, job, clip_bytes=4)
    async with stage.showing():
        await stage.until(lambda: len(stage.session.named("sendVideo")) == 2)
    assert stage.session.named("sendVideo")[-1].disable_notification


async def test_a_picture_alone_is_sent_too_and_its_refusal_does_no_harm(stage):
    job = await running(stage)
    _put(stage.house.runner.grant(stage.house.machine()).picture_url, b"picture")
    stage.session.faults["sendPhoto"].append(
        TelegramBadRequest(method=None, message="Bad Request: PHOTO_INVALID_DIMENSIONS")
    )
    await finish(stage, job)
    async with stage.showing():
        await stage.until(lambda: stage.session.named("sendPhoto"))
        await asyncio.sleep(0.05)
        assert stage.house.controller.card(job.id).finished
    assert len(stage.session.named("sendVideo")) == 1


async def test_a_new_link_is_put_in_the_place_of_the_old_which_leads_nowhere(public):
    job = await deliver(public)
    (sent,) = public.session.named("sendVideo")
    old = find_button(sent, "Скачать").url
    public.house.clock.advance(3600)
    toast = await press_data(public, LinkPress(job=job.id, why=AS_FILE).pack())
    assert toast.startswith("Вот новая ссылка.")
    # the stage shows every pressed message as a text
    edited = public.session.named("editMessageText")[-1]
    new = find_button(edited, "Скачать").url
    assert new != old
    links = public.house.controller.links
    assert await links.resolve(old.rpartition("/")[2]) is None
    assert (await links.resolve(new.rpartition("/")[2])).job.id == job.id
    assert "Ссылка перестанет работать через 168 ч." in edited.text


async def test_under_a_file_its_caption_is_edited(public):
    job = await deliver(public)
    raw = public.press(LinkPress(job=job.id, why=AS_FILE).pack())
    message = raw["callback_query"]["message"]
    del message["text"]
    message["caption"] = "result"
    await public.feed(raw)
    assert find_button(public.session.named("editMessageCaption")[-1], "Скачать")
    # what is too old to be shown is answered with a new message
    raw = public.press(LinkPress(job=job.id, why=Obstacle.LARGE).pack())
    raw["callback_query"]["message"] = {
        "chat": raw["callback_query"]["message"]["chat"], "message_id": 3, "date": 0,
    }  # fmt: skip
    await public.feed(raw)
    assert "слишком большой" in public.session.named("sendMessage")[-1].text


async def test_links_are_renewed_by_their_owner_only_and_forged_ones_are_stale(public):
    job = await deliver(public)
    link = public.house.controller.links.link(job)
    data = LinkPress(job=job.id, why=AS_FILE).pack()
    assert await press_data(public, data, OTHER) == "Такой задачи нет, или она не ваша."
    assert await press_data(public, LinkPress(job=job.id, why="novel").pack()) == STALE
    draft = await public.plan(name="b.mp4")
    assert await press_data(public, LinkPress(job=draft.id, why=AS_FILE).pack()) == STALE
    assert public.house.controller.links.link(job) == link


async def test_again_makes_one_new_plan_card_however_often_it_is_pressed(stage):
    job = await deliver(stage)
    again = JobPress(act=Act.AGAIN, job=job.id, at=Place.RESULT).pack()
    async with stage.showing():
        assert await press_data(stage, again) == "Новая карточка ниже."
        draft = stage.house.controller.jobs(owner=USER)[0]
        await stage.until(
            lambda: (card := stage.house.controller.card(draft.id)) and card.message is not None
        )
        await stage.until(stage.shows(draft, "Выберите, что сделать"))
        first = stage.house.controller.card(draft.id).message
        await press_data(stage, again)
        await stage.until(
            lambda: stage.house.controller.card(draft.id).message not in (None, first)
        )
        assert len(stage.house.controller.jobs(owner=USER)) == 2
        await tap_card(stage, draft, "×4")
        await tap_card(stage, draft, "Старт")
        await press_data(stage, again)
    assert len(stage.house.controller.jobs(owner=USER)) == 3
    assert stage.house.job(draft).state is JobState.QUEUED
    assert await press_data(stage, again, OTHER) == "Такой задачи нет, или она не ваша."


async def test_again_is_stale_while_the_job_goes_on(stage):
    job = await running(stage)
    assert await press_data(stage, JobPress(act=Act.AGAIN, job=job.id).pack()) == STALE


async def test_a_server_that_knows_no_disabled_buttons_gets_the_words_alone(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.until(stage.shows(job, "из 240"))

        async def refuse(method):
            markup = method.reply_markup
            if markup and any(each.disabled for row in markup.inline_keyboard for each in row):
                raise TelegramBadRequest(
                    method=method,
                    message="Bad Request: can't parse inline keyboard button: Text buttons are"
                    " unallowed in the inline keyboard",
                )

        stage.session.faults["editMessageText"].extend([refuse] * 4)
        await stage.tap(job, Act.ASK)
        await stage.tap(job, Act.YES)
        await stage.until(stage.shows(job, "🛑 Отменяю…"))
        assert buttons(stage.card_of(job)) == []
        before = len(stage.session.named("editMessageText"))
        stage.notifier.poke(job.id)
        await asyncio.sleep(0.05)
        assert len(stage.session.named("editMessageText")) == before


async def test_a_job_that_is_being_cancelled_shows_a_button_that_cannot_be_pressed(stage):
    async with stage.showing():
        job = await running(stage)
        await stage.tap(job, Act.ASK)
        await stage.tap(job, Act.YES)
        await stage.until(lambda: buttons(stage.card_of(job)) == ["Отменяю…"])
        assert last_toast(stage) == "Отменяю…"
        ((button,),) = stage.card_of(job).reply_markup.inline_keyboard
        assert button.callback_data is None
        stage.house.runner.cancelled(stage.house.machine())
        for _ in range(3):
            await stage.house.tick()
        await stage.until(stage.shows(job, "🚫 Отменено: clip.mp4"))
        assert buttons(stage.card_of(job)) == ["Повторить"]
        await tap_on(stage, stage.card_of(job), "Повторить")
        await stage.until(lambda: len(stage.house.controller.jobs(owner=USER)) == 2)


async def test_a_result_that_is_delivered_after_a_restart_is_delivered_once(public):
    job = await running(public)
    await finish(public, job)
    async with public.showing():
        await public.until(is_finished(public, job))
    public.restart()
    async with public.showing():
        await asyncio.sleep(0.1)
    assert len(public.session.named("sendVideo")) == 1
