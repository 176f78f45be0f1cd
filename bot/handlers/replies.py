"""Which job a message speaks of by what it replies to."""

from __future__ import annotations

from aiogram.types import Message

from bot.desk import Desk
from controller.records import Job

#: So many of the newest jobs are known by their cards when they have ended.
_RECENT = 200


def find_meant(message: Message, desk: Desk) -> Job | None:
    """The job of the card, or of the video itself, that a message replies to; None if of none."""
    if (meant := message.reply_to_message) is None:
        return None
    owner = None if desk.actor.admin else desk.actor.user
    active = desk.controller.jobs(owner=owner, active=True, limit=1000)
    recent = desk.controller.jobs(owner=owner, limit=_RECENT)
    for job in (*active, *recent):
        card = desk.controller.card(job.id)
        shown_at = (card.chat, card.message) if card else (None, None)
        if (message.chat.id, meant.message_id) in (shown_at, (job.chat, job.reply_to)):
            return job
    return None
