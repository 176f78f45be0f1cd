"""One life of the program: every call to the outside goes through here, and dies with it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.objects import Refused

T = TypeVar("T")


class Died(BaseException):
    """The process is gone; not an error that anything may catch."""


def is_death(error: BaseException | None) -> bool:
    """Whether an error is that end alone, also of several tasks at once."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_death(each) for each in error.exceptions)
    return isinstance(error, Died)


class Process:
    """``at_point`` is asked at every named point, and may kill by :meth:`die`."""

    def __init__(
        self,
        faults: Faults,
        *,
        at_point: Callable[["Process", str], None] | None = None,
        spawn: Callable[[Awaitable[object]], object],
    ) -> None:
        self.alive = True
        self.on_death: list[Callable[[], None]] = []
        """What the kernel does for a process that is gone: it closes its files, at once."""
        self.next_call: tuple[Callable[[], object], tuple[Fault, Fault, Fault]] | None = None
        """At a point before a call: its effect, and what may become of it."""
        self._faults = faults
        self._at_point = at_point
        self._spawn = spawn
        """Runs something of the outside, which outlives this process."""

    def require_alive(self) -> None:
        if not self.alive:
            raise Died

    def kill(self) -> None:
        """kill -9, from outside."""
        if self.alive:
            self.alive = False
            for tidy in self.on_death:
                tidy()

    def die(self) -> None:
        """kill -9, from inside a call: nothing after this line is carried out."""
        self.kill()
        raise Died

    def point(self, name: str) -> None:
        """A moment between two effects."""
        self.require_alive()
        if self._at_point is not None:
            self._at_point(self, name)
            self.require_alive()

    async def exchange(
        self,
        name: str,
        effect: Callable[[], T],
        *,
        lost: Callable[[], Exception],
        fates: tuple[Fault, Fault, Fault],
        states: Sequence[str] = ("",),
        timeout_s: float = 60.0,
        travel_s: tuple[float, float] = (0.01, 0.3),
    ) -> T:
        """One call to the outside. ``effect`` is what happens there, at one instant.

        ``fates`` are its request lost, answer lost, and in flight: no answer in time, and carried
        out later. ``lost`` makes what the caller sees then, after ``timeout_s``.
        """
        request_lost, _answer_lost, in_flight = fates
        self.next_call = effect, fates
        self.point(f"before {name}")
        self.next_call = None
        fate = self._faults.pick(fates, states)
        try:
            await asyncio.sleep(self._faults.after(*travel_s))
        except asyncio.CancelledError:
            # what has left may arrive, also where nobody is there to hear the answer
            if fate is not request_lost and self._faults.rng.random() < 0.5:
                self._spawn(self._later(effect, self._faults.after(0.0, 5.0)))
            raise
        if fate is in_flight:
            self._spawn(self._later(effect, self._faults.after(1.0, 2 * timeout_s)))
        elif fate is not request_lost:
            result = effect()
        if fate is not None:
            await asyncio.sleep(timeout_s if fate is in_flight else self._faults.after(0, 5))
            self.point(f"after {name}")
            raise lost()
        await asyncio.sleep(self._faults.after(*travel_s))
        self.point(f"after {name}")
        return result

    async def _later(self, effect: Callable[[], object], delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        with contextlib.suppress(Refused):  # a refusal that nobody hears any more
            effect()
