"""Follows what rented machines print, for people: nothing that is printed there decides anything.

The provider gives the newest lines, with no offset and no times, seconds late and cut at 500
characters. New are those after the longest overlap with what was kept before, so that neither a
full tail, nor a log that starts anew, nor a restart of this process loses or doubles a line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from controller.errors import DatabaseFull, ProviderError, Unclear
from controller.log_ids import logged
from controller.loops.context import Context
from controller.loops.watch import Watch
from controller.machine_logs import (
    TAIL,
    append_lines,
    clean,
    last_lines,
    log_path,
    new_lines,
    speaks_of_trouble,
)
from controller.records import Machine
from controller.states import MachineState
from remote_runner.protocol import MARKER

log = logging.getLogger(__name__)

_AT_ONCE = 4
_A_TICK = 24
"""Machines whose log is fetched in one pass: of many, each has its turn."""
_FOLLOWED = (MachineState.BOOTING, MachineState.READY, MachineState.BUSY, MachineState.RETIRING)
_WARNINGS_AT_ONCE = 20


class Tail:
    """One pass over the logs of machines, each appended to a file of its own."""

    def __init__(self, context: Context, watch: Watch) -> None:
        self._context = context
        self._watch = watch
        self._turn = 0
        self._shown: dict[str, dict[str, str]] = {}
        """Of each machine the lines of the last look, and as what they are shown."""
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def tick(self) -> int:
        """How many new lines there were."""
        if not self._context.provider.rents:
            return 0
        machines = [m for m in self._context.store.machines.select(_FOLLOWED) if m.instance]
        for machine_id in self._shown.keys() - {machine.id for machine in machines}:
            del self._shown[machine_id]
        start = self._turn % len(machines) if machines else 0
        chosen = (machines[start:] + machines[:start])[:_A_TICK]
        self._turn = start + len(chosen)
        return sum(await asyncio.gather(*(self._follow(machine) for machine in chosen)))

    @logged
    async def _follow(self, machine: Machine) -> int:
        if machine.instance is None or machine.destroyed_at is not None:
            return 0
        async with self._gate:
            try:
                lines = await self._context.provider.logs(machine.instance, TAIL)
            except (ProviderError, Unclear) as error:
                log.debug("The log of machine %s is not to be had: %s", machine.id, error)
                return 0
        if not lines:
            return 0
        path = log_path(self._context.settings.logs_dir, machine.id)
        new = new_lines(last_lines(path), self._clean(machine, lines))
        if new:
            try:
                append_lines(path, new)
                self._note(machine, new)
            except (OSError, DatabaseFull) as error:
                log.warning("The log of machine %s is not kept: %s", machine.id, error)
                return 0
        return len(new)

    def _clean(self, machine: Machine, lines: Sequence[str]) -> list[str]:
        """As :func:`clean`; what was there at the last look is not gone through once more."""
        known, secrets = self._shown.get(machine.id, {}), self._context.settings.secrets
        shown = {
            line: known[line] if line in known else clean(line, secrets) for line in set(lines)
        }
        self._shown[machine.id] = shown
        return [shown[line] for line in lines]

    def _note(self, machine: Machine, new: Sequence[str]) -> None:
        if any(MARKER in line for line in new):
            self._watch.hint(machine.id)
        attempt = self._context.store.attempts.open_on(machine.id)
        troubles = [line for line in new if speaks_of_trouble(line)][-_WARNINGS_AT_ONCE:]
        if attempt and troubles:
            self._context.store.attempts.warn(attempt, troubles)
