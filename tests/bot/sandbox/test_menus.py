"""Menu buttons, commands by scope, Mini Apps, effects and deep links."""

import hashlib
import hmac
import json
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllChatAdministrators,
    BotCommandScopeAllGroupChats,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    MenuButtonDefault,
    MenuButtonWebApp,
    WebAppInfo,
)
from aiogram.utils.web_app import safe_parse_webapp_init_data

from bot.sandbox import DEFAULT_TOKEN, RefusedError

PAGE = "http://127.0.0.1:8080/u/abc"


def opens(url):
    button = InlineKeyboardButton(text="Upload", web_app=WebAppInfo(url=url))
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


async def menu(driver, chat_id, person):
    query = {"chat_id": chat_id, "user_id": person.id}
    return await driver.call("GET", "menu", params=query)


async def test_the_narrowest_scope_wins_in_every_kind_of_chat(bot, driver, ann):
    bob = await driver.person(8, "Bob")
    group = await driver.group(-1009, "Films", {ann: "administrator", bob: "member"})
    scopes = [
        None,
        BotCommandScopeAllPrivateChats(),
        BotCommandScopeAllGroupChats(),
        BotCommandScopeAllChatAdministrators(),
        BotCommandScopeChat(chat_id=ann.id),
    ]
    for scope in scopes:
        name = "default" if scope is None else scope.type
        await bot.set_my_commands([BotCommand(command=name, description="x")], scope)

    async def seen(chat_id, person):
        return [each["command"] for each in (await menu(driver, chat_id, person))["commands"]]

    assert await seen(ann.id, ann) == ["chat"]
    assert await seen(bob.id, bob) == ["all_private_chats"]
    assert await seen(group, ann) == ["all_chat_administrators"]
    assert await seen(group, bob) == ["all_group_chats"]
    await bot.delete_my_commands(BotCommandScopeChat(chat_id=ann.id))
    assert await seen(ann.id, ann) == ["all_private_chats"]


async def test_a_menu_button_of_one_chat_hides_that_of_all(bot, driver, ann):
    bob = await driver.person(8, "Bob")
    app = MenuButtonWebApp(text="Upload", web_app=WebAppInfo(url=PAGE))
    assert (await bot.get_chat_menu_button(ann.id)).type == "commands"
    await bot.set_chat_menu_button(ann.id, app)
    assert (await bot.get_chat_menu_button(ann.id)).web_app.url == PAGE
    assert (await menu(driver, ann.id, ann))["button"]["text"] == "Upload"
    assert (await menu(driver, bob.id, bob))["button"] == {"type": "commands"}
    await bot.set_chat_menu_button(ann.id, MenuButtonDefault())
    assert (await bot.get_chat_menu_button(ann.id)).type == "commands"


async def test_menu_buttons_that_telegram_refuses_are_refused(bot, driver, ann):
    group = await driver.group(-1009, "Films", [ann])
    foreign = MenuButtonWebApp(text="Upload", web_app=WebAppInfo(url="http://example.org/"))
    with pytest.raises(TelegramBadRequest, match="Only HTTPS links are allowed"):
        await bot.set_chat_menu_button(ann.id, foreign)
    nameless = MenuButtonWebApp(text="", web_app=WebAppInfo(url="https://example.org/"))
    with pytest.raises(TelegramBadRequest, match="text must be non-empty"):
        await bot.set_chat_menu_button(ann.id, nameless)
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.set_chat_menu_button(group, MenuButtonDefault())
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.set_chat_menu_button(404, MenuButtonDefault())


async def test_a_mini_app_gets_launch_data_that_the_bot_can_check(bot, driver, ann):
    card = await bot.send_message(ann.id, "big file", reply_markup=opens(PAGE))
    deed = {"chat_id": ann.id, "user_id": ann.id, "message_id": card.message_id, "url": PAGE}
    opened = await driver.call("POST", "web_app", json=deed | {"theme": {"bg_color": "#fff"}})
    assert opened["url"].startswith(f"{PAGE}#")
    launch = parse_qs(urlsplit(opened["url"]).fragment)
    (init_data,) = launch["tgWebAppData"]
    told = safe_parse_webapp_init_data(DEFAULT_TOKEN, init_data)
    assert (told.user.id, told.user.first_name, told.user.language_code) == (7, "Ann", "ru")
    assert json.loads(launch["tgWebAppThemeParams"][0]) == {"bg_color": "#fff"}
    # and by hand, as the documentation tells it
    fields = dict(parse_qsl(init_data, strict_parsing=True))
    given = fields.pop("hash")
    key = hmac.new(b"WebAppData", DEFAULT_TOKEN.encode(), hashlib.sha256).digest()
    checked = "\n".join(f"{name}={fields[name]}" for name in sorted(fields)).encode()
    assert hmac.new(key, checked, hashlib.sha256).hexdigest() == given


async def test_only_what_a_button_shows_can_be_opened_as_a_mini_app(bot, driver, ann):
    card = await bot.send_message(ann.id, "big file", reply_markup=opens(PAGE))
    deed = {"chat_id": ann.id, "user_id": ann.id, "message_id": card.message_id}
    with pytest.raises(RefusedError, match="no button here"):
        await driver.call("POST", "web_app", json=deed | {"url": "http://127.0.0.1:9/evil"})
    bob = await driver.person(8, "Bob")
    with pytest.raises(RefusedError, match="not in chat"):
        await driver.call("POST", "web_app", json=deed | {"user_id": bob.id, "url": PAGE})


async def test_mini_app_buttons_are_for_private_chats_and_safe_addresses(bot, driver, ann):
    group = await driver.group(-1009, "Films", [ann])
    with pytest.raises(TelegramBadRequest, match="BUTTON_TYPE_INVALID"):
        await bot.send_message(group, "x", reply_markup=opens("https://example.org/"))
    for url in ("http://example.org/", "http://127.0.0.1.example.org/", "ftp://127.0.0.1:1/"):
        with pytest.raises(TelegramBadRequest, match="Only HTTPS links are allowed"):
            await bot.send_message(ann.id, "x", reply_markup=opens(url))
    await bot.send_message(ann.id, "x", reply_markup=opens("https://example.org/"))


async def test_effects_are_for_private_chats(bot, driver, ann):
    group = await driver.group(-1009, "Films", [ann])
    sent = await bot.send_message(ann.id, "done", message_effect_id="5046509860389126442")
    assert sent.effect_id == "5046509860389126442"
    with pytest.raises(TelegramBadRequest, match="can't use message effects in the chat"):
        await bot.send_message(group, "done", message_effect_id="5046509860389126442")
    with pytest.raises(TelegramBadRequest, match="EFFECT_ID_INVALID"):
        await bot.send_message(ann.id, "done", message_effect_id="confetti")


async def test_a_deep_link_arrives_as_start_with_its_payload(bot, ann):
    await ann.chat.send_text("/start inv_AbC-1")
    message = (await bot.get_updates())[-1].message
    assert message.text == "/start inv_AbC-1"
    assert [(each.type, each.length) for each in message.entities] == [("bot_command", 6)]
