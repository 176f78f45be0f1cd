"""/settings and /language: the language, and the way to the defaults for new videos."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import LanguageChoice, LanguagePress, Origin, SettingsPress
from bot.cards.view import View
from bot.cards.welcome import draw_language, draw_settings, draw_start
from bot.cards.wording import show_limit, show_paths
from bot.defaults import find_task
from bot.desk import Desk
from bot.handlers.errors import answer_press
from bot.handlers.pages import turn_page
from bot.texts import Texts, Tongue


def make_router() -> Router:
    router = Router(name="settings")
    router.message.register(show_settings, F.text, Command("settings"))
    router.message.register(show_language, F.text, Command("language"))
    router.callback_query.register(choose_language, LanguagePress.filter())
    router.callback_query.register(return_to, SettingsPress.filter())
    return router


async def show_settings(message: Message, desk: Desk) -> None:
    await message.answer(**_draw(Origin.SETTINGS, desk, desk.tongue).as_kwargs())


async def show_language(message: Message, desk: Desk) -> None:
    await message.answer(**_draw(Origin.COMMAND, desk, desk.tongue).as_kwargs())


async def choose_language(
    query: CallbackQuery, callback_data: LanguagePress, bot: Bot, desk: Desk, texts: Texts
) -> None:
    """Open the choice, or take it and go back where it was opened from, in the new language."""
    choice = callback_data.choice
    if choice is None:
        await turn_page(
            query, bot, draw_language(_find_choice(desk), callback_data.origin, desk.tongue)
        )
        await answer_press(query)
        return
    chosen = "" if choice is LanguageChoice.AUTO else choice.value
    desk.controller.set_preference(desk.actor.user, "language", chosen)
    tongue = texts.pick(query.from_user.language_code, chosen)
    await turn_page(query, bot, _draw(callback_data.origin, desk, tongue))
    await answer_press(query, tongue("language-chosen"))


async def return_to(
    query: CallbackQuery, callback_data: SettingsPress, bot: Bot, desk: Desk
) -> None:
    await turn_page(query, bot, _draw(callback_data.origin, desk, desk.tongue))
    await answer_press(query)


def draw_greeting(desk: Desk, tongue: Tongue) -> View:
    """What /start shows."""
    limit = show_limit(desk.settings.download_limit, tongue)
    return draw_start(tongue, limit=limit, path=show_paths(desk.controller.settings, tongue))


def _draw(origin: Origin, desk: Desk, tongue: Tongue) -> View:
    match origin:
        case Origin.START:
            return draw_greeting(desk, tongue)
        case Origin.SETTINGS:
            return draw_settings(
                _find_choice(desk), find_task(desk.controller, desk.actor.user), tongue
            )
        case Origin.COMMAND:
            return draw_language(_find_choice(desk), origin, tongue)


def _find_choice(desk: Desk) -> LanguageChoice:
    chosen = desk.controller.preference(desk.actor.user, "language")
    return LanguageChoice(chosen) if chosen in set(LanguageChoice) else LanguageChoice.AUTO
