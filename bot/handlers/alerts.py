"""Buttons of the card that tells what is wrong: each opens a page of the admins' anew."""

from __future__ import annotations

from aiogram import Bot, Router
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import AlertAct, AlertPress
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.handlers.health import show_health
from bot.handlers.machines import show_machines
from bot.handlers.queue import show_queue
from bot.handlers.spend import show_spend


def make_router() -> Router:
    router = Router(name="alerts")
    only_admins(router)
    router.callback_query.register(press_alert, AlertPress.filter())
    return router


async def press_alert(
    query: CallbackQuery, callback_data: AlertPress, bot: Bot, desk: Desk
) -> None:
    """The card stays as it is: the page comes below it."""
    message = query.message
    if not isinstance(message, Message):
        await answer_press(query, desk.tongue("toast-stale"))
        return
    match callback_data.act:
        case AlertAct.MACHINES:
            await show_machines(message, bot, desk)
        case AlertAct.SPEND:
            await show_spend(message, desk)
        case AlertAct.QUEUE:
            await show_queue(message, bot, desk)
        case AlertAct.HEALTH:
            await show_health(message, bot, desk)
    await answer_press(query)
