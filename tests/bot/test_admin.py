"""What is common to all pages of admins, and /logs, /health, /settings, /language."""

import dataclasses
import itertools
import re

import pytest
from aiogram.exceptions import TelegramBadRequest

from bot.cards.admin_callbacks import (
    HealthPress,
    LanguageChoice,
    LanguagePress,
    LogPress,
    MachineAct,
    MachinePress,
    Origin,
    PersonAct,
    PersonPress,
    QueueAct,
    QueuePress,
    SettingsPress,
    Sieve,
    SpendPress,
    StatusAct,
    StatusPress,
)
from bot.cards.health import Health, draw_health
from bot.commands import ADMIN_COMMANDS
from bot.handlers.admin import _choose_last
from bot.texts import LANGUAGES
from controller.errors import StorageError
from controller.records import Actor, Role
from remote_runner import __version__
from tests.bot.pages import find_data, labels, newest_message, press, shown, tap, text_of
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, Stage

JOB = "Z" * 26
PRESSES = [
    HealthPress(),
    LogPress(job=JOB),
    *(MachinePress(act=act, page=999, machine=JOB) for act in MachineAct),
    *(PersonPress(act=a, user=2**52 - 1, page=999, cents=1_000_000) for a in PersonAct),
    *(QueuePress(act=act, page=999, job=JOB) for act in QueueAct),
    SpendPress(days=14),
]
OF_ALL = [
    *(
        StatusPress(act=act, sieve=sieve, owner=2**52 - 1, page=999, job=JOB)
        for act in StatusAct
        for sieve in Sieve
    ),
    *(LanguagePress(origin=each, choice=c) for each in Origin for c in (*LanguageChoice, None)),
    *(SettingsPress(origin=each) for each in Origin),
]


@pytest.fixture
def rented_stage(rented, bot_settings):
    return Stage(rented, bot_settings)


def test_what_buttons_carry_is_short():
    for each in (*PRESSES, *OF_ALL):
        assert len(each.pack().encode()) <= 64


async def test_only_admins_have_the_admins_commands(stage):
    for command in ADMIN_COMMANDS:
        await stage.say(USER, text=f"/{command}")
        assert stage.session.sent[-1].text == "Это могут только администраторы."
        before = len(stage.session.calls)
        await stage.say(STRANGER, text=f"/{command}")
        await stage.say(USER, text=f"/{command}", chat=-5, kind="group")
        await stage.say(ADMIN, text=f"/{command}", chat=-5, kind="group")
        assert len(stage.session.calls) == before


async def test_only_admins_have_the_admins_buttons(stage):
    for number, press_ in enumerate(PRESSES, start=1):
        await stage.feed(stage.press(press_.pack(), USER))
        answer = stage.session.calls[-1]
        assert (answer.text, answer.show_alert) == ("Это могут только администраторы.", True)
        await stage.feed(stage.press(press_.pack(), STRANGER))
        assert len(stage.session.calls) == number


@pytest.mark.parametrize("user", [ADMIN, USER])
async def test_stale_and_made_up_presses_are_answered_once(stage, user):
    for press_, chat in itertools.product((*PRESSES, *OF_ALL), (None, -5)):
        before = len(stage.session.named("answerCallbackQuery"))
        await stage.feed(stage.press(press_.pack(), user, message=77, chat=chat))
        assert len(stage.session.named("answerCallbackQuery")) == before + 1, press_
    assert stage.session.sent == []


@pytest.mark.parametrize("command", ["status", "users"])
async def test_only_the_newest_page_keeps_its_buttons(stage, command):
    await stage.say(ADMIN, text=f"/{command}")
    old = newest_message(stage, ADMIN)
    data = shown(stage).reply_markup.inline_keyboard[-1][-1].callback_data
    stage.restart()
    await stage.say(ADMIN, text=f"/{command}")
    (dropped,) = stage.session.named("editMessageReplyMarkup")
    assert (dropped.chat_id, dropped.message_id, dropped.reply_markup) == (ADMIN, old, None)
    answer = await press(stage, data, message=old)
    assert answer.text == "Этот список устарел: ниже есть новый."
    assert len(stage.session.named("editMessageReplyMarkup")) == 2
    assert stage.session.named("editMessageText") == []


async def test_a_page_whose_message_is_gone_breaks_nothing(stage):
    await stage.say(ADMIN, text="/status")
    gone = TelegramBadRequest(method=None, message="Bad Request: message to edit not found")
    stage.session.faults["editMessageText"].append(gone)
    stage.session.faults["editMessageReplyMarkup"].append(gone)
    assert (await tap(stage, "Обновить")).text is None
    await stage.say(ADMIN, text="/status")


async def test_every_button_of_every_page_can_be_tapped(rented_stage):
    stage, house = rented_stage, rented_stage.house
    for number in range(7):
        await house.queued(f"{number}.mp4", owner=USER)
    await house.tick()
    for command in ("status", "machines", "users", "queue", "drain", "health", "settings"):
        tapped = await tap_all(stage, command)
        assert tapped > (1 if command in ("drain", "settings") else 0), command
    answers = stage.session.named("answerCallbackQuery")
    assert len(answers) > 60
    crashed = {"Эта кнопка уже не действует.", "Этот список устарел: ниже есть новый."}
    assert not crashed & {each.text for each in answers}


async def tap_all(stage, command, limit=40):
    """Taps whatever comes up, each button once; how many there were."""
    await stage.say(ADMIN, text=f"/{command}")
    page = newest_message(stage, ADMIN)
    seen, waiting = set(), list_data(stage, page)
    while waiting and len(seen) < limit:
        data = waiting.pop(0)
        if data in seen:
            continue
        seen.add(data)
        # the taps before may have shut them out or made them an admin
        stage.house.controller.people.set_role(USER, Role.USER, by=Actor(ADMIN, admin=True))
        if not data.startswith(("st:", "ln:", "se:", "g:", "o:")):
            refused = await press(stage, data, USER, chat=ADMIN, message=page)
            assert refused.show_alert
        before = len(stage.session.calls)
        await stage.feed(stage.press(data, STRANGER, message=page, chat=ADMIN))
        assert len(stage.session.calls) == before
        await press(stage, data, message=page)
        waiting += list_data(stage, page)
    return len(seen)


def list_data(stage, page):
    markup = stage.session.screen[ADMIN, page].reply_markup
    return [each.callback_data for row in markup.inline_keyboard for each in row]


# --- /logs -----------------------------------------------------------------------------------


@pytest.fixture
async def logged(stage, monkeypatch):
    job = await stage.plan()
    lines = [f"line {n}" for n in range(3)]

    async def logs(job_id, *, by):
        assert stage.house.controller.get(job_id, by=by)
        return lines

    monkeypatch.setattr(stage.house.controller, "logs", logs, raising=False)
    return job, lines


async def test_logs_by_id_are_quoted(stage, logged):
    job, _ = logged
    await stage.say(ADMIN, text=f"/logs {job.short_id}", language="en")
    sent = stage.session.sent[-1]
    assert sent.text == f"📜 clip.mp4 · {job.short_id}\nline 0\nline 1\nline 2"
    (quote,) = [each for each in sent.entities if each.type == "expandable_blockquote"]
    assert quote.extract_from(sent.text) == "line 0\nline 1\nline 2"


async def test_logs_by_reply_to_a_card(stage, logged):
    job, _ = logged
    card = stage.house.controller.card(job.id)
    reply = {"message_id": card.message, "date": 1, "chat": {"id": USER, "type": "private"}}
    await stage.say(
        ADMIN, text="/logs", chat=USER, reply_to_message=reply | {"text": "x"}, language="en"
    )
    assert "line 2" in stage.session.sent[-1].text


async def test_long_logs_end_in_a_file(stage, logged):
    job, lines = logged
    lines[:] = [f"{n} " + "я" * 90 for n in range(100)]
    await stage.say(ADMIN, text=f"/logs {job.short_id}")
    text, file = stage.session.sent[-2:]
    assert text.text.endswith(lines[-1]) and len(text.text) < 4096
    assert file.document.filename == f"{job.short_id}.log"
    assert file.document.data.decode() == "\n".join(lines)


def test_a_line_that_is_too_long_is_cut():
    assert len(_choose_last(["x" * 9000])[0]) == 1500
    assert _choose_last(["a", "b" * 2990]) == ["a", "b" * 2990]
    assert _choose_last(["a", "b" * 2999]) == ["b" * 2999]


async def test_logs_of_nothing_say_how(stage, logged):
    job, lines = logged
    await stage.say(ADMIN, text="/logs", language="en")
    assert stage.session.sent[-1].text.startswith("Give the id of a job")
    await stage.say(ADMIN, text="/logs zzzzzz", language="en")
    assert stage.session.sent[-1].text.startswith("There is no such job")
    reply = {"message_id": 5, "date": 1, "chat": {"id": ADMIN, "type": "private"}, "text": "x"}
    await stage.say(ADMIN, text="/logs", reply_to_message=reply, language="en")
    assert stage.session.sent[-1].text.startswith("There is no such job")
    lines.clear()
    await stage.say(ADMIN, text=f"/logs {job.short_id}", language="en")
    assert stage.session.sent[-1].text.endswith("has not printed anything.")


# --- /health ---------------------------------------------------------------------------------


async def test_health_says_what_works_and_what_does_not(rented_stage, monkeypatch):
    stage = rented_stage
    stage.house.controller.vitals.beat("loop:reap")
    stage.house.controller.vitals.beat("listing")
    await stage.say(ADMIN, text="/health", language="en")
    text = stage.session.sent[-1].text
    assert text.startswith("✅ All is well\n")
    assert f"Version: {__version__}" in text
    assert "Rental account: $10.00" in text
    assert re.search(r"Database: [\d.]+ kB", text)

    async def fail(key):
        raise StorageError("down")

    monkeypatch.setattr(stage.house.controller, "_is_stored", fail, raising=False)
    await tap(stage, "Refresh")
    text = shown(stage).text
    assert "the storage does not answer" in text or "хранилище не отвечает" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_trouble_is_told(texts, language):
    health = Health(
        now=1e9, storage_works=False, rents=True, database_bytes=5, version="1",
        problems=("loops", "loop place", "listing", "poller", "database"),
    )  # fmt: skip
    text = draw_health(health, texts[language]).text.render()[0]
    assert text.count("⚠️") == 8
    assert "place" in text and "poller" not in text
    well = dataclasses.replace(health, storage_works=True, rents=False, problems=())
    assert draw_health(well, texts[language]).text.render()[0].startswith("✅")


# --- /settings, /language --------------------------------------------------------------------


async def test_a_language_is_chosen_and_kept(stage):
    await stage.say(text="/language")
    assert labels(stage, USER) == ["Русский", "English", "✓ Как в Telegram"]
    answer = await tap(stage, "English", USER)
    assert answer.text == "Fine, English it is"
    assert labels(stage, USER) == ["Русский", "✓ English", "As in Telegram"]
    stage.restart()
    await stage.say(text="/status")
    assert shown(stage, USER).text.startswith("Nothing is being done")
    await stage.say(text="/language")
    await tap(stage, "As in Telegram", USER)
    await stage.say(text="/status", language="ru")
    assert shown(stage, USER).text.startswith("Сейчас ничего")


async def test_the_greeting_changes_its_language_in_place(stage):
    await stage.say(text="/start")
    await tap(stage, "Язык", USER)
    await tap(stage, "English", USER)
    assert shown(stage, USER).text.startswith("Send me a video")
    assert len(stage.session.sent) == 1


async def test_settings_lead_to_language_and_defaults_and_back(stage):
    await stage.say(text="/start")
    await tap(stage, "Настройки", USER)
    assert "Язык: Как в Telegram" in shown(stage, USER).text
    await tap(stage, "Язык", USER)
    await tap(stage, "Назад", USER)
    assert "Новые видео: ×2" in shown(stage, USER).text
    await tap(stage, "Для новых видео", USER)
    options = shown(stage, USER)
    assert options.reply_markup is not None
    await tap(stage, "Назад", USER)
    assert "Новые видео: ×2" in shown(stage, USER).text


async def test_settings_are_ones_own_also_where_another_presses(stage):
    await stage.say(text="/settings", chat=-5, kind="group")
    data = find_data(stage, "Язык", -5)
    await press(stage, data, OTHER, chat=-5)
    await tap(stage, "English", OTHER, chat=-5)
    assert stage.house.controller.preference(OTHER, "language") == "en"
    assert stage.house.controller.preference(USER, "language") is None
    assert text_of(shown(stage, -5)).startswith("⚙️ Settings")
