"""Orders out, status and result in, through storage: one writer per object, no open port.

What cannot be read is told from what is not there; what is there but is not a document of the
protocol is reported as such, for a rented host may write anything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from controller.errors import NotStored, TooLarge
from controller.foreign import tidy, tidy_document
from controller.grants import SEGMENT_S, Grants, Lot
from controller.places import attempt_prefix, machine_prefix, output_key
from controller.records import Attempt, Job, Machine
from controller.storage.base import Storage
from remote_runner.protocol import (
    Boot,
    Orders,
    ProtocolError,
    Result,
    Status,
    from_json,
    to_json,
)

log = logging.getLogger(__name__)

#: URLs outlive the deadline a little, so that a result of the last minute still arrives.
_URL_MARGIN_S = 900.0
_DOCUMENT_LIMIT = 256 * 1024
_LOG_LIMIT = 1 << 20
_MOST_FPS, _LONGEST_ETA_S = 1e6, 30 * 86_400.0


class Mailbox:
    """Writes and reads the protocol's documents of one deployment."""

    def __init__(
        self,
        storage: Storage,
        *,
        segment_s: float = SEGMENT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._storage = storage
        self._grants = Grants(storage, segment_s=segment_s, clock=clock)

    def orders_url(self, machine: Machine) -> str:
        return self._storage.url_get(f"{machine_prefix(machine.id)}orders", _until(machine))

    async def write_orders(
        self,
        machine: Machine,
        *,
        sequence: int,
        attempt: Attempt | None,
        idle_s: float,
        cancel: bool = False,
        stop: bool = False,
    ) -> None:
        """Replace what a machine is told to do."""
        until, prefix = _until(machine), machine_prefix(machine.id)
        orders = Orders(
            machine=machine.id,
            sequence=sequence,
            deadline_at=machine.expires_at,
            idle_s=idle_s,
            status_url=self._storage.url_put(f"{prefix}status", until),
            job=attempt.job if attempt else None,
            attempt=attempt.number if attempt else None,
            grant_url=(
                self._storage.url_get(f"{attempt_prefix(attempt)}grant", until)
                if attempt
                else None
            ),
            cancel=cancel,
            stop=stop,
        )
        await self._storage.write(f"{prefix}orders", to_json(orders).encode())

    async def write_grant(
        self,
        machine: Machine,
        job: Job,
        attempt: Attempt,
        device: str,
        lots: Sequence[Lot] = (),
    ) -> None:
        """Give one attempt its job and every URL that it may touch; ``lots`` are the segments that
        it goes on behind."""
        grant = await self._grants.draw_up(job, attempt, device, _until(machine), lots)
        await self._storage.write(f"{attempt_prefix(attempt)}grant", grant)

    def boot_url(self, machine: Machine) -> str:
        return self._storage.url_put(f"{machine_prefix(machine.id)}boot", _until(machine))

    async def write_second_script(self, machine: Machine, script: bytes) -> str:
        """Put what the first script fetches; its URL."""
        key = f"{machine_prefix(machine.id)}second"
        await self._storage.write(key, script)
        return self._storage.url_get(key, _until(machine))

    async def write_bundle(self, machine: Machine, key: str, data: bytes) -> str:
        """Put the runner where it is not yet: its key names its content. A URL for the machine."""
        try:
            await self._storage.stat(key)
        except NotStored:
            await self._storage.write(key, data)
        return self._storage.url_get(key, _until(machine))

    async def boot(self, machine: Machine) -> Boot | None:
        """How far a rented machine came before its runner lives."""
        try:
            data = await self._read(f"{machine_prefix(machine.id)}boot", _DOCUMENT_LIMIT)
            return tidy_document(from_json(Boot, data)) if data else None
        except (ProtocolError, TooLarge) as error:
            # a machine that does not say that it is armed has a time-out of its own
            log.warning("Ignoring the boot report of %s: %s", machine.id, tidy(str(error)))
            return None

    async def finish_output(self, attempt: Attempt, size: int) -> None:
        """Put an output together that was written in parts; NotStored where it is not whole."""
        await self._storage.finish_upload(output_key(attempt), size)

    async def machine_status(self, machine: Machine) -> Status | None:
        return await self._status(f"{machine_prefix(machine.id)}status")

    async def attempt_status(self, attempt: Attempt) -> Status | None:
        """None as well where it is of another attempt."""
        status = await self._status(f"{attempt_prefix(attempt)}status")
        ours = status and (status.job, status.attempt) == (attempt.job, attempt.number)
        return status if ours else None

    async def result(self, attempt: Attempt) -> Result | None:
        """None where there is none yet; :class:`ProtocolError` where it cannot be one."""
        try:
            data = await self._read(f"{attempt_prefix(attempt)}result", _DOCUMENT_LIMIT)
        except TooLarge as error:
            raise ProtocolError(str(error)) from None
        if data is None:
            return None
        try:
            result = tidy_document(from_json(Result, data))
        except ProtocolError as error:
            raise ProtocolError(tidy(str(error))) from None
        if (result.job, result.attempt) != (attempt.job, attempt.number):
            raise ProtocolError("the result is of another attempt")
        return result

    async def log_lines(self, attempt: Attempt) -> list[str]:
        """The newest lines the runner printed; for people only."""
        data = await self._read(f"{attempt_prefix(attempt)}log", _LOG_LIMIT)
        return data.decode(errors="replace").splitlines() if data else []

    async def _status(self, key: str) -> Status | None:
        try:
            data = await self._read(key, _DOCUMENT_LIMIT)
            return _sane(tidy_document(from_json(Status, data))) if data else None
        except (ProtocolError, TooLarge) as error:
            # silence has its own time-out, so that nonsense counts as silence
            log.warning("Ignoring %s: %s", key, tidy(str(error)))
            return None

    async def _read(self, key: str, limit: int) -> bytes | None:
        try:
            return await self._storage.read(key, limit=limit)
        except NotStored:
            return None


def _sane(status: Status) -> Status:
    """With figures that can be drawn: a host may count backwards, or a thousand years ahead."""
    total = max(0, status.total)
    eta_s = status.eta_s
    return replace(
        status,
        total=total,
        done=min(max(0, status.done), total) if total else max(0, status.done),
        fps=min(max(0.0, status.fps), _MOST_FPS),
        eta_s=eta_s if eta_s is not None and 0 <= eta_s <= _LONGEST_ETA_S else None,
        segments=max(0, status.segments),
    )


def _until(machine: Machine) -> float:
    return machine.expires_at + _URL_MARGIN_S
