"""The state of the little world: users, chats, messages, and the record of all that happened."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bot.sandbox.errors import RefusedError, Text, bad_request, forbidden

Json = dict[str, Any]
BOT = "bot"
NAMES = ("first_name", "last_name", "username")


class Signal:
    """Wakes everyone who waits for a change; ``close`` wakes them for good."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.closed = False

    def notify(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    def close(self) -> None:
        self.closed = True
        self.notify()

    async def wait(self, timeout_s: float) -> bool:
        """True if something changed, False after ``timeout_s`` seconds or once closed."""
        if self.closed:
            return False
        event = self._event
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return False
        return True


@dataclass(slots=True, kw_only=True)
class User:
    """A user as the bot sees one; names are whatever the person typed."""

    id: int
    first_name: str
    last_name: str | None = None
    username: str | None = None
    language_code: str | None = None
    is_bot: bool = False

    def to_json(self) -> Json:
        fields = ("id", "is_bot", "first_name", "last_name", "username", "language_code")
        return {name: getattr(self, name) for name in fields if getattr(self, name) is not None}


@dataclass(slots=True, kw_only=True)
class Message:
    """``raw`` is the Bot API's ``Message`` as it is now; ``sent_at`` is UTC epoch seconds."""

    raw: Json
    from_bot: bool
    sent_at: float
    deleted: bool = False
    silent: bool = False
    reactions: list[Json] = field(default_factory=list)

    @property
    def id(self) -> int:
        return int(self.raw["message_id"])

    @property
    def text(self) -> str:
        """The text, or the caption of a file."""
        return text_of(self.raw)

    def to_json(self) -> Json:
        return {
            "raw": copy.deepcopy(self.raw),
            "from_bot": self.from_bot,
            "silent": self.silent,
            "reactions": self.reactions,
        }


@dataclass(slots=True, kw_only=True)
class Chat:
    """A private chat or a group; ``members`` maps user ids to Bot API member statuses."""

    id: int
    type: str
    title: str | None = None
    owner: User | None = None
    members: dict[int, str] = field(default_factory=dict)
    started: bool = False
    blocked: bool = False
    messages: dict[int, Message] = field(default_factory=dict)
    next_message_id: int = 1
    pinned_id: int | None = None

    @property
    def is_private(self) -> bool:
        return self.type == "private"

    def to_json(self) -> Json:
        if self.owner is None:
            return {"id": self.id, "type": self.type, "title": self.title or ""}
        person = self.owner.to_json()
        names: Json = {key: person[key] for key in NAMES if key in person}
        return {"id": self.id, "type": self.type, **names}

    def find(self, message_id: int | None) -> Message | None:
        """The message, unless it never existed or was deleted."""
        message = self.messages.get(message_id or 0)
        return None if message is None or message.deleted else message


@dataclass(slots=True)
class Query:
    """A button press that waits for ``answerCallbackQuery``."""

    id: str
    chat_id: int
    user_id: int
    pressed_at: float
    answer: Json | None = None


class World:
    """All users, chats and messages of one bot, and the record of what happened to them.

    ``transcript`` entries are JSON objects: ``seq``, ``at`` (UTC epoch seconds), ``chat_id``,
    ``by``
    (``bot`` or a user id), ``kind``, and what belongs to the kind (``message_id``, ``text``,
    ``message`` …). ``ending`` says why there is no bot any more.
    """

    def __init__(self, bot: User, clock: Callable[[], float] = time.time) -> None:
        self.bot = bot
        self.users: dict[int, User] = {bot.id: bot}
        self.chats: dict[int, Chat] = {}
        self.queries: dict[str, Query] = {}
        self.transcript: list[Json] = []
        self.changed = Signal()
        self.ending = ""
        self._clock = clock
        self._offset_s = 0.0

    def end(self, why: str) -> None:
        """Tell all who look on that the bot is gone, and why."""
        self.ending = why
        self.changed.notify()

    def now(self) -> float:
        return self._clock() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once for dates, the 48 hour rule, queries and rate limits."""
        self._offset_s += seconds

    def user(self, user_id: int) -> User:
        if user_id not in self.users:
            raise RefusedError(f"there is no person {user_id}")
        return self.users[user_id]

    def chat(self, chat_id: int) -> Chat:
        if chat_id not in self.chats:
            raise RefusedError(f"there is no chat {chat_id}")
        return self.chats[chat_id]

    def chat_for_bot(self, chat_id: int | None) -> Chat:
        """A chat that the bot may look at: it exists and the person has spoken to the bot."""
        chat = self.chats.get(chat_id or 0)
        if chat is None or not chat.started:
            raise bad_request(Text.CHAT_NOT_FOUND)
        return chat

    def chat_to_write(self, chat_id: int | None) -> Chat:
        """A chat that the bot may write to.

        Raises:
            ApiError: 400 for an unknown chat, 403 for a person who blocked or a group that
                removed the bot.
        """
        chat = self.chat_for_bot(chat_id)
        if not chat.blocked:
            return chat
        if chat.is_private:
            raise forbidden("bot was blocked by the user")
        raise forbidden(f"bot was kicked from the {chat.type} chat")

    def add_message(self, chat: Chat, sender: User, content: Json) -> Message:
        """Give ``content`` an id and a date and put it into the chat."""
        sent_at = self.now()
        raw: Json = {
            "message_id": chat.next_message_id,
            "from": sender.to_json(),
            "chat": chat.to_json(),
            "date": int(sent_at),
            **content,
        }
        message = Message(raw=raw, from_bot=sender.id == self.bot.id, sent_at=sent_at)
        chat.messages[chat.next_message_id] = message
        chat.next_message_id += 1
        self.record("send", chat.id, sender, message=message)
        return message

    def record(
        self, kind: str, chat_id: int | None, by: User, message: Message | None = None, **more: Any
    ) -> None:
        entry: Json = {
            "seq": len(self.transcript) + 1,
            "at": self.now(),
            "chat_id": chat_id,
            "by": BOT if by.id == self.bot.id else by.id,
            "kind": kind,
            **more,
        }
        if message is not None:
            entry["message_id"] = message.id
            entry["text"] = message.text
            entry["message"] = copy.deepcopy(message.raw)
        self.transcript.append(entry)
        self.changed.notify()


def text_of(raw: Json) -> str:
    return str(raw.get("text") or raw.get("caption") or "")


def quoted(message: Message) -> Json:
    """The message as ``reply_to_message`` of another: without its own reply."""
    return copy.deepcopy(
        {key: value for key, value in message.raw.items() if key != "reply_to_message"}
    )
