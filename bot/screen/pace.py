"""How often a chat's cards may be edited."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.feed.poller import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Intervals in seconds. Edits count like messages (core.telegram.org/bots/faq):
    about one a second in a chat, twenty a minute in a group."""

    steps: tuple[tuple[float, float], ...] = ((60, 3), (600, 5), (3600, 15))
    """Up to this age of a job, an edit of progress that often."""
    slowest_s: float = 60.0
    group_s: float = 15.0
    """At least this much in groups."""
    gap_s: float = 1.0
    """Between any two edits of a chat, so also for what should be seen at once."""
    group_gap_s: float = 3.0
    backoff: Backoff = field(default_factory=Backoff)
    stubborn: Backoff = field(default_factory=lambda: Backoff(longest_s=300.0))
    """For a delivery that breaks for an unknown reason."""

    def interval_s(self, age_s: float, *, group: bool) -> float:
        """Between two edits of progress of a job that was started so long ago."""
        wait_s = next((wait for limit, wait in self.steps if age_s < limit), self.slowest_s)
        return max(wait_s, self.group_s) if group else wait_s
