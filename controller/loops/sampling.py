"""Ends samples whose draft is one no more: it was started, held, cancelled, or has expired."""

from __future__ import annotations

from controller.loops.context import Context
from controller.states import JobState, Reason
from controller.store import Store


def end_orphans(context: Context) -> int:
    """Cancel every sample that nobody waits for; how many that were."""
    now, count = context.clock(), 0
    for draft_id in context.store.jobs.left_by_drafts():
        with context.store.transaction():
            count += cancel_samples(context.store, draft_id, now)
    return count


def cancel_samples(store: Store, draft_id: str, now: float) -> int:
    """Cancel what goes on for a draft, inside the caller's transaction; how many that are."""
    count = 0
    for sample in store.jobs.samples_of(draft_id):
        if sample.state.is_terminal or sample.cancel_requested_at is not None:
            continue
        if sample.state is JobState.RUNNING:
            changed = store.jobs.change(sample, event="cancelling", cancel_requested_at=now)
        else:
            changed = store.jobs.move(
                sample, JobState.CANCELLED, event="cancelled", data={"reason": Reason.USER},
                ended_at=now, cancel_requested_at=now, reason=Reason.USER,
            )  # fmt: skip
        count += changed is not None
    return count
