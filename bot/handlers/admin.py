"""What admins have beyond their own jobs: /status of everybody and the machines.

Cancelling any job by id, reply or button needs nothing here: the controller lets admins.
"""

from __future__ import annotations

from aiogram import F, Router
from aiogram.filters import Command
from aiogram.types import Message

from bot.cards.lists import draw_status_all
from bot.desk import Desk
from bot.terminal.overview import find_credit


def make_router() -> Router:
    router = Router(name="admin")
    # in a group, other people would read whose jobs there are
    router.message.filter(is_admin, F.chat.type == "private")
    router.message.register(show_status, F.text, Command("status"))
    return router


def is_admin(_: Message, desk: Desk) -> bool:
    return desk.actor.admin


async def show_status(message: Message, desk: Desk) -> None:
    """All active jobs with their owners, the machines and the money."""
    jobs = desk.controller.jobs(active=True, limit=1000)
    credit_usd = await find_credit(desk.controller) if desk.controller.rents else None
    text = draw_status_all(desk.controller, jobs, credit_usd, desk.tongue)
    await message.answer(**text.as_kwargs())
