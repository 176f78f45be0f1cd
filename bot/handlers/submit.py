"""A video or a storage path comes in and becomes a plan card; anything else gets a hint."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandObject
from aiogram.types import Message

from bot.cards.presets import Preset, apply_preset
from bot.defaults import save_task
from bot.desk import Desk
from bot.feed.intake import (
    Upload,
    check_size,
    find_command,
    find_stored_path,
    find_upload,
    make_fetch,
)
from bot.handlers.replies import find_meant
from bot.handlers.taking import Accept, make_key, take_in
from controller.errors import TooLate
from controller.records import Job, Request
from controller.states import JobState
from remote_runner.protocol import Task

#: What the commands stand for that :func:`find_command` finds.
COMMANDS = {
    "upscale": Preset.X2,
    "x2": Preset.X2,
    "x4": Preset.X4,
    "smooth": Preset.FPS2,
    "both": Preset.BOTH,
}


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
    command = find_command(message.caption or "")
    preset = COMMANDS[command] if command else None
    await take_in(message, _accept_upload(upload, bot, desk), bot, desk, preset)


async def take_command(message: Message, command: CommandObject, bot: Bot, desk: Desk) -> None:
    """In reply to a video or to a card of one, or with a path: set the task, show the plan."""
    preset = COMMANDS[command.command.lower()]
    if path := find_stored_path(command.args or ""):
        await take_in(message, _accept_stored(path, desk), bot, desk, preset)
        return
    job = find_meant(message, desk)
    if job is not None and _reopen(job, message, preset, desk):
        return
    meant = message.reply_to_message
    upload = find_upload(meant) if meant else None
    stored = find_stored_path(meant.text or "") if meant else None
    if upload is not None:
        await take_in(message, _accept_upload(upload, bot, desk), bot, desk, preset)
    elif stored is not None:
        await take_in(message, _accept_stored(stored, desk), bot, desk, preset)
    else:
        await message.reply(desk.tongue("hint-reply"))


async def take_path(message: Message, path: str, bot: Bot, desk: Desk) -> None:
    """A file that lies in storage."""
    await take_in(message, _accept_stored(path, desk), bot, desk)


async def give_hint(message: Message, desk: Desk) -> None:
    """What to send instead; once for an album."""
    if (album := message.media_group_id) is not None:
        if desk.controller.preference(desk.actor.user, "hinted_album") == album:
            return
        desk.controller.set_preference(desk.actor.user, "hinted_album", album)
    await message.reply(desk.tongue(_find_hint(message)))


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
