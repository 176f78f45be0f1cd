"""A video or a storage path comes in and becomes a plan card; anything else gets a hint."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiogram import Bot, F, Router
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.types import Message, ReactionTypeEmoji

from bot.cards.wording import describe_error
from bot.desk import Desk
from bot.feed.intake import Upload, check_size, find_stored_path, find_upload, make_fetch
from controller.errors import UserError
from controller.records import Card, Job, Request
from controller.service import Controller

log = logging.getLogger(__name__)

Accept = Callable[[Request], Awaitable[Job]]


def make_router() -> Router:
    router = Router(name="submit")
    router.message.register(take_video, has_upload)
    router.message.register(take_path, F.text, has_path)
    router.message.register(give_hint, F.chat.type == "private")
    return router


def has_upload(message: Message) -> bool | dict[str, Upload]:
    upload = find_upload(message)
    return {"upload": upload} if upload else False


def has_path(message: Message) -> bool | dict[str, str]:
    path = find_stored_path(message.text or "")
    return {"path": path} if path else False


async def take_video(message: Message, upload: Upload, bot: Bot, desk: Desk) -> None:
    """A file of the chat."""

    async def accept(request: Request) -> Job:
        check_size(upload, desk.settings)
        fetch = make_fetch(bot, upload, desk.settings)
        return await desk.controller.accept_upload(
            request, name=upload.name, size=upload.size, fetch=fetch
        )

    await _take_in(message, accept, bot, desk)


async def take_path(message: Message, path: str, bot: Bot, desk: Desk) -> None:
    """A file that lies in storage."""

    async def accept(request: Request) -> Job:
        return await desk.controller.accept_stored(request, path=path)

    await _take_in(message, accept, bot, desk)


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


async def _take_in(message: Message, accept: Accept, bot: Bot, desk: Desk) -> None:
    """Open the reply, take the file in, make the reply its card.

    The process may be killed anywhere, and the update is then handled again. The reply's id is
    noted at once, so only a kill between its sending and that note leaves a reply behind. The
    controller knows the request by its key, so the job is the same one.
    """
    await _react(message)
    looking = await _open_reply(message, desk)
    request = Request(
        key=make_key(message),
        owner=desk.actor.user,
        chat=message.chat.id,
        language=desk.tongue.language,
        reply_to=message.message_id,
    )
    try:
        job = await accept(request)
    except UserError as error:
        log.info("%s was refused: %s", request.key, error.code)
        await _show_error(bot, message, looking, error, desk)
        return
    _bind_card(desk.controller, job, message.chat.id, looking)
    desk.notifier.poke(job.id)


async def _react(message: Message) -> None:
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


async def _show_error(
    bot: Bot, message: Message, looking: int, error: UserError, desk: Desk
) -> None:
    text = describe_error(error, desk.tongue, desk.controller.settings, desk.settings)
    try:
        await bot.edit_message_text(text, chat_id=message.chat.id, message_id=looking)
    except TelegramBadRequest as refusal:
        if "message is not modified" in refusal.message:
            return
        log.info("the reply could not be edited: %s", refusal.message)
        await message.reply(text)


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
