"""Puts cards on screen: draws the newest state, sends or edits the one message, remembers it.

One task at a time works on a chat's cards, so edits cannot overtake each other.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, Self

from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramMigrateToChat,
)
from aiogram.types import ReplyParameters

from bot.cards.card import Snapshot, View, draw_card
from bot.texts import Texts
from controller.errors import NoSuchJob
from controller.records import TERMINAL, Card, Job
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

#: How long "cancel? yes, no" stays before the card goes back to progress.
CONFIRM_S = 60.0
#: The preference of a chat that lists the jobs it could not be shown.
_MUTED = "muted"


@dataclass(frozen=True, slots=True)
class Shown:
    """What :attr:`Card.shown` holds: the fingerprint on screen and two facts of the message."""

    fingerprint: str = ""
    resent: bool = False
    """The user deleted the card once and got it again. A second time it stays deleted."""
    confirm_until: int = 0
    """Until when the card asks whether to cancel, UTC epoch seconds."""
    retried: bool = False
    """There is a new job in this one's place."""

    @classmethod
    def read(cls, text: str) -> Self:
        if not text:
            return cls()
        # a card of an earlier version has no fourth part
        fingerprint, resent, confirm_until, *rest = text.split("|")
        return cls(fingerprint, resent == "1", int(confirm_until), rest == ["1"])

    def __str__(self) -> str:
        return f"{self.fingerprint}|{self.resent:d}|{self.confirm_until}|{self.retried:d}"


class Board:
    """The cards of all chats. Trouble of the network comes out as aiogram's errors."""

    def __init__(self, controller: Controller, texts: Texts) -> None:
        self._controller = controller
        self._texts = texts

    def find_job(self, job_id: str) -> Job | None:
        """None for a job that is pruned."""
        try:
            return self._controller.get(job_id, by=TERMINAL)
        except NoSuchJob:
            return None

    def find_card(self, job: Job) -> Card | None:
        """The job's card, made if need be; None for a job that has no place in a chat.

        A draft's card is made by whoever takes the video in. A started job without one is a
        retry, or its row was lost: it gets one here.
        """
        card = self._controller.card(job.id)
        if card is not None or job.chat is None or job.started_at is None:
            return card
        card = Card(
            subject=job.id,
            chat=job.chat,
            message=None,
            shown="",
            finished=False,
            delivering_at=None,
        )
        self._controller.save_card(card)
        return card

    def change(self, job_id: str, *, shown: dict[str, Any] | None = None, **values: Any) -> None:
        """Change some columns of the card as it is now in the database."""
        card = self._controller.card(job_id)
        if card is None:
            return
        if shown is not None:
            values["shown"] = str(dataclasses.replace(Shown.read(card.shown), **shown))
        self._controller.save_card(dataclasses.replace(card, **values))

    async def show(self, bot: Bot, job: Job, card: Card) -> bool:
        """Bring the message up to date; False if it already was and nothing was sent."""
        shown = Shown.read(card.shown)
        view = draw_card(self._take_snapshot(job, shown), self._texts[job.language])
        if shown.fingerprint == view.fingerprint:
            return False
        if card.message is None and shown.resent and not job.state.is_terminal:
            return False
        try:
            await self._put(bot, job, card, view)
        except TelegramMigrateToChat as error:
            log.info("chat %s became %s", card.chat, error.migrate_to_chat_id)
            self.change(job.id, chat=error.migrate_to_chat_id, message=None)
            raise
        except TelegramForbiddenError:
            self.mute(job, card, "the chat is closed to the bot")
        except TelegramBadRequest as error:
            if is_closed(error):
                self.mute(job, card, error.message)
            else:
                log.exception("the card of %s was refused", job.id)
                self.change(job.id, shown={"fingerprint": view.fingerprint})
        return True

    def mute(self, job: Job, card: Card, why: str) -> None:
        """Leave the card alone until its job's end, or until somebody writes in its chat."""
        log.warning("job %s cannot be shown: %s", job.id, why)
        if not self.is_muted(job, card):
            self._set_muted(card.chat, [*self._list_muted(card.chat), job.id])

    def is_muted(self, job: Job, card: Card) -> bool:
        return job.id in self._list_muted(card.chat)

    def unmute(self, job: Job, card: Card) -> None:
        """The chat took a message of this job."""
        if self.is_muted(job, card):
            rest = [each for each in self._list_muted(card.chat) if each != job.id]
            self._set_muted(card.chat, rest)

    def reopen(self, chat: int) -> list[str]:
        """The jobs that a chat missed while it was closed, as not shown and not told."""
        missed = self._list_muted(chat)
        for job_id in missed:
            self.change(job_id, finished=False)
        if missed:
            self._set_muted(chat, [])
        return missed

    def _list_muted(self, chat: int) -> list[str]:
        return (self._controller.preference(chat, _MUTED) or "").split()

    def _set_muted(self, chat: int, jobs: list[str]) -> None:
        self._controller.set_preference(chat, _MUTED, " ".join(jobs))

    async def _put(self, bot: Bot, job: Job, card: Card, view: View) -> None:
        if card.message is not None and not await self._edit(bot, card, view):
            if Shown.read(card.shown).resent and not job.state.is_terminal:
                log.info("the card of %s was deleted again and stays so", job.id)
                self.change(job.id, message=None, shown={"fingerprint": view.fingerprint})
                return
            self.change(job.id, message=None, shown={"resent": True})
            card = dataclasses.replace(card, message=None)
        message = card.message
        if message is None:
            message = await self._send(bot, job, card, view)
        self.change(job.id, message=message, shown={"fingerprint": view.fingerprint})

    async def _edit(self, bot: Bot, card: Card, view: View) -> bool:
        """False if the message is not there any more."""
        try:
            await bot.edit_message_text(
                **view.as_kwargs(), chat_id=card.chat, message_id=card.message
            )
        except TelegramBadRequest as error:
            text = error.message.lower()
            if "message is not modified" in text:
                return True
            if any(each in text for each in _MESSAGE_GONE):
                return False
            raise
        return True

    async def _send(self, bot: Bot, job: Job, card: Card, view: View) -> int:
        sent = await bot.send_message(
            card.chat,
            **view.as_kwargs(),
            disable_notification=True,
            reply_parameters=reply_to(job, card),
        )
        return sent.message_id

    def _take_snapshot(self, job: Job, shown: Shown) -> Snapshot:
        controller, now = self._controller, self._controller.clock()
        attempts = tuple(controller.attempts(job.id))
        machine = None
        if job.state is JobState.RUNNING and attempts:
            machine = controller.machine(attempts[-1].machine)
        waits = job.state in (JobState.DRAFT, JobState.HELD, JobState.QUEUED)
        return Snapshot(
            job=job,
            now=now,
            attempts=attempts,
            estimate=controller.estimate(job) if waits else None,
            position=controller.queue_position(job) if job.state is JobState.QUEUED else 0,
            machine=machine.name if machine else "",
            confirming=shown.confirm_until > now,
            retried=shown.retried,
            preview=(controller.preview_link(job) or "") if machine else "",
        )


def reply_to(job: Job, card: Card) -> ReplyParameters | None:
    """The message that asked, if it is in the same chat; its deletion is no obstacle."""
    if job.reply_to is None or job.chat != card.chat:
        return None
    return ReplyParameters(message_id=job.reply_to, allow_sending_without_reply=True)


def is_closed(error: TelegramBadRequest) -> bool:
    """Whether nothing can be sent to the chat any more; it may forbid media alone."""
    text = error.message.lower()
    return any(each in text for each in _CHAT_GONE)


# Telegram's own words (github.com/tdlib/telegram-bot-api, Client.cpp); there are no codes.
_MESSAGE_GONE = ("message to edit not found", "message can't be edited", "message_id_invalid")
_CHAT_GONE = (
    "chat not found",
    "peer_id_invalid",
    "not enough rights to send text messages",
    "have no rights to send a message",
    "chat_write_forbidden",
    "chat_send_plain_forbidden",
)
