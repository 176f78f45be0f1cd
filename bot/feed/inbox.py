"""Handles committed updates: in order within a lane, lanes side by side, each at least once.

A lane is a chat, or the intake of a chat, of files and of storage paths: that takes long, and
buttons and commands of the same chat must not wait for it. What fails for a reason of the network
is tried on; what crashes its handler three times is given up, and so is what ten deaths of the
process have interrupted: few, and it may have been its victim. A stop and an outage use up no try.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiogram import Bot, Dispatcher
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.types import Update
from pydantic import ValidationError

from bot.feed.intake import find_command, find_stored_path, find_upload
from bot.feed.poller import Backoff
from controller.errors import DatabaseFull, NotStored, StorageError, TooLarge
from controller.log_ids import note_ids
from controller.records import Update as StoredUpdate
from controller.service import Controller

log = logging.getLogger(__name__)

Lane = tuple[int, str]
#: What says nothing about the update that was being handled.
OUTAGES = (
    TelegramNetworkError,
    TelegramServerError,
    TelegramRetryAfter,
    ClientDecodeError,
    StorageError,
)
#: Kinds of these that another try does not end.
_LASTING = (TelegramEntityTooLarge, NotStored, TooLarge)
_AWAY_S = 90.0
"""Without any answer for so long, while getUpdates asks twice a minute, Telegram is away."""
GiveUp = Callable[[Update], Awaitable[None]]


class CrashError(Exception):
    """A handler failed, for no reason of the network; its cause is why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many at a time, how often, how long."""

    tries: int = 3
    """Crashes of its handler after which an update is given up."""
    deaths: int = 10
    """The same for deaths of the process: a kill from outside meets whatever is at work."""
    handlers: int = 16
    files: int = 4
    """Lanes that may fetch files at the same time."""
    known: int = 1000
    """Updates in memory; the others wait in the database."""
    retry_s: float = 0.5
    """Wait after the first crash; it doubles."""
    outage_s: float = 3600.0
    """How long one update may go on failing for reasons of the network, over all tries. While
    Telegram answers nothing at all, not even with a refusal, that is no fault of an update; what
    storage does says nothing of Telegram."""
    drain_s: float = 5.0
    """How long running handlers may go on when the program stops."""
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(slots=True)
class Patience:
    """What is left of the time that one update may fail for reasons of the network, in seconds."""

    left_s: float


class Inbox:
    """Workers over the updates that are committed and not handled.

    A failure that is no handler's, of the database say, comes out of :meth:`run`.
    """

    def __init__(
        self,
        bot: Bot,
        dispatcher: Dispatcher,
        controller: Controller,
        give_up: GiveUp,
        limits: Limits | None = None,
    ) -> None:
        self._bot = bot
        self._dispatcher = dispatcher
        self._controller = controller
        self._give_up = give_up
        self._limits = limits or Limits()
        self._slots = {
            "": asyncio.Semaphore(self._limits.handlers),
            "files": asyncio.Semaphore(self._limits.files),
        }
        self._lanes: dict[Lane, deque[tuple[StoredUpdate, Update]]] = {}
        self._known: set[int] = set()
        self._is_all_known = True
        """Whether the database held no more than what is known when it was last asked."""
        self._workers: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._broken: BaseException | None = None

    def wake(self) -> None:
        """There may be new updates."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; then running handlers get a few seconds, and the rest stays stored."""
        try:
            while True:
                self._news.clear()
                if self._broken is not None:
                    raise self._broken
                self._distribute()
                await self._news.wait()
        finally:
            await self._drain()

    def _distribute(self) -> None:
        room = self._limits.known - len(self._known)
        if room <= 0:
            return
        pending = self._controller.inbox_pending(limit=self._limits.known)
        self._is_all_known = len(pending) < self._limits.known
        for stored in pending:
            if stored.id in self._known:
                continue
            if (update := self._parse(stored)) is None:
                continue
            self._known.add(stored.id)
            lane = find_lane(update)
            if lane not in self._lanes:
                self._lanes[lane] = deque()
                self._start_worker(lane)
            self._lanes[lane].append((stored, update))

    def _parse(self, stored: StoredUpdate) -> Update | None:
        """An update of a shape that is not known can never be handled: it is put aside."""
        try:
            return Update.model_validate(json.loads(stored.body), context={"bot": self._bot})
        except ValidationError as error:
            where = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:3])
            log.exception("update %s cannot be read: %s", stored.id, where, exc_info=False)
            with contextlib.suppress(DatabaseFull):  # else it is put aside another time
                self._controller.inbox_done(stored.id)
            return None

    def _start_worker(self, lane: Lane) -> None:
        worker = asyncio.create_task(self._work(lane), name=f"inbox {lane}")
        self._workers.add(worker)
        worker.add_done_callback(self._end_worker)

    def _end_worker(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()):
            self._broken = error
            self.wake()

    async def _work(self, lane: Lane) -> None:
        note_ids(chat=lane[0])
        queue = self._lanes[lane]
        while queue and not self._stopping.is_set():
            stored, update = queue[0]
            if not await self._handle(stored, update, self._slots[lane[1]]):
                return
            queue.popleft()
            self._known.discard(stored.id)
            if not self._is_all_known:
                self.wake()
        del self._lanes[lane]

    async def _handle(
        self, stored: StoredUpdate, update: Update, slots: asyncio.Semaphore
    ) -> bool:
        """Try until handled or given up; False if the program stops first."""
        patience = Patience(self._limits.outage_s)
        crashes = 0
        while crashes + stored.tries < self._limits.deaths:
            try:
                if not await self._feed(update, slots, patience):
                    return False
                break
            except CrashError as crash:
                crashes += 1
                words = "update %s crashed its handler, try %s"
                log.error(words, stored.id, crashes, exc_info=crash.__cause__)
            if crashes == self._limits.tries:
                await self._give_up(update)
                break
            if not await self._pause(self._limits.retry_s * 2 ** (crashes - 1)):
                return False
        else:
            log.error("update %s ended the process %s times: given up", stored.id, stored.tries)
            await self._give_up(update)
        return await self._note_done(stored.id)

    async def _note_done(self, update_id: int) -> bool:
        """As soon as that can be written down; False if the program stops first."""
        failures = 0
        while True:
            try:
                self._controller.inbox_done(update_id)
                return True
            except DatabaseFull as error:
                failures += 1
                log.warning("that update %s is handled is not noted yet: %s", update_id, error)
            if not await self._pause(self._limits.backoff.wait_s(failures)):
                return False

    async def _feed(self, update: Update, slots: asyncio.Semaphore, patience: Patience) -> bool:
        """One try, through outages; False if the program stops first."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                async with slots:
                    began = loop.time()
                    await self._feed_once(update)
                return True
            except OUTAGES as error:
                if patience.left_s <= 0:
                    raise CrashError from error
                failures += 1
                log.warning("update %s has to wait: %s", update.update_id, error)
                wait_s = self._limits.backoff.wait_s(failures)
                if isinstance(error, TelegramRetryAfter):
                    wait_s = error.retry_after
                if isinstance(error, StorageError) or not self._is_telegram_away:
                    patience.left_s -= loop.time() - began + wait_s
            except DatabaseFull as error:
                failures += 1
                log.warning("update %s has to wait: %s", update.update_id, error)
                wait_s = self._limits.backoff.wait_s(failures)
            if not await self._pause(wait_s):
                return False

    @property
    def _is_telegram_away(self) -> bool:
        age_s = self._controller.vitals.age("telegram")
        return age_s is not None and age_s > _AWAY_S

    async def _feed_once(self, update: Update) -> None:
        """Counted before it begins, so that a death in the middle is known at the next start."""
        self._controller.inbox_try(update.update_id)
        try:
            await self._dispatcher.feed_update(self._bot, update)
        except _LASTING as error:
            raise CrashError from error
        except (asyncio.CancelledError, DatabaseFull, *OUTAGES):
            with contextlib.suppress(DatabaseFull):
                self._controller.inbox_untry(update.update_id)
            raise
        except Exception as error:
            raise CrashError from error

    async def _pause(self, seconds: float) -> bool:
        """Wait; False if the program stops meanwhile."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False

    async def _drain(self) -> None:
        self._stopping.set()
        workers = set(self._workers)
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=self._limits.drain_s)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def find_lane(update: Update) -> Lane:
    """What an update must stay in order with."""
    if (query := update.callback_query) is not None:
        return (query.message.chat.id if query.message else query.from_user.id, "")
    if (message := update.message) is not None:
        text = message.text or ""
        takes_in = (
            find_upload(message)
            or find_stored_path(text)
            or find_command(text)
            or text.startswith("/batch")
        )
        return (message.chat.id, "files" if takes_in else "")
    return (0, "")
