"""Methods that change, remove, mark or answer what is already in a chat."""

from __future__ import annotations

import copy

from bot.sandbox.api import (
    Api,
    chat_to_write,
    find_message,
    read_caption,
    read_preview,
    read_text,
)
from bot.sandbox.chats import Chat, Json, Message
from bot.sandbox.entities import utf16_length
from bot.sandbox.errors import Text, bad_request
from bot.sandbox.markup import inline_part, read_markup
from bot.sandbox.params import Params
from bot.sandbox.sending import MEDIA_KINDS, read_media

TEXT_KEYS = frozenset({"text", "entities", "link_preview_options"})
CAPTION_KEYS = frozenset({"caption", "caption_entities", "show_caption_above_media"})
MEDIA_KEYS = frozenset({*MEDIA_KINDS, "has_media_spoiler"})
MAX_ANSWER = 200
# The reactions a bot may set: core.telegram.org/bots/api#reactiontypeemoji.
_REACTIONS = (
    "❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 "
    "❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u200d💻 "
    "👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 "
    "🤷\u200d♂ 🤷 🤷\u200d♀ 😡"
)
REACTIONS = frozenset(_REACTIONS.split(" "))


def edit_message_text(api: Api, params: Params) -> Json:
    target = _editable(api, params)
    text = read_text(params, too_long=Text.EDIT_TOO_LONG)
    if "text" not in target[1].raw:
        raise bad_request(Text.NO_TEXT)
    content = text.to_json("text", "entities") | read_preview(params)
    return _apply(api, params, target, content, TEXT_KEYS)


def edit_message_caption(api: Api, params: Params) -> Json:
    target = _editable(api, params)
    caption = read_caption(params)
    if not target[1].raw.keys() & MEDIA_KINDS.keys():
        raise bad_request(Text.NO_CAPTION)
    content = caption.to_json("caption", "caption_entities")
    if params.boolean("show_caption_above_media") and caption.text:
        content["show_caption_above_media"] = True
    return _apply(api, params, target, content, CAPTION_KEYS)


def edit_message_media(api: Api, params: Params) -> Json:
    """Put other media into a message; a text message becomes a media message."""
    target = _editable(api, params)
    item = params.mapping("media")
    content = read_media(api, params, item)
    return _apply(api, params, target, content, TEXT_KEYS | CAPTION_KEYS | MEDIA_KEYS)


def edit_message_reply_markup(api: Api, params: Params) -> Json:
    target = _editable(api, params)
    return _apply(api, params, target, {}, frozenset())


def delete_message(api: Api, params: Params) -> bool:
    """Remove a message younger than 48 hours; other people's only in private chats."""
    chat = chat_to_write(api, params)
    message = find_message(chat, params, Text.DELETE_NOT_FOUND)
    if not message.from_bot and not chat.is_private:
        raise bad_request(Text.CANT_DELETE)
    if api.world.now() - message.sent_at > api.rules.delete_window_s:
        raise bad_request(Text.DELETE_TOO_OLD)
    message.deleted = True
    api.world.record("delete", chat.id, api.world.bot, message=message)
    return True


def pin_chat_message(api: Api, params: Params) -> bool:
    chat = chat_to_write(api, params)
    message = find_message(chat, params, Text.PIN_NOT_FOUND)
    chat.pinned_id = message.id
    api.world.record("pin", chat.id, api.world.bot, message=message)
    return True


def set_message_reaction(api: Api, params: Params) -> bool:
    """Set or, with an empty list, remove the bot's one reaction."""
    chat = chat_to_write(api, params)
    message = find_message(chat, params, Text.REACT_NOT_FOUND)
    wanted = params.array("reaction") or []
    if len(wanted) > 1:
        raise bad_request(Text.REACTIONS_TOO_MANY)
    for reaction in wanted:
        emoji = reaction.get("emoji") if isinstance(reaction, dict) else None
        if emoji not in REACTIONS or reaction.get("type") != "emoji":
            raise bad_request(Text.REACTION_INVALID)
    message.reactions = [{"type": "emoji", "emoji": reaction["emoji"]} for reaction in wanted]
    shown = "".join(reaction["emoji"] for reaction in wanted)
    api.world.record("reaction", chat.id, api.world.bot, message_id=message.id, text=shown)
    return True


def answer_callback_query(api: Api, params: Params) -> bool:
    """Stop the spinner of a button; too late, or for an unknown press, it is refused."""
    query = api.world.queries.get(params.text("callback_query_id") or "")
    now = api.world.now()
    if query is None or now - query.pressed_at > api.rules.query_timeout_s:
        raise bad_request(Text.QUERY_TOO_OLD)
    text = params.text("text") or ""
    if utf16_length(text) > MAX_ANSWER:
        raise bad_request(Text.EDIT_TOO_LONG)
    if params.text("url"):
        raise bad_request(Text.URL_INVALID)
    query.answer = {"text": text, "show_alert": params.boolean("show_alert")}
    api.world.record("answer", query.chat_id, api.world.bot, query_id=query.id, **query.answer)
    return True


def _editable(api: Api, params: Params) -> tuple[Chat, Message]:
    if params.text("inline_message_id"):
        raise bad_request(Text.INLINE_MESSAGE)
    chat = chat_to_write(api, params)
    message = find_message(chat, params, Text.EDIT_NOT_FOUND)
    if not message.from_bot:
        raise bad_request(Text.CANT_EDIT)
    return chat, message


def _apply(
    api: Api,
    params: Params,
    target: tuple[Chat, Message],
    content: Json,
    replaced: frozenset[str],
) -> Json:
    """Exchange the ``replaced`` fields and the keyboard, which goes if the call names none.

    Raises:
        ApiError: nothing would change.
    """
    chat, message = target
    markup = inline_part(read_markup(params, private=chat.is_private, inline_only=True))
    gone = replaced | {"reply_markup", "edit_date"}
    kept = {key: value for key, value in message.raw.items() if key not in gone}
    edited = {**kept, **content, **markup}
    if edited == {key: value for key, value in message.raw.items() if key != "edit_date"}:
        raise bad_request(Text.NOT_MODIFIED)
    message.raw = {**edited, "edit_date": int(api.world.now())}
    api.world.record("edit", chat.id, api.world.bot, message=message)
    return copy.deepcopy(message.raw)
