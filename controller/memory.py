"""What front ends remember through the controller: outbox and cursors, inbox, cards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from controller.alarms import Alarm
from controller.errors import ForeignDatabase
from controller.records import Card, Event, Job, Update
from controller.store import Store

_OTHERS_S = 0.5
"""Another process that writes to the same database rings no bell here: it is looked for."""


class Memory:
    """A part of the front door: rows for those who show things to people."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._news = asyncio.Event()
        store.on_commit(self._news.set)

    def jobs_in(self, chat: int, *, ended_after: float | None = None) -> list[Job]:
        """Started jobs of a chat that are not of a batch: those that have not ended, or that
        ended since; in the order in which they were started."""
        return self._store.jobs.in_chat(chat, ended_after)

    def claim(self, front_end: str) -> None:
        """Bind the chat's memory to one bot: the ids of another one would mean other messages.

        :class:`ForeignDatabase` where it belongs to another one already.
        """
        owner = self._store.claim("front_end", front_end)
        if owner != front_end:
            raise ForeignDatabase(owner)

    def newest_event(self) -> int:
        """Where a follower that does not care for the past begins."""
        return self._store.events.newest()

    def events_after(self, cursor: int, limit: int = 500) -> list[Event]:
        return self._store.events.after(cursor, limit)

    async def wait_for_events(self, cursor: int, timeout_s: float) -> bool:
        """True as soon as there is an event after ``cursor``."""
        ends_at = asyncio.get_running_loop().time() + timeout_s
        while self._store.events.newest() <= cursor:
            left_s = ends_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                return False
            self._news.clear()
            try:
                async with asyncio.timeout(min(left_s, _OTHERS_S)):
                    await self._news.wait()
            except TimeoutError:
                continue
        return True

    def cursor(self, name: str) -> int:
        return self._store.events.cursor(name)

    def move_cursor(self, name: str, to: int) -> None:
        self._store.events.move_cursor(name, to)

    def inbox_add(self, updates: Sequence[tuple[int, str]]) -> None:
        self._store.inbox.add(updates)

    def inbox_offset(self) -> int | None:
        return self._store.inbox.offset()

    def inbox_pending(self, limit: int = 100) -> list[Update]:
        return self._store.inbox.pending(limit)

    def inbox_try(self, update_id: int) -> int:
        return self._store.inbox.count_try(update_id)

    def inbox_untry(self, update_id: int) -> None:
        self._store.inbox.give_try_back(update_id)

    def inbox_done(self, update_id: int) -> None:
        self._store.inbox.set_handled(update_id)

    def card(self, subject: str) -> Card | None:
        """The card of a job, by its id, or of another subject."""
        return self._store.cards.get(subject)

    def card_at(self, chat: int, message: int) -> Card | None:
        """What a message of the bot shows, if it is a card."""
        return self._store.cards.by_message(chat, message)

    def cards(self, *, finished: bool = False) -> list[Card]:
        return self._store.cards.select(finished=finished)

    def save_card(self, card: Card) -> None:
        self._store.cards.save(card)

    def move_chat(self, old: int, new: int) -> None:
        """A group became another chat: its jobs, batches, uploads and cards go on there."""
        self._store.cards.move_chat(old, new)

    def alarms(self) -> list[Alarm]:
        """What is or was wrong, as the loops keep it: what people are rung for."""
        return self._store.alarms.select()

    def preference(self, user: int, name: str) -> str | None:
        return self._store.preferences.get(user, name)

    def set_preference(self, user: int, name: str, value: str) -> None:
        self._store.preferences.set(user, name, value)
