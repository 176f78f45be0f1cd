"""/health: admins look whether all works."""

from __future__ import annotations

from collections.abc import Mapping

from aiogram import Bot, F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import HealthPress
from bot.cards.health import Health, draw_health
from bot.cards.view import View
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.handlers.pages import is_newest, open_page, turn_page
from bot.terminal.overview import find_credit
from controller.web import examine_health
from remote_runner import __version__

PAGE = "health"


def make_router() -> Router:
    router = Router(name="health")
    only_admins(router)
    router.message.register(show_health, F.text, Command("health"))
    router.callback_query.register(press_health, HealthPress.filter())
    return router


async def show_health(message: Message, bot: Bot, desk: Desk) -> None:
    await open_page(message, bot, PAGE, await _draw(desk), desk)


async def press_health(query: CallbackQuery, bot: Bot, desk: Desk) -> None:
    if not await is_newest(query, bot, PAGE, desk):
        return
    await turn_page(query, bot, await _draw(desk))
    await answer_press(query)


async def _draw(desk: Desk) -> View:
    controller = desk.controller
    found = examine_health(controller)
    health = Health(
        now=controller.clock(),
        alarms=controller.judge(),
        problems=_read_names(found["problems"]),
        storage_works=await controller.storage_answers(),
        rents=controller.rents,
        credit_usd=await find_credit(controller) if controller.rents else None,
        listing_age_s=_read_age(found["listing_age_s"]),
        poller_age_s=_read_age(found["poller_age_s"]),
        loop_age_s=_find_oldest(found["loop_age_s"]),
        database_bytes=controller.settings.database.stat().st_size,
        version=__version__,
    )
    return draw_health(health, desk.tongue)


def _read_names(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _read_age(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _find_oldest(ages: object) -> float | None:
    if not isinstance(ages, Mapping):
        return None
    return max((age for age in ages.values() if isinstance(age, (int, float))), default=None)
