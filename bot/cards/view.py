"""What a card is drawn from, and what drawing makes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.formatting import Text

from controller.records import Attempt, Batch, Estimate, Job
from controller.states import JobState

if TYPE_CHECKING:
    from controller.batches import BatchQuote
    from controller.records import PlanQuote


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a job's card shows, at one moment."""

    job: Job
    now: float
    attempts: tuple[Attempt, ...] = ()
    """Oldest first."""
    estimate: Estimate | None = None
    """For drafts and the queue."""
    quote: PlanQuote | None = None
    """What the market says to it, not older than some minutes; None where it was not asked."""
    position: int = 0
    """1-based place in the queue."""
    machine: str = ""
    confirming: bool = False
    """The user pressed Cancel and has not said yes or no."""
    retried: bool = False
    """There is a new job in this one's place."""
    preview: str = ""
    """Address of the first segment of the new video, while the work goes on."""
    page: str = ""
    """Which page of the card is shown; empty for the first one."""
    details: tuple[str, ...] = ()
    """Last lines of the log, cleaned, where they are asked for."""
    detailed: bool = False
    """The log is asked for, whether it has lines or not."""
    sample: Job | None = None
    """The newest sample of a draft."""
    sample_attempts: tuple[Attempt, ...] = ()
    spent_usd: float = 0.0
    """What the job has cost so far, its attempt that goes on included."""
    frame: bool = False
    """There is a picture of the first segment."""
    silent_since: float | None = None
    """When its machine was heard of last, where that is too long ago."""
    combined: bool = False
    """Progress is shown elsewhere, on the one card of a group."""
    admin: bool = False
    """Whoever owns the job may approve prices."""
    askable: bool = True
    """There is somebody else who may."""
    cap_usd_per_hour: float = 0.0
    """The most that is paid for a machine without asking."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What those who ask and decide are called, by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSnapshot:
    """Everything that the card of a batch shows, at one moment."""

    batch: Batch
    jobs: tuple[Job, ...]
    now: float
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    """Of running jobs, the newest."""
    done_before: Mapping[str, Job] = field(default_factory=dict)
    """By job: another one that made this of the same content."""
    quote: BatchQuote | None = None
    """For its drafts; one of no files where the market did not answer."""
    sample: Job | None = None
    page: int = 0
    setting: str = ""
    """Which page of the settings is turned up; empty for none."""
    confirming: bool = False
    again: bool = False
    spent_usd: float = 0.0
    admin: bool = False
    """Whoever owns it may approve prices."""
    owner: str = ""
    """What its owner is called."""

    @property
    def drafts(self) -> list[Job]:
        return [job for job in self.jobs if job.state is JobState.DRAFT]

    def count(self, *states: JobState) -> int:
        return sum(job.state in states for job in self.jobs)

    @property
    def is_over(self) -> bool:
        return self.batch.taken_at is not None and all(job.state.is_terminal for job in self.jobs)

    @property
    def held(self) -> list[Job]:
        return [job for job in self.jobs if job.state is JobState.HELD]

    @property
    def was_started(self) -> bool:
        return any(job.started_at is not None for job in self.jobs)

    def is_skipped(self, job: Job) -> bool:
        """Whether it was left out as there is a result already, or will be."""
        if job.id not in self.done_before:
            return False
        if job.state is JobState.DRAFT:
            return not self.again
        return job.state is JobState.CANCELLED and job.started_at is None


@dataclass(frozen=True, slots=True)
class View:
    """What a message is to show."""

    text: Text
    keyboard: InlineKeyboardMarkup | None = None
    frame: bool = False
    """Show it under the picture of the first segment, where the platform allows."""

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ when anything visible does."""
        markup = self.keyboard.model_dump(exclude_none=True) if self.keyboard else None
        text, entities = self.text.render()
        # an address is signed anew each time it is drawn
        shown = [
            each.model_dump(exclude_none=True) | {"url": (each.url or "").partition("?")[0]}
            for each in entities
        ]
        parts = [text, shown, _unsign(markup), *([True] if self.frame else [])]
        packed = json.dumps(parts, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(packed.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def without_disabled(self) -> View | None:
        """The same without buttons that cannot be pressed; None where there are none."""
        rows = self.keyboard.inline_keyboard if self.keyboard else []
        kept = [[each for each in row if each.disabled is None] for row in rows]
        if kept == rows:
            return None
        left = [row for row in kept if row]
        keyboard = InlineKeyboardMarkup(inline_keyboard=left) if left else None
        return replace(self, keyboard=keyboard)

    def as_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of a message or an edit: text, entities, keyboard."""
        return {**self.text.as_kwargs(), "reply_markup": self.keyboard}


def _unsign(markup: dict[str, Any] | None) -> dict[str, Any] | None:
    """Buttons without the signatures of their addresses."""
    for row in (markup or {}).get("inline_keyboard", ()):
        for button in row:
            if url := button.get("url"):
                button["url"] = str(url).partition("?")[0]
    return markup
