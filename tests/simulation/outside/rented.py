"""The network of a rented machine: signed URLs, tried again as the runner tries them."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.simulation.faults import Fault
from tests.simulation.outside.instances import SimInstance
from tests.simulation.outside.objects import Refused, SimObjects

T = TypeVar("T")

_FAULTS = (
    Fault.STORAGE_REQUEST_LOST, Fault.STORAGE_ANSWER_LOST, Fault.STORAGE_IN_FLIGHT,
    Fault.STORAGE_SERVER_ERROR, Fault.STORAGE_SLOW, Fault.URL_EXPIRED,
)  # fmt: skip
_TRIES = 6
_TIMEOUT_S = 30.0
_LONGEST_DELAY_S = 15.0
#: A late request may arrive when its machine is long gone.
_LATE_S = 120.0


class NotThere(Exception):
    """404."""


class TransferFailed(Exception):
    """Refused for good, or not done after all tries."""


class Network:
    """Requests of one machine. ``spawn`` carries out what is on its way when the machine ends."""

    def __init__(
        self, instance: SimInstance, objects: SimObjects, spawn: Callable[..., object]
    ) -> None:
        self._instance = instance
        self._objects = objects
        self._faults = objects.faults
        self._spawn = spawn

    async def put(self, url: str, data: bytes, *, tries: int = _TRIES) -> None:
        await self._repeat(url, lambda: self._objects.put(url, data), tries)

    async def get(self, url: str, *, tries: int = _TRIES) -> bytes:
        return await self._repeat(url, lambda: self._objects.get(url), tries)

    async def exists(self, url: str) -> bool:
        try:
            await self.get(url)
        except NotThere:
            return False
        return True

    async def _repeat(self, url: str, effect: Callable[[], T], tries: int) -> T:
        states = self._objects.states_of_url(url)
        for number in range(tries):
            if number:
                await asyncio.sleep(
                    min(_LONGEST_DELAY_S, self._faults.after(0.25, 0.5) * 2**number)
                )
            await asyncio.sleep(self._faults.after(0.02, 0.2))
            if self._instance.offline:
                await asyncio.sleep(self._faults.after(1, 10))
                continue
            fault = self._faults.pick(_FAULTS, states)
            try:
                if (result := await self._meet(fault, effect)) is not None:
                    return result[0]
            except Refused as refused:
                if refused.status == 404:
                    raise NotThere from None
                if refused.status < 500:
                    raise TransferFailed(str(refused)) from None
        raise TransferFailed("not done after all tries")

    async def _meet(self, fault: Fault | None, effect: Callable[[], T]) -> tuple[T] | None:
        """What came of a try; None where that is to be tried again."""
        match fault:
            case None:
                return (effect(),)
            case Fault.STORAGE_SLOW:
                await asyncio.sleep(self._faults.after(2, 25))
                return (effect(),)
            case Fault.URL_EXPIRED:
                raise Refused(403, "AccessDenied")
            case Fault.STORAGE_SERVER_ERROR:
                return None
            case Fault.STORAGE_REQUEST_LOST:
                await asyncio.sleep(self._faults.after(0, _TIMEOUT_S))
            case Fault.STORAGE_ANSWER_LOST:
                effect()
                await asyncio.sleep(self._faults.after(0, _TIMEOUT_S))
            case Fault.STORAGE_IN_FLIGHT:
                self._spawn(_later(effect, self._faults.after(1, _LATE_S)))
                await asyncio.sleep(_TIMEOUT_S)
        return None


async def _later(effect: Callable[[], object], delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    try:
        effect()
    except Refused:
        return  # nobody hears it any more
