"""Which messages came together: albums, and files that one person sent at the same moment.

What belongs together is seen in the inbox's rows, so that a restart in between changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiogram.types import Message

from bot.feed.intake import find_upload
from controller.service import Controller

#: Messages of one moment: seconds between their dates.
_MOMENT_S = 2
#: So many updates that wait are looked at.
_LOOKED_AT = 1000


def find_burst(message: Message, controller: Controller) -> str | None:
    """The request key of the batch that a file belongs to; None for one that came alone."""
    chat = message.chat.id
    if (batch := controller.batches.of_request(f"tg:{chat}:{message.message_id}")) is not None:
        return batch.request_key
    # files beyond the ten of an album come as further albums of the same moment
    if (joined := _find_open(message, controller)) is not None:
        return joined
    if message.media_group_id is not None:
        return f"tg:{chat}:album:{message.media_group_id}"
    if any(True for _ in _list_companions(message, controller)):
        return f"tg:{chat}:burst:{message.message_id}"
    return None


def count_waiting(message: Message, controller: Controller) -> int:
    """Files of the same burst that are still to be handled, this message not counted."""
    return sum(1 for _ in _list_companions(message, controller))


def is_quiet(chat: int, controller: Controller) -> bool:
    """Whether no message of a chat is still to be handled."""
    return not any(
        _find_chat(json.loads(stored.body).get("message")) == chat
        for stored in controller.inbox_pending(limit=_LOOKED_AT)
    )


def _find_open(message: Message, controller: Controller) -> str | None:
    """The batch of the same person in this chat whose files are still coming in."""
    user = message.from_user
    batch = controller.batches.collecting(user.id, message.chat.id) if user else None
    kinds = (f"tg:{message.chat.id}:album:", f"tg:{message.chat.id}:burst:")
    return batch.request_key if batch and batch.request_key.startswith(kinds) else None


def _list_companions(message: Message, controller: Controller) -> Iterator[Message]:
    for stored in controller.inbox_pending(limit=_LOOKED_AT):
        raw = json.loads(stored.body).get("message")
        if _find_chat(raw) != message.chat.id:
            continue
        other = _read(raw)
        if other is None or other.message_id == message.message_id:
            continue
        if _belong_together(message, other):
            yield other


def _belong_together(one: Message, other: Message) -> bool:
    if one.chat.id != other.chat.id or _find_sender(one) != _find_sender(other):
        return False
    if one.media_group_id is not None and one.media_group_id == other.media_group_id:
        return True
    apart_s = abs((one.date - other.date).total_seconds())
    return apart_s <= _MOMENT_S


def _find_sender(message: Message) -> int | None:
    return message.from_user.id if message.from_user else None


def _find_chat(raw: Any) -> int | None:
    """Of a message that may be of any shape."""
    chat = raw.get("chat") if isinstance(raw, dict) else None
    return chat.get("id") if isinstance(chat, dict) else None


def _read(raw: Any) -> Message | None:
    """A message with a file, as far as it can be read."""
    try:
        message = Message.model_validate(raw)
    except ValueError:
        return None
    return message if find_upload(message) else None
