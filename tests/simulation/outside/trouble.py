"""What goes wrong with an attempt on a machine: with its process, and with what it tells."""

import asyncio
import contextlib
import dataclasses
from typing import Any

from remote_runner.protocol import Check, Grant, Reason, Result, to_json
from tests.simulation.faults import Fault, Faults
from tests.simulation.outside.products import NONSENSE
from tests.simulation.outside.rented import Network, NotThere, TransferFailed
from tests.simulation.outside.signs import BEAT_S, Signs
from tests.simulation.outside.states import Lazily

_KILLED = -9
_FOR_EVER_S = 1e7
_MEANWHILE = (
    Fault.RUNNER_CRASHES, Fault.RUNNER_OUT_OF_MEMORY, Fault.RUNNER_HANGS, Fault.RUNNER_SLOW,
    Fault.RUNNER_FAILS, Fault.RUNNER_BABBLES,
)  # fmt: skip
_FAILURES = (
    Reason.ENCODER_FAILED, Reason.CORRUPT, Reason.OUT_OF_MEMORY, Reason.GATE_FAILED,
    Reason.INTERNAL, Reason.MODEL_UNAVAILABLE, Reason.DISK_FULL,
)  # fmt: skip


class Ended(Exception):
    """The process is over. ``code`` below 0: a signal killed it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Cancelled(Exception):
    """The attempt must end early."""


class Failed(Exception):
    """A typed failure."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Troubled:
    """An attempt that meets all that; how it makes something is left to who extends this."""

    def __init__(self, machine: Any, signs: Signs, grant: Grant) -> None:
        self.grant = grant
        self.states: Lazily = machine.machines.objects.states_of(
            f"jobs/{grant.job}/{grant.attempt}/"
        )
        self._machine, self._signs = machine, signs
        self._network: Network = machine.network
        self._faults: Faults = machine.faults
        self._slow = 1.0

    async def _meet_trouble(self) -> None:
        match self._faults.pick(_MEANWHILE, self.states):
            case Fault.RUNNER_CRASHES:
                raise Ended(1)
            case Fault.RUNNER_OUT_OF_MEMORY:
                raise Ended(_KILLED)
            case Fault.RUNNER_HANGS:
                await self._hang()
            case Fault.RUNNER_SLOW:
                self._slow = self._faults.after(4, 30)
            case Fault.RUNNER_FAILS:
                raise Failed(self._faults.rng.choice(_FAILURES), "x")
            case Fault.RUNNER_BABBLES:
                await self._babble()

    async def _spoil(self, result: Result, fault: Fault | None) -> Result:
        match fault:
            case Fault.RUNNER_CRASHES:
                raise Ended(1)
            case Fault.RUNNER_BABBLES:
                await self._babble()
            case Fault.RESULT_WRONG:
                return self._falsify(result)
            case Fault.RESULT_LATE:
                self._put_later(result, self._faults.after(310, 900))
                self._signs.speaks = False
                await asyncio.sleep(_FOR_EVER_S)
            case Fault.RESULT_TWICE:
                self._put_later(result, self._faults.after(1, 60))
        return result

    def _falsify(self, result: Result) -> Result:
        wrong = Check(name="duration", passed=False, detail="too short")
        changes: list[dict[str, Any]] = [
            {"sha256": "0" * 64}, {"bytes": result.bytes + 7}, {"checks": (wrong,)},
            {"sha256": None}, {"extension": "exe"},
        ]  # fmt: skip
        return dataclasses.replace(result, **self._faults.rng.choice(changes))

    def _put_later(self, result: Result, delay_s: float) -> None:
        """Whatever has become of the machine meanwhile."""

        async def put() -> None:
            await asyncio.sleep(delay_s)
            with contextlib.suppress(NotThere, TransferFailed):
                await self._network.put(self.grant.result_url, to_json(result).encode())

        self._machine.machines.spawn(put())

    async def _hang(self) -> None:
        """Silent, or with signs of life from a thread beside the one that hangs."""
        self._signs.speaks = self._faults.rng.random() < 0.5
        while True:
            await self._signs.beat(BEAT_S)

    async def _babble(self) -> None:
        await self._try_put(
            self._faults.rng.choice([self.grant.status_url, self.grant.result_url]), NONSENSE
        )

    async def _try_put(self, url: str, data: bytes) -> bool:
        try:
            await self._network.put(url, data)
        except (NotThere, TransferFailed):
            return False
        return True
