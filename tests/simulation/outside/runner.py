"""A played runner: orders in, one attempt after another, documents out, as the real one does it.

Times and tries are those of :mod:`remote_runner.lifecycle` and :mod:`remote_runner.attempt`; a
video is a document that holds its own facts.
"""

from typing import Any

from remote_runner.protocol import (
    GREETING,
    MARKER,
    Grant,
    Orders,
    Outcome,
    Phase,
    ProtocolError,
    Reason,
    Result,
    from_json,
    to_json,
)
from tests.simulation.faults import Fault
from tests.simulation.outside.products import answer
from tests.simulation.outside.rented import NotThere, TransferFailed
from tests.simulation.outside.signs import BEAT_S, Signs
from tests.simulation.outside.trouble import Cancelled, Ended, Failed
from tests.simulation.outside.work import SimAttempt

_SILENCE_S = 300.0
_GRANT_TRIES = 12
_RESULT_LOOKS = 4
_RESULT_TRIES = 20
_RESULT_RETRY_S = 15.0
_RETRY_S = 5.0


class SimRunner:
    """One process of the runner on a machine."""

    def __init__(self, machine: Any, orders_url: str) -> None:
        self._machine = machine
        self._signs = Signs(machine, orders_url)
        self._busy_at = machine.now()
        self._done: set[tuple[str | None, int | None]] = set()
        self._tries = 0
        self._shelf: dict[str, bytes] = {}
        """The source of the last attempt, for the next one at it."""

    async def run(self) -> int:
        """Follow orders; the exit code, below 0 where a signal killed it."""
        self._machine.instance.say(GREETING)
        try:
            while True:
                code = await self._follow()
                if code is not None:
                    return code
        except Ended as ended:
            return ended.code

    async def _follow(self) -> int | None:
        signs = self._signs
        orders = signs.latest
        if signs.silent_s > _SILENCE_S:
            return 1
        if orders is None:
            await signs.beat(1.0)
            return None
        if orders.stop:
            return 0
        if orders.grant_url and (orders.job, orders.attempt) not in self._done:
            await self._work_on(orders, orders.grant_url)
            self._busy_at = self._machine.now()
            return None
        if self._machine.now() - self._busy_at > orders.idle_s:
            return 0
        signs.aim(orders.status_url)
        signs.note(phase=Phase.IDLE)
        await signs.beat(BEAT_S)
        return None

    async def _work_on(self, orders: Orders, grant_url: str) -> None:
        key = orders.job, orders.attempt
        try:
            grant = from_json(Grant, await self._machine.network.get(grant_url))
        except (NotThere, TransferFailed, ProtocolError):
            self._tries += 1
            if self._tries >= _GRANT_TRIES:
                self._done.add(key)
                self._tries = 0
            await self._signs.beat(_RETRY_S)
            return
        self._tries = 0
        if not await self._is_finished(grant):
            await self._carry_out(SimAttempt(self._machine, self._signs, grant, self._shelf))
        self._done.add(key)

    async def _is_finished(self, grant: Grant) -> bool:
        for _ in range(_RESULT_LOOKS):
            try:
                return await self._machine.network.exists(grant.result_seen_url)
            except TransferFailed:
                await self._signs.beat(_RETRY_S)
        return False

    async def _carry_out(self, attempt: SimAttempt) -> None:
        grant = attempt.grant
        self._signs.aim(grant.status_url, grant)
        self._signs.speaks = not self._machine.faults.hit(Fault.RUNNER_QUIET, attempt.states)
        await self._signs.enter(Phase.STARTING)
        try:
            result = await attempt.do()
        except Cancelled:
            result = answer(grant, Outcome.CANCELLED, detail="cancelled")
        except Failed as error:
            result = answer(grant, Outcome.FAILED, reason=error.reason, detail=error.detail)
        except (NotThere, TransferFailed):
            reason = Reason.TRANSFER_FAILED
            result = answer(grant, Outcome.FAILED, reason=reason, detail="storage")
        await self._signs.enter(Phase.FINISHED)
        self._signs.speaks = True
        attempt.work.outcome = result.outcome
        if await self._put_result(attempt, result) and result.outcome is Outcome.DONE:
            self._machine.instance.say(MARKER)

    async def _put_result(self, attempt: SimAttempt, result: Result) -> bool:
        """Tried for minutes, unless the attempt is to end."""
        for _ in range(_RESULT_TRIES):
            try:
                url = attempt.grant.result_url
                await self._machine.network.put(url, to_json(result).encode())
            except (NotThere, TransferFailed):
                try:
                    attempt.check()
                except (Cancelled, Failed):
                    return False
                await self._signs.beat(_RESULT_RETRY_S)
            else:
                return True
        return False
