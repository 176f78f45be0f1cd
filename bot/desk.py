"""What every handler gets: who acts, in which language, and whom it may ask."""

from __future__ import annotations

from dataclasses import dataclass

from bot.screen.notifier import Notifier
from bot.settings import BotSettings
from bot.texts import Tongue
from controller.records import Actor
from controller.service import Controller


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One update's dealings. Only the gate makes these, so an actor is somebody who is served."""

    actor: Actor
    tongue: Tongue
    controller: Controller
    settings: BotSettings
    notifier: Notifier
