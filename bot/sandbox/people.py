"""What persons do: write, send files, press buttons, delete, block; the bot gets the updates."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.api import Api
from bot.sandbox.chats import Chat, Json, Message, Query, User, quoted, text_of
from bot.sandbox.entities import detect_entities
from bot.sandbox.errors import RefusedError
from bot.sandbox.files import FileKind
from bot.sandbox.markup import find_button
from bot.sandbox.params import Upload
from bot.sandbox.profile import member_json

FORWARDED = frozenset(
    {"text", "entities", "caption", "caption_entities", "video", "document", "photo"}
    | {"forward_origin"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that a person sends; ``size`` in bytes overrides the real one."""

    upload: Upload
    kind: FileKind = FileKind.VIDEO
    file_name: str | None = None
    caption: str = ""
    width: int | None = None
    height: int | None = None
    duration_s: int | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A text, a file or an album; ``forward_from`` is a user id, or a name for somebody hidden."""

    text: str = ""
    attachments: tuple[Attachment, ...] = field(default=())
    reply_to: int | None = None
    forward_from: int | str | None = None


class People:
    """The persons of one sandbox; what an app would not offer raises ``RefusedError``."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._world = api.world
        self._first_message_id = api.rules.first_message_id

    def enter(self, user: User) -> Chat:
        """Make a person known (or rename a known one) and return the private chat with the bot."""
        if user.id == self._world.bot.id or user.id <= 0:
            raise RefusedError(f"{user.id} cannot be the id of a person")
        self._world.users[user.id] = user
        new = Chat(id=user.id, type="private", next_message_id=self._first_message_id)
        chat = self._world.chats.setdefault(user.id, new)
        chat.owner = user
        chat.members.setdefault(user.id, "member")
        chat.members.setdefault(self._world.bot.id, "member")
        return chat

    def found_group(self, chat_id: int, title: str, members: dict[int, str]) -> Chat:
        """A group with the bot; statuses are creator, administrator or member."""
        if chat_id >= 0:
            raise RefusedError("the id of a group is negative")
        for user_id in members:
            self._world.user(user_id)
        kind = "supergroup" if str(chat_id).startswith("-100") else "group"
        chat = Chat(id=chat_id, type=kind, title=title, started=True)
        chat.next_message_id = self._first_message_id
        chat.members = {**members, self._world.bot.id: "member"}
        self._world.chats[chat_id] = chat
        return chat

    def say(self, chat_id: int, user_id: int, utterance: Utterance) -> list[Message]:
        """Send a text, a file or an album; the messages in order."""
        chat, user = self._place(chat_id, user_id)
        if chat.is_private and chat.blocked:
            raise RefusedError("the bot is blocked: unblock it first")
        common = self._reply(chat, utterance.reply_to) | self._origin(utterance.forward_from)
        if not utterance.attachments:
            if not utterance.text.strip():
                raise RefusedError("there is nothing to send")
            return [self._deliver(chat, user, _texts("text", "entities", utterance.text) | common)]
        if len(utterance.attachments) > 1:
            common["media_group_id"] = str(secrets.randbits(53))
        contents = [self._attach(attachment) for attachment in utterance.attachments]
        return [self._deliver(chat, user, content | common) for content in contents]

    def forward(self, chat_id: int, user_id: int, source_id: int, message_id: int) -> Message:
        """Send a message of chat ``source_id`` on, with who wrote it; an old origin stays."""
        chat, user = self._place(chat_id, user_id)
        source, _ = self._place(source_id, user_id)
        raw = self._find(source, message_id).raw
        if chat.is_private and chat.blocked:
            raise RefusedError("the bot is blocked: unblock it first")
        content = {key: value for key, value in raw.items() if key in FORWARDED}
        origin = {"type": "user", "date": raw["date"], "sender_user": raw["from"]}
        return self._deliver(chat, user, _frozen({"forward_origin": origin, **content}))

    def edit(self, chat_id: int, user_id: int, message_id: int, text: str) -> Message:
        """Change one's own text or caption."""
        chat, user = self._place(chat_id, user_id)
        message = self._find(chat, message_id)
        if message.raw["from"]["id"] != user_id:
            raise RefusedError("only one's own messages can be edited")
        key = "text" if "text" in message.raw else "caption"
        entities_key = "entities" if key == "text" else "caption_entities"
        kept = {name: value for name, value in message.raw.items() if name != entities_key}
        edited_at = int(self._world.now())
        message.raw = kept | _texts(key, entities_key, text) | {"edit_date": edited_at}
        self._world.record("edit", chat.id, user, message=message)
        if self._bot_sees(chat, message.raw):
            self._push("edited_message", message.raw)
        return message

    def press(self, chat_id: int, user_id: int, message_id: int, wanted: str) -> Query:
        """Press the button with this text or data on the message as it is now."""
        chat, _ = self._place(chat_id, user_id)
        message = self._find(chat, message_id)
        button = find_button(message.raw, wanted)
        if button is None:
            raise RefusedError(f"message {message_id} has no button {wanted!r}")
        if "callback_data" not in button:
            state = "is disabled" if "disabled" in button else "sends nothing to the bot"
            raise RefusedError(f"the button {wanted!r} {state}")
        return self._press(chat, user_id, message, button["callback_data"])

    def press_raw(self, chat_id: int, user_id: int, message_id: int, data: str) -> Query:
        """A forged press: any user, any data, as a modified app could send."""
        chat = self._world.chat(chat_id)
        message = chat.messages.get(message_id)
        if message is None:
            raise RefusedError(f"there is no message {message_id} in chat {chat_id}")
        return self._press(chat, user_id, message, data)

    def delete(self, chat_id: int, user_id: int, message_id: int) -> None:
        """Delete any message of a private chat, or one's own in a group; a bot is not told."""
        chat, user = self._place(chat_id, user_id)
        message = self._find(chat, message_id)
        if not chat.is_private and message.raw["from"]["id"] != user_id:
            raise RefusedError("only one's own messages can be deleted in a group")
        message.deleted = True
        self._world.record("delete", chat.id, user, message=message)

    def block(self, chat_id: int, user_id: int, *, blocked: bool) -> None:
        """Block or unblock the bot; remove it from a group or let it in again."""
        chat, user = self._place(chat_id, user_id)
        if chat.blocked == blocked:
            return
        chat.blocked = blocked
        old, new = ("member", "kicked") if blocked else ("kicked", "member")
        bot = self._world.bot
        chat.members[bot.id] = new
        self._world.record("block" if blocked else "unblock", chat.id, user)
        change = {
            "chat": chat.to_json(),
            "from": user.to_json(),
            "date": int(self._world.now()),
            "old_chat_member": member_json(chat, bot, old),
            "new_chat_member": member_json(chat, bot, new),
        }
        self._api.updates.push("my_chat_member", change)

    def _place(self, chat_id: int, user_id: int) -> tuple[Chat, User]:
        chat, user = self._world.chat(chat_id), self._world.user(user_id)
        if user_id not in chat.members:
            raise RefusedError(f"{user_id} is not in chat {chat_id}")
        return chat, user

    def _find(self, chat: Chat, message_id: int) -> Message:
        message = chat.find(message_id)
        if message is None:
            raise RefusedError(f"there is no message {message_id} in chat {chat.id}")
        return message

    def _reply(self, chat: Chat, message_id: int | None) -> Json:
        if message_id is None:
            return {}
        return {"reply_to_message": quoted(self._find(chat, message_id))}

    def _origin(self, source: int | str | None) -> Json:
        if source is None:
            return {}
        date = int(self._world.now())
        if isinstance(source, str):
            origin = {"type": "hidden_user", "date": date, "sender_user_name": source}
        else:
            sender = self._world.user(source).to_json()
            origin = {"type": "user", "date": date, "sender_user": sender}
        return {"forward_origin": origin}

    def _attach(self, attachment: Attachment) -> Json:
        width, height = attachment.width, attachment.height
        stored = self._api.files.adopt(
            attachment.upload,
            attachment.kind,
            file_name=attachment.file_name,
            size=attachment.size,
            dimensions=(width, height) if width and height else None,
            duration_s=attachment.duration_s,
        )
        described = stored.to_json()
        shown = [described] if attachment.kind is FileKind.PHOTO else described
        return {str(stored.kind): shown} | _texts(
            "caption", "caption_entities", attachment.caption
        )

    def _deliver(self, chat: Chat, user: User, content: Json) -> Message:
        if chat.is_private:
            chat.started = True
        message = self._world.add_message(chat, user, content)
        if self._bot_sees(chat, message.raw):
            self._push("message", message.raw)
        return message

    def _bot_sees(self, chat: Chat, raw: Json) -> bool:
        """Privacy mode: of a group, a bot gets commands, replies to itself and mentions only.

        Source: core.telegram.org/bots/features#privacy-mode.
        """
        if chat.blocked:
            return False
        if chat.is_private or not self._api.rules.privacy:
            return True
        text = text_of(raw)
        name = f"@{self._world.bot.username}"
        command = text.split(maxsplit=1)[0] if text.startswith("/") else ""
        to_bot = raw.get("reply_to_message", {}).get("from", {}).get("id") == self._world.bot.id
        meant = bool(command) and ("@" not in command or command.lower().endswith(name.lower()))
        return meant or to_bot or name.lower() in text.lower()

    def _press(self, chat: Chat, user_id: int, message: Message, data: str) -> Query:
        user = self._world.user(user_id)
        query = Query(str(secrets.randbits(63)), chat.id, user_id, self._world.now())
        self._world.queries[query.id] = query
        self._world.record("press", chat.id, user, message=message, data=data, query_id=query.id)
        callback = {
            "id": query.id,
            "from": user.to_json(),
            "message": message.raw,
            "chat_instance": str(abs(chat.id) * 7919),
            "data": data,
        }
        self._push("callback_query", callback)
        return query

    def _push(self, kind: str, payload: Json) -> None:
        # A queued update shows the message as it was, whatever happens to it later.
        self._api.updates.push(kind, _frozen(payload))


def _texts(key: str, entities_key: str, text: str) -> Json:
    if not text:
        return {}
    entities = detect_entities(text)
    return {key: text, **({entities_key: entities} if entities else {})}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return [_frozen(item) for item in value] if isinstance(value, list) else value
