"""The plan card: presets, settings, the sample, Start, and what is taken back."""

from __future__ import annotations

import logging

from aiogram import Bot, F, Router
from aiogram.types import CallbackQuery

from bot.cards.callbacks import (
    NO_JOB,
    Act,
    JobPress,
    OptionPress,
    PagePress,
    Place,
    PresetPress,
)
from bot.cards.choices import Setting, choose_offered
from bot.cards.options import OPTIONS, PLAN, draw_options
from bot.cards.presets import apply_preset
from bot.defaults import find_task, save_task
from bot.desk import Desk
from bot.handlers.errors import answer_about, answer_press
from bot.handlers.pages import drop_buttons, turn_page
from controller.errors import TooLate
from controller.records import Job
from controller.states import JobState
from remote_runner.protocol import Task

log = logging.getLogger(__name__)

_PAGES = frozenset({PLAN, OPTIONS, *Setting})


def make_router() -> Router:
    router = Router(name="plan")
    router.callback_query.register(choose_preset, PresetPress.filter())
    router.callback_query.register(show_defaults, PagePress.filter(F.job == NO_JOB))
    router.callback_query.register(show_page, PagePress.filter())
    router.callback_query.register(change_defaults, OptionPress.filter(F.job == NO_JOB))
    router.callback_query.register(choose_option, OptionPress.filter())
    router.callback_query.register(press_start, JobPress.filter(F.act == Act.START))
    router.callback_query.register(press_sample, JobPress.filter(F.act == Act.SAMPLE))
    router.callback_query.register(stop_sample, JobPress.filter(F.act == Act.STOP_SAMPLE))
    router.callback_query.register(change, JobPress.filter(F.act == Act.CHANGE))
    return router


async def choose_preset(query: CallbackQuery, callback_data: PresetPress, desk: Desk) -> None:
    """Change what a draft is to do; the same choice again changes nothing."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    await _set_task(query, job, apply_preset(callback_data.preset, job.task), desk)


async def choose_option(query: CallbackQuery, callback_data: OptionPress, desk: Desk) -> None:
    """A value of a setting that may be chosen now, or all as usual; then the list of settings."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    task = _choose(callback_data, job.task, job)
    if task is None:
        await answer_about(query, job, "toast-stale", desk)
        return
    reset = callback_data.setting is None
    await _set_task(query, job, task, desk, done="toast-reset" if reset else None)
    if desk.controller.get(job.id, by=desk.actor).state is JobState.DRAFT:
        desk.notifier.turn_page(job.id, OPTIONS)


async def show_page(query: CallbackQuery, callback_data: PagePress, desk: Desk) -> None:
    """A page of the settings, or back to the plan."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    if job.state is not JobState.DRAFT or callback_data.page not in _PAGES:
        await answer_about(query, job, "toast-stale", desk)
        return
    desk.notifier.turn_page(job.id, "" if callback_data.page == PLAN else callback_data.page)
    await answer_press(query)


async def show_defaults(
    query: CallbackQuery, callback_data: PagePress, bot: Bot, desk: Desk
) -> None:
    """A page of the settings of the presser's next videos, in the message under the button."""
    task = find_task(desk.controller, desk.actor.user)
    await turn_page(query, bot, draw_options(task, callback_data.page, desk.tongue))
    await answer_press(query)


async def change_defaults(
    query: CallbackQuery, callback_data: OptionPress, bot: Bot, desk: Desk
) -> None:
    task = _choose(callback_data, find_task(desk.controller, desk.actor.user), None)
    if task is None:
        await answer_press(query, desk.tongue("toast-stale"))
        return
    save_task(desk.controller, desk.actor.user, task)
    await turn_page(query, bot, draw_options(task, OPTIONS, desk.tongue))
    toast = "toast-reset" if callback_data.setting is None else "toast-saved"
    await answer_press(query, desk.tongue(toast))


async def press_start(query: CallbackQuery, callback_data: JobPress, bot: Bot, desk: Desk) -> None:
    """Queue a draft, or have it wait for a yes. Starting again changes nothing."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    if job.state.is_terminal:
        await answer_about(query, job, "toast-ended", desk)
        return
    try:
        job = await desk.controller.request_start(job.id, by=desk.actor)
    except TooLate:
        toast = "toast-stale"
    else:
        toast = "toast-held" if job.state is JobState.HELD else "toast-started"
    await _leave(query, callback_data.at, bot)
    await answer_about(query, job, toast, desk)


async def press_sample(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """Make the busiest seconds first; one that is made or done already is not made again."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    try:
        sample = desk.controller.sample(job.id, by=desk.actor, key=f"tg:sample:{query.id}")
    except TooLate:
        toast = "toast-stale"
    else:
        toast = "toast-sample-ready" if sample.state is JobState.DONE else "toast-sample"
    await answer_about(query, job, toast, desk)


async def stop_sample(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    job = desk.controller.get(callback_data.job, by=desk.actor)
    sample = desk.controller.newest_sample(job)
    toast = "toast-sample-stopped"
    try:
        if sample is None:
            raise TooLate
        if sample.state is not JobState.CANCELLED:
            desk.controller.cancel(sample.id, by=desk.actor)
    except TooLate:
        toast = "toast-stale"
    await answer_about(query, job, toast, desk)


async def change(query: CallbackQuery, callback_data: JobPress, bot: Bot, desk: Desk) -> None:
    """Take a hold back, so that the plan can be changed; or show the plan anew at the bottom."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    try:
        job = desk.controller.take_back(job.id, by=desk.actor)
    except TooLate:
        await _leave(query, callback_data.at, bot)
        await answer_about(query, job, "toast-stale", desk)
        return
    desk.notifier.turn_page(job.id, "")
    if callback_data.at is Place.RESULT:
        await _leave(query, callback_data.at, bot)
        desk.notifier.resend(job.id)
    await answer_about(query, job, None, desk)


def _choose(press: OptionPress, task: Task, job: Job | None) -> Task | None:
    """What a press makes of a task; None for data that no button of now has."""
    return choose_offered(press.setting, press.code, task, [job.facts] if job else [])


async def _set_task(
    query: CallbackQuery, job: Job, task: Task, desk: Desk, done: str | None = None
) -> None:
    """Of the draft, and of its owner's next ones."""
    toast = done
    try:
        desk.controller.set_task(job.id, by=desk.actor, task=task)
    except TooLate:
        toast = "toast-stale"
    else:
        if job.owner == desk.actor.user:
            save_task(desk.controller, job.owner, task)
    await answer_about(query, job, toast, desk)


async def _leave(query: CallbackQuery, at: Place, bot: Bot) -> None:
    """A sample that was decided about keeps no buttons."""
    if at is Place.RESULT and query.message is not None:
        await drop_buttons(bot, query.message.chat.id, query.message.message_id)
