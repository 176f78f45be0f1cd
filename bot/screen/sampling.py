"""Hands out a sample: its picture, its clip, and how to go on; one message of them rings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError, TelegramBadRequest, TelegramEntityTooLarge
from aiogram.types import FSInputFile

from bot.cards.results import draw_sample, draw_sample_failure
from bot.cards.view import View
from bot.screen.board import Board, is_closed, reply_to
from bot.screen.looks import UPLOAD_TIMEOUT_S, as_caption, name_clip, open_looks
from bot.settings import BotSettings
from bot.texts import Texts
from controller.errors import NoSuchJob
from controller.records import TERMINAL, Card, Job, PlanQuote
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)


async def deliver_sample(  # noqa: PLR0917 - the parts of a delivery
    bot: Bot,
    controller: Controller,
    board: Board,
    settings: BotSettings,
    texts: Texts,
    job: Job,
    card: Card,
) -> None:
    """The end of a sample in the chat of its draft; one that was cancelled is not told.

    Trouble of network and storage comes out, and the sample is handed out again then.
    """
    draft = _find_draft(controller, job)
    if draft is None or draft.state is not JobState.DRAFT or job.state is JobState.CANCELLED:
        # who has started or cancelled the whole waits for no sample
        return
    tongue = texts[draft.language]
    if job.state is JobState.FAILED:
        view = draw_sample_failure(draft, job, tongue)
    else:
        view = draw_sample(
            draft,
            job,
            tongue,
            quote=await _ask_quote(controller, draft, job),
            waits_until=_find_wait(controller, job),
            now=controller.clock(),
        )
    common: dict[str, Any] = {"reply_parameters": reply_to(draft, card)}
    async with open_looks(controller, settings, job) as (picture, clip):
        try:
            if clip is not None:
                video = FSInputFile(clip, filename=name_clip(job))
                await bot.send_video(
                    card.chat, video, supports_streaming=True, **_with_caption(view), **common
                )
                if picture is not None:
                    words = tongue("result-picture-caption")
                    await _send_quietly(bot, card, picture, words, **common)
                return
            if picture is not None:
                photo = FSInputFile(picture, filename="before_after.png")
                await bot.send_photo(card.chat, photo, **_with_caption(view), **common)
                return
        except (TelegramBadRequest, TelegramEntityTooLarge) as error:
            if isinstance(error, TelegramBadRequest) and is_closed(error):
                raise
            log.warning("the sample %s was refused as media: %s", job.id, error)
    await bot.send_message(card.chat, **view.as_kwargs(), **common)


async def _send_quietly(bot: Bot, card: Card, picture: Path, caption: str, **common: Any) -> None:
    """A picture below the clip, which says the same: nothing about it may send that again."""
    photo = FSInputFile(picture, filename="before_after.png")
    try:
        await bot.send_photo(
            card.chat, photo, caption=caption, disable_notification=True, **common
        )
    except AiogramError as error:
        log.info("a sample goes without its picture: %s", type(error).__name__)


def _find_draft(controller: Controller, sample: Job) -> Job | None:
    if sample.sample_of is None:
        return None
    try:
        return controller.get(sample.sample_of, by=TERMINAL)
    except NoSuchJob:
        return None


async def _ask_quote(controller: Controller, draft: Job, sample: Job) -> PlanQuote | None:
    """For the whole, now that the speed is known; none where the draft has become another."""
    if draft.task != sample.task:
        return None
    quote = await controller.plan(draft)
    return None if quote.unknown else quote


def _find_wait(controller: Controller, sample: Job) -> float | None:
    """Until when the machine of a sample stays for the whole; None where nobody pays for it."""
    attempt = controller.attempt(sample.id)
    machine = controller.machine(attempt.machine) if attempt else None
    if machine is None or not controller.rents or machine.idle_since is None:
        return None
    return machine.idle_since + controller.settings.idle_s


def _with_caption(view: View) -> dict[str, Any]:
    return {
        **as_caption(view.text),
        "reply_markup": view.keyboard,
        "request_timeout": UPLOAD_TIMEOUT_S,
    }
