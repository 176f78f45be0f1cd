"""Gathers what cards are drawn from: rows, what the market said, what the log says."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.cards.group import GroupSnapshot
from bot.cards.progress import SILENT_AFTER_S
from bot.cards.view import BatchSnapshot, Snapshot
from bot.names import find_language, find_name
from bot.roles import find_admins, find_role
from bot.screen.batch_quotes import BatchQuotes
from bot.screen.quoting import Quoting
from bot.screen.shown import Shown
from bot.settings import BotSettings
from controller.errors import NoSuchJob, StorageError, Unclear
from controller.records import TERMINAL, Attempt, Batch, Job, Role
from controller.service import Controller
from controller.states import JobState

log = logging.getLogger(__name__)

_WAITING = (JobState.DRAFT, JobState.HELD, JobState.QUEUED)
#: Jobs of a group that ended so recently stay on its card.
_RECENT_S = 600.0


class Snapshots:
    """Everything here is quick but :meth:`read_log`, which asks storage."""

    def __init__(
        self,
        controller: Controller,
        settings: BotSettings,
        quotes: BatchQuotes,
        quoting: Quoting,
    ) -> None:
        self._controller = controller
        self._settings = settings
        self._quotes = quotes
        self._quoting = quoting
        self._logs: dict[str, tuple[str, ...]] = {}
        """What was read last for cards that show their log."""

    async def read_log(self, job: Job) -> None:
        """Fetch the last lines for a card that shows them; what cannot be read is left."""
        try:
            self._logs[job.id] = tuple(await self._controller.logs(job.id, by=TERMINAL))
        except (StorageError, Unclear, NoSuchJob) as error:
            log.info("the log of %s cannot be read: %s", job.id, type(error).__name__)

    def take(self, job: Job, shown: Shown, *, combined: bool = False) -> Snapshot:
        controller, now = self._controller, self._controller.clock()
        attempts = tuple(controller.attempts(job.id))
        running = job.state is JobState.RUNNING
        machine = controller.machine(attempts[-1].machine) if running and attempts else None
        sample = self.find_sample(job)
        if not shown.details or job.state.is_terminal:
            self._logs.pop(job.id, None)
        return Snapshot(
            job=job,
            now=now,
            attempts=attempts,
            estimate=controller.estimate(job) if job.state in _WAITING else None,
            quote=self._quoting.find(job) if job.state in _WAITING else None,
            position=controller.queue_position(job) if job.state is JobState.QUEUED else 0,
            machine=machine.name if machine else "",
            confirming=shown.confirm_until > now,
            retried=shown.retried,
            preview=self._find_preview(job) if machine else "",
            page=shown.page,
            details=self._logs.get(job.id, ()) if shown.details else (),
            detailed=shown.details,
            sample=sample,
            sample_attempts=tuple(controller.attempts(sample.id)) if sample else (),
            spent_usd=self.find_spent(job, attempts),
            frame=running and controller.has_frame(job),
            silent_since=find_silence(attempts, now) if running else None,
            combined=combined and job.state in (JobState.QUEUED, JobState.RUNNING),
            admin=find_role(controller, self._settings, job.owner) is Role.ADMIN,
            askable=any(admin != job.owner for admin in find_admins(controller, self._settings)),
            cap_usd_per_hour=(
                controller.settings.max_price
                if job.approved_usd_per_hour is None
                else job.approved_usd_per_hour
            ),
            names={
                user: find_name(controller, user)
                for user in (job.owner, job.approved_by)
                if user is not None
            },
        )

    def take_batch(self, batch: Batch, jobs: Sequence[Job], shown: Shown) -> BatchSnapshot:
        controller, now = self._controller, self._controller.clock()
        done_before = controller.batches.done_before(batch.id)
        wanted = [
            job
            for job in jobs
            if job.state is JobState.DRAFT and (shown.again or job.id not in done_before)
        ]
        sample = self.find_newest_sample(jobs)
        running = [
            job for job in (*jobs, sample) if job is not None and job.state is JobState.RUNNING
        ]
        return BatchSnapshot(
            batch=batch,
            jobs=tuple(jobs),
            now=now,
            attempts={
                job.id: attempt for job in running if (attempt := controller.attempt(job.id))
            },
            done_before=done_before,
            quote=self._quotes.find(batch, wanted) if wanted and batch.taken_at else None,
            sample=sample,
            page=int(shown.page) if shown.page.isdecimal() else 0,
            setting="" if shown.page.isdecimal() else shown.page,
            confirming=shown.confirm_until > now,
            again=shown.again,
            spent_usd=sum(
                map(self.find_spent, jobs), start=controller.batches.spent_before(batch.id)
            ),
            admin=find_role(controller, self._settings, batch.owner) is Role.ADMIN,
            owner=find_name(controller, batch.owner),
        )

    def take_group(self, chat: int, jobs: Sequence[Job], shown: Shown) -> GroupSnapshot:
        controller, now = self._controller, self._controller.clock()
        page, _, asked = shown.page.partition(":")
        return GroupSnapshot(
            jobs=tuple(jobs),
            recent=tuple(self.list_recent(chat)),
            now=now,
            attempts={each.id: found for each in jobs if (found := controller.attempt(each.id))},
            positions={
                each.id: controller.queue_position(each)
                for each in jobs
                if each.state is JobState.QUEUED
            },
            page=int(page) if page.isdecimal() else 0,
            asked=asked if shown.confirm_until > now else "",
        )

    def list_recent(self, chat: int) -> list[Job]:
        """Jobs of a group that ended a short while ago."""
        after = self._controller.clock() - _RECENT_S
        return self._controller.jobs_in(chat, ended_after=after)

    def find_sample(self, job: Job) -> Job | None:
        """The newest one of a draft."""
        return self._controller.newest_sample(job) if job.state is JobState.DRAFT else None

    def find_newest_sample(self, jobs: Sequence[Job]) -> Job | None:
        """Of all drafts of a batch."""
        samples = [found for job in jobs if (found := self.find_sample(job))]
        return max(samples, key=lambda each: each.created_at, default=None)

    def find_spent(self, job: Job, attempts: Sequence[Attempt] = ()) -> float:
        """Dollars so far, with the time of the attempt that goes on."""
        if job.state is not JobState.RUNNING or not self._controller.rents:
            return job.cost_usd
        attempt = attempts[-1] if attempts else self._controller.attempt(job.id)
        machine = self._controller.machine(attempt.machine) if attempt else None
        if attempt is None or machine is None or attempt.state.is_terminal:
            return job.cost_usd
        hours = max(0.0, self._controller.clock() - attempt.assigned_at) / 3600
        return job.cost_usd + machine.usd_per_hour * hours + attempt.traffic_usd

    def is_admin(self, user: int) -> bool:
        return find_role(self._controller, self._settings, user) is Role.ADMIN

    def find_language(self, user: int, other: str = "en") -> str:
        return find_language(self._controller, user, other)

    def _find_preview(self, job: Job) -> str:
        attempt = self._controller.attempt(job.id)
        if attempt is None or attempt.status is None or not attempt.status.preview:
            return ""
        return self._controller.links.link(job, "preview")


def find_silence(attempts: Sequence[Attempt], now: float) -> float | None:
    """Since when nothing was heard of the newest attempt, where that is too long ago."""
    if not attempts or attempts[-1].state.is_terminal or attempts[-1].status is None:
        return None
    seen_at = attempts[-1].seen_at or attempts[-1].assigned_at
    return seen_at if now - seen_at > SILENT_AFTER_S else None
