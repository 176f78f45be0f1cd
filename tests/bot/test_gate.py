import json

import pytest
from aiogram.exceptions import TelegramForbiddenError

from bot.cards.callbacks import Act, JobPress
from bot.commands import ADMIN_COMMANDS, publish_commands, publish_for_admins
from bot.names import find_language, find_name
from bot.roles import find_admins, find_role
from controller.records import Actor, Role
from controller.states import JobState
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, make_video

BOSS = Actor(ADMIN, admin=True)


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


async def test_an_invitation_lets_one_person_in_once(stage):
    code = stage.house.controller.people.invite(Role.USER, by=BOSS)
    await stage.say(STRANGER, text=f"/start {code}", language="en")
    welcome, told = stage.session.sent
    assert welcome.chat_id == STRANGER
    assert welcome.text.startswith("👋 A, you were invited")
    assert (told.chat_id, told.text) == (ADMIN, "✅ A (666) uses the bot now, by your invitation.")
    assert find_role(stage.house.controller, stage.settings, STRANGER) is Role.USER
    await stage.say(STRANGER, text="/status", language="en")
    assert stage.session.sent[-1].text.startswith("Nothing is being done")
    before = len(stage.session.calls)
    await stage.say(667, text=f"/start {code}")
    assert len(stage.session.calls) == before


async def test_the_inviter_is_told_in_their_own_language(stage):
    await stage.say(ADMIN, text="/help", language="uk")
    code = stage.house.controller.people.invite(Role.ADMIN, by=BOSS)
    await stage.say(STRANGER, text=f"/start {code}", language="en")
    assert stage.session.sent[-1].text.startswith("✅ A (666) теперь администратор")


async def test_an_inviter_who_cannot_be_told_spoils_nothing(stage):
    code = stage.house.controller.people.invite(Role.USER, by=BOSS)
    blocked = TelegramForbiddenError(method=None, message="Forbidden: bot was blocked by the user")
    stage.session.faults["sendMessage"].extend([None, blocked])
    await stage.say(STRANGER, text=f"/start {code}")
    assert find_role(stage.house.controller, stage.settings, STRANGER) is Role.USER


@pytest.mark.parametrize(
    "text", ["/start", "/start inv_", "/start inv_wrong", "/start job_x", "inv_{}", "/help inv_{}"]
)
async def test_nothing_but_an_invitation_that_holds_opens_the_door(stage, text):
    code = stage.house.controller.people.invite(Role.USER, by=BOSS)
    await stage.say(STRANGER, text=text.format(code.removeprefix("inv_")))
    assert stage.session.calls == []


async def test_an_invitation_is_taken_in_private_only(stage):
    code = stage.house.controller.people.invite(Role.USER, by=BOSS)
    await stage.say(STRANGER, text=f"/start {code}", chat=-5, kind="group")
    assert stage.session.calls == []
    assert stage.house.controller.people.role(STRANGER) is None


async def test_who_was_shut_out_stays_out_though_the_settings_name_them(stage):
    people = stage.house.controller.people
    people.set_role(USER, Role.BLOCKED, by=BOSS)
    code = people.invite(Role.ADMIN, by=BOSS)
    await stage.say(USER, text=f"/start {code}")
    assert stage.session.calls == []
    assert people.role(USER) is Role.BLOCKED


async def test_an_admin_of_the_settings_cannot_be_shut_out(stage):
    stage.house.controller.people.set_role(ADMIN, Role.BLOCKED, by=BOSS)
    await stage.say(ADMIN, text="/status", language="en")
    assert stage.session.sent[-1].text.startswith("All jobs: 0")


async def test_an_admins_invitation_raises_a_user(stage):
    code = stage.house.controller.people.invite(Role.ADMIN, by=BOSS)
    await stage.say(USER, text=f"/start {code}")
    assert stage.session.sent[0].text.startswith("👋 A, теперь вы администратор")
    assert find_admins(stage.house.controller, stage.settings) == [ADMIN, USER]
    wide = stage.session.named("setMyCommands")
    assert {each.scope.chat_id for each in wide} == {ADMIN, USER}


async def test_names_and_languages_are_noted_as_people_come(stage):
    controller = stage.house.controller
    assert (find_name(controller, USER), find_language(controller, USER)) == (str(USER), "en")
    await stage.say(text="/help", language="ru")
    assert (find_name(controller, USER), find_language(controller, USER)) == ("A", "ru")
    controller.set_preference(USER, "language", "en")
    assert find_language(controller, USER) == "en"
    assert find_name(controller, 0) == "noxfvr"


async def test_greeting_and_help_come_in_the_users_language(stage):
    await stage.say(text="/start")
    await stage.say(text="/help", language="en")
    await stage.say(ADMIN, text="/start", language="uk")
    greeting, guide, for_admin = (each.text for each in stage.session.sent)
    assert greeting.startswith("Пришлите видео")
    assert "larger than 20 MB" in guide
    assert for_admin == greeting


async def test_a_link_to_a_job_shows_its_card_anew(stage):
    async with stage.showing():
        job = await stage.plan()
        first = await stage.until(lambda: stage.house.controller.card(job.id).message)
        await stage.say(text=f"/start job_{job.id}")
        await stage.until(lambda: stage.house.controller.card(job.id).message != first)
    await stage.say(OTHER, text=f"/start job_{job.id}", language="en")
    assert stage.session.sent[-1].text == "There is no such job, or it isn't yours."


async def test_a_link_to_anothers_job_tells_an_admin_where_it_is(stage):
    job = await stage.plan()
    await stage.say(ADMIN, text=f"/start job_{job.id}", language="en")
    expected = f"The card of this job is in another chat. Its id: {job.short_id}"
    assert stage.session.sent[-1].text == expected


async def test_a_name_is_shown_as_plain_text(stage):
    name = "<b>evil</b> & *x* \u202e👨‍👩‍👧 @someone.mp4"
    async with stage.showing():
        job = await stage.plan(name=name)
        await stage.until(stage.shows(job, "evil"))
    card = stage.card_of(job)
    assert "🎬 <b>evil</b> & *x* 👨‍👩‍👧 @someone.mp4" in card.text
    assert card.parse_mode is None
    codes = [each.extract_from(card.text) for each in card.entities if each.type == "code"]
    assert "<b>evil</b> & *x* 👨‍👩‍👧 @someone.mp4" in codes


async def test_an_admin_may_touch_any_job_and_others_none(stage):
    job = await stage.plan()
    await stage.tap(job, Act.START, OTHER)
    refused = stage.session.named("answerCallbackQuery")[-1]
    assert (refused.text, refused.show_alert) == ("Такой задачи нет, или она не ваша.", True)
    assert stage.house.job(job).state is JobState.DRAFT
    await stage.tap(job, Act.START, ADMIN)
    assert stage.house.job(job).state is JobState.QUEUED


# --- commands --------------------------------------------------------------------------------


def scopes(stage):
    return [
        (each.scope.type, getattr(each.scope, "chat_id", None), each.language_code)
        for each in stage.session.named("setMyCommands")
    ]


async def publish(stage, texts):
    await publish_commands(stage.bot, stage.house.controller, stage.settings, texts)


async def test_commands_are_set_by_kind_of_chat_and_language(stage, texts):
    await publish(stage, texts)
    kinds = [("default", None), ("all_private_chats", None), ("all_group_chats", None)]
    kinds.append(("chat", ADMIN))
    assert scopes(stage) == [(*kind, code) for kind in kinds for code in (None, "ru")]
    calls = stage.session.named("setMyCommands")
    names = [{command.command for command in each.commands} for each in calls]
    assert names[4] == {"status", "cancel"}
    assert set(ADMIN_COMMANDS).isdisjoint(names[2])
    assert set(ADMIN_COMMANDS) < names[6] > names[2]
    descriptions = {each.command: each.description for each in calls[7].commands}
    assert descriptions["status"] == "Все задачи и машины"


async def test_commands_that_are_set_already_are_not_set_again(stage, texts):
    await publish(stage, texts)
    before = len(stage.session.calls)
    stage.restart()
    await publish(stage, texts)
    (asked,) = stage.session.calls[before:]
    assert asked.__api_method__ == "getMyCommands"


async def test_commands_that_the_server_lost_are_set_again(stage, texts):
    await publish(stage, texts)
    before = scopes(stage)
    stage.session.keeps_commands = False
    await publish(stage, texts)
    assert scopes(stage) == before * 2


async def test_commands_are_set_even_if_an_admin_never_came(stage, texts):
    refusal = TelegramForbiddenError(method=None, message="Bad Request: chat not found")
    stage.session.faults["setMyCommands"].extend([None] * 6 + [refusal])
    await publish(stage, texts)
    assert len(scopes(stage)) == 7
    # this is tried again when they come
    await stage.say(ADMIN, text="/start")
    assert scopes(stage)[7:] == [("chat", ADMIN, None), ("chat", ADMIN, "ru")]


async def test_commands_that_could_not_be_set_are_set_at_the_next_start(stage, texts):
    stage.session.faults["setMyCommands"].append(
        TelegramForbiddenError(method=None, message="Forbidden")
    )
    await publish(stage, texts)
    await publish(stage, texts)
    assert [each[0] for each in scopes(stage)].count("default") == 3


async def test_who_is_no_admin_any_more_loses_the_wide_list(stage, texts):
    people = stage.house.controller.people
    people.set_role(USER, Role.ADMIN, by=BOSS)
    await publish(stage, texts)
    assert ("chat", USER, "ru") in scopes(stage)
    people.set_role(USER, Role.USER, by=BOSS)
    await publish_for_admins(stage.bot, stage.house.controller, stage.settings, texts)
    gone = stage.session.named("deleteMyCommands")
    assert [(each.scope.chat_id, each.language_code) for each in gone] == [
        (USER, None),
        (USER, "ru"),
    ]
    noted = json.loads(stage.house.controller.preference(0, "admin_commands"))
    assert list(noted) == [str(ADMIN)]


def test_callback_data_is_short_and_forgeries_do_not_parse():
    packed = JobPress(act=Act.RETRY, job="Z" * 26).pack()
    assert len(packed.encode()) <= 64
    for forged in (
        "j:start:1:card:",
        "j:fly:" + "Z" * 26 + ":card:",
        "j:start:" + "я" * 26 + ":card:",
        "j:yes:" + "Z" * 26 + ":card:-1",
        "j:start:" + "Z" * 26 + ":card",
    ):
        with pytest.raises((ValueError, TypeError)):
            JobPress.unpack(forged)
