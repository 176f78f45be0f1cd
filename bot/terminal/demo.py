"""The whole story on one computer: a sandbox Telegram, the real bot, the real work.

The bot runs as the program that a user would start, in a process of its own; only the account is
missing, so it talks to the sandbox over HTTP as it would to Telegram.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from bot.sandbox import DEFAULT_TOKEN, Chat, Driver, Entry, Message, Person, Sandbox
from controller.errors import ControllerError
from controller.records import TERMINAL
from controller.settings import Settings, load_settings
from controller.states import JobState
from controller.wiring import open_controller

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "sample.mp4"
_USER = 100
_LIMIT_S = 600.0


class DemoError(ControllerError):
    """The story did not come to its end."""


async def run_demo(video: Path | None, data_dir: Path) -> int:
    """Tell the story; the exit code. The last two lines are ``RESULT`` and ``PICTURE``."""
    home = data_dir / "demo"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    settings = load_settings(
        {"NOXFVR_DATA_DIR": str(home), "NOXFVR_POLL_S": "0.5", "NOXFVR_IDLE_S": "2"}
    )
    async with Sandbox(root=home / "telegram") as sandbox, sandbox.driver() as driver:
        async with _bot(sandbox.base_url, settings):
            person = await driver.person(_USER, "Ann", language_code="en")
            narration = asyncio.create_task(_narrate(driver))
            try:
                result = await _converse(person, video or SAMPLE)
                saved = await _save(person.chat, result, home)
                await _wait_for_machines(settings)
            finally:
                narration.cancel()
        picture, clip = await _save_look(settings, home)
    if clip:
        click.echo(f"CLIP {clip}")
    click.echo(f"RESULT {saved}")
    click.echo(f"PICTURE {picture}")
    return 0


@asynccontextmanager
async def _bot(url: str, settings: Settings) -> AsyncIterator[None]:
    """The ``noxfvr bot`` process while the context is open."""
    env = {
        **os.environ,
        "TELEGRAM_BOT_TOKEN": DEFAULT_TOKEN,
        "TELEGRAM_API_URL": url,
        "TELEGRAM_ADMINS": str(_USER),
        "NOXFVR_DATA_DIR": str(settings.data_dir),
        "NOXFVR_POLL_S": str(settings.poll_s),
        "NOXFVR_IDLE_S": str(settings.idle_s),
        # beside another bot of this computer, whatever that one is told to serve
        "NOXFVR_BIND": "127.0.0.1:0",
        "NOXFVR_PUBLIC_URL": "",
    }
    log_path = settings.data_dir / "bot.log"
    with log_path.open("wb") as log_file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "bot", stdout=log_file, stderr=log_file, env=env
        )
    try:
        yield
        if process.returncode is not None:
            raise DemoError(f"the bot ended with {process.returncode}; see {log_path}")
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _converse(person: Person, video: Path) -> Message:
    """Send, choose, start; the message with the result."""
    chat = person.chat
    sent = await chat.send_video(video, as_document=True)
    card = await chat.wait_for("Start", timeout_s=60)
    await chat.press(card, "×2 and 2× fps")
    card = await chat.wait_for("Start", timeout_s=30)
    await chat.press(card, "Start")
    return await chat.wait_until(lambda messages: _result(messages, sent), timeout_s=_LIMIT_S)


def _result(messages: list[Message], sent: Message) -> Message | None:
    for message in messages:
        # the card is an answer as well, and a photo once there is something to see
        if message.media in ("video", "document") and message.reply_to_id == sent.id:
            return message
        if message.from_bot and message.id > sent.id and "❌" in message.text:
            raise DemoError(f"the bot gave up: {message.text}")
    return None


async def _narrate(driver: Driver) -> None:
    """Print the conversation as it goes."""
    async for entry in driver.follow():
        line = _describe(entry)
        if line:
            at = time.strftime("%H:%M:%S", time.localtime(entry.at))
            click.echo(f"[{at}] {line}")


def _describe(entry: Entry) -> str:
    who = "bot" if entry.from_bot else "Ann"
    match entry.kind:
        case "press":
            return f"{who} presses a button on #{entry.message_id}"
        case "reaction":
            return f"{who} reacts to #{entry.message_id} {entry.text}"
        case "send" | "edit":
            verb = "says" if entry.kind == "send" else "edits"
            text = " / ".join(line for line in entry.text.splitlines() if line.strip())
            return f"{who} {verb} #{entry.message_id}: {_media(entry)}{text}{_buttons(entry)}"
    return ""


def _media(entry: Entry) -> str:
    return f"<{entry.message.media}> " if entry.message and entry.message.media else ""


def _buttons(entry: Entry) -> str:
    buttons = entry.message.buttons if entry.message else []
    return "".join(f" [{button.text}]" for button in buttons)


async def _save(chat: Chat, result: Message, home: Path) -> Path:
    name = Path(str(result.file["file_name"])).name if result.file else "result.mp4"
    return await chat.download(result, home / name)


async def _wait_for_machines(settings: Settings) -> None:
    """Until the machine was given back: the end of the story."""
    async with open_controller(settings, only_look=True) as controller:
        ends_at = time.monotonic() + 60
        while controller.machines():
            if time.monotonic() > ends_at:
                raise DemoError("the machine was not given back")
            await asyncio.sleep(0.2)
    click.echo("The machine was given back.")


async def _save_look(settings: Settings, home: Path) -> tuple[Path, Path | None]:
    """The before/after picture and, where there is one, the side-by-side clip."""
    async with open_controller(settings, only_look=True) as controller:
        (job,) = controller.jobs()
        if job.state is not JobState.DONE:
            raise DemoError(f"the job is {job.state}")
        job = controller.get(job.id, by=TERMINAL)
        picture, clip = home / "before_after.png", home / "before_after.mp4"
        async with controller.picture_file(job) as path:
            shutil.copyfile(path, picture)
        if not await controller.clip_bytes(job):
            return picture, None
        async with controller.clip_file(job) as path:
            shutil.copyfile(path, clip)
    return picture, clip
