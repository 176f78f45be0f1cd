"""The buttons under cards and menus."""

from __future__ import annotations

from collections.abc import Sequence

from aiogram.enums import ButtonStyle
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

from bot.cards.callbacks import Act, JobPress, Place, PresetPress
from bot.cards.presets import Preset, find_preset
from bot.texts import Tongue, clean_name
from controller.records import Job


def plan_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    """Presets with the chosen one marked; Start; Cancel."""
    chosen = find_preset(job.task)
    presets = [_preset_button(job, each, tongue, each is chosen) for each in Preset]
    last = [
        _job_button(job, Act.START, tongue("button-start"), ButtonStyle.SUCCESS),
        _job_button(job, Act.ASK, tongue("button-cancel"), ButtonStyle.DANGER),
    ]
    return InlineKeyboardMarkup(inline_keyboard=[presets[:2], presets[2:], last])


def cancel_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    button = _job_button(job, Act.ASK, tongue("button-cancel"), ButtonStyle.DANGER)
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


def confirm_keyboard(job: Job, tongue: Tongue, at: Place = Place.CARD) -> InlineKeyboardMarkup:
    row = [
        _job_button(job, Act.YES, tongue("button-yes"), ButtonStyle.DANGER, at),
        _job_button(job, Act.NO, tongue("button-no"), None, at),
    ]
    return InlineKeyboardMarkup(inline_keyboard=[row])


def retry_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    button = _job_button(job, Act.RETRY, tongue("button-retry"), ButtonStyle.PRIMARY)
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


def menu_keyboard(jobs: Sequence[Job]) -> InlineKeyboardMarkup:
    """One button a job, by its name."""
    return InlineKeyboardMarkup(
        inline_keyboard=[
            [_job_button(job, Act.ASK, clean_name(job.source_name, 40), None, Place.MENU)]
            for job in jobs
        ]
    )


def link_keyboard(url: str, tongue: Tongue) -> InlineKeyboardMarkup:
    button = InlineKeyboardButton(text=tongue("button-open"), url=url, style=ButtonStyle.SUCCESS)
    return InlineKeyboardMarkup(inline_keyboard=[[button]])


def _preset_button(job: Job, preset: Preset, tongue: Tongue, chosen: bool) -> InlineKeyboardButton:
    label = tongue(f"preset-{preset}")
    return InlineKeyboardButton(
        text=tongue("button-chosen", label=label) if chosen else label,
        callback_data=PresetPress(job=job.id, preset=preset).pack(),
    )


def _job_button(
    job: Job, act: Act, text: str, style: ButtonStyle | None, at: Place = Place.CARD
) -> InlineKeyboardButton:
    data = JobPress(act=act, job=job.id, at=at).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)
