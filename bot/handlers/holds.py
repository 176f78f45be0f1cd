"""A yes or no to what a job is held for, and to a higher price for one of the queue."""

from __future__ import annotations

from aiogram import F, Router
from aiogram.types import CallbackQuery

from bot.cards.asking import waits_for_price
from bot.cards.callbacks import Act, JobPress, TakePress
from bot.desk import Desk
from bot.handlers.errors import answer_about
from bot.roles import find_admins
from controller.errors import PriceRose, TooLate
from controller.records import Card, Job
from controller.states import JobState


def make_router() -> Router:
    router = Router(name="holds")
    decisions = JobPress.filter(F.act.in_({Act.APPROVE, Act.DECLINE}))
    router.callback_query.register(decide, decisions)
    router.callback_query.register(take_price, TakePress.filter())
    router.callback_query.register(ask_admins, JobPress.filter(F.act == Act.ASK_ADMIN))
    return router


async def decide(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """Yes or no to what a job is held for: admins to money, to a long run its owner too."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    try:
        if callback_data.act is Act.APPROVE:
            job = desk.controller.approve(job.id, by=desk.actor, version=callback_data.version)
            toast = "toast-held" if job.state is JobState.HELD else "toast-approved"
        else:
            job = desk.controller.decline(job.id, by=desk.actor)
            toast = "toast-declined"
    except TooLate:
        toast = "toast-decided"
    except PriceRose:
        # the terms are others by now: these are shown
        desk.notifier.poke(job.id)
        raise
    _poke_asks(job, desk)
    await answer_about(query, job, toast, desk)


async def take_price(query: CallbackQuery, callback_data: TakePress, desk: Desk) -> None:
    """Let one job have a machine above the cap, at no more than the price that was shown."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    toast = "toast-approved"
    try:
        await desk.controller.approve_price(
            job.id, by=desk.actor, at_most=callback_data.mills / 1000
        )
    except TooLate:
        toast = "toast-approved" if job.approved_by is not None else "toast-decided"
    except PriceRose:
        # the buttons show the new one
        await desk.controller.plan(job)
        _poke_asks(job, desk)
        raise
    _poke_asks(job, desk)
    await answer_about(query, job, toast, desk)


async def ask_admins(query: CallbackQuery, callback_data: JobPress, desk: Desk) -> None:
    """A job of the queue that gets no machine for its money: its owner asks for more."""
    job = desk.controller.get(callback_data.job, by=desk.actor)
    if not waits_for_price(job):
        await answer_about(query, job, "toast-stale", desk)
        return
    asked = [each for each in _list_asks(job, desk) if not _is_own(each, desk)]
    for subject in asked:
        card = desk.controller.card(subject)
        if card is None or card.finished:
            admin = int(subject.rpartition(":")[2])
            desk.controller.save_card(
                Card(
                    subject=subject,
                    chat=admin,
                    message=None,
                    shown="",
                    finished=False,
                    delivering_at=None,
                )
            )
    _poke_asks(job, desk)
    toast = "toast-asked" if asked else "toast-no-admin"
    if not find_admins(desk.controller, desk.settings):
        toast = "no-admin"
    await answer_about(query, job, toast, desk)


def _poke_asks(job: Job, desk: Desk) -> None:
    for subject in _list_asks(job, desk):
        desk.notifier.poke(subject)


def _list_asks(job: Job, desk: Desk) -> list[str]:
    admins = find_admins(desk.controller, desk.settings)
    return [f"ask:{job.id}:{admin}" for admin in admins if admin != job.owner]


def _is_own(subject: str, desk: Desk) -> bool:
    return subject.endswith(f":{desk.actor.user}")
