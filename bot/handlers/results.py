"""Buttons under results and refusals: a new link, the same video once more, how to send a path."""

from __future__ import annotations

import logging

from aiogram import Bot, F, Router
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import CallbackQuery, Message
from aiogram.utils.formatting import as_list

from bot.cards.callbacks import Act, JobPress, LinkPress, PathPress
from bot.cards.keyboards import make_keyboard
from bot.cards.results import AS_FILE, Obstacle, draw_result
from bot.cards.view import View
from bot.cards.wording import show_paths
from bot.desk import Desk
from bot.handlers.errors import answer_press
from bot.screen.looks import as_caption, find_link
from controller.errors import TooLate
from controller.records import Job
from controller.states import JobState

log = logging.getLogger(__name__)


def make_router() -> Router:
    router = Router(name="results")
    router.callback_query.register(repeat, JobPress.filter(F.act == Act.AGAIN))
    router.callback_query.register(renew_link, LinkPress.filter())
    router.callback_query.register(tell_path, PathPress.filter())
    return router


async def repeat(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """A new plan card for the same video; one that is open already comes to the bottom."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    draft = _find_open(job, desk)
    try:
        if draft is None:
            key = f"redo:{job.id}:{query.id}"
            draft = desk.controller.redo(job.id, by=desk.actor, key=key)
            desk.notifier.poke(draft.id)
        else:
            desk.notifier.resend(draft.id)
    except TooLate:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    await answer_press(query, desk.tongue("toast-again"))


async def renew_link(query: CallbackQuery, callback_data: LinkPress, bot: Bot, desk: Desk) -> None:
    """The message with another link; the one before leads nowhere from now on."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    if callback_data.why not in {AS_FILE, *Obstacle}:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    try:
        desk.controller.links.renew(job, by=desk.actor)
    except TooLate:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    view = draw_result(
        job,
        find_link(desk.controller, job),
        callback_data.why,
        desk.tongue,
        limit=desk.settings.upload_limit,
        now=desk.controller.clock(),
    )
    await _replace(query, bot, view)
    await answer_press(query, desk.tongue("toast-renewed"))


async def tell_path(query: CallbackQuery, callback_data: PathPress, bot: Bot, desk: Desk) -> None:
    """How a file gets in by the storage, under what the message says already."""
    message = query.message
    if not isinstance(message, Message) or not message.text:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    asked = message.reply_to_message.from_user if message.reply_to_message else None
    if asked is not None and asked.id != desk.actor.user and not desk.actor.admin:
        await answer_press(query, desk.tongue("error-no_such_job"), alert=True)
        return
    paths = show_paths(desk.controller.settings, desk.tongue)
    text = as_list(message.text, "", desk.tongue("intake-path", paths=paths))
    rows = message.reply_markup.inline_keyboard if message.reply_markup else []
    mine = callback_data.pack()
    kept = [[each for each in row if each.callback_data != mine] for row in rows]
    await _edit(message, bot, View(text, make_keyboard(*kept)))
    await answer_press(query)


def _find_open(job: Job, desk: Desk) -> Job | None:
    """A draft that was made of a job and that nobody has started or cancelled."""
    drafts = desk.controller.jobs(owner=job.owner, active=True, limit=1000)
    return next(
        (
            each
            for each in drafts
            if each.state is JobState.DRAFT and each.request_key.startswith(f"redo:{job.id}:")
        ),
        None,
    )


async def _replace(query: CallbackQuery, bot: Bot, view: View) -> None:
    """In the message under the button; a new one where that cannot be reached any more."""
    message = query.message
    if message is None:
        return
    if not isinstance(message, Message):
        await bot.send_message(message.chat.id, **view.as_kwargs())
        return
    await _edit(message, bot, view)


async def _edit(message: Message, bot: Bot, view: View) -> None:
    try:
        if message.text is None:
            await bot.edit_message_caption(
                chat_id=message.chat.id,
                message_id=message.message_id,
                reply_markup=view.keyboard,
                **as_caption(view.text),
            )
        else:
            await bot.edit_message_text(
                **view.as_kwargs(), chat_id=message.chat.id, message_id=message.message_id
            )
    except TelegramBadRequest as error:
        log.info("a message was not edited: %s", error.message)
