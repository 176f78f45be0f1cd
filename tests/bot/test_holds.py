import asyncio
import dataclasses

import pytest

from bot.cards.asking import draw_held
from bot.cards.callbacks import Act, JobPress, Place, TakePress
from bot.cards.view import Snapshot
from bot.settings import BotSettings
from controller.records import TERMINAL, Role
from controller.states import JobState, Reason
from tests.bot.stage import ADMIN, OTHER, TOKEN, USER, Stage, buttons
from tests.bot.taps import find_button, last_toast, press_data, tap_card, tap_on
from tests.controller.standins import make_offer

SECOND = 2


@pytest.fixture
def stage(rented, bot_settings):
    settings = dataclasses.replace(bot_settings, admins=frozenset({ADMIN, SECOND}))
    rented.provider.market = [make_offer(usd_per_hour=0.2)]
    return Stage(rented, settings)


async def held(stage, user=USER):
    """A draft whose Start needs a yes to a price."""
    job = await stage.plan(user)
    await stage.tap(job, user=user)
    assert stage.house.job(job).state is JobState.HELD
    return job


def ask_of(stage, job, admin=ADMIN):
    """What an admin is asked, as it is on screen; None before."""
    card = stage.house.controller.card(f"ask:{job.id}:{admin}")
    return stage.session.screen.get((card.chat, card.message)) if card else None


async def asked(stage, job, admin=ADMIN):
    return await stage.until(lambda: ask_of(stage, job, admin))


async def test_the_plan_names_the_cheapest_that_would_do_and_what_start_will_ask(stage):
    async with stage.showing():
        job = await stage.plan()
        await stage.until(stage.shows(job, "Самая дешёвая из подходящих: RTX 3060, 0,20 $/ч."))
    text = stage.card_of(job).text
    assert "До 0,10 $/ч ничего не подходит." in text
    assert "«Старт» спросит администратора." in text
    assert "Отсеяно: цена 1." in text


async def test_a_price_above_the_cap_asks_every_admin_who_is_told_what_it_costs(stage):
    async with stage.showing():
        job = await held(stage)
        assert last_toast(stage) == "Сначала нужно согласие: смотрите карточку."
        await stage.until(stage.shows(job, "Администратора уже спросили."))
        asks = [await asked(stage, job, admin) for admin in (ADMIN, SECOND)]
    assert buttons(stage.card_of(job)) == ["Изменить", "Отменить"]
    for ask in asks:
        assert ask.text.startswith("❓ A просит:\n🎬 clip.mp4 · ×2\n")
        assert "Машина: RTX 3060, 0,20 $/ч" in ask.text
        assert "Не больше 0,29 $" in ask.text
        assert buttons(ask) == ["Разрешить", "Отказать"]
        assert not ask.disable_notification


async def test_a_yes_starts_the_job_and_all_asks_say_whose_it_was(stage):
    async with stage.showing():
        job = await held(stage)
        ask = await asked(stage, job)
        assert await tap_on(stage, ask, "Разрешить", ADMIN) == "Разрешено"
        assert stage.house.job(job).state is JobState.QUEUED
        assert stage.house.job(job).approved_usd_per_hour == pytest.approx(0.2)
        for admin in (ADMIN, SECOND):
            await stage.until(lambda a=admin: "Разрешено: A." in ask_of(stage, job, a).text)
            assert buttons(ask_of(stage, job, admin)) == []
        await tap_on(stage, ask, "Разрешить", SECOND)
        assert stage.house.kinds(job).count("approved") == 1
        await tap_on(stage, ask, "Отказать", SECOND)
        assert last_toast(stage) == "Это уже решено."
        assert stage.house.job(job).state is JobState.QUEUED


async def test_a_no_cancels_the_job_and_says_so_everywhere(stage):
    async with stage.showing():
        job = await held(stage)
        ask = await asked(stage, job)
        assert await tap_on(stage, ask, "Отказать", ADMIN) == "Отказано"
        await stage.until(stage.shows(job, "Администратор отказал."))
        for admin in (ADMIN, SECOND):
            await stage.until(lambda a=admin: "Отказано: A" in ask_of(stage, job, a).text)
    done = stage.house.job(job)
    assert (done.state, done.reason) == (JobState.CANCELLED, Reason.DECLINED)


async def test_a_user_cannot_approve_a_price_neither_of_ones_own_nor_of_others(stage):
    async with stage.showing():
        job = await held(stage)
        yes = JobPress(act=Act.APPROVE, job=job.id, at=Place.ASK).pack()
        no = JobPress(act=Act.DECLINE, job=job.id, at=Place.ASK).pack()
        for data in (yes, no):
            assert "админ" in (await press_data(stage, data, USER)).lower()
            assert await press_data(stage, data, OTHER) == "Такой задачи нет, или она не ваша."
    assert stage.house.job(job).state is JobState.HELD


async def test_an_admin_is_asked_on_the_own_card_and_in_no_second_message(stage):
    async with stage.showing():
        job = await held(stage, ADMIN)
        await stage.until(stage.shows(job, "Ждёт подтверждения"))
        await asyncio.sleep(0.05)
        assert buttons(stage.card_of(job)) == ["Разрешить", "Изменить", "Отменить"]
        assert ask_of(stage, job, ADMIN) is None
        assert ask_of(stage, job, SECOND) is None
        assert await tap_card(stage, job, "Разрешить", ADMIN) == "Разрешено"
        assert stage.house.job(job).state is JobState.QUEUED


async def test_who_was_made_an_admin_in_the_chat_is_asked_too(stage):
    stage.house.controller.people.set_role(55, Role.ADMIN, by=TERMINAL)
    async with stage.showing():
        job = await held(stage)
        ask = await asked(stage, job, 55)
        await tap_on(stage, ask, "Разрешить", 55)
    assert stage.house.job(job).approved_by == 55


async def test_a_hold_is_taken_back_changed_and_asked_anew(stage):
    async with stage.showing():
        job = await held(stage)
        await asked(stage, job)
        await tap_card(stage, job, "Изменить")
        await stage.until(stage.shows(job, "Выберите, что сделать"))
        await stage.until(lambda: "Вопрос уже решён." in ask_of(stage, job).text)
        assert buttons(ask_of(stage, job)) == []
        await tap_card(stage, job, "×4")
        assert stage.house.job(job).task.scale == 4
        await tap_card(stage, job, "Старт")
        await stage.until(lambda: "×4" in getattr(ask_of(stage, job), "text", ""))
        assert buttons(ask_of(stage, job)) == ["Разрешить", "Отказать"]


async def test_a_hold_is_cancelled_by_its_owner(stage):
    async with stage.showing():
        job = await held(stage)
        await asked(stage, job)
        assert await tap_card(stage, job, "Отменить") == "Отменено"
        await stage.until(lambda: "Вопрос уже решён." in ask_of(stage, job).text)


async def test_a_long_run_is_for_its_owner_to_agree_to(rented, bot_settings):
    rented.change(job_timeout_s=5)
    rented.provider.market = [make_offer(tflops=0.1)]
    stage = Stage(rented, bot_settings)
    async with stage.showing():
        job = await held(stage)
        assert stage.house.job(job).held_for is Reason.TOO_LONG
        await stage.until(stage.shows(job, "дольше, чем может идти одна попытка"))
        assert buttons(stage.card_of(job)) == ["Всё равно начать", "Изменить", "Отменить"]
        assert ask_of(stage, job) is None
        assert await press_data(stage, JobPress(act=Act.APPROVE, job=job.id).pack(), OTHER)
        assert stage.house.job(job).state is JobState.HELD
        await tap_card(stage, job, "Всё равно начать")
    assert stage.house.job(job).state is JobState.QUEUED


async def waiting(stage):
    """A job of the queue whose machines have become too expensive."""
    stage.house.provider.market = [make_offer()]
    job = await stage.plan()
    await stage.tap(job)
    assert stage.house.job(job).state is JobState.QUEUED
    stage.house.provider.market = [make_offer(usd_per_hour=0.13)]
    stage.house.clock.advance(1000)
    await stage.house.tick()
    assert stage.house.job(job).waits_for is Reason.NO_OFFER
    return job


async def test_a_job_that_finds_no_machine_asks_an_admin_for_more_when_its_owner_wishes(stage):
    async with stage.showing():
        job = await waiting(stage)
        await stage.until(stage.shows(job, "Самая дешёвая из подходящих: RTX 3060, 0,13 $/ч."))
        assert buttons(stage.card_of(job)) == ["Спросить администратора", "Отменить"]
        assert await tap_card(stage, job, "Спросить") == "Администратора уже спросили."
        ask = await asked(stage, job)
        await stage.until(lambda: buttons(ask_of(stage, job)) == ["Взять за 0,13 $/ч"])
        ask = ask_of(stage, job)
        assert await tap_on(stage, ask, "Взять", ADMIN) == "Разрешено"
        assert stage.house.job(job).approved_usd_per_hour == pytest.approx(0.13)
        await stage.until(lambda: "Разрешено: A" in ask_of(stage, job).text)
        await stage.house.tick()
        assert stage.house.job(job).state is JobState.RUNNING
        await tap_on(stage, ask, "Взять", SECOND)
        assert last_toast(stage) in ("Разрешено", "Это уже решено.")


async def test_no_more_is_taken_than_the_price_that_was_shown(stage):
    async with stage.showing():
        job = await waiting(stage)
        await stage.until(stage.shows(job, "0,13 $/ч"))
        low = TakePress(job=job.id, mills=120, at=Place.ASK).pack()
        assert "Цена" in await press_data(stage, low, ADMIN)
        assert stage.house.job(job).approved_usd_per_hour is None
        assert "админ" in (await press_data(stage, low, USER)).lower()
        assert await press_data(stage, low, OTHER) == "Такой задачи нет, или она не ваша."


async def test_without_another_admin_there_is_nobody_to_ask(rented):
    stage = Stage(rented, BotSettings(token=TOKEN, users=frozenset({USER})))
    async with stage.showing():
        job = await waiting(stage)
        await stage.until(stage.shows(job, "назначает его в TELEGRAM_ADMINS"))
        assert not any("Спросить" in each for each in buttons(stage.card_of(job)))
        # a button of before, when there was one
        ask = JobPress(act=Act.ASK_ADMIN, job=job.id).pack()
        assert "TELEGRAM_ADMINS" in await press_data(stage, ask, USER)


async def test_an_admins_own_job_takes_the_price_on_its_card(stage):
    stage.house.provider.market = [make_offer()]
    async with stage.showing():
        job = await stage.plan(ADMIN)
        await stage.tap(job, user=ADMIN)
        stage.house.provider.market = [make_offer(usd_per_hour=0.13)]
        stage.house.clock.advance(1000)
        await stage.house.tick()
        await stage.until(lambda: "Взять за 0,13 $/ч" in buttons(stage.card_of(job)))
        button = find_button(stage.card_of(job), "Взять")
        assert TakePress.unpack(button.callback_data).mills == 130
        assert await tap_card(stage, job, "Взять", ADMIN) == "Разрешено"


async def test_a_question_survives_a_restart_and_its_buttons_work(stage):
    async with stage.showing():
        job = await held(stage)
        await asked(stage, job)
    stage.restart()
    async with stage.showing():
        await asyncio.sleep(0.05)
        asks = [each for each in stage.session.named("sendMessage") if each.chat_id == ADMIN]
        assert len(asks) == 1
        await tap_on(stage, ask_of(stage, job), "Разрешить", ADMIN)
        await stage.until(lambda: "Разрешено: A" in ask_of(stage, job).text)
    assert stage.house.job(job).state is JobState.QUEUED


async def test_a_yes_is_to_the_terms_that_were_shown_and_to_no_others(stage):
    async with stage.showing():
        job = await held(stage)
        seen = find_button(await asked(stage, job), "Разрешить").callback_data
        stage.house.controller.take_back(job.id, by=TERMINAL)
        stage.house.provider.market = [make_offer(usd_per_hour=0.9)]
        stage.house.clock.advance(1000)
        await stage.tap(job)
        assert "Цена за это время изменилась" in await press_data(stage, seen, ADMIN)
        assert stage.house.job(job).state is JobState.HELD
        await stage.until(lambda: "0,90 $/ч" in ask_of(stage, job).text)
        await tap_on(stage, ask_of(stage, job), "Разрешить", ADMIN)
    assert stage.house.job(job).approved_usd_per_hour == pytest.approx(0.9)


async def test_without_any_admin_nobody_is_said_to_have_been_asked(rented, bot_settings):
    rented.provider.market = [make_offer(usd_per_hour=0.2)]
    stage = Stage(rented, dataclasses.replace(bot_settings, admins=frozenset()))
    async with stage.showing():
        job = await stage.plan()
        await stage.until(stage.shows(job, "TELEGRAM_ADMINS"))
        assert "спросит администратора" not in stage.card_of(job).text
        await stage.tap(job)
        await stage.until(stage.shows(job, "Ждёт подтверждения."))
        text = stage.card_of(job).text
        assert "TELEGRAM_ADMINS" in text and "уже спросили" not in text
    # somebody is named, and is asked after the start that brings this
    stage = Stage(rented, bot_settings)
    async with stage.showing():
        ask = await asked(stage, job)
    assert buttons(ask) == ["Разрешить", "Отказать"]


async def test_on_ones_own_computer_no_money_is_spoken_of(house, texts, bot_settings):
    own = Stage(house, bot_settings)
    for text in ("/users", "/spend", "/status", "/machines"):
        await own.say(ADMIN, text=text)
    assert not any("$" in (each.text or "") for each in own.session.sent)
    assert own.session.named("sendPhoto") == []
    job = dataclasses.replace(
        await own.plan(), state=JobState.HELD, held_for=Reason.TOO_LONG,
        held_data={"gpu": "desk", "usd_per_hour": 0.0, "usd": 0.0, "over": ["time"]},
    )  # fmt: skip
    drawn = draw_held(Snapshot(job=job, now=0.0), texts["ru"]).text.render()[0]
    assert "Машина: desk" in drawn and "$" not in drawn
    assert [texts[each].money(0.0004) for each in ("en", "ru")] == ["<$0.001", "<0,001 $"]
