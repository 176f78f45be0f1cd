"""Finds and ends machines that nothing wants, with the provider's key alone: no loops, no work.

A machine's label says whose it is and when it has to be gone, so that this works from an empty
directory too. What carries no label of ours is never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from controller.errors import RateLimited, Unclear
from controller.labels import Label
from controller.providers.base import Instance, Provider

EXPIRY_MARGIN_S = 600.0
_TRIES = 6
_PROOF = 2
_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A machine that is to be destroyed, and why."""

    instance: str
    label: str
    why: str
    usd_per_hour: float | None


def find_orphans(
    instances: Collection[Instance],
    *,
    deployment: str | None,
    claimed: Collection[str],
    now: float,
) -> list[Orphan]:
    """Machines of ``deployment`` that are not ``claimed`` (ids of machine rows with work).

    With no deployment only machines, of whichever of ours, that are past their expiry by more than
    ten minutes: their own controllers would have ended them.
    """
    found = []
    for instance in sorted(instances, key=lambda each: each.id):
        label = Label.parse(instance.label)
        if label is None:
            continue
        why = _why(label, deployment, claimed, now)
        if why:
            found.append(
                Orphan(
                    instance=instance.id,
                    label=instance.label,
                    why=why,
                    usd_per_hour=instance.usd_per_hour,
                )
            )
    return found


async def end_orphans(
    provider: Provider,
    orphans: Collection[Orphan],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> set[str]:
    """Destroy them; the ids of which it is proven: the provider says so and two complete listings
    do not show them."""
    left = {each.instance for each in orphans}
    absences = dict.fromkeys(left, 0)
    said: set[str] = set()
    proven: set[str] = set()
    for attempt in range(_TRIES):
        try:
            said |= await provider.destroy(sorted(left))
            listed = {each.id for each in await provider.instances()}
        except (Unclear, RateLimited):
            listed = set(left)
        for each in left:
            absences[each] = 0 if each in listed else absences[each] + 1
        proven |= {each for each in left & said if absences[each] >= _PROOF}
        left -= proven
        if not left:
            break
        if attempt < _TRIES - 1:
            await sleep(_PAUSE_S)
    return proven


def _why(label: Label, deployment: str | None, claimed: Collection[str], now: float) -> str | None:
    overdue_s = now - label.expires_at
    expired = f"expired {overdue_s / 60:.0f} min ago" if overdue_s > EXPIRY_MARGIN_S else None
    if deployment is None:
        return expired
    if label.deployment != deployment:
        return None
    # past its deadline no work can be left on it, whatever a database says
    return expired or (None if label.machine in claimed else "no work claims it")
