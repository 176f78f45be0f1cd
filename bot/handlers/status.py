"""/status: a user's own jobs, a group's, and for admins in private everybody's."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Chat, Message

from bot.cards.admin_callbacks import Sieve, StatusAct, StatusPress
from bot.cards.job_page import JobPage, draw_job_page
from bot.cards.lists import (
    JOBS_A_PAGE,
    HouseLines,
    Line,
    MachineLine,
    StatusList,
    draw_status,
)
from bot.cards.view import View
from bot.cards.wording import find_share
from bot.desk import Desk
from bot.handlers.errors import answer_press
from bot.handlers.pages import is_newest, open_page, turn_page
from bot.names import find_name
from bot.terminal.overview import find_credit
from controller.errors import TooLate
from controller.listings import ACTIVE, JobsPage
from controller.records import Attempt, Job
from controller.states import JobState
from remote_runner.protocol import Phase

PAGE = "status"
_DAY_S = 86400
_ENDED_S = 7 * _DAY_S
_STATES = {
    Sieve.ALL: ACTIVE,
    Sieve.RUNNING: (JobState.RUNNING,),
    Sieve.QUEUED: (JobState.QUEUED,),
    Sieve.HELD: (JobState.HELD,),
    Sieve.FAILED: (JobState.FAILED,),
    Sieve.ENDED: (JobState.DONE, JobState.FAILED),
}


def make_router() -> Router:
    router = Router(name="status")
    router.message.register(show_status, F.text, Command("status"))
    router.callback_query.register(press_status, StatusPress.filter())
    return router


async def show_status(message: Message, bot: Bot, desk: Desk) -> None:
    """A new list; the one before it in this chat loses its buttons."""
    view = await _draw(StatusPress(), message.chat, desk)
    await open_page(message, bot, PAGE, view, desk)


async def press_status(
    query: CallbackQuery, callback_data: StatusPress, bot: Bot, desk: Desk
) -> None:
    """Pages, filters, looking again, opening and cancelling."""
    if query.message is None or not await is_newest(query, bot, PAGE, desk):
        return
    chat = query.message.chat
    place = _narrow(callback_data, chat, desk)
    toast = None
    job = desk.controller.get(place.job, by=desk.actor) if place.job else None
    if place.act is StatusAct.OPEN and job is not None:
        if job.chat == chat.id:
            desk.notifier.resend(find_subject(job))
            await answer_press(query, desk.tongue("list-opened"))
            return
        await turn_page(query, bot, _draw_job(job, place, desk))
        await answer_press(query)
        return
    if place.act is StatusAct.YES and job is not None:
        toast = desk.tongue(_cancel(job, desk))
    view = await _draw(place, chat, desk)
    await turn_page(query, bot, view)
    await answer_press(query, toast)


def _narrow(place: StatusPress, chat: Chat, desk: Desk) -> StatusPress:
    """What of a place is allowed here: callback data can be made up."""
    if not _is_private(chat):
        return StatusPress(page=place.page)
    if desk.actor.admin:
        return place
    act = StatusAct.SHOW if place.act is StatusAct.OWNERS else place.act
    sieve = place.sieve if place.sieve in (Sieve.ALL, Sieve.ENDED) else Sieve.ALL
    return StatusPress(act=act, sieve=sieve, page=place.page, job=place.job)


def _cancel(job: Job, desk: Desk) -> str:
    """Ask for it and name the short notice."""
    try:
        cancelled = desk.controller.cancel(job.id, by=desk.actor)
    except TooLate:
        return "toast-ended"
    desk.notifier.poke(find_subject(job))
    return "toast-cancelled" if cancelled.state.is_terminal else "toast-cancelling"


def find_subject(job: Job) -> str:
    """What the card is about that shows a job: a sample is on its draft's."""
    if job.batch:
        return f"batch:{job.batch}"
    return job.sample_of or job.id


async def _draw(place: StatusPress, chat: Chat, desk: Desk) -> View:
    wide = desk.actor.admin and _is_private(chat)
    if place.act is StatusAct.OWNERS:
        owners = [
            (user, find_name(desk.controller, user), count)
            for user, count in desk.controller.listings.owners()
        ]
        status = StatusList(place=place, now=desk.controller.clock(), owners=owners)
        return draw_status(status, desk.tongue)
    found = _find_jobs(place, chat, desk)
    asking = place.act is StatusAct.ASK
    credit = await find_credit(desk.controller) if wide and desk.controller.rents else None
    status = StatusList(
        place=place.model_copy(update={"page": found.page}),
        now=desk.controller.clock(),
        lines=[_describe(job, wide, desk) for job in found.jobs],
        total=found.total,
        pages=found.pages,
        group=not _is_private(chat),
        house=_describe_house(credit, desk) if wide else None,
        owner=find_name(desk.controller, place.owner) if place.owner is not None else "",
        asked=desk.controller.get(place.job, by=desk.actor) if asking and place.job else None,
    )
    return draw_status(status, desk.tongue)


def _find_jobs(place: StatusPress, chat: Chat, desk: Desk) -> JobsPage:
    now = desk.controller.clock()
    ended_after = None
    if place.sieve is Sieve.FAILED:
        ended_after = now // _DAY_S * _DAY_S
    elif place.sieve is Sieve.ENDED:
        ended_after = now - _ENDED_S
    private = _is_private(chat)
    wide = private and desk.actor.admin
    return desk.controller.listings.page(
        place.page,
        JOBS_A_PAGE,
        states=_STATES[place.sieve],
        owner=place.owner if wide else desk.actor.user if private else None,
        chat=None if private else chat.id,
        ended_after=ended_after,
        samples=wide,
    )


def _describe(job: Job, wide: bool, desk: Desk) -> Line:
    attempt = desk.controller.attempt(job.id) if job.state is JobState.RUNNING else None
    return Line(
        job=job,
        position=desk.controller.queue_position(job) if job.state is JobState.QUEUED else 0,
        share=find_share(attempt.status if attempt else None),
        ends_at=find_end(attempt),
        owner=find_name(desk.controller, job.owner) if wide else "",
    )


def find_end(attempt: Attempt | None) -> float | None:
    """When a running attempt expects to be through with the frames, by the controller's clock."""
    status = attempt.status if attempt else None
    if attempt is None or attempt.seen_at is None or status is None:
        return None
    if status.eta_s is None or status.phase is not Phase.PROCESSING:
        return None
    return attempt.seen_at + status.eta_s


def _describe_house(credit_usd: float | None, desk: Desk) -> HouseLines:
    controller = desk.controller
    machines = [
        MachineLine(
            name=each.name,
            state=each.state,
            usd_per_hour=each.usd_per_hour,
            usd=controller.machine_usd(each),
        )
        for each in controller.machines()
    ]
    return HouseLines(
        machines=machines,
        rents=controller.rents,
        spent_usd=controller.spent_today_usd(),
        credit_usd=credit_usd,
        paused=controller.queue.paused is not None,
    )


def _draw_job(job: Job, place: StatusPress, desk: Desk) -> View:
    controller = desk.controller
    attempts = controller.attempts(job.id)
    machine = controller.machine(attempts[-1].machine) if attempts else None
    page = JobPage(
        job=job,
        place=place,
        now=controller.clock(),
        owner=find_name(controller, job.owner),
        line=_describe(job, False, desk),
        attempts=tuple(attempts),
        machine=machine.name if machine else "",
        usd=controller.spending.job_usd(job),
        admin=desk.actor.admin,
    )
    return draw_job_page(page, desk.tongue)


def _is_private(chat: Chat) -> bool:
    return chat.type == ChatType.PRIVATE
