"""One chat's cards: what to show next and when, one edit at a time.

Newest state wins: what is queued is "this job has changed", never a text. Changes go first,
progress is looked at by turns. A 429 or an outage stops this chat only.
"""

from __future__ import annotations

import asyncio
import logging
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
from bot.screen.delivery import Delivery
from bot.screen.pace import Pace
from controller.errors import StorageError, Unclear
from controller.records import Card, Job
from controller.service import Controller
from controller.states import JobState

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
_LIVE = (JobState.QUEUED, JobState.RUNNING)


class Chat:
    """Shows the jobs of a chat until cancelled. ``spawn`` starts a delivery beside it."""

    def __init__(
        self,
        chat: int,
        *,
        controller: Controller,
        board: Board,
        delivery: Delivery,
        pace: Pace,
        spawn: Spawn,
    ) -> None:
        self.id = chat
        self._controller = controller
        self._board = board
        self._delivery = delivery
        self._pace = pace
        self._spawn = spawn
        self._changed: dict[str, None] = {}
        """Jobs to show at once, oldest first."""
        self._live: dict[str, float] = {}
        """Jobs whose progress is followed, with the time of the next look."""
        self._events: dict[int, str] = {}
        """Events that are not shown yet."""
        self._newest_event = 0
        self._news = asyncio.Event()
        self._free_at = 0.0
        self._progress_at = 0.0
        self._failures = 0

    @property
    def oldest_event(self) -> int | None:
        """The first event that this chat has not shown."""
        return min(self._events, default=None)

    def add(self, job_id: str, event_id: int | None = None) -> None:
        """A job has changed."""
        self._changed[job_id] = None
        if event_id is not None:
            self._events[event_id] = job_id
            self._newest_event = max(self._newest_event, event_id)
        self._news.set()

    async def run(self, bot: Bot) -> None:
        while True:
            self._news.clear()
            job_id, at = self._choose()
            wait_s = None if job_id is None else at - _now()
            if wait_s is None or wait_s > 0:
                await self._wait(wait_s)
                continue
            if job_id is not None:
                await self._show(bot, job_id)

    async def deliver(self, bot: Bot, job_id: str) -> None:
        """Send a job's end, however long that takes."""
        failures = 0
        while True:
            backoff = self._pace.backoff
            await asyncio.sleep(max(0.0, self._free_at - _now()))
            job, card = self._find(job_id)
            if job is None or card is None or card.finished:
                return
            try:
                await self._delivery.deliver(bot, job, card)
                # a card that was left alone while the chat was closed has to catch up
                self.add(job_id)
                return
            except TelegramRetryAfter as error:
                self._freeze(error.retry_after)
                continue
            except OUTAGES as error:
                failures += 1
                log.warning("the end of job %s has to wait: %s", job_id, type(error).__name__)
            except Exception:
                failures += 1
                log.exception("the end of job %s could not be told, try %s", job_id, failures)
                backoff = self._pace.stubborn
            await asyncio.sleep(backoff.wait_s(failures))

    def _choose(self) -> tuple[str | None, float]:
        """The job to show next, and when."""
        for job_id in self._changed:
            return job_id, self._free_at
        if not self._live:
            return None, 0.0
        job_id = min(self._live, key=self._live.__getitem__)
        return job_id, max(self._free_at, self._progress_at, self._live[job_id])

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _show(self, bot: Bot, job_id: str) -> None:
        seen = [event for event, job in self._events.items() if job == job_id]
        self._changed.pop(job_id, None)
        job, card = self._find(job_id)
        sent = False
        if job is not None and card is not None and not self._board.is_muted(job, card):
            try:
                sent = await self._board.show(bot, job, card)
            except TelegramRetryAfter as error:
                self._changed[job_id] = None
                self._freeze(error.retry_after)
                return
            except OUTAGES as error:
                self._changed[job_id] = None
                self._failures += 1
                log.warning("chat %s has to wait: %s", self.id, error)
                self._freeze(self._pace.backoff.wait_s(self._failures))
                return
            except Exception:
                log.exception("the card of %s could not be shown", job_id)
        self._failures = 0
        self._plan(job_id, job, sent=sent)
        self._forget(seen)

    def _plan(self, job_id: str, job: Job | None, *, sent: bool) -> None:
        """When to look again, and what follows from an end."""
        now = _now()
        age_s = self._controller.clock() - (job.started_at or job.created_at) if job else 0.0
        interval_s = self._pace.interval_s(age_s, group=self._is_group)
        if sent:
            gap_s = self._pace.group_gap_s if self._is_group else self._pace.gap_s
            self._free_at = max(self._free_at, now + gap_s)
            self._progress_at = now + interval_s
        card = self._controller.card(job_id)
        if job is None or card is None or card.finished or job.state not in _LIVE:
            self._live.pop(job_id, None)
        else:
            self._live[job_id] = now + interval_s
        if job and card and job.state.is_terminal and not card.finished:
            self._spawn(job_id)

    def _forget(self, events: list[int]) -> None:
        for event in events:
            self._events.pop(event, None)
        if events:
            oldest = self.oldest_event
            done = self._newest_event if oldest is None else oldest - 1
            self._controller.move_cursor(cursor_name(self.id), done)

    def _find(self, job_id: str) -> tuple[Job | None, Card | None]:
        job = self._board.find_job(job_id)
        return job, self._board.find_card(job) if job else None

    def _freeze(self, seconds: float) -> None:
        self._free_at = max(self._free_at, _now() + seconds)

    @property
    def _is_group(self) -> bool:
        return self.id < 0


def cursor_name(chat: int) -> str:
    return f"chat:{chat}"


def _now() -> float:
    return asyncio.get_running_loop().time()
