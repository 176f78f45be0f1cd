"""A simulated Telegram: the strict rules of the sandbox, in process and in virtual time.

:class:`SimTelegram` outlives every process, each of which has a :class:`SimSession`. People use
their apps through its methods.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.sandbox.api import Api
from bot.sandbox.chats import Message, User, World
from bot.sandbox.errors import ApiError, too_many_requests
from bot.sandbox.files import FileKind, FileStore
from bot.sandbox.limits import Limiter, Rates, Rules
from bot.sandbox.methods import call_method
from bot.sandbox.params import Params, Upload
from bot.sandbox.people import Attachment, People, Utterance
from bot.sandbox.updates import UpdateQueue
from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.states import Lazily, unknown
from tests.simulation.outside.telegram_session import SimSession, chat_of

__all__ = ["Sent", "SimSession", "SimTelegram"]

_FAULTS = (Fault.TELEGRAM_LIMITED, Fault.TELEGRAM_SERVER_ERROR)
_MEDIA = ("video", "photo", "document")
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head></html>"
_QUERY_KEPT_S = 120.0
_KEPT_UPDATES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A message of the bot when it appeared in a chat. ``buttons`` are their data, or URLs."""

    at: float
    chat: int
    message: int
    text: str
    media: str
    """``video``, ``photo``, ``document``, or nothing; then a space and the file's name."""
    buttons: tuple[str, ...]
    reply_to: int | None


class SimTelegram:
    """``clock`` is Telegram's own. ``folder`` is where it keeps files.

    ``states`` tells the states of the jobs of a chat, for the count of faults. ``sends`` has every
    message of the bot that ever appeared, ``calls`` counts by method what was carried out.
    """

    def __init__(
        self,
        faults: Faults,
        clock: Callable[[], float],
        folder: Path,
        *,
        token: str = "424242:SIMULATED-token-of-the-bot-000000",
        limited: bool = True,
    ) -> None:
        self.faults = faults
        self.clock = clock
        self.token = token
        self.states: Callable[[int | None], tuple[str, ...]] = unknown
        self.sends: list[Sent] = []
        self.heard: set[tuple[int, int]] = set()
        """Chats and numbers of messages of which the bot has learned that they were sent."""
        self.on_shown: Callable[[Message], None] = lambda _: None
        """Called with a message of the bot as it appears, or as it is now that it was edited."""
        self.calls: Counter[str] = Counter()
        rules = Rules(privacy=False)
        bot = User(
            id=int(token.partition(":")[0]), is_bot=True, first_name="noxfvr",
            username="noxfvr_sim_bot",
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        self.api = Api(
            world=_World(bot, clock, self._note, self._show), updates=UpdateQueue(),
            files=FileStore(folder, token, rules), rules=rules, started_at=clock(),
        )  # fmt: skip
        self.people = People(self.api)
        self._limiter = Limiter(Rates() if limited else None)
        self._delivered: list[dict] = []
        """The newest updates that were given out, each once."""

    # --- what people do ------------------------------------------------------------------------

    def enter(self, user: int, name: str = "Ann", *, language: str = "en") -> None:
        """A person, who has a chat with the bot as soon as they write."""
        self.people.enter(User(id=user, first_name=name, language_code=language))

    def found_group(self, chat: int, title: str, members: Sequence[int]) -> None:
        self.people.found_group(chat, title, dict.fromkeys(members, "member"))

    def send_text(
        self, user: int, chat: int, text: str, *, reply_to: int | None = None
    ) -> Message:
        return self.people.say(chat, user, Utterance(text=text, reply_to=reply_to))[0]

    def send_video(
        self,
        user: int,
        chat: int,
        data: bytes,
        *,
        name: str = "clip.mp4",
        caption: str = "",
        as_document: bool = False,
    ) -> Message:
        return self.send_album(
            user, chat, [(name, data)], caption=caption, as_document=as_document
        )[0]

    def send_album(
        self,
        user: int,
        chat: int,
        videos: Sequence[tuple[str, bytes]],
        *,
        caption: str = "",
        as_document: bool = False,
    ) -> list[Message]:
        """Several at once; the caption is under the first."""
        kind = FileKind.DOCUMENT if as_document else FileKind.VIDEO
        attachments = tuple(
            Attachment(upload=self._spool(name, data), kind=kind, caption="" if place else caption)
            for place, (name, data) in enumerate(videos)
        )
        return self.people.say(chat, user, Utterance(attachments=attachments))

    def press(self, user: int, chat: int, message: int, data: str) -> str:
        """A press, also of a button that is not shown any more or is not theirs; its query."""
        queries, now = self.api.world.queries, self.clock()
        for old in [each for each in queries.values() if now - each.pressed_at > _QUERY_KEPT_S]:
            del queries[old.id]
        return self.people.press_raw(chat, user, message, data).id

    def block(self, user: int, *, blocked: bool = True) -> None:
        """Stop the bot, or let it in again."""
        self.people.block(user, user, blocked=blocked)

    def delete(self, user: int, chat: int, message: int) -> None:
        self.people.delete(chat, user, message)

    # --- what people see -----------------------------------------------------------------------

    def messages(self, chat: int) -> list[Message]:
        """What the chat shows now, oldest first."""
        shown = self.api.world.chats.get(chat)
        return [each for each in shown.messages.values() if not each.deleted] if shown else []

    def buttons(self, message: Message) -> list[str]:
        """Data of what can be pressed under a message."""
        return [
            button["callback_data"]
            for row in message.raw.get("reply_markup", {}).get("inline_keyboard", [])
            for button in row
            if "callback_data" in button
        ]

    def repeated(self, chat: int, wanted: Callable[[Sent], bool] = lambda _: True) -> int:
        """How often a message appeared in a chat that had appeared there before, word for word."""
        seen = Counter(
            (each.text, each.media, each.buttons, each.reply_to)
            for each in self.sends
            if each.chat == chat and wanted(each)
        )
        return sum(count - 1 for count in seen.values())

    @property
    def unconfirmed(self) -> list[int]:
        """Ids of updates that the bot has not said it has."""
        return [each["update_id"] for each in self.api.updates.pending]

    # --- what the bot does ---------------------------------------------------------------------

    async def wait_for_updates(self, offset: int, timeout_s: float) -> None:
        """Hold a long poll until there is something for it."""
        updates = self.api.updates
        ends_at = asyncio.get_running_loop().time() + timeout_s
        while not any(each["update_id"] >= offset for each in updates.pending):
            left_s = ends_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await updates.changed.wait(left_s)

    def serve(
        self, method: str, values: dict[str, Any], uploads: dict[str, tuple[str, bytes]]
    ) -> tuple[int, str]:
        """Carry one call out; status and body of the answer."""
        states = Lazily(self.states, chat_of(values))
        match self.faults.pick(_FAULTS, states):
            case Fault.TELEGRAM_LIMITED:
                return _answer(too_many_requests(self.faults.rng.randint(1, 35)))
            case Fault.TELEGRAM_SERVER_ERROR:
                if self.faults.rng.random() < 0.5:
                    return 502, _BAD_GATEWAY
                return _answer(ApiError(500, "Internal Server Error"))
        self.calls[method] += 1
        files = {key: self._spool(name, data) for key, (name, data) in uploads.items()}
        params = Params(dict(values), files)
        try:
            result = _finish(call_method(self.api, self._limiter, method, params))
        except ApiError as error:
            return _answer(error)
        finally:
            params.discard_uploads()
        if method == "getUpdates":
            result = self._spoil_updates(result, states)
        return 200, json.dumps({"ok": True, "result": result})

    def file(self, path: str) -> bytes | None:
        """Content behind the ``file_path`` that getFile told."""
        found = self.api.files.served(path)
        return found.read_bytes() if found else None

    def _spoil_updates(self, updates: list[dict], states: Sequence[str]) -> list[dict]:
        """Some come again, or in another order; none is left out."""
        given = list(updates)
        if self._delivered and self.faults.hit(Fault.UPDATE_TWICE, states, weight=0.3):
            given.append(self.faults.rng.choice(self._delivered))
        if len(given) > 1 and self.faults.hit(Fault.UPDATES_REORDERED, states):
            self.faults.rng.shuffle(given)
        self._delivered = (self._delivered + updates)[-_KEPT_UPDATES:]
        return given

    def _spool(self, name: str, data: bytes) -> Upload:
        path = self.api.files.spool()
        path.write_bytes(data)
        return Upload(path=path, size=len(data), file_name=name)

    def _show(self, message: Message) -> None:
        self.on_shown(message)

    def _note(self, message: Message) -> None:
        raw = message.raw
        media = next((each for each in _MEDIA if each in raw), "")
        described = raw.get(media)
        name = described.get("file_name", "") if isinstance(described, dict) else ""
        rows = raw.get("reply_markup", {}).get("inline_keyboard", [])
        self.sends.append(
            Sent(
                at=message.sent_at,
                chat=raw["chat"]["id"],
                message=message.id,
                text=message.text,
                media=f"{media} {name}".strip(),
                reply_to=_id_of(raw.get("reply_to_message")),
                buttons=tuple(
                    str(button.get("callback_data") or button.get("url") or "")
                    for row in rows
                    for button in row
                ),
            )
        )


class _World(World):
    """Keeps no record of everything: a day is long."""

    def __init__(
        self,
        bot: User,
        clock: Callable[[], float],
        note: Callable[[Message], None],
        show: Callable[[Message], None],
    ) -> None:
        super().__init__(bot, clock)
        self._note, self._show = note, show
        self.transcript = [{}]

    def record(self, kind, chat_id, by, message=None, **more) -> None:
        self.transcript[-1].clear()
        if message is None or not message.from_bot or kind not in ("send", "edit"):
            return
        if kind == "send":
            self._note(message)
        self._show(message)


def _answer(error: ApiError) -> tuple[int, str]:
    return error.code, json.dumps(error.body())


def _finish(calling) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        calling.send(None)
    except StopIteration as end:
        return end.value
    calling.close()
    raise RuntimeError("a call of the Bot API waits for something")


def _id_of(message: dict | None) -> int | None:
    return message["message_id"] if message else None
