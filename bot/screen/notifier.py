"""Follows the outbox and keeps every card up to date, across restarts and outages.

Each chat has a cursor of what it was shown; the notifier's own is the lowest of them, where a
restart begins to read. Cards that are not finished are drawn anew at start, so what happened
while the bot was down is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError

from bot.roles import find_admins
from bot.screen.alarms import Alarms
from bot.screen.batch_quotes import BatchQuotes
from bot.screen.board import CONFIRM_S, Board
from bot.screen.chat import Chat, cursor_name
from bot.screen.counters import Counters
from bot.screen.endings import Endings
from bot.screen.exhibits import asks_admins
from bot.screen.pace import Pace
from bot.screen.quoting import Quoting
from bot.screen.shown import Shown
from bot.screen.snapshots import Snapshots
from bot.screen.traffic import Traffic, Urgency
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import DatabaseFull
from controller.records import Event, Job
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
        self._settings = settings
        quotes = BatchQuotes(controller, self.poke, self._start)
        quoting = Quoting(controller, self.poke, self._start)
        snapshots = Snapshots(controller, settings, quotes, quoting)
        self._board = Board(controller, texts, snapshots)
        self._alarms = Alarms(controller, settings)
        self._endings = Endings(controller, self._board, snapshots, settings, texts)
        self._pace = pace or Pace()
        self.counters = Counters()
        self._traffic = Traffic(self._pace, self.counters)
        self._chats: dict[int, Chat] = {}
        self._delivering: set[str] = set()
        self._group: asyncio.TaskGroup | None = None
        self._bot: Bot | None = None

    def poke(self, subject: str) -> None:
        """A card should be looked at now, also where it is finished; by job or other subject."""
        job = self._board.find_job(subject) if ":" not in subject else None
        if job is None:
            self._route(subject)
        else:
            self._take(job, None)

    def ask_to_confirm(self, subject: str) -> None:
        """The card asks whether to cancel, for a minute."""
        until = int(self._controller.clock() + CONFIRM_S)
        self._change(subject, confirm_until=until)

    def stop_confirming(self, subject: str) -> None:
        self._change(subject, confirm_until=0)

    def note_retry(self, job_id: str) -> None:
        """There is a new job in this one's place: its card offers no other."""
        self._change(job_id, retried=True)

    def turn_page(self, subject: str, page: str) -> None:
        """Show another page of a card."""
        self._change(subject, page=page)

    def toggle_details(self, job_id: str) -> None:
        """Show the end of the log on the card, or take it away."""
        self._change(job_id, details=not self.shown(job_id).details)

    def do_again(self, subject: str) -> None:
        """A batch does again what was done before."""
        self._change(subject, again=True)

    def shown(self, subject: str) -> Shown:
        """What a card shows now."""
        card = self._controller.card(subject)
        return Shown.read(card.shown) if card else Shown()

    def resend(self, job_id: str) -> None:
        """The card anew at the bottom; the message that showed it loses its buttons."""
        work = self._resend(job_id)
        if not self._start(work):
            work.close()

    def ask_admins(self, job_id: str) -> None:
        """Ask all admins about a job, as for a hold; whoever owns it is not asked."""
        job = self._board.find_job(job_id)
        for admin in self._list_admins():
            if job is not None and admin != job.owner:
                self._open_ask(f"ask:{job.id}:{admin}")
        self.poke(job_id)

    def reopen(self, chat: int) -> None:
        """Somebody wrote in a chat: what it missed while it was closed to the bot is told."""
        for subject in self._board.reopen(chat):
            self._route(subject)

    async def run(self, bot: Bot) -> None:
        """Until cancelled."""
        self._bot = bot
        try:
            with self._traffic.watching(bot):
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    try:
                        for chat in self._chats.values():
                            group.create_task(chat.run(bot), name=f"chat {chat.id}")
                        for card in self._controller.cards(finished=False):
                            # whoever has become an admin meanwhile is asked as well
                            self.poke(card.subject)
                        await self._follow()
                    finally:
                        # a group that ends takes no tasks, and handlers may still poke
                        self._group = None
        finally:
            self._group = None

    async def _follow(self) -> None:
        seen = settled = self._controller.cursor(CURSOR)
        while True:
            self._controller.vitals.beat("loop:notifier")
            has_shown = self._show_alarms()
            try:
                events = self._controller.events_after(seen)
                for event in events:
                    self._take_event(event)
                    seen = event.id
                lowest = self._find_lowest(seen)
                if lowest > settled:
                    self._controller.move_cursor(CURSOR, lowest)
                    settled = lowest
                if has_shown and not events:
                    await self._controller.wait_for_events(seen, _WAIT_S)
            except DatabaseFull as error:
                log.warning("what happens cannot all be shown now: %s", error)
                has_shown = False
            await asyncio.sleep(0 if has_shown else self._pace.stubborn.first_s)

    def _show_alarms(self) -> bool:
        """False where a new card cannot be noted: that holds back nothing else."""
        try:
            self._alarms.show(self._route)
        except DatabaseFull as error:
            log.warning("what is wrong cannot be shown now: %s", error)
            return False
        return True

    def _take_event(self, event: Event) -> None:
        if (job := self._board.find_job(event.job)) is not None:
            self._take(job, event.id)

    def _take(self, job: Job, event_id: int | None) -> None:
        """Look at all that shows a job."""
        for subject in self._board.exhibits.list_subjects(job):
            self._route(subject, event_id)
        for subject in self._find_asks(job):
            self._route(subject, event_id)

    def _route(self, subject: str, event_id: int | None = None) -> None:
        exhibit = self._board.exhibits.find(subject)
        if exhibit is None:
            return
        card = exhibit.card
        if event_id is not None and (
            card.finished or event_id <= self._controller.cursor(cursor_name(card.chat))
        ):
            return
        urgency = Urgency.END if exhibit.ended else Urgency.CHANGE
        self._find_chat(card.chat).add(subject, event_id, urgency)

    def _find_asks(self, job: Job) -> list[str]:
        """The cards that ask admins for a yes, made where it is needed now."""
        about, admins = job.batch or job.id, self._list_admins()
        subjects = [f"ask:{about}:{admin}" for admin in admins if admin != job.owner]
        if asks_admins(job) and job.owner not in admins:
            for subject in subjects:
                self._open_ask(subject)
        return [each for each in subjects if self._controller.card(each) is not None]

    def _open_ask(self, subject: str) -> None:
        """A card that asks, unless there is one; what was settled before is asked anew."""
        card = self._controller.card(subject)
        if card is None or card.finished:
            self._board.exhibits.make_card(subject, int(subject.rpartition(":")[2]))

    def _list_admins(self) -> list[int]:
        return find_admins(self._controller, self._settings)

    def _change(self, subject: str, **shown: Any) -> None:
        self._board.change(subject, shown=shown)
        self._route(subject)

    async def _resend(self, job_id: str) -> None:
        if self._bot is None:
            return
        try:
            await self._board.renew(self._bot, job_id)
        except AiogramError as error:
            log.info("the old card of %s was left: %s", job_id, type(error).__name__)
        self._route(job_id)

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run something beside the chats; False, and nothing, where the notifier does not run."""
        if self._group is None:
            return False
        self._group.create_task(work)
        return True

    def _find_chat(self, chat_id: int) -> Chat:
        chat = self._chats.get(chat_id)
        if chat is None:
            chat = Chat(
                chat_id,
                controller=self._controller,
                board=self._board,
                endings=self._endings,
                pace=self._pace,
                traffic=self._traffic,
                spawn=lambda subject: self._deliver(chat_id, subject),
                reroute=self._route,
            )
            self._chats[chat_id] = chat
            if self._group is not None and self._bot is not None:
                self._group.create_task(chat.run(self._bot), name=f"chat {chat_id}")
        return chat

    def _deliver(self, chat_id: int, subject: str) -> None:
        if self._group is None or self._bot is None or subject in self._delivering:
            return
        self._delivering.add(subject)
        self._group.create_task(
            self._tell(self._bot, chat_id, subject), name=f"delivery {subject}"
        )

    async def _tell(self, bot: Bot, chat_id: int, subject: str) -> None:
        try:
            await self._chats[chat_id].deliver(bot, subject)
        finally:
            # in the same step: whoever hears of the end may already want it told once more
            self._delivering.discard(subject)

    def _find_lowest(self, seen: int) -> int:
        """Up to where every chat has been shown everything."""
        oldest = [chat.oldest_event for chat in self._chats.values()]
        return min([seen, *(event - 1 for event in oldest if event is not None)])
