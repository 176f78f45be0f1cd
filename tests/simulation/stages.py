"""In which order chats hear of a job, against the order in which it happened.

What a message says is told by its buttons and, where it has none, by the sign in front of it.
"""

from collections import defaultdict
from collections.abc import Iterator

from bot.sandbox.chats import Message
from tests.simulation.loop import LIFE

#: States of a job that a card with such a button shows, by the button's data without the job. Of
#: several the first here counts: what only waits or runs has nothing but its cancel.
_BY_BUTTON: dict[tuple[str, ...], frozenset[str]] = {
    ("p",): frozenset({"draft"}),
    ("o",): frozenset({"draft"}),
    ("g",): frozenset({"draft"}),
    ("j", "change", "card"): frozenset({"held"}),
    ("d",): frozenset({"running"}),
    ("j", "retry", "card"): frozenset({"done", "failed", "cancelled"}),
    ("j", "again", "res"): frozenset({"done"}),
    ("j", "ask", "card"): frozenset({"queued", "running"}),
}
_ID_LETTERS = 26
_BY_SIGN = {"✅": "done", "❌": "failed", "🚫": "cancelled"}


class Stages:
    """``shown`` has what each chat was told of each job, newest last.

    Left out is what came when nobody waited for it any more: a call that was on its way when its
    process was killed, or that was given up for lost.
    """

    def __init__(self) -> None:
        self.shown: defaultdict[tuple[int, str], list[frozenset[str]]] = defaultdict(list)
        self._cards: dict[tuple[int, int], str] = {}
        """Which job a message is about."""

    def note(self, message: Message) -> None:
        """A message of the bot, as it is now."""
        chat = message.raw["chat"]["id"]
        job, stage = _read_buttons(message)
        if job:
            self._cards[chat, message.id] = job
        elif sign := _BY_SIGN.get(message.text[:1]):
            job, stage = self._cards.get((chat, message.id), ""), frozenset({sign})
        if not job or not stage or LIFE.get() is None:
            return
        told = self.shown[chat, job]
        if not told or told[-1] != stage:
            told.append(stage)

    def find_disorder(self, history: dict[str, list[str]]) -> Iterator[str]:
        """Where a chat was told of something after what had come behind it."""
        for (chat, job), told in self.shown.items():
            states, place = history.get(job, []), 0
            for number, stage in enumerate(told):
                while place < len(states) and states[place] not in stage:
                    place += 1
                if place == len(states):
                    before = ", ".join("/".join(sorted(each)) for each in told[:number])
                    yield (
                        f"chat {chat} was told of {job} that it is {'/'.join(sorted(stage))} "
                        f"after {before}; it was {', '.join(states)}"
                    )
                    break


def _read_buttons(message: Message) -> tuple[str, frozenset[str]]:
    """The job that a card is about, and the states that it may be in."""
    found: dict[tuple[str, ...], str] = {}
    for row in message.raw.get("reply_markup", {}).get("inline_keyboard", []):
        for button in row:
            kind, *rest = button.get("callback_data", "").split(":")
            if kind == "j":
                act, job, place = rest[:3]
                found[kind, act, place] = job
            elif rest:
                found[kind,] = rest[0]
    for button, stage in _BY_BUTTON.items():
        if len(found.get(button, "")) == _ID_LETTERS:
            return found[button], stage
    return "", frozenset()
