"""A video or a storage path comes in and becomes a plan card; anything else gets a hint."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.filters import Command, CommandObject
from aiogram.types import Message, ReactionTypeEmoji
from aiogram.utils.formatting import Text

from bot.cards.choices import fit_task
from bot.cards.keyboards import upload_keyboard
from bot.cards.presets import Preset, apply_preset
from bot.cards.view import View
from bot.cards.wording import describe_error, show_limit
from bot.defaults import find_task, save_task
from bot.desk import Desk
from bot.feed.intake import (
    TooBigForTelegram,
    TooBigUnknown,
    Upload,
    check_size,
    find_stored_path,
    find_upload,
    make_fetch,
)
from bot.handlers.replies import find_meant
from controller.errors import TooLate, UserError
from controller.records import Card, Job, Request
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import Task

log = logging.getLogger(__name__)

Accept = Callable[[Request, Task], Awaitable[Job]]

#: Commands that say at once what is to be done: as a caption, as a reply, or before a path.
COMMANDS = {
    "upscale": Preset.X2,
    "x2": Preset.X2,
    "x4": Preset.X4,
    "smooth": Preset.FPS2,
    "both": Preset.BOTH,
}
_COMMAND = re.compile(rf"/({'|'.join(COMMANDS)})(?:@\w+)?(?:\s|$)", re.IGNORECASE)


def make_router() -> Router:
    router = Router(name="submit")
    router.message.register(take_video, has_upload)
    router.message.register(take_command, F.text, Command(*COMMANDS, ignore_case=True))
    router.message.register(take_path, F.text, has_path)
    router.message.register(give_hint, F.chat.type == ChatType.PRIVATE)
    return router


def has_upload(message: Message) -> bool | dict[str, Upload]:
    upload = find_upload(message)
    return {"upload": upload} if upload else False


def has_path(message: Message) -> bool | dict[str, str]:
    path = find_stored_path(message.text or "")
    return {"path": path} if path else False


async def take_video(message: Message, upload: Upload, bot: Bot, desk: Desk) -> None:
    """A file of the chat; a command in its caption says what to do with it."""
    found = _COMMAND.match(message.caption or "")
    preset = COMMANDS[found[1].lower()] if found else None
    await _take_in(message, _accept_upload(upload, bot, desk), bot, desk, preset)


async def take_command(message: Message, command: CommandObject, bot: Bot, desk: Desk) -> None:
    """In reply to a video or to a card of one, or with a path: set the task, show the plan."""
    preset = COMMANDS[command.command.lower()]
    if path := find_stored_path(command.args or ""):
        await _take_in(message, _accept_stored(path, desk), bot, desk, preset)
        return
    job = find_meant(message, desk)
    if job is not None and _reopen(job, message, preset, desk):
        return
    meant = message.reply_to_message
    upload = find_upload(meant) if meant else None
    stored = find_stored_path(meant.text or "") if meant else None
    if upload is not None:
        await _take_in(message, _accept_upload(upload, bot, desk), bot, desk, preset)
    elif stored is not None:
        await _take_in(message, _accept_stored(stored, desk), bot, desk, preset)
    else:
        await message.reply(desk.tongue("hint-reply"))


async def take_path(message: Message, path: str, bot: Bot, desk: Desk) -> None:
    """A file that lies in storage."""
    await _take_in(message, _accept_stored(path, desk), bot, desk)


async def give_hint(message: Message, desk: Desk) -> None:
    """What to send instead; once for an album."""
    if (album := message.media_group_id) is not None:
        if desk.controller.preference(desk.actor.user, "hinted_album") == album:
            return
        desk.controller.set_preference(desk.actor.user, "hinted_album", album)
    await message.reply(desk.tongue(_find_hint(message)))


def find_looking(controller: Controller, user: int, message: Message) -> int | None:
    """The id of the reply that was opened for a message, if this is the one being taken in."""
    noted = controller.preference(user, _looking_name(message)) or ""
    key, _, message_id = noted.partition(" ")
    return int(message_id) if key == make_key(message) else None


def make_key(message: Message) -> str:
    """What a message is known by: the same update again finds the same job."""
    return f"tg:{message.chat.id}:{message.message_id}"


async def _take_in(
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
    _fit(job, desk)
    desk.notifier.poke(job.id)


def _accept_upload(upload: Upload, bot: Bot, desk: Desk) -> Accept:
    async def accept(request: Request, task: Task) -> Job:
        check_size(upload, desk.settings)
        fetch = make_fetch(bot, upload, desk.settings)
        return await desk.controller.accept_upload(
            request, name=upload.name, size=upload.size, fetch=fetch, task=task
        )

    return accept


def _accept_stored(path: str, desk: Desk) -> Accept:
    async def accept(request: Request, task: Task) -> Job:
        return await desk.controller.accept_stored(request, path=path, task=task)

    return accept


def _fit(job: Job, desk: Desk) -> None:
    """What somebody chose for another video may be nothing for this one."""
    fitting = fit_task(job.task, job.facts)
    if job.state is JobState.DRAFT and fitting != job.task:
        desk.controller.set_task(job.id, by=desk.actor, task=fitting)


def _reopen(job: Job, message: Message, preset: Preset, desk: Desk) -> bool:
    """Set the task of a draft, or of a new one from a job that has ended; False for others."""
    if job.state.is_terminal:
        try:
            job = desk.controller.redo(job.id, by=desk.actor, key=f"redo:{make_key(message)}")
        except TooLate:
            return False
    if job.state is not JobState.DRAFT:
        return False
    task = apply_preset(preset, job.task)
    try:
        desk.controller.set_task(job.id, by=desk.actor, task=task)
    except TooLate:
        return False
    if job.owner == desk.actor.user:
        save_task(desk.controller, job.owner, task)
    desk.notifier.turn_page(job.id, "")
    if desk.controller.card(job.id) is None:
        desk.notifier.poke(job.id)
    else:
        desk.notifier.resend(job.id)
    return True


async def react(message: Message) -> None:
    """👀: it was seen."""
    try:
        await message.react([ReactionTypeEmoji(emoji="👀")])
    except AiogramError as error:
        log.info("no reaction: %s", type(error).__name__)


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


def _find_hint(message: Message) -> str:
    if message.photo:
        return "hint-photo"
    if message.sticker:
        return "hint-sticker"
    if message.audio or message.voice:
        return "hint-audio"
    if message.document:
        return "hint-document"
    links = [each for each in message.entities or [] if each.type in ("url", "text_link")]
    return "hint-link" if links else "hint-text"
