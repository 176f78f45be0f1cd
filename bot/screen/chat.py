"""One chat's cards: what to show next and when, one edit at a time.

Newest state wins: what is queued is "this has changed", never a text. Ends go first, then other
changes; progress is looked at by turns, as often as its age asks for. A 429 or an outage stops
this chat only.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

from bot.screen.board import Board
from bot.screen.endings import Endings
from bot.screen.exhibits import Exhibit
from bot.screen.pace import Pace
from bot.screen.traffic import Postponed, Traffic, Urgency, urgent
from controller.errors import DatabaseFull, StorageError, Unclear
from controller.log_ids import log_ids, note_ids
from controller.service import Controller

log = logging.getLogger(__name__)

Spawn = Callable[[str], None]
OUTAGES = (
    TelegramNetworkError,
    TelegramServerError,
    TelegramMigrateToChat,
    ClientDecodeError,
    StorageError,
    Unclear,
)


class Chat:
    """Shows the cards of a chat until cancelled.

    ``spawn`` starts the telling of an end, ``reroute`` looks for the chat of a subject anew.
    """

    def __init__(
        self,
        chat: int,
        *,
        controller: Controller,
        board: Board,
        endings: Endings,
        pace: Pace,
        traffic: Traffic,
        spawn: Spawn,
        reroute: Spawn,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.id = chat
        self._controller = controller
        self._board = board
        self._endings = endings
        self._pace = pace
        self._traffic = traffic
        self._spawn = spawn
        self._reroute = reroute
        self._chance = chance
        self._changed: dict[str, Urgency] = {}
        """Subjects to show at once, oldest first."""
        self._live: dict[str, float] = {}
        """Subjects whose progress is followed, with the time of the next look."""
        self._events: dict[int, set[str]] = {}
        """Events that are not shown yet, with the subjects that have to show them."""
        self._newest_event = 0
        self._news = asyncio.Event()
        self._free_at = 0.0
        self._progress_at = 0.0
        self._failures = 0

    @property
    def oldest_event(self) -> int | None:
        """The first event that this chat has not shown."""
        return min(self._events, default=None)

    def add(
        self, subject: str, event_id: int | None = None, urgency: Urgency = Urgency.CHANGE
    ) -> None:
        """Something has changed."""
        self._changed[subject] = max(urgency, self._changed.get(subject, urgency))
        if event_id is not None:
            self._events.setdefault(event_id, set()).add(subject)
            self._newest_event = max(self._newest_event, event_id)
        self._news.set()

    async def run(self, bot: Bot) -> None:
        note_ids(chat=self.id)
        while True:
            self._news.clear()
            subject, at, urgency = self._choose()
            if subject is None:
                await self._wait(None)
            elif (wait_s := at - _now()) > 0:
                if urgency is Urgency.END:
                    # the card has no room now: what tells of the end may have
                    self._spawn(subject)
                await self._wait(wait_s)
            else:
                with log_ids(**name_subject(subject)):
                    await self._show(bot, subject, urgency)

    async def deliver(self, bot: Bot, subject: str) -> None:
        """Tell of an end, however long that takes."""
        note_ids(chat=self.id, **name_subject(subject))
        failures = 0
        while True:
            backoff = self._pace.backoff
            await asyncio.sleep(self._traffic.wait_s(self.id, Urgency.ANSWER))
            exhibit = self._board.exhibits.find(subject)
            if exhibit is None or exhibit.card.finished or not exhibit.ended:
                return
            try:
                await self._endings.tell(bot, exhibit)
                # a card that was left alone while the chat was closed has to catch up
                self.add(subject)
                return
            except TelegramRetryAfter as error:
                self._traffic.freeze(self.id, error.retry_after)
                continue
            except OUTAGES as error:
                self._follow(error)
                failures += 1
                log.warning("the end of %s has to wait: %s", subject, type(error).__name__)
            except Exception:
                failures += 1
                log.exception("the end of %s could not be told, try %s", subject, failures)
                backoff = self._pace.stubborn
            await asyncio.sleep(backoff.wait_s(failures))

    def _choose(self) -> tuple[str | None, float, Urgency]:
        """What to show next, when, and how urgent it is."""
        if self._changed:
            subject = max(self._changed, key=self._changed.__getitem__)
            urgency = self._changed[subject]
            return subject, self._find_room_at(urgency), urgency
        if not self._live:
            return None, 0.0, Urgency.PROGRESS
        subject = min(self._live, key=self._live.__getitem__)
        at = max(self._progress_at, self._live[subject])
        return subject, max(at, self._find_room_at(Urgency.PROGRESS)), Urgency.PROGRESS

    def _find_room_at(self, urgency: Urgency) -> float:
        # an end does not wait for the gap after an edit: bursts are allowed
        free_at = self._free_at if urgency < Urgency.END or self._failures else 0.0
        return max(free_at, _now() + self._traffic.wait_s(self.id, urgency))

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _show(self, bot: Bot, subject: str, urgency: Urgency) -> None:
        seen = [event for event, subjects in self._events.items() if subject in subjects]
        self._changed.pop(subject, None)
        exhibit = self._board.exhibits.find(subject)
        sent = False
        if exhibit is not None and exhibit.card.chat != self.id:
            self._live.pop(subject, None)
            self._forget(subject, seen)
            self._reroute(subject)
            return
        if exhibit is not None and not self._board.is_muted(None, exhibit.card):
            try:
                with urgent(urgency):
                    sent = await self._board.show(bot, exhibit)
            except Postponed:
                self._live[subject] = _now() + self._pace.gap_s
                return
            except TelegramRetryAfter as error:
                self.add(subject, urgency=urgency)
                self._traffic.freeze(self.id, error.retry_after)
                return
            except OUTAGES as error:
                self._follow(error)
                self.add(subject, urgency=urgency)
                self._failures += 1
                log.warning("chat %s has to wait: %s", self.id, error)
                self._hold(self._pace.backoff.wait_s(self._failures))
                return
            except DatabaseFull as error:
                self._wait_for_room(subject, urgency, error)
                return
            except Exception:
                log.exception("the card of %s could not be shown", subject)
        self._failures = 0
        try:
            self._plan(subject, exhibit, sent=sent)
            self._forget(subject, seen)
        except DatabaseFull as error:
            self._wait_for_room(subject, urgency, error)

    def _wait_for_room(self, subject: str, urgency: Urgency, error: DatabaseFull) -> None:
        """What was shown cannot be noted: a further try might show it twice, so they are few."""
        self.add(subject, urgency=urgency)
        self._failures += 1
        log.warning("chat %s has to wait: %s", self.id, error)
        self._hold(self._pace.stubborn.wait_s(self._failures))

    def _plan(self, subject: str, exhibit: Exhibit | None, *, sent: bool) -> None:
        """When to look again, and what follows from an end."""
        now = _now()
        age_s = self._controller.clock() - exhibit.since if exhibit else 0.0
        interval_s = self._pace.interval_s(age_s, group=self._is_group)
        interval_s = self._pace.shake(interval_s, self._chance, group=self._is_group)
        if sent:
            self._hold(self._pace.group_gap_s if self._is_group else self._pace.gap_s)
            self._progress_at = now + interval_s
        # while it was shown, it may have ended and been told
        card = self._controller.card(subject)
        if exhibit is None or card is None or card.finished or not exhibit.live:
            self._live.pop(subject, None)
        else:
            self._live[subject] = now + interval_s
        if exhibit and card and exhibit.ended and not card.finished:
            self._spawn(subject)

    def _forget(self, subject: str, events: list[int]) -> None:
        for event in events:
            self._events[event].discard(subject)
            if not self._events[event]:
                del self._events[event]
        if events:
            oldest = self.oldest_event
            done = self._newest_event if oldest is None else oldest - 1
            self._controller.move_cursor(cursor_name(self.id), done)

    def _follow(self, error: Exception) -> None:
        """A group became a supergroup, with another number."""
        if isinstance(error, TelegramMigrateToChat):
            log.info("chat %s became %s", self.id, error.migrate_to_chat_id)
            self._controller.move_chat(self.id, error.migrate_to_chat_id)
            self._reroute(f"group:{error.migrate_to_chat_id}")

    def _hold(self, seconds: float) -> None:
        self._free_at = max(self._free_at, _now() + seconds)

    @property
    def _is_group(self) -> bool:
        return self.id < 0


def name_subject(subject: str) -> dict[str, str]:
    """The id of the job that a card shows, for the log; nothing for what shows no single one."""
    return {} if ":" in subject else {"job": subject}


def cursor_name(chat: int) -> str:
    return f"chat:{chat}"


def _now() -> float:
    return asyncio.get_running_loop().time()
