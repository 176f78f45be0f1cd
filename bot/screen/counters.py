"""What was said to the platform, counted since the start."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(slots=True, kw_only=True)
class Counters:
    """Counts only grow."""

    sends: int = 0
    edits: int = 0
    too_many: int = 0
    """Calls that the platform refused with 429."""
    postponed: int = 0
    """Edits of progress that were left out, as their chat had no room for them."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)
