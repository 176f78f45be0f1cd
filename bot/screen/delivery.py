"""Sends the end of a job: once, or once more for every kill between sending and remembering."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramServerError,
)
from aiogram.types import FSInputFile, Message

from bot.cards.results import (
    AS_FILE,
    Obstacle,
    draw_failure,
    draw_gone,
    draw_result,
    name_result,
)
from bot.cards.view import View
from bot.screen.board import Board, is_closed, reply_to
from bot.screen.looks import UPLOAD_TIMEOUT_S, as_caption, find_link, send_looks
from bot.screen.sampling import deliver_sample
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import NotStored
from controller.records import Card, Job
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

#: After so many uploads that broke, the link goes out instead.
_UPLOADS = 3
#: So long a bucket may not show what was written: a result is not gone before that.
_SETTLES_S = 120.0
#: Telegram's words where a chat takes texts and no files.
_MEDIA_FORBIDDEN = ("not enough rights to send", "chat_send_")


class Delivery:
    """Hands out results. Trouble of network and storage comes out as their errors."""

    def __init__(
        self, controller: Controller, board: Board, settings: BotSettings, texts: Texts
    ) -> None:
        self._controller = controller
        self._board = board
        self._settings = settings
        self._texts = texts
        self._broken: dict[str, int] = {}
        """Uploads in a row that broke, by job."""

    async def deliver(self, bot: Bot, job: Job, card: Card) -> None:
        """The message that ends a job in a chat, and its card marked as finished.

        ``delivering_at`` is written before and ``finished`` after, so what a kill leaves
        unfinished is sent again. A chat that is closed ends it too, until somebody writes there.
        """
        self._board.change(job.id, delivering_at=self._controller.clock())
        sent: Message | None = None
        try:
            sent = await self._tell(bot, job, card)
        except TelegramMigrateToChat as error:
            self._board.change(job.id, chat=error.migrate_to_chat_id, message=None)
            raise
        except TelegramForbiddenError:
            self._board.mute(job, card, "the chat is closed to the bot")
        except TelegramBadRequest as error:
            if not is_closed(error):
                raise
            self._board.mute(job, card, error.message)
        else:
            if job.state is not JobState.CANCELLED:
                self._board.unmute(job, card)
        self._broken.pop(job.id, None)
        self._board.change(job.id, finished=True)
        if sent is not None:
            # after that: a kill while these are on their way must not bring the result again
            await send_looks(bot, self._controller, self._settings, self._texts, job, card, sent)

    async def _tell(self, bot: Bot, job: Job, card: Card) -> Message | None:
        """Returns the message with a result that pictures may follow."""
        if job.sample_of is not None:
            await deliver_sample(
                bot, self._controller, self._board, self._settings, self._texts, job, card
            )
            return None
        match job.state:
            case JobState.DONE:
                return await self._send_result(bot, job, card)
            case JobState.FAILED:
                await self._send(bot, job, card, draw_failure(job, self._texts[job.language]))
        return None

    def _fits(self, job: Job) -> bool:
        return (job.output_bytes or 0) <= self._settings.upload_limit

    async def _send_result(self, bot: Bot, job: Job, card: Card) -> Message:
        if not self._fits(job):
            return await self._send_link(bot, job, card, Obstacle.LARGE)
        try:
            async with self._controller.result_file(job) as path:
                return await self._send_file(bot, job, card, path)
        except NotStored:
            if self._controller.clock() - (job.ended_at or 0.0) < _SETTLES_S:
                raise
            log.error("the result of job %s is gone from storage", job.id)
            return await self._send(bot, job, card, draw_gone(job, self._texts[job.language]))
        except (TelegramEntityTooLarge, TelegramBadRequest) as error:
            if isinstance(error, TelegramBadRequest) and is_closed(error):
                raise
            log.warning("the result of job %s was refused as a file: %s", job.id, error)
            forbidden = any(each in error.message.lower() for each in _MEDIA_FORBIDDEN)
            return await self._send_link(
                bot, job, card, Obstacle.FORBIDDEN if forbidden else Obstacle.REFUSED
            )
        except (TelegramNetworkError, TelegramServerError):
            broken = self._broken.get(job.id, 0) + 1
            self._broken[job.id] = broken % _UPLOADS
            if broken < _UPLOADS:
                raise
            log.warning("the result of job %s could not be uploaded %s times", job.id, broken)
            # if this fails too, it is the network: the uploads are counted anew
            return await self._send_link(bot, job, card, Obstacle.BROKEN)

    async def _send_file(self, bot: Bot, job: Job, card: Card, path: Path) -> Message:
        name = name_result(job)
        file = FSInputFile(path, filename=name)
        view = self._draw(job, AS_FILE)
        common: dict[str, Any] = {
            **as_caption(view.text),
            "reply_markup": view.keyboard,
            "disable_notification": job.batch is not None,
            "reply_parameters": reply_to(job, card),
            "request_timeout": UPLOAD_TIMEOUT_S,
        }
        facts = job.result.facts if job.result else None
        # players inside the chat take MP4 only (Bot API: sendVideo)
        if not name.lower().endswith(".mp4") or facts is None:
            return await bot.send_document(
                card.chat, file, disable_content_type_detection=True, **common
            )
        return await bot.send_video(
            card.chat,
            file,
            width=facts.width,
            height=facts.height,
            duration=round(facts.duration_s),
            supports_streaming=True,
            **common,
        )

    async def _send_link(self, bot: Bot, job: Job, card: Card, why: Obstacle) -> Message:
        return await self._send(bot, job, card, self._draw(job, why))

    def _draw(self, job: Job, why: str) -> View:
        return draw_result(
            job,
            find_link(self._controller, job),
            why,
            self._texts[job.language],
            limit=self._settings.upload_limit,
            now=self._controller.clock(),
        )

    async def _send(self, bot: Bot, job: Job, card: Card, view: View) -> Message:
        return await bot.send_message(
            card.chat,
            **view.as_kwargs(),
            disable_notification=job.batch is not None,
            reply_parameters=reply_to(job, card),
        )
