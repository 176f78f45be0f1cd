"""The real dispatcher and notifier on a real controller; only Telegram is played."""

import asyncio
import itertools
from collections import defaultdict, deque
from contextlib import asynccontextmanager, suppress

from aiogram.client.session.base import BaseSession
from aiogram.methods import (
    EditMessageCaption,
    EditMessageMedia,
    EditMessageReplyMarkup,
    EditMessageText,
    GetFile,
    GetMe,
    GetMyCommands,
    SendDocument,
    SendMessage,
    SendPhoto,
    SendVideo,
)
from aiogram.types import Chat, File, Message, Update, User

from bot.cards.callbacks import Act, JobPress, Place
from bot.client import make_bot
from bot.dispatcher import build_dispatcher
from bot.feed.poller import Backoff, GetRawUpdates
from bot.screen.pace import Pace
from bot.texts import Texts
from remote_runner.protocol import to_json
from tests.controller.conftest import FACTS

TOKEN = "42:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
USER, OTHER, ADMIN, STRANGER = 7, 8, 1, 666
FAST = Pace(
    steps=((1e12, 0.01),), slowest_s=0.01, group_s=0.01, gap_s=0, group_gap_s=0,
    backoff=Backoff(first_s=0.01, longest_s=0.02), jitter=0, private=None, group=None,
    global_per_s=1e6,
)  # fmt: skip
TEXTS = Texts()
VIDEO_BYTES = to_json(FACTS).encode()
VIDEO_SIZE = len(VIDEO_BYTES)


class RecordingSession(BaseSession):
    """Answers like Telegram and keeps what is on screen; ``faults`` are used up call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = []
        self.screen: dict[tuple[int, int], object] = {}
        self.faults: defaultdict[str, deque] = defaultdict(deque)
        self.updates: deque = deque()
        self.file_bytes = VIDEO_BYTES
        self.stream_error: Exception | None = None
        self.keeps_commands = True
        self._ids = itertools.count(1000)

    def named(self, name):
        return [call for call in self.calls if call.__api_method__ == name]

    @property
    def sent(self):
        return [
            each for each in self.calls if isinstance(each, (SendMessage, SendVideo, SendDocument))
        ]

    async def close(self) -> None:
        return

    async def make_request(self, bot, method, timeout=None):  # noqa: ASYNC109
        self.calls.append(method)
        name = method.__api_method__
        if self.faults[name]:
            fault = self.faults[name].popleft()
            fault = await fault(method) if callable(fault) else fault
            if fault is not None:
                raise fault
        return await self._answer(bot, method)

    async def _answer(self, bot, method):
        match method:
            case GetRawUpdates():
                while not self.updates:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                return self.updates.popleft()
            case GetMe():
                return User(id=42, is_bot=True, first_name="bot", username="noxfvr_bot")
            case GetMyCommands():
                return self.named("setMyCommands")[-1].commands if self.keeps_commands else []
            case GetFile():
                return File(
                    file_id=method.file_id, file_unique_id="u", file_path="videos/1.mp4",
                    file_size=len(self.file_bytes),
                )  # fmt: skip
            case SendMessage() | SendPhoto() | SendVideo() | SendDocument():
                number = next(self._ids)
                self.screen[method.chat_id, number] = method
                return _message(bot, method.chat_id, number)
            case EditMessageReplyMarkup():
                place = method.chat_id, method.message_id
                if place in self.screen:
                    change = {"reply_markup": method.reply_markup}
                    self.screen[place] = self.screen[place].model_copy(update=change)
                return _message(bot, *place)
            case EditMessageText() | EditMessageCaption() | EditMessageMedia():
                self.screen[method.chat_id, method.message_id] = method
                return _message(bot, method.chat_id, method.message_id)
        return True

    async def stream_content(self, url, **_):
        if self.stream_error is not None:
            raise self.stream_error
        yield self.file_bytes


class Stage:
    def __init__(self, house, settings, *, pace=FAST) -> None:
        self.house = house
        self.settings = settings
        self.pace = pace
        self.session = RecordingSession()
        self.bot = make_bot(settings, self.session)
        self._ids = itertools.count(1)
        self.build()

    def build(self) -> None:
        self.dispatcher = build_dispatcher(
            self.house.controller, self.settings, TEXTS, pace=self.pace
        )
        self.notifier = self.dispatcher["notifier"]

    def restart(self) -> None:
        self.house.restart()
        self.build()

    async def feed(self, raw) -> None:
        update = Update.model_validate(raw, context={"bot": self.bot})
        await self.dispatcher.feed_update(self.bot, update)

    async def say(self, user=USER, **content) -> dict:
        raw = self.message(user, **content)
        await self.feed(raw)
        return raw

    def message(self, user=USER, *, chat=None, kind="private", language="ru", **content) -> dict:
        number = next(self._ids)
        chat = {"id": chat or user, "type": kind}
        sender = {"id": user, "is_bot": False, "first_name": "A", "language_code": language}
        body = {"message_id": number, "date": 1, "chat": chat, "from": sender, **content}
        if str(content.get("text", "")).startswith("/"):
            length = len(content["text"].split()[0])
            body["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
        return {"update_id": number, "message": body}

    def press(self, data, user=USER, *, message=1000, chat=None) -> dict:
        number = next(self._ids)
        sender = {"id": user, "is_bot": False, "first_name": "A", "language_code": "ru"}
        under = {
            "message_id": message, "date": 1, "chat": {"id": chat or user, "type": "private"},
            "from": {"id": 42, "is_bot": True, "first_name": "bot"}, "text": "card",
        }  # fmt: skip
        query = {
            "id": str(number), "from": sender, "chat_instance": "x", "data": data,
            "message": under,
        }  # fmt: skip
        return {"update_id": number, "callback_query": query}

    async def tap(self, job, act=Act.START, user=USER, at=Place.CARD) -> None:
        await self.feed(self.press(JobPress(act=act, job=job.id, at=at).pack(), user))

    @asynccontextmanager
    async def showing(self):
        """The notifier runs while the context is open."""
        running = asyncio.create_task(self.notifier.run(self.bot))
        try:
            yield
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def until(self, holds, limit_s=3.0):
        """Wait for something and return it."""
        async with asyncio.timeout(limit_s):
            while not (found := holds()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return found

    async def plan(self, user=USER, **video):
        """A video taken in: its draft."""
        await self.say(user, video=make_video(**video))
        return self.house.controller.jobs(owner=user)[0]

    def card_of(self, job):
        """What the job's card shows now."""
        card = self.house.controller.card(job.id)
        return self.session.screen[card.chat, card.message]

    def shows(self, job, text):
        return lambda: text in (self.card_of(job).text or "")


def make_video(name="clip.mp4", size=VIDEO_SIZE, **more):
    return {
        "file_id": "f", "file_unique_id": "u", "width": 320, "height": 180, "duration": 10,
        "file_name": name, "file_size": size, "mime_type": "video/mp4", **more,
    }  # fmt: skip


def buttons(method) -> list[str]:
    markup = method.reply_markup
    return [each.text for row in markup.inline_keyboard for each in row] if markup else []


def _message(bot, chat, number):
    message = Message(message_id=number, date=1, chat=Chat(id=chat, type="private"))
    return message.as_(bot)
