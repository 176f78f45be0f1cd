"""Drive a sandbox as persons who chat with the bot, over HTTP.

async with Driver(base_url) as driver:
    ann = await driver.person(7, "Ann", language_code="en")
    await ann.chat.send_video(Path("clip.mp4"), as_document=True)
    card = await ann.chat.wait_for("Start")
    await ann.chat.press(card, "Start")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from bot.sandbox.client import Client
from bot.sandbox.conversation import POLL_S, Person, Press
from bot.sandbox.limits import Fault, FaultKind
from bot.sandbox.views import Entry


class Driver(Client):
    """Everything a test or a demo does with one sandbox; open it with ``async with``."""

    async def person(
        self,
        user_id: int,
        first_name: str = "Ann",
        *,
        last_name: str | None = None,
        username: str | None = None,
        language_code: str | None = "en",
    ) -> Person:
        """A person with a private chat; the bot cannot write there before the person has."""
        user = {
            "id": user_id,
            "first_name": first_name,
            "last_name": last_name,
            "username": username,
            "language_code": language_code,
        }
        await self.call("POST", "persons", json=user)
        return Person(self, user_id)

    async def group(
        self, chat_id: int, title: str, members: dict[Person, str] | Sequence[Person]
    ) -> int:
        """A group with the bot in it; members are persons, or persons with their statuses."""
        statuses = members if isinstance(members, dict) else dict.fromkeys(members, "member")
        named = {str(person.id): status for person, status in statuses.items()}
        group = {"id": chat_id, "title": title, "members": named}
        await self.call("POST", "groups", json=group)
        return chat_id

    async def inject(
        self,
        kind: FaultKind,
        method: str = "*",
        *,
        times: int = 1,
        seconds: float = 1.0,
        chat_id: int | None = None,
    ) -> None:
        """Let the next ``times`` calls of ``method`` suffer; ``seconds``: retry_after or delay."""
        fault = Fault(kind=kind, method=method, times=times, seconds=seconds, chat_id=chat_id)
        await self.call("POST", "faults", json=asdict(fault))

    async def clear_faults(self) -> None:
        await self.call("DELETE", "faults")

    async def set_rates(self, rates: dict[str, float] | None) -> None:
        """None: no limits; else new values of ``Rates`` by name, with full buckets."""
        await self.call("POST", "rates", json=rates)

    async def advance(self, seconds: float) -> None:
        """Let time pass for the server: dates, the 48 hour rule, queries, rate limits."""
        await self.call("POST", "clock", json={"advance_s": seconds})

    async def calls(self, method: str | None = None) -> list[dict[str, Any]]:
        """Bot API calls so far.

        Keys: ``at method chat_id message_id code description retry_after fault``.
        """
        query = {"method": method} if method else {}
        found: list[dict[str, Any]] = await self.call("GET", "calls", params=query)
        return found

    async def transcript(self, chat_id: int | None = None, since: int = 0) -> list[Entry]:
        """Everything that happened after entry ``since``, in one chat or in all."""
        query = {"since": since} | ({} if chat_id is None else {"chat_id": chat_id})
        found = await self.call("GET", "transcript", params=query)
        return [Entry.parse(entry) for entry in found["entries"]]

    async def follow(self, chat_id: int | None = None, since: int = 0) -> AsyncIterator[Entry]:
        """Entries as they come, without end."""
        while True:
            query: dict[str, Any] = {"since": since, "timeout_s": POLL_S}
            query |= {} if chat_id is None else {"chat_id": chat_id}
            found = await self.call("GET", "transcript", params=query)
            since = found["revision"]
            for entry in found["entries"]:
                yield Entry.parse(entry)

    async def state(self) -> dict[str, Any]:
        """``bot``, ``now``, ``pending_updates`` and ``descriptions``."""
        found: dict[str, Any] = await self.call("GET", "state")
        return found

    async def press_raw(self, user_id: int, chat_id: int, message_id: int, data: str) -> Press:
        """A forged press: any person, any data, even on a message without buttons."""
        deed = {"chat_id": chat_id, "user_id": user_id, "message_id": message_id, "data": data}
        found = await self.call("POST", "press_raw", json=deed)
        return Press(self, found["query_id"])
