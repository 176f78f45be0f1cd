"""How often a chat's cards may be edited, and how much may be sent to a chat at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.feed.poller import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most ``calls`` in any ``seconds``."""

    calls: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Intervals in seconds. Edits count like messages (core.telegram.org/bots/faq):
    about one a second in a chat, twenty a minute in a group."""

    steps: tuple[tuple[float, float], ...] = ((60, 3), (600, 5), (3600, 15), (4 * 3600, 30))
    """Up to this age of a job, an edit of progress that often."""
    slowest_s: float = 60.0
    group_s: float = 15.0
    """At least this much in groups."""
    jitter: float = 0.1
    """Intervals are longer or shorter by up to this share, so that chats do not beat together."""
    gap_s: float = 1.0
    """Between any two edits of a chat, so also for what should be seen at once."""
    group_gap_s: float = 3.0
    private: Window | None = Window(calls=20, seconds=20.0)
    """Of all that is sent to one person, answers and results included; None: no limit."""
    group: Window | None = Window(calls=20, seconds=61.0)
    """Of all that is sent to one group; a second more than a minute, for clocks and wires."""
    global_per_s: float = 20.0
    """Over all chats; the platform takes about thirty."""
    patience_s: float = 90.0
    """An answer waits so long for its turn; after that whoever sends it has to come again."""
    backoff: Backoff = field(default_factory=Backoff)
    stubborn: Backoff = field(default_factory=lambda: Backoff(longest_s=300.0))
    """For a delivery that breaks for an unknown reason."""

    def interval_s(self, age_s: float, *, group: bool) -> float:
        """Between two edits of progress of a job that was started so long ago."""
        wait_s = next((wait for limit, wait in self.steps if age_s < limit), self.slowest_s)
        return max(wait_s, self.group_s) if group else wait_s

    def shake(self, seconds: float, random: Callable[[], float], *, group: bool) -> float:
        """With jitter by ``random()`` in [0, 1); never below what groups need."""
        shaken = seconds * (1 + self.jitter * (2 * random() - 1))
        return max(shaken, self.group_s) if group else shaken
