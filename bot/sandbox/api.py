"""What every Bot API method works on, and the readings of parameters that several share."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.chats import Chat, Json, Message, World, quoted
from bot.sandbox.entities import FormattedText, format_text, utf16_length
from bot.sandbox.errors import Text, bad_request
from bot.sandbox.files import FileStore
from bot.sandbox.limits import Rules
from bot.sandbox.markup import inline_part, read_markup
from bot.sandbox.params import Params
from bot.sandbox.updates import UpdateQueue

MAX_TEXT = 4096
MAX_CAPTION = 1024


@dataclass(slots=True, kw_only=True)
class Api:
    """One bot's side of the sandbox; ``started_at`` is UTC epoch seconds.

    ``menu_buttons`` are by private chat, 0 for all.
    """

    world: World
    updates: UpdateQueue
    files: FileStore
    rules: Rules
    started_at: float
    logged_out: bool = False
    commands: dict[tuple[str, int, int, str], list[Json]] = field(default_factory=dict)
    menu_buttons: dict[int, Json] = field(default_factory=dict)
    descriptions: dict[tuple[str, str], str] = field(default_factory=dict)


def chat_to_write(api: Api, params: Params) -> Chat:
    """The chat a message goes to.

    Raises:
        ApiError: no such chat, the bot is blocked, or a way of addressing that the sandbox lacks.
    """
    if params.text("business_connection_id"):
        raise bad_request(Text.BUSINESS)
    chat = chat_to_look_at(api, params)
    if params.integer("message_thread_id"):
        raise bad_request(Text.THREAD_NOT_FOUND)
    return api.world.chat_to_write(chat.id)


def chat_to_look_at(api: Api, params: Params) -> Chat:
    if not params.values.get("chat_id"):
        raise bad_request(Text.CHAT_ID_EMPTY)
    return api.world.chat_for_bot(params.chat_id())


def find_message(chat: Chat, params: Params, missing: Text) -> Message:
    """The message that ``message_id`` names.

    Raises:
        ApiError: none named, or ``missing`` if it is gone.
    """
    message_id = params.integer("message_id")
    if not message_id:
        raise bad_request(Text.NO_MESSAGE_ID)
    message = chat.find(message_id)
    if message is None:
        raise bad_request(missing)
    return message


def read_text(params: Params, *, too_long: Text = Text.TEXT_TOO_LONG) -> FormattedText:
    """The text of a message, 1-4096 UTF-16 units after its markup is parsed."""
    source = params.text("text")
    if not source:
        raise bad_request(Text.TEXT_EMPTY)
    formatted = format_text(source, params.text("parse_mode"), params.array("entities"))
    if not formatted.text:
        raise bad_request(Text.TEXT_BLANK)
    if utf16_length(formatted.text) > MAX_TEXT:
        raise bad_request(too_long)
    return formatted


def read_caption(fields: Params) -> FormattedText:
    """A caption, 0-1024 UTF-16 units after its markup is parsed."""
    formatted = format_text(
        fields.text("caption") or "", fields.text("parse_mode"), fields.array("caption_entities")
    )
    if utf16_length(formatted.text) > MAX_CAPTION:
        raise bad_request(Text.CAPTION_TOO_LONG)
    return formatted


def read_preview(params: Params) -> Json:
    options = params.mapping("link_preview_options")
    return {"link_preview_options": options} if options else {}


def post(api: Api, chat: Chat, params: Params, content: Json) -> Json:
    """Put a message of the bot into a chat, with reply and keyboard; returns the ``Message``."""
    reply = read_reply(chat, params)
    markup = read_markup(params, private=chat.is_private)
    flags: Json = {"has_protected_content": True} if params.boolean("protect_content") else {}
    effect = read_effect(chat, params)
    if effect:
        flags["effect_id"] = effect
    message = api.world.add_message(
        chat, api.world.bot, {**content, **reply, **flags, **inline_part(markup)}
    )
    message.silent = params.boolean("disable_notification")
    api.world.transcript[-1]["silent"] = message.silent
    return copy.deepcopy(message.raw)


def read_effect(chat: Chat, params: Params) -> str:
    """The id of the effect that a message arrives with, empty for none.

    Raises:
        ApiError: effects are for private chats, and their ids are numbers.
    """
    effect = params.text("message_effect_id") or ""
    if effect in {"", "0"}:
        return ""
    if not chat.is_private:
        raise bad_request(Text.EFFECT_NOT_HERE)
    if not effect.isdecimal():
        raise bad_request(Text.EFFECT_INVALID)
    return effect


def read_reply(chat: Chat, params: Params) -> Json:
    """The ``reply_to_message`` and ``quote`` that the call asks for.

    Raises:
        ApiError: the message is gone and sending without a reply was not allowed, or the quote
            is not in it.
    """
    options = params.mapping("reply_parameters") or {}
    wanted = Params(options, {}).integer("message_id") or params.integer("reply_to_message_id")
    if not wanted:
        return {}
    elsewhere = options.get("chat_id") not in {None, chat.id, str(chat.id)}
    target = None if elsewhere else chat.find(wanted)
    if target is None:
        if options.get("allow_sending_without_reply") or params.boolean(
            "allow_sending_without_reply"
        ):
            return {}
        raise bad_request(Text.REPLY_NOT_FOUND)
    return {"reply_to_message": quoted(target), **_read_quote(options, target)}


def _read_quote(options: dict[str, Any], target: Message) -> Json:
    quote = str(options.get("quote") or "")
    if not quote:
        return {}
    at = target.text.find(quote)
    if at < 0:
        raise bad_request(Text.QUOTE_INVALID)
    return {
        "quote": {"text": quote, "position": utf16_length(target.text[:at]), "is_manual": True}
    }
