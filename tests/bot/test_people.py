import re

import pytest

from bot.cards.admin_callbacks import PersonAct, PersonPress
from bot.handlers.people import _CHANGES
from bot.roles import find_role
from controller.records import Actor, Role
from tests.bot.pages import labels, press, shown, tap
from tests.bot.stage import ADMIN, OTHER, STRANGER, USER, Stage

BOSS = Actor(ADMIN, admin=True)
THIRD = 900


def role(stage, user):
    return find_role(stage.house.controller, stage.settings, user)


@pytest.fixture
def stage(rented, bot_settings):
    """Where there is something to spend."""
    return Stage(rented, bot_settings)


@pytest.fixture
async def people(stage):
    """Three from the settings and one who was invited, all seen once."""
    members = stage.house.controller.people
    members.accept(members.invite(Role.USER, by=BOSS), THIRD, "Third")
    for user in (ADMIN, USER, OTHER, THIRD):
        await stage.say(user, text="/help", language="en")
    return members


async def open_person(stage, user):
    await press(stage, PersonPress(act=PersonAct.SHOW, user=user).pack())


async def test_the_list_has_everybody_admins_first(stage, people):
    await stage.say(ADMIN, text="/users", language="en")
    assert shown(stage).text.split("\n") == [
        "👥 People: 4", "⭐ A · 1 · today $0.00", "👤 A · 7 · today $0.00",
        "👤 A · 8 · today $0.00", "👤 A · 900 · today $0.00",
    ]  # fmt: skip
    assert labels(stage)[-3:] == ["➕ Invite", "➕ Invite an admin", "Revoke invitations"]


async def test_nothing_is_said_of_money_where_nothing_is_paid(house, bot_settings):
    stage = Stage(house, bot_settings)
    await stage.say(ADMIN, text="/users", language="en")
    assert shown(stage).text.split("\n")[1:] == ["⭐ A · 1", "👤 7 · 7", "👤 8 · 8"]


@pytest.mark.parametrize(
    ("label", "granted"), [("➕ Invite", Role.USER), ("➕ Invite an admin", Role.ADMIN)]
)
async def test_an_invitation_is_a_link_that_works(stage, label, granted):
    await stage.say(ADMIN, text="/users", language="en")
    rows = shown(stage).reply_markup.inline_keyboard
    (data,) = [each.callback_data for row in rows for each in row if each.text == label]
    await press(stage, data)
    sent = stage.session.sent[-1]
    found = re.search(r"https://t\.me/noxfvr_bot\?start=(inv_[A-Za-z0-9_-]{1,60})", sent.text)
    (copy,) = sent.reply_markup.inline_keyboard[0]
    assert copy.copy_text.text == found[0]
    (moment,) = [each for each in sent.entities if each.type == "date_time"]
    assert moment.unix_time == int(stage.house.clock() + 7 * 86400)
    await stage.say(STRANGER, text=f"/start {found[1]}")
    assert role(stage, STRANGER) is granted


async def test_revoked_invitations_open_nothing(stage):
    codes = [stage.house.controller.people.invite(Role.USER, by=BOSS) for _ in range(2)]
    await stage.say(ADMIN, text="/users")
    assert (await tap(stage, "Отозвать")).text == "Отозвано 2 приглашения"
    await stage.say(STRANGER, text=f"/start {codes[0]}")
    assert role(stage, STRANGER) is None


async def test_a_role_is_changed_and_the_commands_follow(stage, people):
    await stage.say(ADMIN, text="/users", language="en")
    await open_person(stage, THIRD)
    assert shown(stage).text.startswith("A — пользователь\nНомер: 900\nПришёл по приглашению: A")
    await tap(stage, "Сделать администратором")
    assert role(stage, THIRD) is Role.ADMIN
    assert THIRD in {each.scope.chat_id for each in stage.session.named("setMyCommands")}
    await stage.say(THIRD, text="/users", language="en")
    assert shown(stage, THIRD).text.startswith("👥 People")
    await tap(stage, "Сделать пользователем")
    assert role(stage, THIRD) is Role.USER
    assert THIRD in {each.scope.chat_id for each in stage.session.named("deleteMyCommands")}
    # the page that is still on their screen does nothing any more
    answer = await press(stage, PersonPress(act=PersonAct.INVITE_USER).pack(), THIRD)
    assert answer.text == "Это могут только администраторы."


async def test_somebody_is_shut_out_and_let_in_again(stage, people):
    await stage.say(ADMIN, text="/users")
    for user in (USER, THIRD):
        await open_person(stage, user)
        await tap(stage, "Закрыть доступ")
        assert role(stage, user) is Role.BLOCKED
        before = len(stage.session.calls)
        await stage.say(user, text="/status")
        assert len(stage.session.calls) == before
        await tap(stage, "Вернуть доступ")
        assert role(stage, user) is Role.USER


async def test_whom_the_settings_name_is_not_removed_here(stage, people):
    people.set_role(USER, Role.BLOCKED, by=BOSS)
    people.set_day_budget(USER, 0.5, by=BOSS)
    await stage.say(ADMIN, text="/users")
    await open_person(stage, USER)
    assert not [each for each in labels(stage) if "Удал" in each]
    data = PersonPress(act=PersonAct.REMOVE, user=USER).pack()
    assert (await press(stage, data)).text == "Это меняется только в настройках бота"
    assert (role(stage, USER), people.day_budget(USER)) == (Role.BLOCKED, 0.5)


async def test_a_day_budget_is_chosen(stage, people):
    await stage.say(ADMIN, text="/users")
    for user in (USER, THIRD):
        await open_person(stage, user)
        assert "✓ без предела" in labels(stage)
        for label, usd in (("0,50 $", 0.5), ("5,00 $", 5.0), ("без предела", None)):
            assert (await tap(stage, label)).text == "Предел изменён"
            assert people.day_budget(user) == usd
            assert f"✓ {label}" in labels(stage)
    assert people.role(USER) is None


async def test_somebody_is_removed_after_a_question(stage, people):
    await stage.say(ADMIN, text="/users")
    await open_person(stage, THIRD)
    await tap(stage, "Удалить")
    assert "Удалить A из списка?" in shown(stage).text
    await tap(stage, "Нет")
    assert role(stage, THIRD) is Role.USER
    await tap(stage, "Удалить")
    assert (await tap(stage, "Да, удалить")).text == "Удалено"
    assert role(stage, THIRD) is None
    assert shown(stage).text.startswith("👥 Люди: 3")
    gone = PersonPress(act=PersonAct.MAKE_ADMIN, user=THIRD).pack()
    assert (await press(stage, gone)).text == "Этого человека в списке уже нет"
    assert role(stage, THIRD) is None


async def test_the_settings_and_oneself_are_not_changed_here(stage, people):
    people.set_role(THIRD, Role.ADMIN, by=BOSS)
    await stage.say(THIRD, text="/users")
    for user in (ADMIN, THIRD):
        await press(stage, PersonPress(act=PersonAct.SHOW, user=user).pack(), THIRD)
        assert not [each for each in labels(stage, THIRD) if "доступ" in each or "Удал" in each]
        for act in (*_CHANGES, PersonAct.REMOVE):
            data = PersonPress(act=act, user=user).pack()
            answer = await press(stage, data, THIRD)
            assert answer.text == "Это меняется только в настройках бота"
        assert role(stage, user) is Role.ADMIN


async def test_many_people_have_pages(stage):
    for user in range(1000, 1020):
        stage.house.controller.people.set_role(user, Role.USER, by=BOSS)
    await stage.say(ADMIN, text="/users", language="en")
    assert "Page 1 of 3" in shown(stage).text
    await tap(stage, "2 ›")
    await tap(stage, "3 ›")
    assert "Страница 3 из 3" in shown(stage).text
    await tap(stage, "👤 1019")
    await tap(stage, "Назад")
    assert "Страница 3 из 3" in shown(stage).text


async def test_spending_is_shown_where_machines_are_rented(rented, bot_settings):
    from tests.bot.stage import Stage

    stage = Stage(rented, bot_settings)
    await rented.queued("a.mp4", owner=USER)
    await rented.tick()
    rented.clock.advance(7200)
    await stage.say(ADMIN, text="/users", language="en")
    assert "👤 7 · 7 · today $0.12" in shown(stage).text
    await open_person(stage, USER)
    assert "Потрачено сегодня: 0,12 $" in shown(stage).text


async def test_odd_names_are_plain_text(stage):
    raw = stage.message(USER, text="/help")
    raw["message"]["from"]["first_name"] = "<b>x</b>\u202e\n" + "y" * 100
    await stage.feed(raw)
    await stage.say(ADMIN, text="/users", language="en")
    assert "👤 <b>x</b> yyy" in shown(stage).text
    await open_person(stage, USER)
    assert shown(stage).text.startswith("<b>x</b> yyy")
    assert shown(stage).parse_mode is None
