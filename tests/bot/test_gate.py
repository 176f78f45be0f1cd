import pytest
from aiogram.exceptions import TelegramForbiddenError

from bot.cards.callbacks import Act, JobPress
from bot.handlers.start import publish_commands
from controller.states import JobState
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, make_video


async def test_a_strangers_message_gets_nothing(stage):
    for content in ({"text": "/start"}, {"video": make_video()}, {"text": "input/a.mp4"}):
        await stage.say(STRANGER, **content)
    assert stage.session.calls == []
    assert stage.house.controller.jobs() == []


async def test_a_strangers_press_gets_nothing(stage):
    job = await stage.plan()
    before = len(stage.session.calls)
    for act in Act:
        await stage.tap(job, act, STRANGER)
    await stage.feed(stage.press("garbage", STRANGER))
    assert len(stage.session.calls) == before
    assert stage.house.job(job).state is JobState.DRAFT


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_chat": {"id": -100, "type": "channel", "title": "x"}},
        {"from": {"id": USER, "is_bot": True, "first_name": "x"}},
        {"from": None},
    ],
)
async def test_an_anonymous_sender_gets_nothing(stage, changes):
    raw = stage.message(text="/start")
    raw["message"].update(changes)
    await stage.feed(raw)
    assert stage.session.calls == []


async def test_other_kinds_of_updates_are_refused_too(stage):
    person = {"id": STRANGER, "is_bot": False, "first_name": "x"}
    await stage.feed(
        {"update_id": 1, "inline_query": {"id": "1", "from": person, "query": "", "offset": ""}}
    )
    edited = stage.message(STRANGER, text="/start")
    await stage.feed({"update_id": 2, "edited_message": edited["message"]})
    assert stage.session.calls == []


async def test_greeting_and_help_come_in_the_users_language(stage):
    await stage.say(text="/start")
    await stage.say(text="/help", language="en")
    await stage.say(ADMIN, text="/start", language="uk")
    greeting, guide, for_admin = (each.text for each in stage.session.sent)
    assert greeting.startswith("Пришлите видео")
    assert "larger than 20 MB" in guide
    assert for_admin == greeting


async def test_a_name_is_shown_as_plain_text(stage):
    name = "<b>evil</b> & *x* \u202e👨‍👩‍👧 @someone.mp4"
    async with stage.showing():
        job = await stage.plan(name=name)
        await stage.until(stage.shows(job, "Старт"))
    card = stage.card_of(job)
    assert card.text.startswith("🎬 <b>evil</b> & *x* 👨‍👩‍👧 @someone.mp4\n")
    assert card.parse_mode is None
    assert {each.type for each in card.entities} == {"code", "bold"}
    (name_entity,) = [each for each in card.entities if each.type == "code"]
    assert name_entity.extract_from(card.text) == "<b>evil</b> & *x* 👨‍👩‍👧 @someone.mp4"


async def test_an_admin_may_touch_any_job_and_others_none(stage):
    job = await stage.plan()
    await stage.tap(job, Act.START, OTHER)
    refused = stage.session.named("answerCallbackQuery")[-1]
    assert (refused.text, refused.show_alert) == ("Такой задачи нет, или она не ваша.", True)
    assert stage.house.job(job).state is JobState.DRAFT
    await stage.tap(job, Act.START, ADMIN)
    assert stage.house.job(job).state is JobState.QUEUED


async def test_commands_are_set_even_if_an_admin_never_came(stage, texts):
    stage.session.faults["setMyCommands"].extend(
        [None, None, TelegramForbiddenError(method=None, message="Bad Request: chat not found")]
    )
    await publish_commands(stage.bot, stage.settings, texts)
    default, russian, *_ = stage.session.named("setMyCommands")
    assert default.language_code is None
    assert russian.language_code == "ru"
    assert [each.command for each in russian.commands] == ["status", "cancel", "help", "start"]


def test_callback_data_is_short_and_forgeries_do_not_parse():
    packed = JobPress(act=Act.RETRY, job="Z" * 26).pack()
    assert len(packed.encode()) <= 64
    for forged in (
        "j:start:1:card",
        "j:fly:" + "Z" * 26 + ":card",
        "j:start:" + "я" * 26 + ":card",
    ):
        with pytest.raises(ValueError):
            JobPress.unpack(forged)
