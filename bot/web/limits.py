"""How often one page may ask, so that a stuck or hostile one leaves room for the others."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controller.errors import UploadBusy

_MOST_PAGES = 10_000


class Turns:
    """A bucket of tokens and a count of what goes on, for each name."""

    def __init__(
        self,
        *,
        per_second: float,
        burst: int,
        at_once: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._at_once = at_once
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._active: dict[str, int] = {}

    @contextmanager
    def take(self, name: str) -> Iterator[None]:
        """One turn while the context is open; :class:`UploadBusy` where there is none left."""
        now = self._clock()
        left, at = self._tokens.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_second)
        active = self._active.get(name, 0)
        self._tokens[name] = (max(0.0, left - 1), now)
        if len(self._tokens) > _MOST_PAGES:
            self._tokens.popitem(last=False)
        if left < 1 or active >= self._at_once:
            raise UploadBusy
        self._active[name] = active + 1
        try:
            yield
        finally:
            self._active[name] -= 1
            if not self._active[name]:
                del self._active[name]
