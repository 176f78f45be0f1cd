"""The buttons under cards and menus."""

from __future__ import annotations

import math
from collections.abc import Sequence

from aiogram.enums import ButtonStyle
from aiogram.types import (
    DisabledButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    WebAppInfo,
)

from bot.cards.callbacks import (
    Act,
    BatchAct,
    BatchPress,
    JobPress,
    LinkPress,
    PagePress,
    PathPress,
    Place,
    PresetPress,
    TakePress,
)
from bot.cards.presets import Preset, find_preset
from bot.texts import Tongue, clean_name
from controller.records import Job
from controller.states import JobState

Row = list[InlineKeyboardButton]


def plan_keyboard(job: Job, tongue: Tongue, sample: Job | None = None) -> InlineKeyboardMarkup:
    """Presets with the chosen one marked; Start and the sample; settings and Cancel."""
    chosen = find_preset(job.task)
    presets = [_preset_button(job, each, tongue, each is chosen) for each in Preset]
    tried = sample is not None and sample.task == job.task
    is_known = tried and sample is not None and sample.state is JobState.DONE
    label = tongue("button-run-all") if is_known else tongue("button-start")
    start = [job_button(job, Act.START, label, ButtonStyle.SUCCESS)]
    if tried and sample is not None and not sample.state.is_terminal:
        if sample.cancel_requested_at is None:
            start.append(job_button(job, Act.STOP_SAMPLE, tongue("button-sample-stop")))
    elif not is_known:
        start.append(job_button(job, Act.SAMPLE, tongue("button-sample"), ButtonStyle.PRIMARY))
    settings = PagePress(job=job.id, page="options").pack()
    last = [
        InlineKeyboardButton(text=tongue("button-settings"), callback_data=settings),
        job_button(job, Act.ASK, tongue("button-cancel"), ButtonStyle.DANGER),
    ]
    return make_keyboard(presets[:2], presets[2:], start, last)


def cancel_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    return make_keyboard([_cancel_button(job, tongue)])


def cancelling_keyboard(tongue: Tongue) -> InlineKeyboardMarkup:
    """One that cannot be pressed; servers that are older than Bot API 10.3 refuse it."""
    text = tongue("button-cancelling")
    return make_keyboard([InlineKeyboardButton(text=text, disabled=DisabledButton())])


def confirm_keyboard(job: Job, tongue: Tongue, at: Place = Place.CARD) -> InlineKeyboardMarkup:
    return make_keyboard(
        [
            job_button(job, Act.YES, tongue("button-yes"), ButtonStyle.DANGER, at),
            job_button(job, Act.NO, tongue("button-no"), None, at),
        ]
    )


def retry_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    return make_keyboard([job_button(job, Act.RETRY, tongue("button-retry"), ButtonStyle.PRIMARY)])


def held_keyboard(job: Job, tongue: Tongue, approve: str | None) -> InlineKeyboardMarkup:
    """``approve`` labels the yes of somebody who may say it."""
    rows: list[Row] = []
    if approve is not None:
        rows.append([_approve_button(job, approve, Place.CARD)])
    rows.append(
        [job_button(job, Act.CHANGE, tongue("button-change")), _cancel_button(job, tongue)]
    )
    return make_keyboard(*rows)


def no_offer_keyboard(
    job: Job, tongue: Tongue, price: float | None, *, admin: bool, askable: bool
) -> InlineKeyboardMarkup:
    """The yes to a higher price, in dollars an hour, or somebody to ask for it."""
    first: Row = []
    if not admin:
        if askable:
            label = tongue("button-ask-admin")
            first.append(job_button(job, Act.ASK_ADMIN, label, ButtonStyle.PRIMARY))
    elif price is not None:
        first.append(_take_button(job, tongue, price, Place.CARD))
    return make_keyboard(first, [_cancel_button(job, tongue)])


def price_keyboard(job: Job, tongue: Tongue, price: float) -> InlineKeyboardMarkup:
    """An admin is asked for a higher price."""
    return make_keyboard([_take_button(job, tongue, price, Place.ASK)])


def ask_keyboard(job: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    """An admin is asked for a yes to a hold."""
    approve, decline = tongue("button-approve"), tongue("button-decline")
    return make_keyboard(
        [
            _approve_button(job, approve, Place.ASK),
            job_button(job, Act.DECLINE, decline, ButtonStyle.DANGER, Place.ASK),
        ]
    )


def sampled_keyboard(draft: Job, tongue: Tongue) -> InlineKeyboardMarkup:
    """Under the sample of a draft."""
    run_all, change = tongue("button-run-all"), tongue("button-change")
    if draft.batch is not None:
        # the whole is the batch, and its card has the settings
        data = BatchPress(act=BatchAct.START, batch=draft.batch).pack()
        button = InlineKeyboardButton(text=run_all, callback_data=data, style=ButtonStyle.SUCCESS)
        return make_keyboard([button])
    return make_keyboard(
        [
            job_button(draft, Act.START, run_all, ButtonStyle.SUCCESS, Place.RESULT),
            job_button(draft, Act.CHANGE, change, None, Place.RESULT),
        ]
    )


def result_keyboard(job: Job, url: str, why: str, tongue: Tongue) -> InlineKeyboardMarkup:
    """The way to the file, where it has one on the web; the same video with other settings."""
    rows: list[Row] = []
    if is_on_web(url):
        renew = LinkPress(job=job.id, why=why).pack()
        rows.append(
            [
                InlineKeyboardButton(
                    text=tongue("button-open"), url=url, style=ButtonStyle.SUCCESS
                ),
                InlineKeyboardButton(text=tongue("button-renew"), callback_data=renew),
            ]
        )
    rows.append([job_button(job, Act.AGAIN, tongue("button-again"), None, Place.RESULT)])
    return make_keyboard(*rows)


def upload_keyboard(url: str, size: int, tongue: Tongue, *, private: bool) -> InlineKeyboardMarkup:
    """The upload page, inside the chat where that is allowed; and how else a file gets in."""
    text = tongue("button-upload")
    inside = private and url.startswith("https://")
    page = (
        InlineKeyboardButton(text=text, web_app=WebAppInfo(url=url), style=ButtonStyle.SUCCESS)
        if inside
        else InlineKeyboardButton(text=text, url=url, style=ButtonStyle.SUCCESS)
    )
    how = PathPress(size=size).pack()
    return make_keyboard(
        [page], [InlineKeyboardButton(text=tongue("button-path"), callback_data=how)]
    )


def menu_keyboard(jobs: Sequence[Job]) -> InlineKeyboardMarkup:
    """One button a job, by its name."""
    return make_keyboard(
        *(
            [job_button(job, Act.ASK, clean_name(job.source_name, 40), None, Place.MENU)]
            for job in jobs
        )
    )


def make_keyboard(*rows: Row) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=[row for row in rows if row])


def is_on_web(url: str) -> bool:
    """Whether a button can open it."""
    return url.startswith(("http://", "https://"))


def job_button(
    job: Job,
    act: Act,
    text: str,
    style: ButtonStyle | None = None,
    at: Place = Place.CARD,
) -> InlineKeyboardButton:
    data = JobPress(act=act, job=job.id, at=at).pack()
    return InlineKeyboardButton(text=text, callback_data=data, style=style)


def _approve_button(job: Job, label: str, at: Place) -> InlineKeyboardButton:
    """A yes to the terms that are shown, and to no others."""
    data = JobPress(act=Act.APPROVE, job=job.id, at=at, version=job.version).pack()
    return InlineKeyboardButton(text=label, callback_data=data, style=ButtonStyle.SUCCESS)


def _take_button(job: Job, tongue: Tongue, price: float, at: Place) -> InlineKeyboardButton:
    mills = math.ceil(round(price * 1000, 6))
    return InlineKeyboardButton(
        text=tongue("button-take", price=tongue.money(mills / 1000)),
        callback_data=TakePress(job=job.id, mills=mills, at=at).pack(),
        style=ButtonStyle.SUCCESS,
    )


def _cancel_button(job: Job, tongue: Tongue) -> InlineKeyboardButton:
    return job_button(job, Act.ASK, tongue("button-cancel"), ButtonStyle.DANGER)


def _preset_button(job: Job, preset: Preset, tongue: Tongue, chosen: bool) -> InlineKeyboardButton:
    label = tongue(f"preset-{preset}")
    return InlineKeyboardButton(
        text=tongue("button-chosen", label=label) if chosen else label,
        callback_data=PresetPress(job=job.id, preset=preset).pack(),
    )
