"""Puts cards on screen: draws the newest state, sends or edits the one message, remembers it.

One task at a time works on a chat's cards, so edits cannot overtake each other.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
)
from aiogram.types import ReplyParameters

from bot.cards.view import View
from bot.screen.exhibits import Exhibit, Exhibits
from bot.screen.message import delete_message, edit_message, is_closed
from bot.screen.shown import Shown
from bot.screen.snapshots import Snapshots
from bot.texts import Texts
from controller.records import Card, Job
from controller.service import Controller

__all__ = ["CONFIRM_S", "Board", "Shown", "is_closed", "reply_to"]

log = logging.getLogger(__name__)

#: How long "cancel? yes, no" stays before the card goes back to progress.
CONFIRM_S = 60.0
#: The preference of a chat that lists the subjects it could not be shown.
_MUTED = "muted"


class Board:
    """The cards of all chats. Trouble of the network comes out as aiogram's errors."""

    def __init__(self, controller: Controller, texts: Texts, snapshots: Snapshots) -> None:
        self._controller = controller
        self._snapshots = snapshots
        self.exhibits = Exhibits(controller, texts, snapshots)
        self.find_job = self.exhibits.find_job
        self.find_card = self.exhibits.find_card

    def change(self, subject: str, *, shown: dict[str, Any] | None = None, **values: Any) -> None:
        """Change some columns of the card as it is now in the database."""
        card = self._controller.card(subject)
        if card is None:
            return
        if shown is not None:
            values["shown"] = str(dataclasses.replace(Shown.read(card.shown), **shown))
        self._controller.save_card(dataclasses.replace(card, **values))

    async def show(self, bot: Bot, exhibit: Exhibit) -> bool:
        """Bring the message up to date; False if it already was and nothing was sent."""
        card, shown = exhibit.card, Shown.read(exhibit.card.shown)
        if exhibit.draw is None:
            return False
        if shown.details and exhibit.job is not None:
            await self._snapshots.read_log(exhibit.job)
        view = exhibit.draw(shown)
        rings = exhibit.ring > shown.rung
        if shown.fingerprint == view.fingerprint and not rings:
            return False
        if card.message is None and shown.resent and not (exhibit.ended or rings):
            return False
        try:
            await self._put_plainly(bot, exhibit, view)
        except TelegramForbiddenError:
            self.mute_card(card, "the chat is closed to the bot")
        except TelegramBadRequest as error:
            if is_closed(error):
                self.mute_card(card, error.message)
            else:
                log.exception("the card of %s was refused", card.subject)
                self.change(card.subject, shown={"fingerprint": view.fingerprint})
        return True

    def mute(self, job: Job, card: Card, why: str) -> None:
        """Leave the card alone until its job's end, or until somebody writes in its chat."""
        self.mute_card(card, why)

    def mute_card(self, card: Card, why: str) -> None:
        """The same by its card."""
        log.warning("%s cannot be shown: %s", card.subject, why)
        if not self.is_muted(None, card):
            self._set_muted(card.chat, [*self._list_muted(card.chat), card.subject])

    def is_muted(self, job: Job | None, card: Card) -> bool:
        return card.subject in self._list_muted(card.chat)

    def unmute(self, job: Job | None, card: Card) -> None:
        """The chat took a message of this subject."""
        if self.is_muted(job, card):
            rest = [each for each in self._list_muted(card.chat) if each != card.subject]
            self._set_muted(card.chat, rest)

    def reopen(self, chat: int) -> list[str]:
        """What a chat missed while it was closed, as not shown and not told."""
        missed = self._list_muted(chat)
        for subject in missed:
            self.change(subject, finished=False)
        if missed:
            self._set_muted(chat, [])
        return missed

    async def renew(self, bot: Bot, subject: str) -> None:
        """Have a card sent anew at the bottom; the message that showed it keeps no buttons."""
        card = self._controller.card(subject)
        if card is None:
            return
        self.change(subject, message=None, shown={"fingerprint": "", "resent": False, "media": ""})
        if card.message is None:
            return
        try:
            await bot.edit_message_reply_markup(
                chat_id=card.chat, message_id=card.message, reply_markup=None
            )
        except TelegramBadRequest as error:
            log.info("an old card keeps its buttons: %s", error.message)

    def _list_muted(self, chat: int) -> list[str]:
        return (self._controller.preference(chat, _MUTED) or "").split()

    def _set_muted(self, chat: int, subjects: list[str]) -> None:
        self._controller.set_preference(chat, _MUTED, " ".join(subjects))

    async def _put_plainly(self, bot: Bot, exhibit: Exhibit, view: View) -> None:
        """Servers older than Bot API 10.3 refuse buttons that cannot be pressed."""
        try:
            await self._put(bot, exhibit, view)
        except TelegramBadRequest as error:
            plain = view.without_disabled()
            if plain is None or is_closed(error):
                raise
            log.info("the card of %s goes without a disabled button", exhibit.subject)
            await self._put(bot, exhibit, plain)
            self.change(exhibit.subject, shown={"fingerprint": view.fingerprint})

    async def _put(self, bot: Bot, exhibit: Exhibit, view: View) -> None:
        card, shown = exhibit.card, Shown.read(exhibit.card.shown)
        message, media, resent = card.message, shown.media, shown.resent
        rings = exhibit.ring > shown.rung
        if rings:
            message, media, resent = None, "", False
        if message is not None:
            frame = None
            if view.frame and exhibit.job is not None and not media:
                frame = self._controller.frame_file(exhibit.job)
            media = await edit_message(bot, card, view, media, frame)
            if media == "gone":
                if shown.resent and not exhibit.ended:
                    log.info("the card of %s was deleted again and stays so", card.subject)
                    self.change(
                        card.subject, message=None, shown={"fingerprint": view.fingerprint}
                    )
                    return
                media, message, resent = "", None, True
        if message is None:
            # noted when it is there: one that could not be sent is sent when that is possible
            message = await self._send(bot, exhibit, view)
        new = {"fingerprint": view.fingerprint, "media": media, "resent": resent}
        if rings:
            new["rung"] = exhibit.ring
        self.change(card.subject, message=message, shown=new)
        if rings and card.message is not None:
            await delete_message(bot, card)

    async def _send(self, bot: Bot, exhibit: Exhibit, view: View) -> int:
        reply = None
        if exhibit.reply_to is not None:
            reply = ReplyParameters(message_id=exhibit.reply_to, allow_sending_without_reply=True)
        # an ask rings: somebody waits for the answer
        rings = exhibit.subject.startswith("ask:") or (
            exhibit.ring > Shown.read(exhibit.card.shown).rung
        )
        sent = await bot.send_message(
            exhibit.card.chat,
            **view.as_kwargs(),
            disable_notification=not rings,
            reply_parameters=reply,
        )
        return sent.message_id


def reply_to(job: Job, card: Card) -> ReplyParameters | None:
    """The message that asked, if it is in the same chat; its deletion is no obstacle."""
    if job.reply_to is None or job.chat != card.chat:
        return None
    return ReplyParameters(message_id=job.reply_to, allow_sending_without_reply=True)
