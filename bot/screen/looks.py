"""What goes with a result: where it can be fetched, and pictures of it beside the source."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.types import (
    FSInputFile,
    InputMediaPhoto,
    InputMediaVideo,
    MediaUnion,
    Message,
    ReplyParameters,
)
from aiogram.utils.formatting import Text

from bot.cards.results import Link, name_result
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import NotStored, StorageError, TooLarge
from controller.records import Card, Job
from controller.service import Controller

log = logging.getLogger(__name__)

#: An upload of 50 MB over a slow line; aiogram's own limit is a minute.
UPLOAD_TIMEOUT_S = 1800


def find_link(controller: Controller, job: Job) -> Link:
    """The short link where there are such, else the presigned one or a path."""
    url = controller.links.link(job)
    return Link(url=url, expires_at=controller.links.expires_at(url))


def as_caption(text: Text) -> dict[str, Any]:
    """Keyword arguments of a message with media."""
    return text.as_kwargs(
        text_key="caption", entities_key="caption_entities", parse_mode_key="parse_mode"
    )


@asynccontextmanager
async def open_looks(
    controller: Controller, settings: BotSettings, job: Job
) -> AsyncIterator[tuple[Path | None, Path | None]]:
    """The before/after picture and the side-by-side clip as local files, as far as they are
    there and small enough to send."""
    async with AsyncExitStack() as stack:
        picture = clip = None
        try:
            picture = await stack.enter_async_context(controller.picture_file(job))
        except (NotStored, TooLarge) as error:
            log.debug("job %s has no picture: %s", job.id, type(error).__name__)
        if 0 < await controller.clip_bytes(job) <= settings.upload_limit:
            try:
                clip = await stack.enter_async_context(
                    controller.clip_file(job, limit=settings.upload_limit)
                )
            except (NotStored, TooLarge) as error:
                log.info("the clip of job %s is gone: %s", job.id, type(error).__name__)
        yield picture, clip


def name_clip(job: Job) -> str:
    return f"{Path(name_result(job)).stem}_clip.mp4"


async def send_looks(  # noqa: PLR0917 - one call
    bot: Bot,
    controller: Controller,
    settings: BotSettings,
    texts: Texts,
    job: Job,
    card: Card,
    result: Message,
) -> None:
    """Quietly, as an answer to the result: nothing about it may send that again."""
    tongue = texts[job.language]
    reply = ReplyParameters(message_id=result.message_id, allow_sending_without_reply=True)
    common: dict[str, Any] = {
        "disable_notification": True,
        "reply_parameters": reply,
        "request_timeout": UPLOAD_TIMEOUT_S,
    }
    try:
        async with open_looks(controller, settings, job) as (picture, clip):
            photo = FSInputFile(picture, filename="before_after.png") if picture else None
            video = FSInputFile(clip, filename=name_clip(job)) if clip else None
            words = tongue("result-picture-caption"), tongue("result-clip")
            if photo and video:
                media: list[MediaUnion] = [
                    InputMediaPhoto(media=photo, caption=words[0]),
                    InputMediaVideo(media=video, caption=words[1], supports_streaming=True),
                ]
                try:
                    await bot.send_media_group(card.chat, media, **common)
                except TelegramBadRequest as error:
                    # a picture may be too wide for the platform: the clip is not
                    log.info("the looks of job %s go without the picture: %s", job.id, error)
                    await bot.send_video(
                        card.chat, video, caption=words[1], supports_streaming=True, **common
                    )
            elif photo:
                await bot.send_photo(card.chat, photo, caption=words[0], **common)
            elif video:
                await bot.send_video(
                    card.chat, video, caption=words[1], supports_streaming=True, **common
                )
    except (AiogramError, StorageError) as error:
        log.warning("the looks of job %s were not sent: %s", job.id, type(error).__name__)
