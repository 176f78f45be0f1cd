"""Who may use a router: admins, and in private only, as other people read along in groups."""

from __future__ import annotations

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.types import CallbackQuery, Message

from bot.desk import Desk


def only_admins(router: Router) -> None:
    """Everybody else's updates go on to the next router."""
    router.message.filter(is_admin, F.chat.type == ChatType.PRIVATE)
    router.callback_query.filter(is_admin)


async def is_admin(_: Message | CallbackQuery, desk: Desk) -> bool:
    return desk.actor.admin
