"""Takes one file in: 👀, a reply that becomes its card, and what is said of what is no video."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiogram import Bot
from aiogram.enums import ChatType
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.types import Message, ReactionTypeEmoji
from aiogram.utils.formatting import Text

from bot.cards.choices import fit_task
from bot.cards.keyboards import upload_keyboard
from bot.cards.presets import Preset, apply_preset
from bot.cards.view import View
from bot.cards.wording import describe_error, show_limit
from bot.defaults import find_task
from bot.desk import Desk
from bot.feed.intake import TooBigForTelegram, TooBigUnknown
from controller.errors import UserError
from controller.records import Card, Job, Request
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import Task

log = logging.getLogger(__name__)

Accept = Callable[[Request, Task], Awaitable[Job]]


async def take_in(
    message: Message, accept: Accept, bot: Bot, desk: Desk, preset: Preset | None = None
) -> None:
    """Open the reply, take the file in, make the reply its card.

    The process may be killed anywhere, and the update is then handled again. The reply's id is
    noted at once, so only a kill between its sending and that note leaves a reply behind. The
    controller knows the request by its key, so the job is the same one.
    """
    await react(message)
    looking = await _open_reply(message, desk)
    task = find_task(desk.controller, desk.actor.user)
    if preset is not None:
        task = apply_preset(preset, task)
    request = Request(
        key=make_key(message),
        owner=desk.actor.user,
        chat=message.chat.id,
        language=desk.tongue.language,
        reply_to=message.message_id,
    )
    try:
        job = await accept(request, task)
    except UserError as error:
        log.info("%s was refused: %s", request.key, error.code)
        view = _draw_refusal(message, request, error, desk)
        await _show_refusal(bot, message, looking, view)
        return
    _bind_card(desk.controller, job, message.chat.id, looking)
    fit_draft(job, desk)
    desk.notifier.poke(job.id)


def find_looking(controller: Controller, user: int, message: Message) -> int | None:
    """The id of the reply that was opened for a message, if this is the one being taken in."""
    noted = controller.preference(user, _looking_name(message)) or ""
    key, _, message_id = noted.partition(" ")
    return int(message_id) if key == make_key(message) else None


def make_key(message: Message) -> str:
    """What a message is known by: the same update again finds the same job."""
    return f"tg:{message.chat.id}:{message.message_id}"


async def react(message: Message) -> None:
    """👀: it was seen."""
    try:
        await message.react([ReactionTypeEmoji(emoji="👀")])
    except AiogramError as error:
        log.info("no reaction: %s", type(error).__name__)


def fit_draft(job: Job, desk: Desk) -> Job:
    """What somebody chose for another video may be nothing for this one."""
    fitting = fit_task(job.task, job.facts)
    if job.state is not JobState.DRAFT or fitting == job.task:
        return job
    return desk.controller.set_task(job.id, by=desk.actor, task=fitting)


async def _open_reply(message: Message, desk: Desk) -> int:
    found = find_looking(desk.controller, desk.actor.user, message)
    if found is not None:
        return found
    sent = await message.reply(desk.tongue("looking"), disable_notification=True)
    noted = f"{make_key(message)} {sent.message_id}"
    desk.controller.set_preference(desk.actor.user, _looking_name(message), noted)
    return sent.message_id


def _looking_name(message: Message) -> str:
    """One note a chat and kind of intake: each of these is handled one at a time."""
    kind = "path" if message.text else "file"
    return f"looking:{message.chat.id}:{kind}"


def _bind_card(controller: Controller, job: Job, chat: int, message: int) -> None:
    """Remember which message shows the job, unless one does."""
    if controller.card(job.id) is not None:
        return
    controller.save_card(
        Card(
            subject=job.id,
            chat=chat,
            message=message,
            shown="",
            finished=False,
            delivering_at=None,
        )
    )


def _draw_refusal(message: Message, request: Request, error: UserError, desk: Desk) -> View:
    """What is wrong; for a file that is too large for the chat, the page that takes it."""
    if isinstance(error, TooBigForTelegram | TooBigUnknown):
        offer = desk.controller.uploads.offer(request)
        if offer is not None:
            found = error.data.get("size")
            size = found if isinstance(found, int) else 0
            values = {"limit": show_limit(desk.settings.download_limit, desk.tongue)}
            text = (
                desk.tongue("intake-upload", size=desk.tongue.size(size), **values)
                if size
                else desk.tongue("intake-upload-unknown", **values)
            )
            private = message.chat.type == ChatType.PRIVATE
            keyboard = upload_keyboard(offer.url, size, desk.tongue, private=private)
            return View(Text(text), keyboard)
    text = describe_error(error, desk.tongue, desk.controller.settings, desk.settings)
    return View(Text(text))


async def _show_refusal(bot: Bot, message: Message, looking: int, view: View) -> None:
    try:
        await bot.edit_message_text(
            **view.as_kwargs(), chat_id=message.chat.id, message_id=looking
        )
    except TelegramBadRequest as refusal:
        if "message is not modified" in refusal.message:
            return
        log.info("the reply could not be edited: %s", refusal.message)
        await message.reply(**view.as_kwargs())
