"""How fast frames come once the work is under way. Standard library only."""

from __future__ import annotations

import time

#: The first so many frames, or a quarter of them if there are few, pay for what a long run pays
#: once: kernels that are chosen or compiled, graphs that are recorded, queues that fill.
_WARM_UP = 16
#: What a run made of a video that others began tells nothing of its speed if it is less than so
#: many frames, and less than such a share: the warm-up would be most of it.
_LEAST, _LEAST_SHARE = 64, 0.25


class Speed:
    """Counts frames; the time of the first ones is left out."""

    def __init__(self) -> None:
        self._marks = [time.monotonic()]
        self.frames = 0

    def note(self) -> None:
        """One more frame is finished."""
        self.frames += 1
        if self.frames <= _WARM_UP:
            self._marks.append(time.monotonic())

    def seconds_for(self, frames: int) -> float | None:
        """What so many frames take at the speed reached until now; None where too few were made
        to tell."""
        if self.frames < min(_LEAST, max(1, _LEAST_SHARE * frames)):
            return None
        warm = min(_WARM_UP, self.frames // 4)
        took_s = time.monotonic() - self._marks[warm]
        return frames * took_s / (self.frames - warm)
