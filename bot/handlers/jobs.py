"""Buttons of cards and menus, and /cancel. Owner or admin is checked on every press."""

from __future__ import annotations

import logging

from aiogram import F, Router
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, InlineKeyboardMarkup, Message
from aiogram.utils.formatting import Text

from bot.cards.callbacks import Act, JobPress, Place
from bot.cards.keyboards import confirm_keyboard, menu_keyboard
from bot.cards.lists import MENU_LENGTH
from bot.cards.wording import show_name
from bot.desk import Desk
from bot.handlers.errors import answer_about, answer_press
from bot.handlers.replies import find_meant
from controller.errors import TooLate
from controller.records import Job
from controller.states import JobState

log = logging.getLogger(__name__)

#: Nothing is lost by cancelling these, so they are not asked about.
_UNSTARTED = (JobState.DRAFT, JobState.HELD)


def make_router() -> Router:
    router = Router(name="jobs")
    router.message.register(cancel_by_message, F.text, Command("cancel"))
    router.callback_query.register(press_in_menu, JobPress.filter(F.at == Place.MENU))
    router.callback_query.register(press_on_card, JobPress.filter())
    router.callback_query.register(press_unknown)
    return router


async def cancel_by_message(message: Message, command: CommandObject, desk: Desk) -> None:
    """By id, by reply to a card or to the video itself, else by a menu."""
    job = (
        desk.controller.get(command.args.split()[0], by=desk.actor)
        if command.args
        else find_meant(message, desk)
    )
    if job is not None:
        await message.reply(**_cancel(job, desk).as_kwargs())
        return
    if message.reply_to_message is not None:
        await message.reply(desk.tongue("cancel-unknown"))
        return
    jobs = desk.controller.jobs(owner=desk.actor.user, active=True, limit=MENU_LENGTH)
    if not jobs:
        await message.answer(desk.tongue("cancel-none"))
        return
    await message.answer(desk.tongue("cancel-menu"), reply_markup=menu_keyboard(jobs))


async def press_on_card(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """Cancel with its yes and no, retry. A press that came too late says so.

    The same press again, after an answer that was lost, is answered as the first one was.
    """
    job = desk.controller.get(callback_data.job, by=desk.actor)
    try:
        toast = _act_on_card(job, callback_data.act, desk)
    except TooLate:
        toast = "toast-stale"
    else:
        if callback_data.act is Act.RETRY:
            await _drop_keyboard(query, job, desk)
    await answer_about(query, job, toast, desk)


async def press_in_menu(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """The menu of /cancel: choose, confirm; the menu's message says what came of it."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    keyboard = None
    match callback_data.act:
        case Act.ASK if not job.state.is_terminal and job.state not in _UNSTARTED:
            text = desk.tongue.rich("cancel-ask", name=show_name(job))
            keyboard = confirm_keyboard(job, desk.tongue, Place.MENU)
        case Act.ASK | Act.YES:
            text = _cancel(job, desk)
        case _ if job.state.is_terminal:
            text = desk.tongue.rich("cancel-ended", name=show_name(job))
        case _:
            text = desk.tongue.rich("cancel-kept", name=show_name(job))
    await _replace(query, text, keyboard)
    await answer_press(query)


async def press_unknown(query: CallbackQuery, desk: Desk) -> None:
    """A button of an older version, or data that was made up."""
    await answer_press(query, desk.tongue("toast-stale"))


def _act_on_card(job: Job, act: Act, desk: Desk) -> str | None:
    """Do it and name the short notice that is shown for it."""
    match act:
        case Act.RETRY:
            # one retry a job, however often the button is pressed; its card comes by its events
            again = desk.controller.retry(job.id, by=desk.actor, key=f"tg:retry:{job.id}")
            desk.notifier.note_retry(job.id)
            return "toast-retry-ended" if again.state.is_terminal else "toast-retry"
        case Act.ASK | Act.YES if job.state is JobState.CANCELLED:
            return "toast-cancelled"
        case _ if job.state.is_terminal:
            return "toast-ended"
        case Act.NO:
            desk.notifier.stop_confirming(job.id)
            return None
        case Act.ASK if job.state not in _UNSTARTED:
            desk.notifier.ask_to_confirm(job.id)
            return None
        case Act.ASK | Act.YES:
            cancelled = desk.controller.cancel(job.id, by=desk.actor)
            return "toast-cancelled" if cancelled.state.is_terminal else "toast-cancelling"
    return "toast-stale"


def _cancel(job: Job, desk: Desk) -> Text:
    """Cancelling what is cancelled is no mistake: the answer to the first time may be lost."""
    try:
        job = desk.controller.cancel(job.id, by=desk.actor)
    except TooLate:
        job = desk.controller.get(job.id, by=desk.actor)
    desk.notifier.poke(job.id)
    key = "cancel-ended" if job.state.is_terminal else "cancel-requested"
    if job.state is JobState.CANCELLED:
        key = "cancel-done"
    return desk.tongue.rich(key, name=show_name(job))


async def _drop_keyboard(query: CallbackQuery, job: Job, desk: Desk) -> None:
    """Take the buttons off a message about a job that is not its card, which is drawn anew."""
    card = desk.controller.card(job.id)
    message = query.message
    if not isinstance(message, Message) or (card and card.message == message.message_id):
        return
    try:
        await message.edit_reply_markup(reply_markup=None)
    except TelegramBadRequest as error:
        log.info("a button was not removed: %s", error.message)


async def _replace(
    query: CallbackQuery, text: Text, keyboard: InlineKeyboardMarkup | None
) -> None:
    """Edit the message under the button; one that is gone or shows this already is left alone."""
    if not isinstance(query.message, Message):
        return
    try:
        await query.message.edit_text(**text.as_kwargs(), reply_markup=keyboard)
    except TelegramBadRequest as error:
        log.info("a menu was not edited: %s", error.message)
