"""What every loop works with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from controller import policy
from controller.foreign import tidy
from controller.log_ids import logged
from controller.mailbox import Mailbox
from controller.providers.base import Provider
from controller.quotes import Quotes
from controller.records import Attempt, Job, Machine
from controller.settings import Settings
from controller.states import AnyReason, AttemptState, JobState, MachineState, Reason
from controller.storage.base import Storage
from controller.store import Store
from controller.vitals import Vitals

log = logging.getLogger(__name__)

_IDLE_MARGIN_S = 60.0
_LOCAL_IDLE_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts, wired once; everything that changes is in the store."""

    store: Store
    storage: Storage
    mailbox: Mailbox
    provider: Provider
    quotes: Quotes
    settings: Settings
    clock: Callable[[], float]
    vitals: Vitals = field(default_factory=Vitals)

    @property
    def idle_orders_s(self) -> float:
        """How long a runner waits by itself: longer than we do, so that it is ended by our hand
        where there is one, and by its own where there is not."""
        margin_s = _IDLE_MARGIN_S if self.provider.rents else _LOCAL_IDLE_MARGIN_S
        return self.settings.idle_s + margin_s


@logged
def end_attempt(
    context: Context,
    attempt: Attempt,
    to: AttemptState,
    reason: AnyReason,
    detail: str,
    *,
    is_free: bool = False,
) -> None:
    """Close an attempt that brought no result, and decide what becomes of its job.

    The job is retried, given up or, where that was asked for, cancelled. One transaction: nothing
    happens where somebody else has closed the attempt meanwhile. ``is_free`` says that
    there never was a machine to pay for.
    """
    store, now = context.store, context.clock()
    detail = tidy(detail)
    with store.transaction():
        closed = store.attempts.move(attempt, to, ended_at=now, reason=reason, detail=detail)
        if closed is None:
            return
        job = store.jobs.get(attempt.job)
        machine = store.machines.get(attempt.machine)
        if machine:
            if policy.is_hosts_fault(reason):
                store.bans.strike(machine.host, str(reason))
            spent_usd = job.cost_usd
            if is_free:
                store.machines.write_off(machine.id)
            else:
                spent_usd += cost_usd(machine, closed, now)
            job = store.jobs.change(job, cost_usd=spent_usd) or job
            free_machine(context, machine)
        if job.state is JobState.RUNNING:
            _settle_job(context, job, closed, reason, detail)


def free_machine(context: Context, machine: Machine) -> None:
    """A busy machine waits for the next job; one in any other state stays as it is."""
    if machine.state is MachineState.BUSY:
        context.store.machines.move(machine, MachineState.READY, idle_since=context.clock())


def cost_usd(machine: Machine, attempt: Attempt, now: float) -> float:
    """What an attempt cost: its machine from the assignment until now, and its traffic. Whatever
    is noticed late, at its deadline it has ended by itself."""
    until = max(attempt.assigned_at, min(now, machine.expires_at))
    return machine.usd_per_hour * (until - attempt.assigned_at) / 3600 + attempt.traffic_usd


def _settle_job(
    context: Context, job: Job, closed: Attempt, reason: AnyReason, detail: str
) -> None:
    store, now = context.store, context.clock()
    if job.cancel_requested_at is not None:
        store.jobs.move(
            job, JobState.CANCELLED, event="cancelled", data={"reason": Reason.USER},
            ended_at=now, reason=Reason.USER,
        )  # fmt: skip
        return
    earlier = [each for each in store.attempts.of_job(job.id) if each.number < closed.number]
    told = {"reason": str(reason), "number": closed.number}
    if policy.should_retry(job, earlier, reason) and now < job.deadline_at:
        log.info("Job %s attempt %d: %s, trying again: %s", job.id, closed.number, reason, detail)
        wait_s = policy.retry_delay_s(job.attempts)
        store.jobs.move(job, JobState.QUEUED, event="retrying", data=told, not_before=now + wait_s)
        return
    log.warning("Job %s failed after %d attempts: %s", job.id, job.attempts, reason)
    store.jobs.move(
        job, JobState.FAILED, event="failed", data=told,
        ended_at=now, reason=reason, detail=detail,
    )  # fmt: skip
