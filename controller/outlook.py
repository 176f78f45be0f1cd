"""Figures that are reckoned, not kept: what a job would take, and what was spent."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from controller.states import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuote:
    """What a draft would take on the machines to be had at ``at``.

    ``seconds`` and ``usd`` are of the machine that would be taken: one that is warm and free, else
    the offer that is cheapest for the whole job. ``low`` and ``high`` span the five cheapest that
    fit, since others may be faster at the first one, and where a formula stands in for a
    measurement also what it may be off by.
    """

    seconds: float
    """From the start of the machine to the result; the wait for it is ``starts_in_s``."""
    usd: float
    """All in: machine, disk and traffic."""
    low_usd: float
    high_usd: float
    low_seconds: float
    high_seconds: float
    gpu: str
    """Empty where it is not known."""
    usd_per_hour: float
    fitting: int
    """How many offers fit."""
    removed: Mapping[str, int]
    """How many offers each ``market.Filter`` removes."""
    cheapest_gpu: str | None
    cheapest_usd_per_hour: float | None
    """Of those above the cap alone; None where there are none."""
    queue: int
    """Jobs ahead."""
    starts_in_s: float
    """Expected wait until a machine is free for it."""
    warm: bool
    """A machine that is up and free takes it."""
    measured: bool
    """Rests on earlier runs on this kind of machine, not on a formula."""
    reckoned: bool
    """A model's cost is not known: that of the heaviest was taken."""
    frames_out: int
    width: int
    height: int
    hold: Reason | None
    """What Start would be held for."""
    hold_data: Mapping[str, Any]
    """What somebody would have to agree to, empty where nothing: ``usd_per_hour``, ``usd`` (the
    most that it may cost), ``expected_usd``, ``seconds``, ``limit_s`` (the most that one attempt
    may run), ``gpu``, and ``over``, a list of what is exceeded (:class:`Limit`)."""
    paid: bool
    """Whether machines are rented, and so cost money."""
    at: float
    unknown: bool = False
    """The market could not be asked: all this is from what was known before."""


class Limit(StrEnum):
    """What a job can exceed, so that somebody has to say yes."""

    PRICE = "price"
    JOB_BUDGET = "job_budget"
    DAY_BUDGET = "day_budget"
    USER_BUDGET = "user_budget"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpend:
    """One day, UTC."""

    date: datetime.date
    usd: float
    """What machines cost on it, idle ones too; those that go on until now."""
    jobs: int
    """Jobs that were done on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSpend:
    """What one person's jobs have cost."""

    owner: int
    """0 for the terminal."""
    usd: float
    """Machines while they worked on them, and traffic; not what machines cost idle."""
    jobs: int
    """Jobs that were on a machine."""
