"""A person's app: chats with messages to send, buttons to press, answers to wait for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from bot.sandbox.client import Client
from bot.sandbox.errors import RefusedError
from bot.sandbox.views import Answer, Entry, Message

POLL_S = 20.0
Wanted = str | Callable[[Message], bool]
T = TypeVar("T")


class WaitError(TimeoutError):
    """What was waited for did not come; the text shows the chat as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of an album or message; ``size`` declares other bytes to the bot than there are."""

    path: Path
    kind: str = "video"
    caption: str = ""
    file_name: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: int | None = None
    size: int | None = None


class Person:
    """Somebody with an app; ``chat`` is the private chat with the bot."""

    def __init__(self, client: Client, user_id: int) -> None:
        self.id = user_id
        self.chat = Chat(client, user_id, user_id)
        self._client = client

    def enter(self, chat_id: int) -> Chat:
        """A group as this person uses it."""
        return Chat(self._client, chat_id, self.id)


class Chat:
    """One chat in one person's app."""

    def __init__(self, client: Client, chat_id: int, user_id: int) -> None:
        self.id = chat_id
        self._client = client
        self._me = {"chat_id": chat_id, "user_id": user_id}

    async def send_text(
        self, text: str, *, reply_to: Message | None = None, forward_from: int | str | None = None
    ) -> Message:
        return (await self._say([], text=text, reply_to=reply_to, forward_from=forward_from))[0]

    async def send_video(
        self,
        path: Path,
        caption: str = "",
        *,
        as_document: bool = False,
        reply_to: Message | None = None,
        forward_from: int | str | None = None,
        **details: Any,
    ) -> Message:
        """Send a file as video or as document; ``details`` are further fields of ``Item``."""
        kind = "document" if as_document else "video"
        item = Item(path=path, kind=kind, caption=caption, **details)
        return (await self._say([item], reply_to=reply_to, forward_from=forward_from))[0]

    async def send_album(
        self, items: Sequence[Item], *, reply_to: Message | None = None
    ) -> list[Message]:
        """Several files that share a ``media_group_id``, as separate messages."""
        return await self._say(items, reply_to=reply_to)

    async def reply(self, message: Message, text: str) -> Message:
        return await self.send_text(text, reply_to=message)

    async def edit_text(self, message: Message, text: str) -> None:
        await self._do("edit", message, text=text)

    async def press(self, message: Message, button: str) -> Press:
        """Press the button whose text contains ``button`` or whose data equals it.

        It is looked for on the message as it is now.

        Raises:
            RefusedError: no such button any more, or it is disabled.
        """
        now = await self.message(message.id)
        found = None if now is None else now.button(button)
        wanted = button if found is None else found.callback_data or found.text
        answer = await self._do("press", message, button=wanted)
        return Press(self._client, answer["query_id"])

    async def delete_message(self, message: Message) -> None:
        await self._do("delete", message)

    async def block_bot(self) -> None:
        """Block the bot; in a group, remove it."""
        await self._client.call("POST", "block", json=self._me | {"blocked": True})

    async def unblock_bot(self) -> None:
        await self._client.call("POST", "block", json=self._me | {"blocked": False})

    async def messages(self) -> list[Message]:
        """What the chat shows now: current texts, without deleted messages."""
        found = await self._client.call("GET", "messages", params={"chat_id": self.id})
        return [Message.parse(message) for message in found["messages"]]

    async def message(self, message_id: int) -> Message | None:
        return next((m for m in await self.messages() if m.id == message_id), None)

    async def wait_for(
        self, wanted: Wanted, timeout_s: float = 10.0, *, after: Message | None = None
    ) -> Message:
        """The newest message of the bot that shows a text or satisfies a predicate.

        A text is looked for in the message and on its buttons; ``after`` looks only at messages
        newer than that one.

        Raises:
            WaitError: there was none within ``timeout_s`` seconds.
        """
        first_id = 0 if after is None else after.id + 1

        def pick(messages: list[Message]) -> Message | None:
            newest = [m for m in reversed(messages) if m.from_bot and m.id >= first_id]
            return next((m for m in newest if _matches(m, wanted)), None)

        return await self.wait_until(pick, timeout_s)

    async def wait_until(
        self, look: Callable[[list[Message]], T | None], timeout_s: float = 10.0
    ) -> T:
        """The first true value that ``look`` makes of the messages; asked at every change."""
        ends_at = time.monotonic() + timeout_s
        query: dict[str, Any] = {"chat_id": self.id}
        while True:
            found = await self._client.call("GET", "messages", params=query)
            messages = [Message.parse(message) for message in found["messages"]]
            result = look(messages)
            if result:
                return result
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                shown = "\n".join(f"  #{m.id} {m.text!r}" for m in messages)
                raise WaitError(f"not seen in {timeout_s:g} s; chat {self.id} shows:\n{shown}")
            query |= {"revision": found["revision"], "timeout_s": min(left_s, POLL_S)}

    async def transcript(self, since: int = 0) -> list[Entry]:
        """Every send, edit, delete, press and answer of this chat in order, with times."""
        query = {"chat_id": self.id, "since": since}
        found = await self._client.call("GET", "transcript", params=query)
        return [Entry.parse(entry) for entry in found["entries"]]

    async def commands(self) -> dict[str, str]:
        """The commands that this person's menu shows here, with their descriptions."""
        found = await self._client.call("GET", "commands", params=self._me)
        return {command["command"]: command["description"] for command in found}

    async def download(self, message: Message, target: Path) -> Path:
        """Save the file of a message to ``target``."""
        if message.file is None:
            raise RefusedError(f"message {message.id} has no file")
        return await self._client.fetch(message.file["file_id"], target)

    async def _do(self, deed: str, message: Message, **more: Any) -> Any:
        body = self._me | {"message_id": message.id, **more}
        return await self._client.call("POST", deed, json=body)

    async def _say(
        self,
        items: Sequence[Item],
        *,
        text: str = "",
        reply_to: Message | None = None,
        forward_from: int | str | None = None,
    ) -> list[Message]:
        options = self._me | {
            "text": text,
            "reply_to": None if reply_to is None else reply_to.id,
            "forward_from": forward_from,
            "media": [_describe(item) for item in items],
        }
        form = aiohttp.FormData()
        form.add_field("options", json.dumps(options), content_type="application/json")
        with _OpenFiles(items) as files:
            for index, file in enumerate(files):
                form.add_field(f"file{index}", file, filename="file")
            said = await self._client.call("POST", "say", data=form)
        return [Message.parse(message) for message in said]


class Press:
    """A pressed button, whose spinner turns until the bot answers."""

    def __init__(self, client: Client, query_id: str) -> None:
        self.query_id = query_id
        self._client = client

    async def answer(self, timeout_s: float = 10.0) -> Answer:
        """What the bot answered.

        Raises:
            WaitError: nothing within ``timeout_s`` seconds.
        """
        ends_at = time.monotonic() + timeout_s
        query: dict[str, Any] = {}
        while True:
            found = await self._client.call("GET", f"queries/{self.query_id}", params=query)
            if found["answer"] is not None:
                return Answer(found["answer"]["text"], bool(found["answer"]["show_alert"]))
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise WaitError(f"the press was not answered in {timeout_s:g} s")
            query = {"revision": found["revision"], "timeout_s": min(left_s, POLL_S)}


class _OpenFiles:
    def __init__(self, items: Sequence[Item]) -> None:
        self._files = [item.path.open("rb") for item in items]

    def __enter__(self) -> list[Any]:
        return list(self._files)

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()


def _describe(item: Item) -> dict[str, Any]:
    # The name travels in the options: a header of multipart could not carry a hostile one
    # unchanged.
    options = asdict(item)
    path = options.pop("path")
    options["file_name"] = path.name if item.file_name is None else item.file_name
    return options


def _matches(message: Message, wanted: Wanted) -> bool:
    if isinstance(wanted, str):
        return wanted in message.text or any(wanted in b.text for b in message.buttons)
    return wanted(message)
