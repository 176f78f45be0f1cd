"""What a played runner says of itself, and what it is told: its status and its orders."""

import asyncio
import contextlib
import dataclasses
from typing import Any

from remote_runner.protocol import Grant, Orders, Phase, Status, from_json, to_json
from tests.simulation.outside.rented import NotThere, TransferFailed

#: Of a beat, and of a look at the orders.
BEAT_S = 5.0
_STATUS_TRIES = 2


class Signs:
    """``latest`` never goes back to older orders. ``speaks`` is false for one that hangs."""

    def __init__(self, machine: Any, orders_url: str) -> None:
        self.latest: Orders | None = None
        self.status = Status(sequence=0, heartbeat_at=0.0, phase=Phase.STARTING)
        self.speaks = True
        self._machine = machine
        self._orders_url = orders_url
        self._status_url = ""
        self._read = b""
        self._read_at = machine.now()

    @property
    def silent_s(self) -> float:
        """Since orders could be read."""
        return self._machine.now() - self._read_at

    def aim(self, status_url: str, grant: Grant | None = None) -> None:
        """Speak there, of this attempt, from now on."""
        self._status_url = status_url
        self.note(
            job=grant and grant.job, attempt=grant and grant.attempt, done=0, total=0,
            segments=0, preview=False, frame=False,
        )  # fmt: skip

    def note(self, **values: Any) -> None:
        """The next beat tells it."""
        self.status = dataclasses.replace(self.status, **values)

    async def enter(self, phase: Phase, **values: Any) -> None:
        """A new phase: its status is written at once."""
        self.note(phase=phase, **values)
        await self._tell()

    async def beat(self, seconds: float) -> None:
        """Let time pass, then say so and look at the orders."""
        await asyncio.sleep(seconds * self._machine.faults.after(0.9, 1.2))
        await self._tell()
        with contextlib.suppress(NotThere, TransferFailed):
            self._look(await self._machine.network.get(self._orders_url))

    async def _tell(self) -> None:
        if not self._status_url or not self.speaks:
            return
        self.note(
            sequence=self.status.sequence + 1,
            heartbeat_at=self._machine.now(),
            device=self._machine.instance.offer["gpu_name"],
        )
        with contextlib.suppress(NotThere, TransferFailed):
            data = to_json(self.status).encode()
            await self._machine.network.put(self._status_url, data, tries=_STATUS_TRIES)

    def _look(self, text: bytes) -> None:
        self._read_at = self._machine.now()
        if text == self._read:
            return
        self._read = text
        orders = from_json(Orders, text)
        if self.latest is None or orders.sequence > self.latest.sequence:
            self.latest = orders
