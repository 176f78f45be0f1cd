"""Follows the outbox and keeps every job's card up to date, across restarts and outages.

Each chat has a cursor of what it was shown; the notifier's own is the lowest of them, where a
restart begins to read. Cards that are not finished are drawn anew at start, so what happened
while the bot was down is told.
"""

from __future__ import annotations

import asyncio
import logging

from aiogram import Bot

from bot.screen.board import CONFIRM_S, Board
from bot.screen.chat import Chat, cursor_name
from bot.screen.delivery import Delivery
from bot.screen.pace import Pace
from bot.settings import BotSettings
from bot.texts import Texts
from controller.records import Event
from controller.service import Controller

log = logging.getLogger(__name__)

CURSOR = "notifier"
_WAIT_S = 5.0


class Notifier:
    """One task a chat. Handlers say :meth:`poke` after a change and send no cards themselves."""

    def __init__(
        self,
        controller: Controller,
        settings: BotSettings,
        texts: Texts,
        pace: Pace | None = None,
    ) -> None:
        self._controller = controller
        self._board = Board(controller, texts)
        self._delivery = Delivery(controller, self._board, settings, texts)
        self._pace = pace or Pace()
        self._chats: dict[int, Chat] = {}
        self._delivering: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._bot: Bot | None = None

    def poke(self, job_id: str) -> None:
        """A job's card should be looked at now, also where it is finished."""
        self._route(job_id, None)

    def ask_to_confirm(self, job_id: str) -> None:
        """The card asks whether to cancel, for a minute."""
        until = int(self._controller.clock() + CONFIRM_S)
        self._board.change(job_id, shown={"confirm_until": until})
        self.poke(job_id)

    def stop_confirming(self, job_id: str) -> None:
        self._board.change(job_id, shown={"confirm_until": 0})
        self.poke(job_id)

    def note_retry(self, job_id: str) -> None:
        """There is a new job in this one's place: its card offers no other."""
        self._board.change(job_id, shown={"retried": True})
        self.poke(job_id)

    def reopen(self, chat: int) -> None:
        """Somebody wrote in a chat: what it missed while it was closed to the bot is told."""
        for job_id in self._board.reopen(chat):
            self.poke(job_id)

    async def run(self, bot: Bot) -> None:
        """Until cancelled."""
        self._bot = bot
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for chat in self._chats.values():
                    group.create_task(chat.run(bot), name=f"chat {chat.id}")
                for card in self._controller.cards(finished=False):
                    self.poke(card.subject)
                await self._follow()
        finally:
            self._group = None

    async def _follow(self) -> None:
        seen = settled = self._controller.cursor(CURSOR)
        while True:
            events = self._controller.events_after(seen)
            for event in events:
                self._take(event)
                seen = event.id
            lowest = self._find_lowest(seen)
            if lowest > settled:
                self._controller.move_cursor(CURSOR, lowest)
                settled = lowest
            if events:
                await asyncio.sleep(0)
            else:
                await self._controller.wait_for_events(seen, _WAIT_S)

    def _take(self, event: Event) -> None:
        self._route(event.job, event.id)

    def _route(self, job_id: str, event_id: int | None) -> None:
        job = self._board.find_job(job_id)
        card = self._board.find_card(job) if job else None
        if card is None:
            return
        if event_id is not None and (
            card.finished or event_id <= self._controller.cursor(cursor_name(card.chat))
        ):
            return
        self._find_chat(card.chat).add(job_id, event_id)

    def _find_chat(self, chat_id: int) -> Chat:
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = Chat(
                chat_id,
                controller=self._controller,
                board=self._board,
                delivery=self._delivery,
                pace=self._pace,
                spawn=lambda job_id: self._deliver(chat_id, job_id),
            )
            self._chats[chat_id] = chat
            if self._group is not None and self._bot is not None:
                self._group.create_task(chat.run(self._bot), name=f"chat {chat_id}")
        return chat

    def _deliver(self, chat_id: int, job_id: str) -> None:
        if self._group is None or self._bot is None or job_id in self._delivering:
            return
        self._delivering.add(job_id)
        task = self._group.create_task(
            self._chats[chat_id].deliver(self._bot, job_id), name=f"delivery {job_id}"
        )
        task.add_done_callback(lambda _: self._delivering.discard(job_id))

    def _find_lowest(self, seen: int) -> int:
        """Up to where every chat has been shown everything."""
        oldest = [chat.oldest_event for chat in self._chats.values()]
        return min([seen, *(event - 1 for event in oldest if event is not None)])
