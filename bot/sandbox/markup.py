"""Keyboards: what Telegram accepts as ``reply_markup``, and the button that a person presses."""

from __future__ import annotations

from typing import Any

from bot.sandbox.chats import Json
from bot.sandbox.entities import url_error, utf16_length
from bot.sandbox.errors import ApiError, Text, bad_request
from bot.sandbox.params import Params

MAX_DATA_BYTES = 64
MAX_COPY_CHARS = 256
MAX_BUTTONS = 100
STYLES = frozenset({"danger", "success", "primary"})
ACTIONS = (
    "callback_data",
    "url",
    "web_app",
    "copy_text",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "login_url",
    "pay",
    "callback_game",
    "disabled",
)


def read_markup(params: Params, *, private: bool, inline_only: bool = False) -> Json | None:
    """The checked ``reply_markup`` of a call, or None.

    Raises:
        ApiError: with Telegram's text for the first thing that is wrong with it.
    """
    try:
        markup = params.mapping("reply_markup")
    except ApiError:
        raise bad_request(Text.MARKUP_NOT_JSON) from None
    if markup is None:
        return None
    if "inline_keyboard" in markup:
        return _check_inline(markup["inline_keyboard"], private=private)
    if inline_only:
        raise bad_request("inline keyboard expected")
    if not markup.keys() & {"keyboard", "remove_keyboard", "force_reply"}:
        raise bad_request("object expected as reply markup")
    return markup


def inline_part(markup: Json | None) -> Json:
    """What of a markup stays on the message: an inline keyboard that has buttons."""
    if markup is None or not any(markup.get("inline_keyboard", [])):
        return {}
    return {"reply_markup": markup}


def find_button(message: Json, wanted: str) -> Json | None:
    """The button with this data, else with this text, on the message's current keyboard."""
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    buttons = [button for row in rows for button in row]
    for key in ("callback_data", "text"):
        for button in buttons:
            if button.get(key) == wanted:
                return dict(button)
    return None


def _check_inline(rows: Any, *, private: bool) -> Json:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request("can't parse inline keyboard: Array of Arrays expected")
    if sum(len(row) for row in rows) > MAX_BUTTONS:
        raise bad_request(Text.MARKUP_TOO_LONG)
    checked = [[_check_button(button, private=private) for button in row] for row in rows]
    return {"inline_keyboard": [row for row in checked if row]}


def _check_button(button: Any, *, private: bool) -> Json:
    if not isinstance(button, dict):
        raise bad_request("can't parse inline keyboard button: Object expected")
    if not str(button.get("text") or "").strip():
        raise bad_request(Text.BUTTON_WITHOUT_TEXT)
    actions = [name for name in ACTIONS if button.get(name) is not None]
    if not actions:
        raise bad_request(Text.BUTTON_WITHOUT_ACTION)
    if len(actions) > 1:
        raise bad_request(Text.BUTTON_TYPE)
    if button.get("style") not in {None, *STYLES}:
        raise bad_request("invalid button style specified")
    _check_action(button, private=private)
    kept = ("text", "icon_custom_emoji_id", "style", *actions)
    return {key: button[key] for key in kept if button.get(key) is not None}


def _check_action(button: Json, *, private: bool) -> None:
    data = button.get("callback_data")
    if data is not None and not 1 <= len(str(data).encode()) <= MAX_DATA_BYTES:
        raise bad_request(Text.BUTTON_DATA)
    if button.get("url") is not None:
        _check_url("inline keyboard button URL", str(button["url"]))
    if button.get("web_app") is not None:
        if not private:
            raise bad_request(Text.BUTTON_TYPE)
        check_web_app("inline keyboard button Web App URL", button["web_app"])
    copied = button.get("copy_text")
    if copied is not None:
        text = copied.get("text", "") if isinstance(copied, dict) else ""
        if not 1 <= utf16_length(text) <= MAX_COPY_CHARS:
            raise bad_request("BUTTON_COPY_TEXT_INVALID")


def check_web_app(what: str, web_app: Any) -> str:
    """The address of a Mini App: https, or http on this machine, which Telegram would refuse.

    Raises:
        ApiError: any other address; ``what`` begins the text.
    """
    url = str(web_app.get("url", "")) if isinstance(web_app, dict) else ""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise bad_request(f"{what} '{url}' is invalid: Only HTTPS links are allowed")
    _check_url(what, url)
    return url


def _check_url(what: str, url: str) -> None:
    error = url_error(url)
    if error is not None:
        raise bad_request(f"{what} '{url}' is invalid: {error}")
