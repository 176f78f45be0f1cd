"""Runs the loops side by side; none of them ever ends the others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from controller.errors import ControllerError
from controller.vitals import Vitals

log = logging.getLogger(__name__)

_LONGEST_BACKOFF_S = 60.0
_LAG_S = 1.0
"""Between two measurements of how late the event loop is."""


class Loop(Protocol):
    """One duty."""

    async def tick(self) -> int: ...


class Supervisor:
    """Ticks every loop at its own interval, sooner when it is woken."""

    def __init__(self, loops: dict[str, tuple[Loop, float]], vitals: Vitals | None = None) -> None:
        self._loops = loops
        self._vitals = vitals or Vitals()
        self._bells = {name: asyncio.Event() for name in loops}

    def wake(self) -> None:
        """There is something to do: do not wait for the next interval."""
        for bell in self._bells.values():
            bell.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._vitals.beat("start")
        async with asyncio.TaskGroup() as group:
            for name, (loop, interval_s) in self._loops.items():
                group.create_task(self._run(name, loop, interval_s), name=name)
            group.create_task(self._measure_lag(), name="lag")

    async def _run(self, name: str, loop: Loop, interval_s: float) -> None:
        failures = 0
        self._vitals.beat(f"loop:{name}")
        while True:
            try:
                with self._vitals.timing("tick", name):
                    await loop.tick()
                failures = 0
            except ControllerError as error:
                failures += 1
                log.warning("%s: %s", name, error)
            except Exception:
                failures += 1
                log.exception("%s failed and goes on", name)
            self._vitals.beat(f"loop:{name}")
            if failures:
                self._vitals.count("loop_failures", name)
            wait_s = (
                min(_LONGEST_BACKOFF_S, interval_s * 2 ** min(failures, 10))
                if failures
                else interval_s
            )
            await self._rest(name, wait_s)

    async def _measure_lag(self) -> None:
        """How late a timer is called: something keeps the event loop from everything else."""
        clock = asyncio.get_running_loop().time
        while True:
            due_at = clock() + _LAG_S
            await asyncio.sleep(_LAG_S)
            self._vitals.time("lag", max(0.0, clock() - due_at))

    async def _rest(self, name: str, wait_s: float) -> None:
        bell = self._bells[name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await bell.wait()
        bell.clear()
