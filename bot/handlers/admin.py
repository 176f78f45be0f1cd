"""/logs, and the answer to those who may not use what only admins have."""

from __future__ import annotations

from aiogram import F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandObject
from aiogram.types import BufferedInputFile, CallbackQuery, Message
from aiogram.utils.formatting import Bold, Code, ExpandableBlockQuote, Text, as_list

from bot.cards.admin_callbacks import (
    AlertPress,
    HealthPress,
    LogPress,
    MachinePress,
    PersonPress,
    QueuePress,
    SpendPress,
)
from bot.cards.wording import show_name
from bot.commands import ADMIN_COMMANDS
from bot.desk import Desk
from bot.handlers.access import only_admins
from bot.handlers.errors import answer_press
from controller.errors import NoSuchJob
from controller.records import Job

#: Of the text of a message, whose limit is 4096 UTF-16 units (Bot API: sendMessage).
_LOG_UNITS = 3000
_ADMIN_PRESSES = (
    AlertPress, HealthPress, LogPress, MachinePress, PersonPress, QueuePress, SpendPress,
)  # fmt: skip


def make_router() -> Router:
    router = Router(name="admin")
    only_admins(router)
    router.message.register(show_logs, F.text, Command("logs"))
    router.callback_query.register(press_logs, LogPress.filter())
    return router


def make_refusals() -> Router:
    """Comes after all routers of admins: what arrives here came from somebody else."""
    router = Router(name="refusals")
    private = F.chat.type == ChatType.PRIVATE
    router.message.register(refuse, F.text, private, Command(*ADMIN_COMMANDS))
    router.message.register(ignore, F.text, Command(*ADMIN_COMMANDS))
    for press in _ADMIN_PRESSES:
        router.callback_query.register(refuse_press, press.filter())
    return router


async def show_logs(message: Message, command: CommandObject, desk: Desk) -> None:
    """By the id of a job, or as a reply to its card."""
    job = _find_job(message, command.args, desk)
    if job is None:
        await message.reply(desk.tongue("logs-how"))
        return
    await _send_logs(message, job, desk)


async def press_logs(query: CallbackQuery, callback_data: LogPress, desk: Desk) -> None:
    job = desk.controller.get(callback_data.job, by=desk.actor)
    if not isinstance(query.message, Message):
        await answer_press(query, desk.tongue("toast-stale"))
        return
    await _send_logs(query.message, job, desk)
    await answer_press(query)


async def refuse(message: Message, desk: Desk) -> None:
    await message.reply(desk.tongue("only-admins"))


async def ignore(_: Message) -> None:
    """In a group nobody is told what there is."""


async def refuse_press(query: CallbackQuery, desk: Desk) -> None:
    await answer_press(query, desk.tongue("only-admins"), alert=True)


async def _send_logs(message: Message, job: Job, desk: Desk) -> None:
    """The last lines as text; all that is kept as a file where that is more."""
    lines = await desk.controller.logs(job.id, by=desk.actor)
    title = desk.tongue.rich("logs-title", name=Bold(show_name(job)), id=Code(job.short_id))
    if not lines:
        await message.answer(**as_list(title, desk.tongue("logs-none")).as_kwargs())
        return
    shown = _choose_last(lines)
    text = as_list(title, ExpandableBlockQuote("\n".join(shown)))
    await message.answer(**text.as_kwargs())
    if len(shown) < len(lines) or shown[-1] != lines[-1]:
        body = "\n".join(lines).encode("utf-8", "replace")
        file = BufferedInputFile(body, f"{job.short_id}.log")
        await message.answer_document(file, disable_notification=True)


def _choose_last(lines: list[str]) -> list[str]:
    """As many of the last lines as fit, at least a part of the last one."""
    chosen: list[str] = []
    room = _LOG_UNITS
    for line in reversed(lines):
        cost = 1 + len(Text(line))
        if cost > room:
            break
        chosen.insert(0, line)
        room -= cost
    return chosen or [lines[-1][: _LOG_UNITS // 2]]


def _find_job(message: Message, args: str | None, desk: Desk) -> Job | None:
    """The job that is named, or whose card is replied to; :class:`NoSuchJob` for a wrong id."""
    if args:
        return desk.controller.get(args.split()[0], by=desk.actor)
    if (meant := message.reply_to_message) is None:
        return None
    card = desk.controller.card_at(message.chat.id, meant.message_id)
    if card is None:
        raise NoSuchJob
    return desk.controller.get(card.subject, by=desk.actor)
