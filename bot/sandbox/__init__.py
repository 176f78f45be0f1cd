"""A strict Bot API server for one machine: the bot without an account, and tests over HTTP."""

from __future__ import annotations

from bot.sandbox.conversation import Chat, Item, Person, Press, WaitError
from bot.sandbox.driver import Driver
from bot.sandbox.errors import RefusedError
from bot.sandbox.limits import FaultKind, Rates, Rules
from bot.sandbox.server import DEFAULT_TOKEN, Sandbox
from bot.sandbox.views import Answer, Button, Entry, Message

__all__ = [
    "DEFAULT_TOKEN",
    "Answer",
    "Button",
    "Chat",
    "Driver",
    "Entry",
    "FaultKind",
    "Item",
    "Message",
    "Person",
    "Press",
    "Rates",
    "RefusedError",
    "Rules",
    "Sandbox",
    "WaitError",
]
