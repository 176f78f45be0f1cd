"""What buttons of lists and of the admins' pages carry: whole places, so that nothing is kept.

At most 64 bytes, never trusted: who presses is checked on every press.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from aiogram.filters.callback_data import CallbackData
from pydantic import Field, StringConstraints

from bot.cards.callbacks import JobId

MachineId = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{26}$")]
#: Telegram: at most 52 significant bits; 0 is the terminal.
UserId = Annotated[int, Field(ge=0, lt=2**52)]
PageNumber = Annotated[int, Field(ge=0, lt=1000)]


class Sieve(StrEnum):
    """Which jobs a list shows."""

    ALL = "all"
    RUNNING = "run"
    QUEUED = "que"
    HELD = "hel"
    FAILED = "fai"  #: since midnight, UTC
    ENDED = "end"


class StatusAct(StrEnum):
    """What a press under /status asks for."""

    SHOW = "s"
    OWNERS = "w"  #: shows whose jobs there are
    OPEN = "o"
    ASK = "a"
    YES = "y"


class StatusPress(CallbackData, prefix="st"):
    """A place in /status; what is to be done with which job."""

    act: StatusAct = StatusAct.SHOW
    sieve: Sieve = Sieve.ALL
    owner: UserId | None = None
    page: PageNumber = 0
    job: JobId | None = None


class MachineAct(StrEnum):
    """What a press under /machines asks for."""

    SHOW = "s"
    ASK = "a"
    YES = "y"


class MachinePress(CallbackData, prefix="mc"):
    """A page of /machines; which machine to give back."""

    act: MachineAct = MachineAct.SHOW
    page: PageNumber = 0
    machine: MachineId | None = None


class SpendPress(CallbackData, prefix="sp"):
    """How many days the chart shows."""

    days: Annotated[int, Field(ge=1, le=90)]


class PersonAct(StrEnum):
    """What a press under /users asks for."""

    LIST = "l"
    SHOW = "s"
    INVITE_USER = "iu"
    INVITE_ADMIN = "ia"
    REVOKE = "rv"
    MAKE_ADMIN = "ma"
    MAKE_USER = "mu"
    BLOCK = "b"
    BUDGET = "d"
    ASK_REMOVE = "ar"
    REMOVE = "r"


class PersonPress(CallbackData, prefix="us"):
    """A page of /users, or something to do with a person."""

    act: PersonAct
    user: UserId = 0
    page: PageNumber = 0
    cents: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """A day budget; 0 for none."""


class QueueAct(StrEnum):
    """What a press under /queue and /drain asks for."""

    SHOW = "s"
    FIRST = "f"
    UP = "u"
    DOWN = "d"
    LAST = "l"
    PAUSE = "p"
    RESUME = "r"
    DRAIN = "x"
    KEEP = "k"  #: does not drain after all
    LOOK = "w"  #: how far a drain is


class QueuePress(CallbackData, prefix="qu"):
    """A page of /queue, or where a job is moved."""

    act: QueueAct = QueueAct.SHOW
    page: PageNumber = 0
    job: JobId | None = None


class LanguageChoice(StrEnum):
    """A language of the bot, or the one of the person's own client."""

    RUSSIAN = "ru"
    ENGLISH = "en"
    AUTO = "auto"


class Origin(StrEnum):
    """Which message a choice of the language was opened from."""

    START = "start"
    SETTINGS = "set"
    COMMAND = "cmd"


class LanguagePress(CallbackData, prefix="ln"):
    """Chooses a language; None opens the choice, with a way back."""

    origin: Origin
    choice: LanguageChoice | None = None


class SettingsPress(CallbackData, prefix="se"):
    """Goes back to, or opens, what /start or /settings show."""

    origin: Origin


class HealthPress(CallbackData, prefix="hl"):
    """Looks again."""


class AlertAct(StrEnum):
    """Which page a press under an alert opens."""

    MACHINES = "m"
    SPEND = "s"
    QUEUE = "q"
    HEALTH = "h"


class AlertPress(CallbackData, prefix="al"):
    """Opens a page below the card that tells what is wrong."""

    act: AlertAct


class LogPress(CallbackData, prefix="lo"):
    """Shows the log of a job in a new message."""

    job: JobId
