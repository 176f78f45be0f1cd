"""Sends the end of a job: once, or once more for every kill between sending and remembering."""

from __future__ import annotations

import logging
from pathlib import Path

from aiogram import Bot
from aiogram.exceptions import (
    AiogramError,
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramServerError,
)
from aiogram.types import FSInputFile, Message, ReplyParameters

from bot.cards.card import View
from bot.cards.results import (
    Obstacle,
    draw_caption,
    draw_failure,
    draw_gone,
    draw_link,
    name_result,
)
from bot.screen.board import Board, is_closed, reply_to
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import NotStored, StorageError
from controller.records import Card, Job
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

#: An upload of 50 MB over a slow line; aiogram's own limit is a minute.
_UPLOAD_TIMEOUT_S = 1800
#: After so many uploads that broke, the link goes out instead.
_UPLOADS = 3
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
            match job.state:
                case JobState.DONE:
                    sent = await self._send_result(bot, job, card)
                case JobState.FAILED:
                    await self._send(bot, job, card, draw_failure(job, self._texts[job.language]))
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
            # after that: a kill while the clip is on its way must not bring the result again
            await self._send_clip(bot, job, card, sent)

    async def _send_result(self, bot: Bot, job: Job, card: Card) -> Message:
        if (job.output_bytes or 0) > self._settings.upload_limit:
            return await self._send_link(bot, job, card, Obstacle.LARGE)
        try:
            async with self._controller.result_file(job) as path:
                return await self._send_file(bot, job, card, path)
        except NotStored:
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

    async def _send_clip(self, bot: Bot, job: Job, card: Card, result: Message) -> None:
        """A look beside the result, where there is one: nothing about it may send that again."""
        try:
            size = await self._controller.clip_bytes(job)
            if not 0 < size <= self._settings.upload_limit:
                return
            async with self._controller.clip_file(job) as path:
                await bot.send_video(
                    card.chat,
                    FSInputFile(path, filename=f"{Path(name_result(job)).stem}_clip.mp4"),
                    caption=self._texts[job.language]("result-clip"),
                    disable_notification=True,
                    supports_streaming=True,
                    reply_parameters=ReplyParameters(
                        message_id=result.message_id, allow_sending_without_reply=True
                    ),
                    request_timeout=_UPLOAD_TIMEOUT_S,
                )
        except (AiogramError, StorageError) as error:
            log.warning("the clip of job %s was not sent: %s", job.id, type(error).__name__)

    async def _send_file(self, bot: Bot, job: Job, card: Card, path: Path) -> Message:
        name = name_result(job)
        file = FSInputFile(path, filename=name)
        caption = draw_caption(job, self._texts[job.language])
        common = caption.as_kwargs(
            text_key="caption", entities_key="caption_entities", parse_mode_key="parse_mode"
        )
        facts = job.result.facts if job.result else None
        # players inside the chat take MP4 only (Bot API: sendVideo)
        if not name.lower().endswith(".mp4") or facts is None:
            return await bot.send_document(
                card.chat,
                file,
                **common,
                disable_content_type_detection=True,
                reply_parameters=reply_to(job, card),
                request_timeout=_UPLOAD_TIMEOUT_S,
            )
        return await bot.send_video(
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

    async def _send_link(self, bot: Bot, job: Job, card: Card, why: Obstacle) -> Message:
        link = self._controller.result_link(job)
        tongue = self._texts[job.language]
        view = draw_link(job, link, why, self._settings.upload_limit, tongue)
        return await self._send(bot, job, card, view)

    async def _send(self, bot: Bot, job: Job, card: Card, view: View) -> Message:
        return await bot.send_message(
            card.chat, **view.as_kwargs(), reply_parameters=reply_to(job, card)
        )
