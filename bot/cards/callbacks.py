"""What buttons carry: at most 64 bytes, never trusted, always checked against the owner."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from aiogram.filters.callback_data import CallbackData
from pydantic import Field, StringConstraints

from bot.cards.choices import Setting
from bot.cards.presets import Preset

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{26}$")]
#: The defaults of a person have no job.
JobIdOrNone = Annotated[str, StringConstraints(pattern=r"^(-|[0-9A-Za-z]{26})$")]
NO_JOB = "-"
#: What the settings of a page are for: those of a batch are named with a mark before its id.
Target = Annotated[str, StringConstraints(pattern=r"^(-|~?[0-9A-Za-z]{26})$")]
BATCH_MARK = "~"


class Act(StrEnum):
    """What a press asks for."""

    START = "start"
    ASK = "ask"  #: shows "cancel? yes, no"
    YES = "yes"
    NO = "no"
    RETRY = "retry"
    SAMPLE = "sample"
    STOP_SAMPLE = "stop"
    CHANGE = "change"  #: a hold is taken back, or the plan card comes anew below
    APPROVE = "ok"
    DECLINE = "deny"
    ASK_ADMIN = "admin"
    AGAIN = "again"  #: a new plan card for the same video


class Place(StrEnum):
    """Which message the button is on."""

    CARD = "card"
    MENU = "menu"
    ASK = "ask"
    RESULT = "res"


class PresetPress(CallbackData, prefix="p"):
    """Chooses what is done to the video of a plan card."""

    job: JobId
    preset: Preset


class JobPress(CallbackData, prefix="j"):
    """Does something with a job."""

    act: Act
    job: JobId
    at: Place = Place.CARD
    version: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Of the job whose terms were shown: a yes is to those."""


class TakePress(CallbackData, prefix="t"):
    """An admin agrees to a higher price, in thousandths of a dollar an hour: what was shown."""

    job: JobId
    mills: Annotated[int, Field(ge=0, lt=10**9)]
    at: Place = Place.CARD


class PagePress(CallbackData, prefix="g"):
    """Turns a page of a plan card, a batch's, or of the defaults: a setting, or their list."""

    job: Target
    page: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,12}$")]


class OptionPress(CallbackData, prefix="o"):
    """Chooses a value of a setting; none resets all."""

    job: Target
    setting: Setting | None = None
    code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.-]{1,28}$")] | None = None


class LinkPress(CallbackData, prefix="l"):
    """Makes a new link; ``why`` is how the result was handed out."""

    job: JobId
    why: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,12}$")]


class PathPress(CallbackData, prefix="w"):
    """Tells how a large file gets into storage; its size in bytes is for showing, 0 unknown."""

    size: Annotated[int, Field(ge=0, lt=2**60)] = 0


class DetailsPress(CallbackData, prefix="d"):
    """Shows the end of a job's log on its card, or takes it away."""

    job: JobId


class BatchAct(StrEnum):
    """What a press on a batch's card asks for."""

    START = "start"
    SAMPLE = "sample"
    PRESET = "preset"
    PAGE = "page"
    AGAIN = "again"  #: what was done before is to be done again
    ASK = "ask"
    YES = "yes"
    NO = "no"
    RETRY = "retry"
    APPROVE = "ok"
    DECLINE = "deny"


class BatchPress(CallbackData, prefix="bt"):
    """Does something with a batch; ``value`` is a preset, a page, or what a yes is to."""

    act: BatchAct
    batch: JobId
    value: Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{0,8}$")] = ""


class GroupPress(CallbackData, prefix="gr"):
    """On the common card of a group: a page, or a job to be cancelled."""

    act: Act | None = None
    job: JobIdOrNone = NO_JOB
    page: Annotated[int, Field(ge=0, lt=1000)] = 0
