"""Asks the market for the cards of jobs, beside them: a card is drawn anew with the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from controller.errors import ControllerError
from controller.records import Job, PlanQuote
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import to_json

log = logging.getLogger(__name__)

#: A market that did not answer is asked again for the same card no sooner than that.
_AGAIN_S = 60.0

Spawn = Callable[[Coroutine[Any, Any, None]], bool]


class Quoting:
    """At most one asking a job; ``spawn`` runs it, or says that nothing can run now."""

    def __init__(self, controller: Controller, poke: Callable[[str], None], spawn: Spawn) -> None:
        self._controller = controller
        self._poke = poke
        self._spawn = spawn
        self._asking: set[str] = set()
        self._failed: dict[str, tuple[str, float]] = {}
        """By job: for which task there was no answer, and when."""

    def find(self, job: Job) -> PlanQuote | None:
        """What is known, not older than ten minutes; else, and where a sample has been measured
        since, it is asked for."""
        quote = self._controller.known_plan(job)
        if quote is None or self._was_measured_since(job, quote.at):
            self.want(job)
        return quote

    def want(self, job: Job) -> None:
        """Ask, unless that goes on already or was in vain a moment ago."""
        task, failed_at = self._failed.get(job.id, ("", 0.0))
        if job.id in self._asking or (
            task == to_json(job.task) and 0 <= self._controller.clock() - failed_at < _AGAIN_S
        ):
            return
        asking = self._ask(job)
        if self._spawn(asking):
            self._asking.add(job.id)
        else:
            asking.close()

    def _was_measured_since(self, job: Job, at: float) -> bool:
        sample = self._controller.newest_sample(job) if job.state is JobState.DRAFT else None
        if sample is None or sample.state is not JobState.DONE or sample.ended_at is None:
            return False
        # an end that is yet to come was noted by a clock that was ahead: it may stay so for long
        return sample.task == job.task and at < sample.ended_at <= self._controller.clock()

    async def _ask(self, job: Job) -> None:
        try:
            await self._controller.plan(job)
        except ControllerError as error:
            log.warning("job %s has no quote: %s", job.id, type(error).__name__)
            self._note_failure(job)
        except Exception:
            # a card without a quote is no reason to show no cards
            log.exception("job %s has no quote", job.id)
            self._note_failure(job)
        else:
            self._failed.pop(job.id, None)
        finally:
            self._asking.discard(job.id)
        # if the task has become another one meanwhile, drawing it asks again
        self._poke(job.id)

    def _note_failure(self, job: Job) -> None:
        now = self._controller.clock()
        self._failed = {
            k: each for k, each in self._failed.items() if 0 <= now - each[1] < _AGAIN_S
        }
        self._failed[job.id] = to_json(job.task), now
