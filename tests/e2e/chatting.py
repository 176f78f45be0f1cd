"""Whole conversations: the real programs with their pages, and what people do in a chat."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path

import aiohttp

from bot.texts import Texts
from controller.records import Job
from controller.wiring import open_controller
from tests.e2e.story import ADMIN, Story
from tests.runner.clips import make_clip, moving_texture
from tests.secrecy import find_leaks

ANN, BORIS, STRANGER, GROUP = ADMIN, 200, 300, -1001
#: A start of the runner and some seconds of a tiny video, on a machine that is busy.
WORK_S = 120
TEXTS = Texts()
_TROUBLE = re.compile(r"^Traceback|\bERROR\b|\bCRITICAL\b")


class Talk(Story):
    """A story whose bot serves its pages as well; Ann is an admin, Boris a user."""

    def __init__(self, home: Path, *, options: tuple[str, ...] = (), **env: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            bind = f"127.0.0.1:{free.getsockname()[1]}"
        self.web = f"http://{bind}"
        pages = {"NOXFVR_PUBLIC_URL": self.web, "NOXFVR_BIND": bind}
        people = {"TELEGRAM_USERS": str(BORIS), "NOXFVR_IDLE_S": "60"}
        super().__init__(home, **{**people, **pages, **env})
        self.sandbox_options = ("--no-limits", *options)
        self.kills = 0

    async def kill_bot(self) -> None:
        self.kills += 1
        await super().kill_bot()

    async def enter(self, user: int, name: str, language: str = "en"):
        """The private chat of somebody."""
        return (await self.driver.person(user, name, language_code=language)).chat

    async def jobs(self) -> list[Job]:
        """All of them, newest first; samples are left out."""
        async with open_controller(self.settings, only_look=True) as controller:
            return controller.jobs(limit=1000)

    async def until(self, holds, timeout_s: float = WORK_S):
        """What ``holds`` makes of the jobs, as soon as it is true."""
        for _ in range(int(timeout_s / 0.1)):
            if self.settings.database.exists() and (found := holds(await self.jobs())):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"not seen in {timeout_s} s\n{self.log()}")

    async def fetch(self, url: str) -> tuple[int, bytes]:
        """Status and body of a page or file."""
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.read()

    def count_machines(self) -> int:
        """How many were started since the beginning."""
        return self.log().count("Created instance")

    def check_log(self) -> None:
        """Nothing went wrong that nobody was told of, and no secret was written down."""
        trouble = [line for line in self.log().splitlines() if _TROUBLE.search(line)]
        assert not trouble, self.log()
        assert not find_leaks(self.home)


@contextlib.asynccontextmanager
async def talking(home: Path, **options):
    """A talk whose log is looked through when it has gone well."""
    async with Talk(home, **options) as talk:
        yield talk
        refused = [each for each in await talk.driver.calls() if is_a_mistake(each)]
        # what was sent at the very moment of a kill may be sent once more
        repeated = [each for each in refused if "is not modified" in each["description"]]
        assert len(repeated) <= talk.kills, repeated
        assert refused == repeated, refused
        await talk.stop_bot()
        talk.check_log()


def is_a_mistake(call) -> bool:
    """Whether Telegram refused what should never have been asked.

    That a person deleted a card, or has never opened the chat, is found out by asking only.
    """
    known = ("message to edit not found", "chat not found")
    return call["code"] == 400 and not call["fault"] and not call["description"].endswith(known)


def make_tiny(path: Path, *, seconds: float = 2, seed: int = 0) -> Path:
    """A clip of 96x64 that is done in a moment."""
    count = round(24 * seconds)
    frames = moving_texture(count, 96, 64, seed=seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_clip(path, width=96, height=64, count=count, frames=frames, audio=1)


async def see(chat, label, message=None, timeout_s: float = WORK_S):
    """The newest message of the bot with such a button, or this one as soon as it has it."""
    return await chat.wait_until(
        lambda messages: next(
            (
                m
                for m in reversed(messages)
                if m.from_bot and m.button(label) and (message is None or m.id == message.id)
            ),
            None,
        ),
        timeout_s,
    )


async def tap(chat, label, message=None, timeout_s: float = WORK_S) -> str:
    """Press a button as soon as it is there; the notice that is shown for it."""
    found = await see(chat, label, message, timeout_s)
    return (await (await chat.press(found, label)).answer(60)).text


async def see_text(chat, text, message=None, timeout_s: float = WORK_S):
    """The newest message of the bot that says this, or this one as soon as it does."""
    return await chat.wait_for(
        lambda m: text in m.text and (message is None or m.id == message.id), timeout_s
    )


async def see_plan(chat, sent, timeout_s: float = WORK_S):
    """The plan card that answers a message."""
    return await chat.wait_for(lambda m: m.reply_to_id == sent.id and m.button("Start"), timeout_s)


async def see_result(chat, sent, timeout_s: float = WORK_S):
    """The file that answers a message."""
    return await chat.wait_for(lambda m: m.reply_to_id == sent.id and is_result(m), timeout_s)


def is_result(message) -> bool:
    """Not a sample, which is a file as well."""
    buttons = [each.callback_data or "" for each in message.buttons]
    return message.media in ("video", "document") and any(
        data.startswith("j:again:") for data in buttons
    )


async def list_ringing(chat) -> list[int]:
    """Messages of the bot that made a sound, by their numbers."""
    sends = [each for each in await chat.transcript() if each.kind == "send" and each.by == "bot"]
    return [each.message_id for each in sends if not each.raw["silent"]]


async def of_bot(chat) -> list:
    return [m for m in await chat.messages() if m.from_bot]
