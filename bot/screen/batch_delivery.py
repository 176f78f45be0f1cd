"""Tells of the end of a batch: what came of each file, with its link; each message once."""

from __future__ import annotations

import logging

from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramForbiddenError,
)
from aiogram.types import ReplyParameters

from bot.cards.batch_end import Ending, draw_ends
from bot.screen.board import Board, is_closed
from bot.screen.delivery import Delivery
from bot.screen.shown import Shown
from bot.screen.snapshots import Snapshots
from bot.texts import Texts
from controller.records import Batch, Card, Job
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)


class BatchDelivery:
    """Trouble of network and storage comes out as their errors."""

    def __init__(
        self,
        controller: Controller,
        board: Board,
        snapshots: Snapshots,
        delivery: Delivery,
        *,
        upload_limit: int,
        texts: Texts,
    ) -> None:
        self._controller = controller
        self._board = board
        self._snapshots = snapshots
        self._upload_limit = upload_limit
        self._texts = texts
        self._delivery = delivery

    async def hand_out(self, bot: Bot, job: Job, card: Card) -> None:
        """A file that came through the chat goes back there, if it fits; else its link comes
        with the end of the batch."""
        if (job.output_bytes or 0) <= self._upload_limit:
            await self._delivery.deliver(bot, job, card)
        else:
            self._board.change(card.subject, finished=True)

    async def tell(self, bot: Bot, batch: Batch, card: Card) -> None:
        """The end as a reply that rings, in several messages if it is long.

        How many were sent is written down after each. What nobody started has no end to tell.
        """
        jobs = self._controller.batches.jobs(batch.id)
        shot = self._snapshots.take_batch(batch, jobs, Shown.read(card.shown))
        views = []
        if shot.count(JobState.DONE, JobState.FAILED):
            results = [*jobs, *shot.done_before.values()]
            links = {job.id: self._find_link(job) for job in results if job.output_key}
            views = draw_ends(Ending(shot=shot, links=links), self._texts[batch.language])
        self._board.change(card.subject, delivering_at=self._controller.clock())
        try:
            for number, view in enumerate(views, 1):
                if number > Shown.read(card.shown).told:
                    await bot.send_message(
                        card.chat,
                        **view.as_kwargs(),
                        disable_notification=number > 1,
                        reply_parameters=_reply_to(batch, card),
                    )
                    self._board.change(card.subject, shown={"told": number})
        except TelegramForbiddenError:
            self._board.mute_card(card, "the chat is closed to the bot")
        except TelegramBadRequest as error:
            if not is_closed(error):
                raise
            self._board.mute_card(card, error.message)
        else:
            self._board.unmute(None, card)
        self._board.change(card.subject, finished=True)

    def _find_link(self, job: Job) -> str:
        return self._controller.links.link(job)


def _reply_to(batch: Batch, card: Card) -> ReplyParameters | None:
    if batch.reply_to is None or batch.chat != card.chat:
        return None
    return ReplyParameters(message_id=batch.reply_to, allow_sending_without_reply=True)
