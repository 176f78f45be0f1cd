"""Buttons of running cards: the log's end, and the common card of a group."""

from __future__ import annotations

from aiogram import Router
from aiogram.types import CallbackQuery

from bot.cards.callbacks import NO_JOB, Act, DetailsPress, GroupPress
from bot.desk import Desk
from bot.handlers.errors import answer_press
from controller.errors import TooLate


def make_router() -> Router:
    router = Router(name="progress")
    router.callback_query.register(toggle_details, DetailsPress.filter())
    router.callback_query.register(press_in_group, GroupPress.filter())
    return router


async def toggle_details(query: CallbackQuery, callback_data: DetailsPress, desk: Desk) -> None:
    """Show the end of the log, or take it away; by whoever may see the job."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    desk.notifier.toggle_details(job.id)
    await answer_press(query)


async def press_in_group(query: CallbackQuery, callback_data: GroupPress, desk: Desk) -> None:
    """Pages by anybody; cancelling, with its yes and no, by the owner of the job or an admin."""
    if query.message is None:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    subject = f"group:{query.message.chat.id}"
    if callback_data.act is None or callback_data.job == NO_JOB:
        desk.notifier.turn_page(subject, str(callback_data.page))
        await answer_press(query)
        return
    job = desk.controller.get(callback_data.job, by=desk.actor)
    toast = None
    match callback_data.act:
        case _ if job.state.is_terminal:
            toast = "toast-ended"
        case Act.ASK:
            desk.notifier.turn_page(subject, f"{callback_data.page}:{job.id}")
            desk.notifier.ask_to_confirm(subject)
        case Act.YES:
            toast = _cancel(job.id, desk)
            desk.notifier.stop_confirming(subject)
        case Act.NO:
            desk.notifier.stop_confirming(subject)
        case _:
            toast = "toast-stale"
    desk.notifier.poke(subject)
    await answer_press(query, desk.tongue(toast) if toast else None)


def _cancel(job_id: str, desk: Desk) -> str:
    try:
        job = desk.controller.cancel(job_id, by=desk.actor)
    except TooLate:
        return "toast-ended"
    return "toast-cancelled" if job.state.is_terminal else "toast-cancelling"
