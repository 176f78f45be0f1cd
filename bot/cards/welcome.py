"""/start, /settings and the choice of the language."""

from __future__ import annotations

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.formatting import Bold, Text, as_list

from bot.cards.admin_callbacks import LanguageChoice, LanguagePress, Origin, SettingsPress
from bot.cards.callbacks import NO_JOB, PagePress
from bot.cards.options import OPTIONS
from bot.cards.view import View
from bot.cards.wording import show_task
from bot.texts import Tongue
from controller.records import Role
from remote_runner.protocol import Task


def draw_start(tongue: Tongue, *, limit: str, path: str) -> View:
    """What the bot does, how to send a video, an example, and two buttons."""
    return View(Text(tongue("start", limit=limit, path=path)), _start_keyboard(tongue))


def draw_invited(role: Role, name: str, tongue: Tongue, *, limit: str, path: str) -> View:
    """The same for somebody who has just been let in."""
    welcome = tongue("invited-admin" if role is Role.ADMIN else "invited-user", name=name)
    text = as_list(welcome, "", tongue("start", limit=limit, path=path))
    return View(text, _start_keyboard(tongue))


def draw_language(chosen: LanguageChoice, origin: Origin, tongue: Tongue) -> View:
    """Each language by its own name."""
    row = []
    for choice in LanguageChoice:
        label = tongue(f"language-{choice}")
        row.append(
            InlineKeyboardButton(
                text=tongue("button-chosen", label=label) if choice is chosen else label,
                callback_data=LanguagePress(origin=origin, choice=choice).pack(),
            )
        )
    rows = [row]
    if origin is not Origin.COMMAND:
        back = SettingsPress(origin=origin).pack()
        rows.append([InlineKeyboardButton(text=tongue("button-back"), callback_data=back)])
    text = Text(tongue("language-title"))
    return View(text, InlineKeyboardMarkup(inline_keyboard=rows))


def language_button(origin: Origin, tongue: Tongue) -> InlineKeyboardButton:
    return InlineKeyboardButton(
        text=tongue("button-language"), callback_data=LanguagePress(origin=origin).pack()
    )


def _start_keyboard(tongue: Tongue) -> InlineKeyboardMarkup:
    settings = InlineKeyboardButton(
        text=tongue("button-settings"),
        callback_data=SettingsPress(origin=Origin.SETTINGS).pack(),
    )
    return InlineKeyboardMarkup(
        inline_keyboard=[[language_button(Origin.START, tongue), settings]]
    )


def draw_settings(chosen: LanguageChoice, task: Task, tongue: Tongue) -> View:
    """What is chosen for good, each with a button that changes it."""
    text = as_list(
        Bold(tongue("settings-title")),
        tongue("settings-language", language=tongue(f"language-{chosen}")),
        tongue("settings-task", what=show_task(task, tongue)),
    )
    defaults = InlineKeyboardButton(
        text=tongue("button-defaults"),
        callback_data=PagePress(job=NO_JOB, page=OPTIONS).pack(),
    )
    rows = [[language_button(Origin.SETTINGS, tongue)], [defaults]]
    return View(text, InlineKeyboardMarkup(inline_keyboard=rows))
