"""/machines: admins see what is rented and give it back by hand."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import MachineAct, MachinePress
from bot.cards.machines import MACHINES_A_PAGE, MachineRow, MachinesPage, draw_machines
from bot.cards.view import View
from bot.cards.wording import find_share
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.handlers.pages import is_newest, open_page, turn_page
from controller.errors import TooLate
from controller.records import Job, Machine
from controller.states import MAX_ATTEMPTS, Reason

PAGE = "machines"


def make_router() -> Router:
    router = Router(name="machines")
    only_admins(router)
    router.message.register(show_machines, F.text, Command("machines"))
    router.callback_query.register(press_machine, MachinePress.filter())
    return router


async def show_machines(message: Message, bot: Bot, desk: Desk) -> None:
    await open_page(message, bot, PAGE, _draw(MachinePress(), desk), desk)


async def press_machine(
    query: CallbackQuery, callback_data: MachinePress, bot: Bot, desk: Desk
) -> None:
    """Look again, turn the page, give a machine back."""
    if not await is_newest(query, bot, PAGE, desk):
        return
    toast = None
    if callback_data.act is MachineAct.YES and callback_data.machine:
        try:
            desk.controller.release_machine(callback_data.machine, by=desk.actor)
            toast = "machines-given-back"
        except TooLate:
            toast = "machines-leaving"
    await turn_page(query, bot, _draw(callback_data, desk))
    await answer_press(query, desk.tongue(toast) if toast else None)


def _draw(place: MachinePress, desk: Desk) -> View:
    controller = desk.controller
    machines = controller.machines()
    pages = max(1, -(-len(machines) // MACHINES_A_PAGE))
    number = min(place.page, pages - 1)
    first = number * MACHINES_A_PAGE
    page = MachinesPage(
        place=place.model_copy(update={"page": number}),
        now=controller.clock(),
        rows=[_describe(each, desk) for each in machines[first : first + MACHINES_A_PAGE]],
        total=len(machines),
        pages=pages,
        usd_per_hour=sum(each.usd_per_hour for each in machines),
    )
    return draw_machines(page, desk.tongue)


def _describe(machine: Machine, desk: Desk) -> MachineRow:
    controller = desk.controller
    attempt = controller.attempt_on(machine.id)
    job: Job | None = controller.get(attempt.job, by=desk.actor) if attempt else None
    return MachineRow(
        machine=machine,
        usd=controller.machine_usd(machine),
        job=job,
        share=find_share(attempt.status if attempt else None),
        last=job is not None and _is_last(job, desk),
    )


def _is_last(job: Job, desk: Desk) -> bool:
    """Whether a job has had all attempts that it may have; what was never rented is none."""
    attempts = desk.controller.attempts(job.id)
    ran = [each for each in attempts if each.reason is not Reason.RENT_FAILED]
    return len(ran) >= MAX_ATTEMPTS
