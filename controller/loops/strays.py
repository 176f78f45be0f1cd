"""What becomes of copies of results that nobody waits for any more.

A copy whose answer did not come may still be made, for half an hour. Where results of two attempts
bear one name, that is after the later one was published: then what was recorded is not what is
there. It cannot be prevented, as a service has no way to take a copy back, so it is mended:

- Each attempt claims its key before it copies, and once more where its copy came to nothing, so
  that there is a claim for all that may still be made. What is published gives up its own alone.
- No key is deleted while its job goes on, nor ever the one that was published: nothing but a copy
  can come late there, and what it makes is a result that was looked at like any other.
- For half an hour after the end of the job, and after the last word of a copy, what is found under
  the claims is deleted or, where it is what was published, copied again from the attempt that it
  is of. That output is kept until the claims are gone. With the last look, what is there is hashed
  or copied once more: nothing comes after that.
"""

from __future__ import annotations

import logging

from controller.errors import ControllerError, NotStored
from controller.log_ids import logged
from controller.loops.context import Context
from controller.places import output_key
from controller.records import Claim, Job
from controller.states import AttemptState

log = logging.getLogger(__name__)

_LATE_COPY_S = 1800.0
_READ_BYTES = 16 << 20
"""What is no longer is read at each look; of larger ones the size says enough until the last."""


async def settle_claims(context: Context) -> int:
    """How many claims on keys are over."""
    count = 0
    for claim in context.store.claims.of_ended():
        count += await _settle(context, context.store.jobs.get(claim.job), claim)
    return count


@logged
async def _settle(context: Context, job: Job, claim: Claim) -> bool:
    is_over = context.clock() - claim.at > _LATE_COPY_S
    try:
        if claim.key == job.output_key:
            await _keep_right(context, job, claim.key, is_last=is_over)
        else:
            await context.storage.delete(claim.key)
    except ControllerError as error:
        log.warning("What a late copy leaves of job %s is not settled yet: %s", job.id, error)
        return False
    if is_over:
        context.store.claims.drop(claim.job, claim.attempt, claim.key)
    return is_over


async def _keep_right(context: Context, job: Job, key: str, *, is_last: bool) -> None:
    """Copy what was published once more, unless it is there; what somebody removed stays away."""
    storage = context.storage
    try:
        entry = await storage.stat(key)
    except NotStored:
        return
    if entry.bytes == job.output_bytes:
        digest = await storage.sha256(key) if entry.bytes <= _READ_BYTES else None
        if digest == job.output_sha256 or (digest is None and not is_last):
            return
    attempts = context.store.attempts.of_job(job.id)
    source = next(each for each in attempts if each.state is AttemptState.VERIFIED)
    try:
        await storage.copy(output_key(source), key)
    except NotStored:
        log.error("The result of job %s is not copied again: its attempt's output is gone", job.id)
        return
    log.info("The result of job %s is copied again: an earlier copy may have come late", job.id)
