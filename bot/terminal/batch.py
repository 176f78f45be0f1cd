"""Many videos from the terminal: submitted at once, followed to the end, reported one by one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

from bot.alarm_texts import describe_alarm
from bot.terminal.console import Reporter
from bot.terminal.fleet import Fleet
from bot.terminal.rows import Item, job_row
from bot.terminal.sources import Source
from bot.texts import Tongue
from controller.alerts import AlertKind, Severity
from controller.errors import ControllerError, TooLate, UserError
from controller.machine_logs import clean
from controller.records import TERMINAL, Event, Job
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import Phase

log = logging.getLogger(__name__)

_LOOK_S = 1.0
#: Ends that leave nothing to be done.
_FINE = frozenset({"completed", "skipped"})


class Batch:
    """Follows the jobs of one command. ``items`` are in the order of the command line."""

    def __init__(self, controller: Controller, reporter: Reporter, tongue: Tongue) -> None:
        self.items: list[Item] = []
        self.reporter = reporter
        self.seconds = 0.0
        """How long it was followed."""
        self._controller = controller
        self._tongue = tongue
        self._cursor = controller.newest_event()
        self._fleet = Fleet(controller, reporter)
        self._warned: set[tuple[AlertKind, Severity, float]] = set()
        """Troubles that were told of."""
        self._pause: float | None = None
        """The pause that was told of last."""
        self._last_words: list[tuple[str, str]] = []
        """Last lines that wait for the machines to be cleaned up."""

    def add_job(self, source: Source, job: Job) -> None:
        """Follow a job that exists."""
        self.items.append(Item(number=len(self.items) + 1, source=source, job=job))

    def add_done(self, source: Source, done: Job) -> None:
        """A video of which the result is there already."""
        item = Item(number=len(self.items) + 1, source=source, status="skipped", done_before=done)
        self.items.append(item)
        self.reporter.say("SKIP", f"{source.name}: already done, {done.output_key}")

    def add_error(self, source: Source, error: ControllerError) -> None:
        """A video that was refused: failed work, and the others go on."""
        text = describe_error(error, self._tongue)
        self.items.append(
            Item(number=len(self.items) + 1, source=source, error=text, status="failed")
        )
        self.reporter.fail(f"{source.name}: {text}")

    async def refuse(self, item: Item, text: str) -> None:
        """Give a video up that has not been started, and keep nothing of it."""
        item.status, item.error = "failed", text
        self.reporter.fail(f"{item.source.name}: {text}")
        if item.job:
            await self._controller.discard(item.job.id, by=TERMINAL)

    async def skip_all(self) -> None:
        """Nothing is started and nothing is kept."""
        for item in self.open():
            item.status = "skipped"
            if item.job:
                await self._controller.discard(item.job.id, by=TERMINAL)

    def start(self) -> None:
        for item in self.open():
            if item.job and item.job.state is JobState.DRAFT:
                item.job = self._controller.start(item.job.id, by=TERMINAL)

    def cancel(self) -> None:
        for item in self.open():
            if item.job:
                try:
                    self._controller.cancel(item.job.id, by=TERMINAL)
                except TooLate:
                    log.debug("Job %s had ended", item.job.id)

    async def follow(self) -> None:
        """Until every job has ended and, where this process rents, all machines are gone."""
        clock = asyncio.get_running_loop().time
        began_at = clock()
        while self.open():
            await self._controller.wait_for_events(self._cursor, _LOOK_S)
            for event in self._controller.events_after(self._cursor):
                self._cursor = event.id
                await self._tell(event)
            await self._look()
        if self._controller.reconciles:
            await self._fleet.see_off()
        for tag, line in self._last_words:
            self.reporter.say(tag, line)
        self.seconds = clock() - began_at
        self._sum_up()

    @property
    def is_fine(self) -> bool:
        """Whether every video is completed, or was before."""
        return all(item.status in _FINE for item in self.items)

    def cost_usd(self) -> float:
        """The bill: where this process rents, of whole machines, from their creation to their end.

        That is more than the jobs' costs by what passed between them and after the last one.
        """
        jobs = sum(item.job.cost_usd for item in self.items if item.job)
        return max(jobs, self._fleet.bill_usd()) if self._controller.reconciles else jobs

    def rows(self) -> list[dict[str, Any]]:
        """A row for each video, as ``--json`` has it."""
        return [job_row(self._controller, item) for item in self.items]

    def open(self) -> list[Item]:
        """What has not ended."""
        return [item for item in self.items if not item.status]

    async def _tell(self, event: Event) -> None:
        item = next((each for each in self.open() if each.job and each.job.id == event.job), None)
        if item is None:
            return
        item.job = self._controller.get(event.job, by=TERMINAL)
        name = item.source.name
        match event.kind:
            case "assigned":
                self.reporter.say("RUN", f"Processing file: {name}")
            case "waiting":
                why = self._tongue(f"reason-{event.data['reason']}")
                self.reporter.warn(f"{name} waits: {why} ({event.data['detail']})")
            case "retrying":
                await self._look_at(item)
                why = self._tongue(f"reason-{event.data['reason']}")
                self.reporter.warn(f"Attempt {event.data['number']}: {why}; trying again")
            case "cancelling":
                self.reporter.warn(f"Cancelling {name}")
            case "done" | "failed" | "cancelled":
                await self._look_at(item)
                self._finish(item, item.job)

    async def _look(self) -> None:
        self._warn_of_pause()
        self._warn_of_alarms()
        for item in self.open():
            if item.job and item.job.state is JobState.RUNNING:
                await self._look_at(item)
        self._fleet.look()

    def _warn_of_alarms(self) -> None:
        """Once a trouble, and again where it gets worse; chats are no business of a terminal."""
        for alarm in self._controller.troubles():
            told = alarm.kind, alarm.severity, alarm.opened_at
            if alarm.kind is not AlertKind.CHATS and told not in self._warned:
                self._warned.add(told)
                self.reporter.warn(describe_alarm(alarm, self._tongue))

    def _warn_of_pause(self) -> None:
        """Once a pause, where a video waits: it goes on to wait."""
        switch = self._controller.queue.paused
        waits = any(item.job and item.job.state is JobState.QUEUED for item in self.open())
        if switch is None:
            self._pause = None
        elif waits and self._pause != switch.at:
            self._pause = switch.at
            self.reporter.warn(
                "The queue is paused: it waits until an admin resumes it in the chat"
            )

    async def _look_at(self, item: Item) -> None:
        """The machine, its log and the progress of one job, as far as they are new."""
        attempt = self._controller.attempt(item.job.id) if item.job else None
        if item.job is None or attempt is None:
            return
        await self._fleet.show(item.job, attempt)
        if attempt.status and attempt.status.phase is Phase.PROCESSING:
            self.reporter.progress(item.source.name, attempt.status)
        link = None if item.previewed else self._controller.preview_link(item.job)
        if link:
            item.previewed = True
            self.reporter.say("PROGRESS", f"Preview of the first segment: {link}")

    def _finish(self, item: Item, job: Job) -> None:
        match job.state:
            case JobState.DONE:
                item.status = "completed"
                if job.result and job.result.resumed_frames:
                    went_on = f"{job.result.resumed_frames} frames of an earlier attempt"
                    self.reporter.say("OK", f"Went on behind {went_on}")
                self.reporter.say("OK", "Processing completed successfully!")
                self.reporter.say("RESULT", f"Download URL: {self._controller.result_link(job)}")
            case JobState.CANCELLED:
                item.status, item.error = "cancelled", self._reason(job)
            case _:
                item.status, item.error = "failed", self._reason(job)
                # a rented machine may have written it
                said = clean(job.detail, self._controller.settings.secrets)
                detail = f" ({said})" if said else ""
                self.reporter.fail(f"{item.source.name}: {item.error}{detail}")
        tag = "OK" if item.status == "completed" else "END"
        last = f"File {item.number}/{len(self.items)} {item.status}"
        if self.open():
            self.reporter.say(tag, last)
        else:
            self._last_words.append((tag, last))

    def _reason(self, job: Job) -> str:
        return self._tongue(f"reason-{job.reason}") if job.reason else ""

    def _sum_up(self) -> None:
        counts = Counter(item.status for item in self.items)
        kinds = ("completed", "skipped", "failed", "cancelled")
        told = [f"{counts[kind]} {kind}" for kind in kinds if counts[kind]]
        files = f"{len(self.items)} file{'s' if len(self.items) != 1 else ''}"
        parts = [files, *told, show_time(self.seconds), f"${self.cost_usd():.3f}"]
        self.reporter.say("OK" if self.is_fine else "END", f"Total: {', '.join(parts)}")


def describe_error(error: ControllerError, tongue: Tongue) -> str:
    """A refusal in the user's words; reasons of the runner share the texts of failed jobs."""
    key = f"reason-{error.code}" if isinstance(error, UserError) else ""
    return tongue(key) if key and tongue.has(key) else str(error)


def show_time(seconds: float) -> str:
    """``12:34``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
