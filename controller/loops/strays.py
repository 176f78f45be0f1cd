"""What becomes of copies of results that nobody waits for any more.

A copy whose answer did not come may still be made, for half an hour. Results of two attempts may
bear one name: such a copy then replaces what the later one has published. It cannot be prevented,
as a service has no way to take a copy back, so it is mended:

- Each attempt claims its key before it copies, and once more where its copy came to nothing, so
  that there is a claim for all that may still be made. What is published gives up its own alone.
- No key is deleted while its job goes on, nor ever the one that was published: nothing but a copy
  can come late there, and what it makes is a result that was looked at like any other.
- For half an hour after the end of the job, and after the last word of a copy, what is found under
  the claims is deleted or, where it is what was published, copied again from its attempt's
  output, which is kept until the claims are gone. With the last look, what is there is hashed or
  copied once more: nothing comes after that.
"""

from __future__ import annotations

import asyncio
import functools
import logging

from controller.errors import ControllerError, NotStored
from controller.log_ids import logged
from controller.loops.context import Context
from controller.loops.tasks import Tasks
from controller.places import output_key
from controller.records import Claim, Job
from controller.states import AttemptState

log = logging.getLogger(__name__)

_LATE_COPY_S = 1800.0
_READ_BYTES = 16 << 20
"""Up to this size it is hashed at each look; of larger ones the size is enough until the last."""
_AT_ONCE = 4


class Strays:
    """Settles the claims on keys, each in a task of its own: a copy may take an hour."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._settling: Tasks[tuple[str, int, str]] = Tasks()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    def begin(self) -> None:
        """Look at every claim that is not being looked at."""
        for claim in self._context.store.claims.of_ended():
            key = claim.job, claim.attempt, claim.key
            self._settling.start(key, functools.partial(self._settle, claim))

    async def settle(self) -> None:
        """Wait for the looks that are under way."""
        await self._settling.settle()

    async def close(self) -> None:
        """Drop the looks under way; they begin anew after a restart."""
        await self._settling.close()

    async def _settle(self, claim: Claim) -> None:
        async with self._gate:
            try:
                await self._settle_one(self._context.store.jobs.get(claim.job), claim)
            except ControllerError as error:
                log.warning(
                    "What a late copy leaves of job %s is not settled yet: %s", claim.job, error
                )
            except Exception:
                log.exception("What a late copy leaves of job %s is not settled", claim.job)

    @logged
    async def _settle_one(self, job: Job, claim: Claim) -> None:
        is_over = self._context.clock() - claim.at > _LATE_COPY_S
        if claim.key == job.output_key:
            await self._keep_right(job, claim.key, is_last=is_over)
        else:
            await self._context.storage.delete(claim.key)
        if is_over:
            # one that was claimed anew meanwhile counts from then
            self._context.store.claims.drop(claim.job, claim.attempt, claim.key, until=claim.at)

    async def _keep_right(self, job: Job, key: str, *, is_last: bool) -> None:
        """Copy what was published once more, unless it is there; what somebody removed stays
        away."""
        storage = self._context.storage
        try:
            entry = await storage.stat(key)
        except NotStored:
            return
        if entry.bytes == job.output_bytes:
            digest = await storage.sha256(key) if entry.bytes <= _READ_BYTES else None
            if digest == job.output_sha256 or (digest is None and not is_last):
                return
        attempts = self._context.store.attempts.of_job(job.id)
        verified = [each for each in attempts if each.state is AttemptState.VERIFIED]
        try:
            for source in verified:
                await storage.copy(output_key(source), key)
        except NotStored:
            verified = []
        if verified:
            log.info("The result of job %s is copied again: an earlier copy may be late", job.id)
        else:
            log.error("The result of job %s is not copied again: its output is gone", job.id)
