"""What everybody sees: all chats of a sandbox, followed once for all who look at them."""

import asyncio
import time

from bot.sandbox import Driver
from bot.sandbox.views import Entry, Message
from tests.e2e.chatting import is_result

#: How a card or message begins that ends a job.
ENDED = ("✅", "❌", "🚫")


class Screen:
    """``entries`` in order, and every message as it is now."""

    def __init__(self, driver: Driver) -> None:
        self.entries: list[Entry] = []
        self.messages: dict[tuple[int, int], Message] = {}
        self._driver = driver
        self._news = asyncio.Event()

    async def watch(self) -> None:
        """Until cancelled."""
        async for entry in self._driver.follow():
            self.entries.append(entry)
            if entry.message is not None:
                self.messages[entry.chat_id, entry.message.id] = _by(entry)
            if entry.kind == "delete":
                self.messages.pop((entry.chat_id, entry.message_id), None)
            self._news.set()
            self._news = asyncio.Event()

    async def until(self, look, timeout_s: float):
        """What ``look()`` makes of all this as soon as it is true; None where it never is."""
        ends_at = time.monotonic() + timeout_s
        while not (found := look()):
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return None
            try:
                await asyncio.wait_for(self._news.wait(), min(left_s, 1.0))
            except TimeoutError:
                continue
        return found

    def answers(self, sent: Message) -> list[Message]:
        """The bot's messages that reply to one, oldest first."""
        found = [
            message
            for (chat, _), message in self.messages.items()
            if chat == sent.chat_id and message.from_bot and message.reply_to_id == sent.id
        ]
        return sorted(found, key=lambda message: message.id)

    def card(self, sent: Message) -> Message | None:
        """The newest answer that is no result, no sample, and no picture below one."""
        cards = [m for m in self.answers(sent) if not (is_result(m) or is_sample(m))]
        cards = [m for m in cards if not m.media or m.buttons or m.text.startswith(ENDED)]
        return cards[-1] if cards else None

    def sends(self, sent: Message) -> list[Message]:
        """Every sending of the bot in reply to a message, as it was then."""
        return [
            entry.message
            for entry in self.entries
            if entry.kind == "send"
            and entry.from_bot
            and entry.chat_id == sent.chat_id
            and entry.message.reply_to_id == sent.id
        ]

    def looks(self, chat: int, message_id: int) -> list[Entry]:
        """What one message showed, one after the other."""
        return [
            entry
            for entry in self.entries
            if entry.kind in ("send", "edit")
            and (entry.chat_id, entry.message_id) == (chat, message_id)
        ]


def is_sample(message: Message) -> bool:
    """A sample, or the word that it failed."""
    return message.text.startswith("🧪")


def find_data(message: Message, prefix: str) -> str | None:
    """The data of the first button that begins so."""
    data = (button.callback_data or "" for button in message.buttons)
    return next((each for each in data if each.startswith(prefix)), None)


def _by(entry: Entry) -> Message:
    """A message belongs to who sent it, whoever changed it last."""
    raw = entry.raw["message"]
    return Message(raw, bool(raw.get("from", {}).get("is_bot")), ())
