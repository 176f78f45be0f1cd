"""What a message brings in: a video, a storage path or neither; and how a file is fetched."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import aiohttp
from aiogram import Bot
from aiogram.exceptions import AiogramError, TelegramBadRequest
from aiogram.types import Animation, Document, File, Message, Video, VideoNote

from bot.settings import BotSettings
from controller.errors import StorageFull, UserError
from controller.records import VIDEO_SUFFIXES

log = logging.getLogger(__name__)

_STORED = re.compile(r"(?:b2|s3)://\S.*|input/\S.*|[^\s:]*/[^:]*\S", re.IGNORECASE)
#: Commands that take a video in, with what is to be done to it.
TASK_COMMANDS = ("upscale", "x2", "x4", "smooth", "both")
_COMMAND = re.compile(rf"/({'|'.join(TASK_COMMANDS)})(?:@\w+)?(?:\s|$)", re.IGNORECASE)
_TRIES = 3
#: Of a path with its bucket; keys have at most 1024 bytes.
_PATH_CHARS = 1200


class TooBigForTelegram(UserError):
    """The platform does not give files of this size to bots."""

    code = "too_big_for_telegram"


class TooBigUnknown(UserError):
    """The same, where the platform did not say how large the file is."""

    code = "too_big_unknown"


class DownloadFailed(UserError):
    """The platform did not hand out the file."""

    code = "download_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file of the chat that should be a video. The name is the sender's and untrusted."""

    file_id: str
    name: str
    size: int | None


def find_upload(message: Message) -> Upload | None:
    """The video of a message: sent as video, animation, round video, or as a file of that kind."""
    for media in (message.video, message.animation, message.video_note):
        if media is not None:
            return Upload(file_id=media.file_id, name=_name(media), size=media.file_size)
    document = message.document
    if document is None or not is_video(document):
        return None
    return Upload(file_id=document.file_id, name=_name(document), size=document.file_size)


def is_video(document: Document) -> bool:
    """Whether its sender calls it a video, by type or by name."""
    if (document.mime_type or "").lower().startswith("video/"):
        return True
    return PurePosixPath(document.file_name or "").suffix.lower() in VIDEO_SUFFIXES


def find_stored_path(text: str) -> str | None:
    """``input/c1/a.mp4`` or ``b2://bucket/key`` if a message is just that.

    Any other path that ends like a video counts too: the controller says what is wrong with it.
    """
    text = text.strip()
    if len(text) > _PATH_CHARS or "\n" in text or not _STORED.fullmatch(text):
        return None
    named = text.lower().startswith(("b2://", "s3://", "input/"))
    return text if named or PurePosixPath(text).suffix.lower() in VIDEO_SUFFIXES else None


def find_command(text: str) -> str | None:
    """Which of :data:`TASK_COMMANDS` a text or a caption begins with."""
    found = _COMMAND.match(text)
    return found[1].lower() if found else None


def check_size(upload: Upload, settings: BotSettings) -> None:
    """:class:`TooBigForTelegram` before the platform has to be asked."""
    if upload.size is not None and upload.size > settings.download_limit:
        raise TooBigForTelegram(size=upload.size)


def make_fetch(
    bot: Bot, upload: Upload, settings: BotSettings
) -> Callable[[Path], Awaitable[None]]:
    """How the controller gets the file: ``fetch(path)`` writes it there or raises a UserError."""

    async def fetch(path: Path) -> None:
        for number in range(1, _TRIES + 1):
            try:
                await _fetch_once(bot, upload, settings, path)
                return
            except DownloadFailed:
                if number == _TRIES:
                    raise
                log.info("fetching a file failed, try %s of %s", number, _TRIES)
                await asyncio.sleep(number)

    return fetch


def locate_local(file_path: str, token: str) -> Path:
    """Where a server with ``--local`` keeps a file: inside its folder of this bot, or refused.

    The folder is named by the token (github.com/tdlib/telegram-bot-api), so that what lies
    outside of it, by ``..`` or a link, was not put there for this bot.
    """
    path = Path(file_path)
    parts = path.parts
    if not path.is_absolute() or token not in parts:
        raise DownloadFailed
    home = Path(*parts[: parts.index(token) + 1]).resolve()
    real = path.resolve()
    if not real.is_relative_to(home) or not real.is_file():
        raise DownloadFailed
    return real


async def _fetch_once(bot: Bot, upload: Upload, settings: BotSettings, path: Path) -> None:
    file = await _ask_for_file(bot, upload, settings)
    if settings.local_files:
        source = locate_local(file.file_path or "", settings.token)
        await asyncio.to_thread(_take, source, path)
    else:
        await _download(bot, file, path)
    written = await asyncio.to_thread(os.path.getsize, path)
    if file.file_size not in (None, written):
        log.warning("a file of %s bytes came as %s", file.file_size, written)
        raise DownloadFailed


async def _ask_for_file(bot: Bot, upload: Upload, settings: BotSettings) -> File:
    # a local server answers only when it has the whole file
    timeout = 3600 if settings.local_files else 60
    try:
        return await bot.get_file(upload.file_id, request_timeout=timeout)
    except TelegramBadRequest as error:
        if "file is too big" in error.message.lower():
            raise _too_big(upload) from None
        log.warning("getFile was refused: %s", error.message)
        raise DownloadFailed from None


async def _download(bot: Bot, file: File, path: Path) -> None:
    # The errors of a failed download hold its address and that holds the token: none is kept.
    try:
        await bot.download_file(file.file_path or "", destination=path, timeout=300)
    except (aiohttp.ClientError, TimeoutError, AiogramError) as error:
        log.warning("a download failed: %s", type(error).__name__)
        raise DownloadFailed from None
    except OSError as error:
        raise _explain(error) from None


def _take(source: Path, target: Path) -> None:
    """Share the bytes where both are on one file system, else copy them."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise _explain(error) from None


def _explain(error: OSError) -> UserError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull()
    log.warning("a file could not be written: %s", os.strerror(error.errno or 0))
    return DownloadFailed()


def _too_big(upload: Upload) -> UserError:
    return TooBigUnknown() if upload.size is None else TooBigForTelegram(size=upload.size)


def _name(media: Video | Animation | VideoNote | Document) -> str:
    return getattr(media, "file_name", None) or "video.mp4"
