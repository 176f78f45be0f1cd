"""/spend: admins see what was spent, per day and per person."""

from __future__ import annotations

import asyncio
import logging

from aiogram import Bot, F, Router
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters import Command
from aiogram.types import BufferedInputFile, CallbackQuery, InputMediaPhoto, Message

from bot.cards.admin_callbacks import SpendPress
from bot.cards.spend import SPANS, PersonSpend, SpendReport, draw_chart, draw_spend
from bot.cards.view import View
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.names import find_name

log = logging.getLogger(__name__)

_FIRST_SPAN = 14
_WEEK, _MONTH = 7, 30
_DAY_S = 86400.0


def make_router() -> Router:
    router = Router(name="spend")
    only_admins(router)
    router.message.register(show_spend, F.text, Command("spend"))
    router.callback_query.register(press_spend, SpendPress.filter())
    return router


async def show_spend(message: Message, desk: Desk) -> None:
    """A picture with its text; a sentence where nothing is or was rented."""
    days = desk.controller.spending.by_day(_MONTH)
    if not desk.controller.rents and not any(day.usd for day in days):
        await message.reply(desk.tongue("spend-free"))
        return
    view, picture = await _draw(_FIRST_SPAN, desk)
    await message.answer_photo(
        picture, **view.text.as_caption_kwargs(), reply_markup=view.keyboard
    )


async def press_spend(
    query: CallbackQuery, callback_data: SpendPress, bot: Bot, desk: Desk
) -> None:
    """Another number of days, in the same message."""
    if query.message is None or callback_data.days not in SPANS:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    await answer_press(query)
    view, picture = await _draw(callback_data.days, desk)
    try:
        await bot.edit_message_media(
            InputMediaPhoto(media=picture, **view.text.as_caption_kwargs()),
            chat_id=query.message.chat.id,
            message_id=query.message.message_id,
            reply_markup=view.keyboard,
        )
    except TelegramBadRequest as error:
        log.info("a chart was not edited: %s", error.message)


async def _draw(span: int, desk: Desk) -> tuple[View, BufferedInputFile]:
    spending = desk.controller.spending
    month = spending.by_day(max(span, _MONTH))
    days = month[-span:]
    since = spending.midnight - (span - 1) * _DAY_S
    report = SpendReport(
        days=days,
        today_usd=spending.today_usd(),
        week_usd=sum(day.usd for day in month[-_WEEK:]),
        month_usd=sum(day.usd for day in month[-_MONTH:]),
        people=[
            PersonSpend(name=find_name(desk.controller, each.owner), usd=each.usd, jobs=each.jobs)
            for each in spending.by_user(since)
        ],
        house_usd=spending.of_house(since),
    )
    picture = await asyncio.to_thread(draw_chart, days, desk.tongue)
    return draw_spend(report, desk.tongue), BufferedInputFile(picture, "spend.png")
