"""What there is to see of a deployment at one moment: figures for those who watch it.

None always means that a figure is not known now, never that there is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Things that should not stay as they are."""

    count: int = 0
    since: float | None = None
    """How long the one that has waited for longest does, as a time (UTC epoch); None for none."""
    first: str = ""
    """Its id."""

    def age_s(self, now: float) -> float:
        """0 where nothing waits."""
        return 0.0 if self.since is None else max(0.0, now - self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Attempts that ended alike."""

    reason: str
    count: int
    job: str
    """The one whose attempt ended last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A database that was taken from a backup, or copied from elsewhere. Times are UTC epoch."""

    at: float
    as_of: float
    """The moment that its rows are of."""
    why: str
    """``asked``, ``damaged``, ``journal`` or ``copied``."""
    was_deployment: str = ""
    """The deployment whose machines are none of ours any more; empty where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What the database says. Money in US dollars."""

    open_attempts: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    live_machines: int = 0
    """That may still cost money."""
    waiting_jobs: int = 0
    """That want a machine: in the queue, or held for want of an offer."""
    unwanted: Backlog = Backlog()
    """Machines that nothing wants any more and that are not proven gone, since they are not."""
    retiring: Backlog = Backlog()
    """Those of them whose destruction has begun."""
    unanswered: Backlog = Backlog()
    """Create calls of which it is not known whether they made a machine."""
    expired: Backlog = Backlog()
    """Machines past the deadline at which they end by themselves, since then."""
    overdue: Backlog = Backlog()
    """Jobs past their deadline, since then."""
    updates: Backlog = Backlog()
    """Updates of the chat that are kept and not handled."""
    chats: Backlog = Backlog()
    """Events that not every chat was shown."""
    webhook: Backlog = Backlog()
    """Ends of jobs that the webhook was not told of."""
    webhook_events: int = 0
    """How many events of any kind the webhook is behind."""
    failures: tuple[Failures, ...] = ()
    """Of the last hour, by reason, most first; not those that are a file's own fault."""
    reserved_usd: float = 0.0
    """For machines that may still cost money."""
    billed_usd: float = 0.0
    """Today, UTC."""
    committed_usd: float = 0.0
    """Today: what counts against the day's budget, billed or reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """All figures. Ages and durations in seconds."""

    rows: Rows | None = None
    """None where the database cannot be read."""
    writable: bool | None = None
    """Whether something could be committed when that was tried last."""
    uptime_s: float | None = None
    """Since the loops of this process began; None where they do not run here."""
    listing_s: float | None = None
    """Since the last complete listing of machines."""
    spared: int | None = None
    """Instances under our label that no row knows and that were too many to be destroyed."""
    strangers: int | None = None
    """Instances under our label without a live row, in the last complete listing."""
    strays: Backlog | None = None
    """Instances that are destroyed at each listing though no row asks for it, strangers and
    further ones of a label, since the last listing without any."""
    loop_s: Mapping[str, float] = field(default_factory=dict)
    """Since each loop last ticked."""
    notifies: bool = False
    """Whether this process shows events in chats."""
    credit_usd: float | None = None
    """Left on the rental account."""
    free_bytes: int | None = None
    """Of the disk that the data directory is on."""
    backup_s: float | None = None
    """Age of the newest backup."""
    backup_failing: bool | None = None
    """Whether the last one that was tried came to nothing, or none was tried for long."""
    restored: Restored | None = None
    """The last time that the database did not simply go on."""

    @property
    def loops_run(self) -> bool:
        return bool(self.loop_s)
