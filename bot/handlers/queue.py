"""/queue and /drain: admins change the order, pause, and end what has nothing to do."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot.cards.admin_callbacks import QueueAct, QueuePress
from bot.cards.queue import QUEUE_A_PAGE, QueuePage, QueueRow, Stop, draw_drain, draw_queue
from bot.cards.view import View
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from bot.handlers.pages import is_newest, open_page, turn_page
from bot.names import find_name
from controller.errors import NoSuchJob, TooLate
from controller.queue import Place
from controller.states import JobState

PAGE = "queue"
_MOVES: dict[QueueAct, Place] = {
    QueueAct.FIRST: "first",
    QueueAct.UP: "up",
    QueueAct.DOWN: "down",
    QueueAct.LAST: "last",
}


def make_router() -> Router:
    router = Router(name="queue")
    only_admins(router)
    router.message.register(show_queue, F.text, Command("queue"))
    router.message.register(ask_to_drain, F.text, Command("drain"))
    router.callback_query.register(press_queue, QueuePress.filter())
    return router


async def show_queue(message: Message, bot: Bot, desk: Desk) -> None:
    view = draw_queue(_look(QueuePress(), desk), desk.tongue)
    await open_page(message, bot, PAGE, view, desk)


async def ask_to_drain(message: Message, command: CommandObject, bot: Bot, desk: Desk) -> None:
    """``/drain`` asks first, ``/drain off`` goes on at once."""
    if (command.args or "").strip().lower() == "off":
        desk.controller.queue.resume(by=desk.actor)
        view = draw_queue(_look(QueuePress(), desk), desk.tongue)
    else:
        view = draw_drain(_look(QueuePress(), desk), desk.tongue)
    await open_page(message, bot, PAGE, view, desk)


async def press_queue(
    query: CallbackQuery, callback_data: QueuePress, bot: Bot, desk: Desk
) -> None:
    """Move a job, pause, go on, drain; the message shows what came of it."""
    if not await is_newest(query, bot, PAGE, desk):
        return
    toast = _act(callback_data, desk)
    await turn_page(query, bot, _draw(callback_data, desk))
    await answer_press(query, desk.tongue(toast) if toast else None)


def _act(press: QueuePress, desk: Desk) -> str | None:
    """Do it and name the short notice that is shown for it."""
    queue = desk.controller.queue
    match press.act:
        case QueueAct.PAUSE:
            queue.pause(by=desk.actor)
            return "toast-paused"
        case QueueAct.RESUME:
            queue.resume(by=desk.actor)
            return "toast-resumed"
        case QueueAct.DRAIN:
            queue.drain(by=desk.actor)
            return "toast-drained"
        case QueueAct.SHOW | QueueAct.KEEP | QueueAct.LOOK:
            return None
        case _ if press.job is None:
            return "toast-stale"
        case _:
            try:
                queue.move(press.job, _MOVES[press.act], by=desk.actor)
            except (TooLate, NoSuchJob):
                return "toast-left-queue"
            return None


def _draw(press: QueuePress, desk: Desk) -> View:
    page = _look(press, desk)
    drained = page.stop is not None and page.stop.drained
    if press.act is QueueAct.DRAIN or (press.act is QueueAct.LOOK and drained):
        return draw_drain(page, desk.tongue)
    return draw_queue(page, desk.tongue)


def _look(press: QueuePress, desk: Desk) -> QueuePage:
    controller = desk.controller
    waiting = controller.queue.listing()
    pages = max(1, -(-len(waiting) // QUEUE_A_PAGE))
    number = min(press.page, pages - 1)
    first = number * QUEUE_A_PAGE
    rows = [
        QueueRow(job=job, position=n, owner=find_name(controller, job.owner))
        for n, job in enumerate(waiting, start=1)
    ]
    running = controller.listings.page(0, 1, states=(JobState.RUNNING,), samples=True)
    return QueuePage(
        place=press.model_copy(update={"page": number}),
        now=controller.clock(),
        rows=rows[first : first + QUEUE_A_PAGE],
        total=len(waiting),
        pages=pages,
        running=running.total,
        machines=len(controller.machines()),
        stop=_find_stop(desk),
    )


def _find_stop(desk: Desk) -> Stop | None:
    queue = desk.controller.queue
    switch = queue.drained or queue.paused
    if switch is None:
        return None
    name = find_name(desk.controller, switch.by)
    return Stop(name=name, at=switch.at, drained=queue.drained is not None)
