"""What an attempt is given: its job, and the segments of earlier ones to go on behind."""

from __future__ import annotations

from controller.backups import last_restoration
from controller.grants import Lot
from controller.loops.context import Context
from controller.places import attempt_prefix
from controller.records import Attempt, Job, Machine
from controller.states import Reason
from remote_runner.protocol import Outcome, ProtocolError
from remote_runner.protocol import Reason as RunnerReason

#: Ends that speak against what was made: the next attempt makes it anew.
_TAINTED = frozenset({Reason.BAD_RESULT, RunnerReason.GATE_FAILED})
_MOST_JOBS = 10


async def write_grant(context: Context, machine: Machine, job: Job, attempt: Attempt) -> None:
    """Give an attempt its job, its URLs, and what is finished already."""
    await context.mailbox.write_grant(
        machine, job, attempt, context.settings.runner_device, find_lots(context, job, attempt)
    )


async def clear_lost_time(context: Context, job: Job, attempt: Attempt) -> None:
    """Remove what an attempt of the same number left that a restored database does not know.

    Its failure would end the new one. A result that it left stays: it is looked at like any other.
    """
    restored = last_restoration(context.store)
    if restored is None or job.created_at > restored.at:
        return
    try:
        result = await context.mailbox.result(attempt)
    except ProtocolError:
        result = None
    if result is None or result.outcome is not Outcome.DONE:
        await context.storage.delete_prefix(attempt_prefix(attempt))


def find_lots(context: Context, job: Job, attempt: Attempt) -> list[Lot]:
    """Of earlier attempts at the job and at those that it repeats, the newest job first.

    Back to the last one whose result was wrong: what that rested on is not trusted. A sample
    saves none.
    """
    lots: list[Lot] = []
    before = attempt.number
    current: Job | None = job if job.sample_of is None else None
    while current is not None and len(lots) < _MOST_JOBS:
        ended = [
            each for each in context.store.attempts.of_job(current.id) if each.number < before
        ]
        tainted = max((each.number for each in ended if each.reason in _TAINTED), default=0)
        numbers = frozenset(each.number for each in ended if each.number > tainted)
        if numbers:
            lots.append(Lot(job=current.id, attempts=numbers))
        if tainted or current.predecessor is None:
            break
        current = context.store.jobs.get(current.predecessor)
        before = current.attempts + 1
    return lots
