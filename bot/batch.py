"""Many videos from the terminal: submitted at once, followed to the end, reported one by one."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.console import Reporter
from bot.sources import Source
from bot.texts import Tongue
from controller.errors import ControllerError, TooLate, UserError
from controller.records import TERMINAL, Attempt, Event, Job, Machine
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import Phase

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_CLEANUP_S = 120.0


@dataclass(slots=True)
class Item:
    """One video of a batch and what has been said about it."""

    number: int
    source: Source
    job: Job | None = None
    error: str = ""
    status: str = ""
    """``completed``, ``failed``, ``cancelled`` or ``skipped``; empty while it goes on."""
    log_lines: list[str] = field(default_factory=list)


class Batch:
    """Follows the jobs of one command. ``items`` are in the order of the command line."""

    def __init__(self, controller: Controller, reporter: Reporter, tongue: Tongue) -> None:
        self.items: list[Item] = []
        self._controller = controller
        self.reporter = reporter
        self._tongue = tongue
        self._cursor = controller.newest_event()
        self._announced: set[str] = set()
        """Machines that were named, by id; with ``!`` once seen to run."""
        self._unfinished: list[str] = []
        """Last lines that wait for the machine to be cleaned up."""

    def add_job(self, source: Source, job: Job) -> None:
        """Follow a job that exists."""
        self.items.append(Item(number=len(self.items) + 1, source=source, job=job))

    def add_error(self, source: Source, error: ControllerError) -> None:
        """A video that was refused: failed work, and the others go on."""
        text = describe_error(error, self._tongue)
        self.items.append(
            Item(number=len(self.items) + 1, source=source, error=text, status="failed")
        )
        self.reporter.fail(f"{source.name}: {text}")

    async def skip_all(self) -> None:
        """Nothing is started and nothing is kept."""
        for item in self._open():
            item.status = "skipped"
            if item.job:
                await self._controller.discard(item.job.id, by=TERMINAL)

    def start(self) -> None:
        for item in self._open():
            if item.job and item.job.state is JobState.DRAFT:
                item.job = self._controller.start(item.job.id, by=TERMINAL)

    def cancel(self) -> None:
        for item in self._open():
            if item.job:
                try:
                    self._controller.cancel(item.job.id, by=TERMINAL)
                except TooLate:
                    log.debug("Job %s had ended", item.job.id)

    async def follow(self) -> None:
        """Until every job has ended and, where this process rents, all machines are gone."""
        while self._open():
            await self._controller.wait_for_events(self._cursor, _LOOK_S)
            for event in self._controller.events_after(self._cursor):
                self._cursor = event.id
                await self._tell(event)
            await self._look()
        await self._clean_up()

    def rows(self) -> list[dict[str, Any]]:
        """One row per file for ``--json``, the earlier system's fields first."""
        return [job_row(self._controller, item) for item in self.items]

    def _open(self) -> list[Item]:
        return [item for item in self.items if not item.status]

    async def _tell(self, event: Event) -> None:
        item = next((each for each in self._open() if each.job and each.job.id == event.job), None)
        if item is None:
            return
        item.job = self._controller.get(event.job, by=TERMINAL)
        match event.kind:
            case "assigned":
                self.reporter.say("RUN", f"Processing file: {item.source.name}")
            case "retrying":
                why = self._tongue(f"reason-{event.data['reason']}")
                self.reporter.warn(f"Attempt {event.data['number']}: {why}; trying again")
            case "cancelling":
                self.reporter.warn(f"Cancelling {item.source.name}")
            case "done" | "failed" | "cancelled":
                await self._look_at(item)
                self._finish(item, item.job)

    async def _look(self) -> None:
        for item in self._open():
            if item.job and item.job.state is JobState.RUNNING:
                await self._look_at(item)

    async def _look_at(self, item: Item) -> None:
        """The machine, its log and the progress of one job, as far as they are new."""
        attempt = self._controller.attempt(item.job.id) if item.job else None
        if item.job is None or attempt is None:
            return
        machine = self._controller.machine(attempt.machine)
        if machine:
            self._announce(machine, attempt)
        lines = await self._controller.logs(item.job.id, by=TERMINAL)
        for line in new_lines(item.log_lines, lines):
            if not line.startswith("[PROGRESS]"):
                self.reporter.log(line)
        item.log_lines = lines
        if attempt.status and attempt.status.phase is Phase.PROCESSING:
            self.reporter.progress(item.source.name, attempt.status)

    def _announce(self, machine: Machine, attempt: Attempt) -> None:
        if machine.id not in self._announced and machine.instance:
            self._announced.add(machine.id)
            offer = f"{machine.name} @ ${machine.usd_per_hour:.3f}/hr"
            self.reporter.say("OK", f"Selected offer: {offer}")
            self.reporter.say("OK", f"Created instance: #{machine.instance}")
        seen = f"{machine.id}!{attempt.job}"
        if attempt.started_at is not None and seen not in self._announced:
            if f"{machine.id}!" not in self._announced:
                self.reporter.say("OK", "Instance running")
            self._announced |= {seen, f"{machine.id}!"}
            self.reporter.say("MONITOR", f"Monitoring instance #{machine.instance}...")

    def _finish(self, item: Item, job: Job) -> None:
        counted = f"File {item.number}/{len(self.items)}"
        match job.state:
            case JobState.DONE:
                item.status = "completed"
                self.reporter.say("OK", "Processing completed successfully!")
                self.reporter.say("RESULT", f"Download URL: {self._controller.result_link(job)}")
                last = f"{counted} completed"
            case JobState.CANCELLED:
                item.status, item.error = "cancelled", self._reason(job)
                last = f"{counted} cancelled"
            case _:
                item.status, item.error = "failed", self._reason(job)
                detail = f" ({job.detail})" if job.detail else ""
                self.reporter.fail(f"{item.source.name}: {item.error}{detail}")
                last = f"{counted} failed"
        if self._open():
            self.reporter.say("OK" if item.status == "completed" else "END", last)
        else:
            self._unfinished.append(last)

    def _reason(self, job: Job) -> str:
        return self._tongue(f"reason-{job.reason}") if job.reason else ""

    async def _clean_up(self) -> None:
        """End the machines this process rented, and say only what is proven."""
        if self._controller.reconciles:
            self._controller.release_idle_machines()
            for machine in self._controller.machines():
                await self._see_off(machine.id)
        for line in self._unfinished:
            self.reporter.say("OK" if line.endswith("completed") else "END", line)

    async def _see_off(self, machine_id: str) -> None:
        machine = self._controller.machine(machine_id)
        if machine is None:
            return
        if self._controller.attempt_on(machine_id):
            return  # a job of an earlier command goes on there
        self.reporter.say("CLEANUP", f"Destroying instance #{machine.instance}...")
        ends_at = asyncio.get_running_loop().time() + _CLEANUP_S
        while machine.gone_at is None:
            if asyncio.get_running_loop().time() > ends_at:
                self.reporter.warn(f"Instance #{machine.instance} is not proven gone yet")
                return
            await asyncio.sleep(0.1)
            machine = self._controller.machine(machine_id) or machine
        self.reporter.say("OK", "Instance destroyed")


def job_row(controller: Controller, item: Item) -> dict[str, Any]:
    """What ``--json`` says of one file."""
    job = item.job
    attempt = controller.attempt(job.id) if job else None
    machine = controller.machine(attempt.machine) if attempt else None
    done = job if job and job.state is JobState.DONE else None
    return {
        "instance_id": machine.instance if machine else None,
        "input_url": item.source.shown,
        "output_name": done.output_key.rpartition("/")[2] if done and done.output_key else None,
        "result_url": controller.result_link(done) if done else None,
        "status": item.status,
        "error": item.error or None,
        "cost_usd": round(job.cost_usd, 6) if job else 0.0,
        "seconds": round(spent_seconds(job), 3) if job else 0.0,
        "attempts": job.attempts if job else 0,
    }


def spent_seconds(job: Job) -> float:
    """From Start to the end; 0 for a job that has not both."""
    return job.ended_at - job.started_at if job.ended_at and job.started_at else 0.0


def describe_error(error: ControllerError, tongue: Tongue) -> str:
    """A refusal in the user's words; reasons of the runner share the texts of failed jobs."""
    key = f"reason-{error.code}" if isinstance(error, UserError) else ""
    return tongue(key) if key and tongue.has(key) else str(error)


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """What was added to a tail of lines, of which the oldest may have been dropped."""
    for start in range(len(before) + 1):
        overlap = before[start:]
        if list(now[: len(overlap)]) == list(overlap):
            return list(now[len(overlap) :])
    return list(now)


def as_item(controller: Controller, job: Job, number: int, tongue: Tongue) -> Item:
    """An existing job as the rows show it."""
    names = {JobState.DONE: "completed"}
    item = Item(
        number=number,
        source=Source(shown=job.source_key, name=job.source_name, path=None),
        job=job,
        status=names.get(job.state, str(job.state)),
    )
    reason = tongue(f"reason-{job.reason}") if job.reason else ""
    return dataclasses.replace(item, error=reason)
