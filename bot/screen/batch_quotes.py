"""Asks the market for batches, beside the cards: a card is drawn anew when the answer is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence, Set
from typing import Any

from controller.batches import BatchQuote, add_up
from controller.errors import ControllerError
from controller.records import TERMINAL, Batch, Job
from controller.service import Controller
from controller.states import JobState
from remote_runner.protocol import to_json

log = logging.getLogger(__name__)

_FRESH_S = 600.0
_AGAIN_S = 60.0

Spawn = Callable[[Coroutine[Any, Any, None]], bool]


class BatchQuotes:
    """At most one asking a batch; ``spawn`` runs it, or says that nothing can run now."""

    def __init__(self, controller: Controller, poke: Callable[[str], None], spawn: Spawn) -> None:
        self._controller = controller
        self._poke = poke
        self._spawn = spawn
        self._known: dict[str, tuple[str, float, BatchQuote]] = {}
        """By batch: for which drafts and task, when it was asked, and the answer."""
        self._asking: set[str] = set()

    def find(self, batch: Batch, jobs: Sequence[Job]) -> BatchQuote | None:
        """What is known of the drafts among ``jobs``, not older than ten minutes; else asked for.

        A quote of no files says that the market did not answer.
        """
        what = _describe(jobs)
        now = self._controller.clock()
        known, at, quote = self._known.get(batch.id, ("", 0.0, add_up(())))
        fresh_s = _FRESH_S if quote.files else _AGAIN_S
        if known == what and now - at < fresh_s:
            return quote
        if batch.id not in self._asking:
            asking = self._ask(batch.id, what, {job.id for job in jobs})
            if self._spawn(asking):
                self._asking.add(batch.id)
            else:
                asking.close()
        return None

    async def _ask(self, batch_id: str, what: str, only: Set[str]) -> None:
        quote = add_up(())
        try:
            quote = await self._controller.batches.plan(batch_id, by=TERMINAL, only=only)
        except ControllerError as error:
            log.warning("batch %s has no quote: %s", batch_id, type(error).__name__)
        except Exception:
            # a card without a quote is no reason to show no cards
            log.exception("batch %s has no quote", batch_id)
        finally:
            self._asking.discard(batch_id)
        now = self._controller.clock()
        self._known = {key: each for key, each in self._known.items() if now - each[1] < _FRESH_S}
        self._known[batch_id] = (what, now, quote)
        self._poke(f"batch:{batch_id}")


def _describe(jobs: Sequence[Job]) -> str:
    drafts = [job for job in jobs if job.state is JobState.DRAFT]
    return "|".join([*(job.id for job in drafts), *(to_json(job.task) for job in drafts[:1])])
