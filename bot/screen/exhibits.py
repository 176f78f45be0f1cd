"""What a card's subject is now: what to draw, how often to look, whether it has ended.

Subjects are ``<job id>``, ``batch:<id>``, ``group:<chat>``, ``ask:<job>:<admin>`` and
``alerts:<admin>``. A job of a batch and a sample have no card of their own; their rows only
remember that they were handed out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from bot.cards.alerts import AlertsSnapshot, draw_alerts
from bot.cards.asking import draw_ask, waits_for_price
from bot.cards.batch import draw_batch, draw_batch_ask
from bot.cards.card import draw_card
from bot.cards.group import draw_group
from bot.cards.view import View
from bot.feed.albums import is_quiet
from bot.screen.alarms import find_ring
from bot.screen.shown import Shown
from bot.screen.snapshots import Snapshots
from bot.texts import Texts
from controller.alarms import list_standing
from controller.errors import NoSuchJob
from controller.records import TERMINAL, Batch, Card, Job
from controller.service import Controller
from controller.states import JobState, Reason

_WORKING = (JobState.QUEUED, JobState.RUNNING)
#: Drafts that come about without a message that became their card.
_CARDLESS = ("web:", "redo:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One thing that has a card, or at least an end to be told, in a chat."""

    card: Card
    language: str
    since: float
    """When what it shows began, by the controller's clock."""
    live: bool
    """Its progress is to be followed."""
    ended: bool
    """It changes no more, and its end is to be told."""
    draw: Callable[[Shown], View] | None = None
    """None for what has no card of its own."""
    reply_to: int | None = None
    ring: int = 0
    """Whoever was not rung for this yet gets a new message, audibly; 0 for what never rings."""
    job: Job | None = None
    batch: Batch | None = None

    @property
    def subject(self) -> str:
        return self.card.subject


class Exhibits:
    """Finds them by subject, and the subjects that a job concerns."""

    def __init__(self, controller: Controller, texts: Texts, snapshots: Snapshots) -> None:
        self._controller = controller
        self._texts = texts
        self._snapshots = snapshots

    def find_job(self, job_id: str) -> Job | None:
        """None for a job that is pruned."""
        try:
            return self._controller.get(job_id, by=TERMINAL)
        except NoSuchJob:
            return None

    def find_card(self, job: Job) -> Card | None:
        """The job's card, made if need be; None for a job that has no place in a chat.

        A draft's card is made by whoever takes the video in. A started job without one is a
        retry, or its row was lost: it gets one here, and so does what no message brought in.
        """
        card = self._controller.card(job.id)
        if card is not None or job.chat is None:
            return card
        if job.batch is not None or job.sample_of is not None:
            return None
        if job.started_at is None and not job.request_key.startswith(_CARDLESS):
            return None
        return self.make_card(job.id, job.chat)

    def make_card(self, subject: str, chat: int) -> Card:
        """A row for a message that is not sent yet, in the place of an earlier one."""
        card = Card(
            subject=subject, chat=chat, message=None, shown="", finished=False, delivering_at=None
        )
        self._controller.save_card(card)
        return card

    def list_subjects(self, job: Job) -> list[str]:
        """What has to be looked at when a job has changed."""
        subjects = []
        if job.sample_of is not None:
            draft = self.find_job(job.sample_of)
            subjects += [job.id, *(self.list_subjects(draft) if draft else ())]
        elif job.batch is not None:
            subjects += [job.id, f"batch:{job.batch}"]
        else:
            subjects.append(job.id)
            card = self._controller.card(job.id)
            chat = card.chat if card else job.chat
            if chat is not None and chat < 0 and job.started_at is not None:
                subjects.append(f"group:{chat}")
        return subjects

    def find(self, subject: str) -> Exhibit | None:
        """None for what is no more, or has no place in a chat."""
        kind, _, rest = subject.rpartition(":") if subject.startswith("ask:") else (
            subject.partition(":")
        )  # fmt: skip
        match kind:
            case "batch":
                return self._find_batch(rest)
            case "group":
                return self._find_group(int(rest))
            case "alerts":
                return self._find_alerts(subject, int(rest))
            case _ if kind.startswith("ask:"):
                return self._find_ask(subject, kind.removeprefix("ask:"))
        job = self.find_job(subject)
        if job is None:
            return None
        if job.batch is not None or job.sample_of is not None:
            return self._find_part(job)
        return self._find_job(job)

    def _find_job(self, job: Job) -> Exhibit | None:
        card = self.find_card(job)
        if card is None:
            return None
        combined = card.chat < 0
        sample = self._snapshots.find_sample(job)
        sampling = sample is not None and not sample.state.is_terminal
        # a question that nobody answers has to go away again
        asking = Shown.read(card.shown).confirm_until > self._controller.clock()
        return Exhibit(
            card=card,
            language=job.language,
            since=job.started_at or job.created_at,
            live=sampling or (job.state in _WORKING and (asking or not combined)),
            ended=job.state.is_terminal,
            draw=lambda shown: draw_card(
                self._snapshots.take(job, shown, combined=combined), self._texts[job.language]
            ),
            reply_to=job.reply_to if job.chat == card.chat else None,
            job=job,
        )

    def _find_part(self, job: Job) -> Exhibit | None:
        """A sample, or a file of a batch that came through the chat: only handed out."""
        if job.chat is None or not job.state.is_terminal:
            return None
        if job.sample_of is None and (job.reply_to is None or job.state is not JobState.DONE):
            return None
        return Exhibit(
            card=self._controller.card(job.id) or self.make_card(job.id, job.chat),
            language=job.language,
            since=job.created_at,
            live=False,
            ended=True,
            reply_to=job.reply_to,
            job=job,
        )

    def _find_batch(self, batch_id: str) -> Exhibit | None:
        try:
            batch = self._controller.batches.require(batch_id)
        except NoSuchJob:
            return None
        if batch.chat is None:
            return None
        chat = batch.chat
        if batch.taken_at is None and is_quiet(chat, self._controller):
            # whoever was to say that all has come in was given up
            batch = self._controller.batches.finish(batch.id)
        subject = f"batch:{batch.id}"
        jobs = self._controller.batches.jobs(batch.id)
        started = [job.started_at for job in jobs if job.started_at is not None]
        active = any(not job.state.is_terminal for job in jobs)
        sample = self._snapshots.find_newest_sample(jobs)
        sampling = sample is not None and not sample.state.is_terminal
        card = self._controller.card(subject) or self.make_card(subject, chat)
        if card.finished and active:
            # something was tried again: the card goes on, and its end is told anew
            shown = dataclasses.replace(Shown.read(card.shown), told=0)
            card = dataclasses.replace(card, finished=False, shown=str(shown))
            self._controller.save_card(card)
        return Exhibit(
            card=card,
            language=batch.language,
            since=min(started, default=batch.created_at),
            live=batch.taken_at is None or sampling or any(job.state in _WORKING for job in jobs),
            ended=batch.taken_at is not None and not active,
            draw=lambda shown: draw_batch(
                self._snapshots.take_batch(batch, jobs, shown), self._texts[batch.language]
            ),
            reply_to=batch.reply_to if chat == card.chat else None,
            batch=batch,
        )

    def _find_group(self, chat: int) -> Exhibit | None:
        """The common card, which begins anew at the bottom when all had ended."""
        subject = f"group:{chat}"
        jobs = self._controller.jobs_in(chat)
        card = self._controller.card(subject)
        if jobs and (card is None or card.finished):
            card = self.make_card(subject, chat)
        if card is None:
            return None
        last = jobs or self._snapshots.list_recent(chat)
        language = last[-1].language if last else "en"
        return Exhibit(
            card=card,
            language=language,
            since=min((job.started_at or job.created_at for job in jobs), default=0.0),
            live=bool(jobs),
            ended=not jobs,
            draw=lambda shown: draw_group(
                self._snapshots.take_group(chat, jobs, shown), self._texts[language]
            ),
        )

    def _find_alerts(self, subject: str, admin: int) -> Exhibit | None:
        """What is wrong now; for whoever is no admin any more there is nothing."""
        if not self._snapshots.is_admin(admin):
            return None
        alarms = self._controller.alarms()
        standing, ring = list_standing(alarms), find_ring(alarms)
        card = self._controller.card(subject)
        if standing and (card is None or card.finished):
            if card is None or ring > Shown.read(card.shown).rung:
                # what was told before stays above, as it ended
                card = self.make_card(subject, admin)
            else:
                card = dataclasses.replace(card, finished=False)
                self._controller.save_card(card)
        if card is None:
            return None
        shot = AlertsSnapshot(alarms=alarms, rents=self._controller.rents)
        language = self._snapshots.find_language(admin)
        return Exhibit(
            card=card,
            language=language,
            since=min((each.opened_at for each in standing), default=0.0),
            live=False,
            ended=not standing,
            ring=ring,
            draw=lambda _: draw_alerts(shot, self._texts[language]),
        )

    def _find_ask(self, subject: str, job_id: str) -> Exhibit | None:
        job, card = self.find_job(job_id), self._controller.card(subject)
        if card is None:
            return None
        if job is None:
            return self._find_batch_ask(card, job_id)
        language = self._snapshots.find_language(card.chat, job.language)
        return Exhibit(
            card=card,
            language=language,
            since=job.created_at,
            live=False,
            ended=job.state is not JobState.HELD and not waits_for_price(job),
            draw=lambda shown: draw_ask(self._snapshots.take(job, shown), self._texts[language]),
            job=job,
        )

    def _find_batch_ask(self, card: Card, batch_id: str) -> Exhibit | None:
        """One for all files of a batch that wait for a yes."""
        try:
            batch = self._controller.batches.require(batch_id)
        except NoSuchJob:
            return None
        jobs = self._controller.batches.jobs(batch.id)
        language = self._snapshots.find_language(card.chat, batch.language)
        return Exhibit(
            card=card,
            language=language,
            since=batch.created_at,
            live=False,
            ended=not any(map(asks_admins, jobs)),
            draw=lambda shown: draw_batch_ask(
                self._snapshots.take_batch(batch, jobs, shown), self._texts[language]
            ),
        )


def asks_admins(job: Job) -> bool:
    """Whether a job waits for a yes that only admins can give."""
    return job.state is JobState.HELD and job.held_for is not Reason.TOO_LONG
