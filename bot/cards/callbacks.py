"""What buttons carry: at most 64 bytes, never trusted, always checked against the owner."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from aiogram.filters.callback_data import CallbackData
from pydantic import StringConstraints

from bot.cards.presets import Preset

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{26}$")]


class Act(StrEnum):
    """What a press asks for."""

    START = "start"
    ASK = "ask"  #: shows "cancel? yes, no"
    YES = "yes"
    NO = "no"
    RETRY = "retry"


class Place(StrEnum):
    """Which message the button is on."""

    CARD = "card"
    MENU = "menu"


class PresetPress(CallbackData, prefix="p"):
    """Chooses what is done to the video of a plan card."""

    job: JobId
    preset: Preset


class JobPress(CallbackData, prefix="j"):
    """Does something with a job."""

    act: Act
    job: JobId
    at: Place = Place.CARD
