"""Sends the end of a job: once, or once more for every kill between sending and remembering."""

from __future__ import annotations

import logging
from pathlib import Path

from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
)
from aiogram.types import FSInputFile

from bot.board import Board, is_closed, reply_to
from bot.cards import View
from bot.results import draw_caption, draw_failure, draw_gone, draw_link, name_result
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import NotStored
from controller.records import Card, Job
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

#: An upload of 50 MB over a slow line; aiogram's own limit is a minute.
_UPLOAD_TIMEOUT_S = 1800


class Delivery:
    """Hands out results. Trouble of network and storage comes out as their errors."""

    def __init__(
        self, controller: Controller, board: Board, settings: BotSettings, texts: Texts
    ) -> None:
        self._controller = controller
        self._board = board
        self._settings = settings
        self._texts = texts

    async def deliver(self, bot: Bot, job: Job, card: Card) -> None:
        """The message that ends a job in a chat, and its card marked as finished.

        ``delivering_at`` is written before and ``finished`` after, so what a kill leaves
        unfinished is sent again.
        """
        self._board.change(job.id, delivering_at=self._controller.clock())
        try:
            match job.state:
                case JobState.DONE:
                    await self._send_result(bot, job, card)
                case JobState.FAILED:
                    await self._send(bot, job, card, draw_failure(job, self._texts[job.language]))
        except TelegramMigrateToChat as error:
            self._board.change(job.id, chat=error.migrate_to_chat_id, message=None)
            raise
        except TelegramForbiddenError:
            log.warning("the end of job %s cannot be told: the chat is closed", job.id)
        except TelegramBadRequest as error:
            if not is_closed(error):
                raise
            log.warning("the end of job %s cannot be told: %s", job.id, error.message)
        self._board.change(job.id, finished=True)

    async def _send_result(self, bot: Bot, job: Job, card: Card) -> None:
        if (job.output_bytes or 0) > self._settings.upload_limit:
            await self._send_link(bot, job, card)
            return
        try:
            async with self._controller.result_file(job) as path:
                await self._send_file(bot, job, card, path)
        except NotStored:
            log.error("the result of job %s is gone from storage", job.id)
            await self._send(bot, job, card, draw_gone(job, self._texts[job.language]))
        except (TelegramEntityTooLarge, TelegramBadRequest) as error:
            if isinstance(error, TelegramBadRequest) and is_closed(error):
                raise
            log.warning("the result of job %s was refused as a file: %s", job.id, error)
            await self._send_link(bot, job, card)

    async def _send_file(self, bot: Bot, job: Job, card: Card, path: Path) -> None:
        name = name_result(job)
        file = FSInputFile(path, filename=name)
        caption = draw_caption(job, self._texts[job.language])
        common = caption.as_kwargs(
            text_key="caption", entities_key="caption_entities", parse_mode_key="parse_mode"
        )
        facts = job.result.facts if job.result else None
        # players inside the chat take MP4 only (Bot API: sendVideo)
        if not name.lower().endswith(".mp4") or facts is None:
            await bot.send_document(
                card.chat,
                file,
                **common,
                disable_content_type_detection=True,
                reply_parameters=reply_to(job, card),
                request_timeout=_UPLOAD_TIMEOUT_S,
            )
            return
        await bot.send_video(
            card.chat,
            file,
            **common,
            width=facts.width,
            height=facts.height,
            duration=round(facts.duration_s),
            supports_streaming=True,
            reply_parameters=reply_to(job, card),
            request_timeout=_UPLOAD_TIMEOUT_S,
        )

    async def _send_link(self, bot: Bot, job: Job, card: Card) -> None:
        link = self._controller.result_link(job)
        tongue = self._texts[job.language]
        await self._send(bot, job, card, draw_link(job, link, self._settings.upload_limit, tongue))

    async def _send(self, bot: Bot, job: Job, card: Card, view: View) -> None:
        await bot.send_message(card.chat, **view.as_kwargs(), reply_parameters=reply_to(job, card))
