"""The settings of a job, or of a person's next videos: a list of them, and a page for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiogram.types import InlineKeyboardButton
from aiogram.utils.formatting import Bold, Text, as_list

from bot.cards.admin_callbacks import Origin, SettingsPress
from bot.cards.callbacks import NO_JOB, OptionPress, PagePress
from bot.cards.choices import (
    AUTO,
    Setting,
    find_code,
    list_common_codes,
    list_settings,
)
from bot.cards.keyboards import Row, make_keyboard
from bot.cards.view import View
from bot.cards.wording import CODEC_NAMES, show_name, show_named_size, show_task
from bot.texts import Tongue, clean_name
from controller.records import Job
from remote_runner.protocol import SAME_FPS, Facts, Task, parse_fps

#: The page that lists the settings.
OPTIONS = "options"
#: The page that these are behind.
PLAN = "plan"
_EXPLAINED = (Setting.MODEL, Setting.BETWEEN, Setting.CODEC, Setting.CONTAINER)
_NARROW = 18
"""Labels that are no longer stand two in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What settings are for: ``id`` as buttons name it, and the files that they have to suit."""

    id: str
    name: Text
    files: Sequence[Facts]


def draw_options(
    task: Task, page: str, tongue: Tongue, job: Job | None = None, extra: Text | None = None
) -> View:
    """The page of a setting by its name, else the list; of a job's, or of the defaults.

    ``extra`` are lines about what the choice leads to.
    """
    subject = Subject(id=job.id, name=show_name(job), files=[job.facts]) if job else None
    return draw_options_of(subject, task, page, tongue, extra)


def draw_options_of(
    subject: Subject | None, task: Task, page: str, tongue: Tongue, extra: Text | None = None
) -> View:
    """The same for whatever has settings; None for the defaults."""
    setting = next((each for each in list_settings(task) if each == page), None)
    if setting is not None:
        return _draw_setting(setting, task, tongue, subject)
    title = (
        tongue("options-defaults")
        if subject is None
        else tongue.rich("options-title", name=subject.name)
    )
    lines: list[Text | str] = [title, Bold(show_task(task, tongue))]
    if extra is not None:
        lines.append(extra)
    lines.append(tongue("options-choose"))
    buttons = [_setting_button(each, task, tongue, subject) for each in list_settings(task)]
    last: Row = [
        InlineKeyboardButton(
            text=tongue("button-back"),
            callback_data=SettingsPress(origin=Origin.SETTINGS).pack(),
        )
        if subject is None
        else _page_button(subject, PLAN, tongue("button-back"))
    ]
    if task != Task():
        data = OptionPress(job=_name(subject)).pack()
        last.append(InlineKeyboardButton(text=tongue("button-reset"), callback_data=data))
    return View(as_list(*lines), make_keyboard(*_arrange(buttons), last))


def show_choice(setting: Setting, code: str, tongue: Tongue) -> str:
    """A value as a button says it."""
    match setting:
        case _ if code == AUTO:
            return tongue("choice-auto")
        case Setting.MODE:
            return tongue(f"choice-mode-{code}")
        case Setting.SIZE if code.startswith("x"):
            return tongue("task-scale", scale=int(code[1:]))
        case Setting.SIZE:
            return show_named_size(code)
        case Setting.RATE if code.startswith("f"):
            return tongue("task-factor", factor=int(code[1:]))
        case Setting.RATE:
            same = code == SAME_FPS
            return tongue("task-same") if same else tongue.fps(float(parse_fps(code)))
        case Setting.CODEC:
            return CODEC_NAMES[code]
        case Setting.QUALITY:
            return tongue(f"choice-quality-{code}")
        case Setting.DENOISE:
            return tongue(f"choice-denoise-{code}")
        case _:
            return code


def _draw_setting(setting: Setting, task: Task, tongue: Tongue, subject: Subject | None) -> View:
    chosen = find_code(setting, task)
    codes = list_common_codes(setting, task, subject.files if subject else ())
    lines: list[Text | str] = [Bold(tongue(f"setting-{setting}"))]
    if setting in _EXPLAINED:
        lines += [
            tongue(
                "options-meaning",
                name=show_choice(setting, code, tongue),
                meaning=tongue(f"meaning-{setting}-{code.replace('.', '-')}"),
            )
            for code in codes
        ]
    else:
        lines.append(tongue(f"about-{setting}"))
    buttons = []
    for code in codes:
        label = show_choice(setting, code, tongue)
        data = OptionPress(job=_name(subject), setting=setting, code=code).pack()
        text = tongue("button-chosen", label=label) if code == chosen else label
        buttons.append(InlineKeyboardButton(text=text, callback_data=data))
    back = _page_button(subject, OPTIONS, tongue("button-back"))
    return View(as_list(*lines), make_keyboard(*_arrange(buttons), [back]))


def _setting_button(
    setting: Setting, task: Task, tongue: Tongue, subject: Subject | None
) -> InlineKeyboardButton:
    code = find_code(setting, task)
    value = (
        tongue("choice-own") if code is None else clean_name(show_choice(setting, code, tongue))
    )
    label = tongue("button-setting", name=tongue(f"setting-{setting}"), value=value)
    return _page_button(subject, setting, label)


def _page_button(subject: Subject | None, page: str, label: str) -> InlineKeyboardButton:
    data = PagePress(job=_name(subject), page=page).pack()
    return InlineKeyboardButton(text=label, callback_data=data)


def _name(subject: Subject | None) -> str:
    return NO_JOB if subject is None else subject.id


def _arrange(buttons: list[InlineKeyboardButton]) -> list[Row]:
    """Two in a row where both are short, else one: phones cut long labels."""
    rows: list[Row] = []
    for button in buttons:
        fits = rows and len(rows[-1]) == 1 and len(rows[-1][0].text) <= _NARROW
        if fits and len(button.text) <= _NARROW:
            rows[-1].append(button)
        else:
            rows.append([button])
    return rows
