"""Tells of ends: of a job or a sample, of a batch and its files; of all else there is nothing."""

from __future__ import annotations

from aiogram import Bot

from bot.screen.batch_delivery import BatchDelivery
from bot.screen.board import Board
from bot.screen.delivery import Delivery
from bot.screen.exhibits import Exhibit
from bot.screen.snapshots import Snapshots
from bot.settings import BotSettings
from bot.texts import Texts
from controller.service import Controller


class Endings:
    """Marks a card as finished when its end is told. Trouble comes out as its errors."""

    def __init__(
        self,
        controller: Controller,
        board: Board,
        snapshots: Snapshots,
        settings: BotSettings,
        texts: Texts,
    ) -> None:
        self._board = board
        self._delivery = Delivery(controller, board, settings, texts)
        self._batches = BatchDelivery(
            controller, board, snapshots, self._delivery,
            upload_limit=settings.upload_limit, texts=texts,
        )  # fmt: skip

    async def tell(self, bot: Bot, exhibit: Exhibit) -> None:
        """At least once, and once more for a kill between sending and remembering."""
        job, card = exhibit.job, exhibit.card
        if exhibit.batch is not None:
            await self._batches.tell(bot, exhibit.batch, card)
        elif job is None or card.subject != job.id:
            self._board.change(card.subject, finished=True)
        elif job.batch is not None and job.sample_of is None:
            await self._batches.hand_out(bot, job, card)
        else:
            await self._delivery.deliver(bot, job, card)
