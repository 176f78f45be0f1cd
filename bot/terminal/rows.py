"""One video of a command, and the row that ``--json`` and ``noxfvr status`` show of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.terminal.sources import Source, show_key
from bot.texts import Tongue
from controller.records import Job
from controller.service import Controller
from controller.states import JobState


@dataclass(slots=True)
class Item:
    """One video and what has become of it."""

    number: int
    source: Source
    job: Job | None = None
    error: str = ""
    status: str = ""
    """``completed``, ``failed``, ``cancelled`` or ``skipped``; empty while it goes on."""
    done_before: Job | None = None
    """The earlier job whose result makes this one needless."""
    previewed: bool = False
    """Whether it was said where its preview lies."""


def job_row(controller: Controller, item: Item) -> dict[str, Any]:
    """What is said of one file, the earlier system's fields first."""
    job = item.job
    attempt = controller.attempt(job.id) if job else None
    machine = controller.machine(attempt.machine) if attempt else None
    result = job if job and job.state is JobState.DONE else item.done_before
    return {
        "instance_id": machine.instance if machine else None,
        "input_url": item.source.shown,
        "output_name": (result.output_key or "").rpartition("/")[2] if result else None,
        "result_url": controller.result_link(result) if result else None,
        "status": item.status,
        "error": item.error or None,
        "cost_usd": round(job.cost_usd, 6) if job else 0.0,
        "seconds": round(spent_seconds(job), 3) if job else 0.0,
        "attempts": job.attempts if job else 0,
        "resumed_frames": result.result.resumed_frames if result and result.result else 0,
        "clip_url": controller.clip_link(result) if result else None,
    }


def spent_seconds(job: Job) -> float:
    """From Start to the end; 0 for a job that has not both."""
    return job.ended_at - job.started_at if job.ended_at and job.started_at else 0.0


def as_item(controller: Controller, job: Job, number: int, tongue: Tongue) -> Item:
    """An existing job as the rows show it."""
    shown = show_key(controller, job.source_key)
    return Item(
        number=number,
        source=Source(shown=shown, name=job.source_name, path=None),
        job=job,
        error=tongue(f"reason-{job.reason}") if job.reason else "",
        status="completed" if job.state is JobState.DONE else str(job.state),
    )
