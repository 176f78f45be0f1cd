"""The button beside the text field of a private chat: commands, or a Mini App."""

from __future__ import annotations

from typing import Any

from bot.sandbox.api import Api, chat_to_look_at
from bot.sandbox.chats import Json
from bot.sandbox.errors import Text, bad_request
from bot.sandbox.markup import check_web_app
from bot.sandbox.params import Params

EVERYWHERE = 0
COMMANDS: Json = {"type": "commands"}


def set_chat_menu_button(api: Api, params: Params) -> bool:
    """Of one private chat, or without ``chat_id`` of all that have none of their own."""
    chat_id = _read_chat_id(api, params)
    button = _check_button(params.mapping("menu_button") or {"type": "default"})
    if button["type"] == "default":
        api.menu_buttons.pop(chat_id, None)
    else:
        api.menu_buttons[chat_id] = button
    return True


def get_chat_menu_button(api: Api, params: Params) -> Json:
    return find_menu_button(api, _read_chat_id(api, params))


def find_menu_button(api: Api, chat_id: int) -> Json:
    """What the app shows in a private chat: its own button, else that of all chats."""
    return api.menu_buttons.get(chat_id) or api.menu_buttons.get(EVERYWHERE) or COMMANDS


def _read_chat_id(api: Api, params: Params) -> int:
    if not params.values.get("chat_id"):
        return EVERYWHERE
    chat = chat_to_look_at(api, params)
    if not chat.is_private:
        raise bad_request(Text.CHAT_NOT_FOUND)
    return chat.id


def _check_button(button: dict[str, Any]) -> Json:
    kind = button.get("type")
    if kind in {"default", "commands"}:
        return {"type": kind}
    if kind != "web_app":
        raise bad_request(Text.MENU_BUTTON_TYPE)
    text = str(button.get("text") or "").strip()
    if not text:
        raise bad_request(Text.MENU_BUTTON_TEXT)
    url = check_web_app("menu button Web App URL", button.get("web_app"))
    return {"type": "web_app", "text": text, "web_app": {"url": url}}
