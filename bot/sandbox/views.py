"""What a person sees: messages, buttons and the record of a chat, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEDIA = ("video", "document", "photo")


@dataclass(frozen=True, slots=True)
class Button:
    """A button of an inline keyboard; ``raw`` has its style and whatever else the bot gave it."""

    text: str
    callback_data: str | None
    url: str | None
    disabled: bool
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is now (edits included); ``raw`` is the Bot API object."""

    raw: Mapping[str, Any]
    from_bot: bool
    reactions: tuple[str, ...]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Message:
        emojis = tuple(reaction["emoji"] for reaction in data["reactions"])
        return cls(data["raw"], bool(data["from_bot"]), emojis)

    @property
    def id(self) -> int:
        return int(self.raw["message_id"])

    @property
    def chat_id(self) -> int:
        return int(self.raw["chat"]["id"])

    @property
    def text(self) -> str:
        """The text, or the caption of a file."""
        return str(self.raw.get("text", self.raw.get("caption", "")))

    @property
    def edited_at(self) -> int | None:
        return self.raw.get("edit_date")

    @property
    def reply_to_id(self) -> int | None:
        replied = self.raw.get("reply_to_message")
        return int(replied["message_id"]) if replied else None

    @property
    def media(self) -> str | None:
        """``video``, ``document``, ``photo`` or None."""
        return next((kind for kind in MEDIA if kind in self.raw), None)

    @property
    def file(self) -> Mapping[str, Any] | None:
        """The Bot API's ``Video`` or ``Document``, or the largest ``PhotoSize``."""
        if self.media is None:
            return None
        described = self.raw[self.media]
        found: Mapping[str, Any] = described[-1] if isinstance(described, list) else described
        return found

    @property
    def rows(self) -> list[list[Button]]:
        keyboard = self.raw.get("reply_markup", {}).get("inline_keyboard", [])
        return [[_button(raw) for raw in row] for row in keyboard]

    @property
    def buttons(self) -> list[Button]:
        return [button for row in self.rows for button in row]

    def button(self, wanted: str) -> Button | None:
        """The first button whose text contains ``wanted``, else the one with that data."""
        for button in self.buttons:
            if wanted in button.text:
                return button
        return next((b for b in self.buttons if b.callback_data == wanted), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What ``answerCallbackQuery`` showed; an empty text just stops the spinner."""

    text: str
    show_alert: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; ``by`` is ``bot`` or a user id, ``at`` UTC epoch seconds.

    ``kind``: send · edit · delete · press · answer · action · reaction · pin · block · unblock.
    """

    seq: int
    at: float
    chat_id: int
    by: str | int
    kind: str
    message_id: int | None
    text: str
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Entry:
        return cls(
            int(data["seq"]),
            float(data["at"]),
            int(data["chat_id"]),
            data["by"],
            str(data["kind"]),
            data.get("message_id"),
            str(data.get("text", "")),
            data,
        )

    @property
    def from_bot(self) -> bool:
        return self.by == "bot"

    @property
    def message(self) -> Message | None:
        """The message as it was right after this."""
        raw = self.raw.get("message")
        return None if raw is None else Message(raw, self.from_bot, ())

    def __str__(self) -> str:
        what = self.raw.get("data") or self.raw.get("action") or self.text
        number = f" #{self.message_id}" if self.message_id else ""
        media = self.message.media if self.message else None
        return f"{self.by} {self.kind}{number}{f' [{media}]' if media else ''}: {what}"


def _button(raw: Mapping[str, Any]) -> Button:
    return Button(
        str(raw["text"]), raw.get("callback_data"), raw.get("url"), "disabled" in raw, raw
    )
