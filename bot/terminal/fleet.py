"""The machines of a batch as the terminal tells of them: found, running, printing, given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.terminal.console import Reporter
from controller.errors import StorageError
from controller.machine_logs import new_lines, speaks_of_trouble
from controller.records import TERMINAL, Attempt, Job, Machine
from controller.service import Controller
from controller.states import AttemptState, MachineState

log = logging.getLogger(__name__)

_CLEANUP_S = 300.0
"""What is not proven gone by then is said to be so; the loops of another process go on."""
_STEP_S = 0.1
_LEAVING = (MachineState.RETIRING, MachineState.GONE)
_CAME_TO_NOTHING = (AttemptState.FAILED, AttemptState.LOST, AttemptState.CANCELLED)


@dataclass(slots=True)
class _Told:
    """What has been said of one machine."""

    ours: bool = False
    """It was rented for a job of this batch."""
    created: bool = False
    running: bool = False
    leaving: bool = False
    gone: bool = False
    silent: bool = False
    """Its log was shown from elsewhere: what the provider tells late would be the same again."""
    followed: set[tuple[str, int]] = field(default_factory=set)
    """Attempts on it of which it was said that they are watched."""
    lines: list[str] = field(default_factory=list)
    """The end of its log, as far as it was shown."""


class Fleet:
    """Says everything of a machine once, however many jobs it works for."""

    def __init__(self, controller: Controller, reporter: Reporter) -> None:
        self._controller = controller
        self._reporter = reporter
        self._began_at = controller.clock()
        self._told: dict[str, _Told] = {}
        self._runner_lines: dict[tuple[str, int], list[str]] = {}

    async def show(self, job: Job, attempt: Attempt) -> None:
        """What is new of the machine that an attempt is on, and of its log."""
        machine = self._controller.machine(attempt.machine)
        if machine is None:
            return
        told = self._told.setdefault(machine.id, _Told())
        told.ours = told.ours or machine.created_at >= self._began_at
        self._announce(machine, attempt, told)
        self._print_log(machine, told)
        if not self._controller.rents:
            await self._print_runner_log(job, attempt)
        elif attempt.state in _CAME_TO_NOTHING and not told.lines:
            # the provider told nothing: what the runner left itself may explain it
            told.silent = await self._print_runner_log(job, attempt)

    def look(self) -> None:
        """What is new of machines met earlier: late lines of their logs, and their end."""
        for machine_id, told in self._told.items():
            machine = self._controller.machine(machine_id)
            if machine is None or told.gone:
                continue
            self._print_log(machine, told)
            self._tell_end(machine, told)

    async def see_off(self) -> None:
        """Have all machines ended on which nothing runs, and say only what is proven."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + _CLEANUP_S
        while left := self._idle_machines():
            if any(m.state.is_live and m.retire_requested_at is None for m in left):
                self._controller.release_idle_machines()
            for machine in left:
                self._told.setdefault(machine.id, _Told(created=machine.instance is not None))
            self.look()
            if loop.time() > ends_at:
                self._warn_of(left)
                return
            await asyncio.sleep(_STEP_S)
        self.look()

    def bill_usd(self) -> float:
        """What the machines that were rented for this batch have cost, to their end."""
        ours = [key for key, told in self._told.items() if told.ours]
        machines = [self._controller.machine(machine_id) for machine_id in ours]
        return sum(self._controller.machine_usd(each) for each in machines if each)

    def _warn_of(self, machines: Sequence[Machine]) -> None:
        for machine in machines:
            name = f"Instance #{machine.instance}" if machine.instance else "A machine"
            self._reporter.warn(
                f"{name} is not proven gone yet; noxfvr status shows it, noxfvr reap ends it"
            )

    def _idle_machines(self) -> list[Machine]:
        """Those that no job needs: one of an earlier command may go on elsewhere."""
        return [
            machine
            for machine in self._controller.machines()
            if self._controller.attempt_on(machine.id) is None
        ]

    def _announce(self, machine: Machine, attempt: Attempt, told: _Told) -> None:
        if machine.instance and not told.created:
            told.created = True
            offer = f"{machine.name} @ ${machine.usd_per_hour:.3f}/hr"
            self._reporter.say("OK", f"Selected offer: {offer}")
            self._reporter.say("OK", f"Created instance: #{machine.instance}")
        if not told.created:
            return
        seen = machine.running_at is not None or attempt.started_at is not None
        if seen and not told.running:
            told.running = True
            self._reporter.say("OK", "Instance running")
        followed = (attempt.job, attempt.number)
        if told.running and followed not in told.followed:
            told.followed.add(followed)
            self._reporter.say("MONITOR", f"Monitoring instance #{machine.instance}...")

    def _print_log(self, machine: Machine, told: _Told) -> None:
        if told.silent or not (told.running or told.leaving):
            return
        lines = self._controller.printed(machine.id)
        self._print(new_lines(told.lines, lines))
        told.lines = lines

    async def _print_runner_log(self, job: Job, attempt: Attempt) -> bool:
        """What the runner put into storage; whether there was anything."""
        key = (attempt.job, attempt.number)
        try:
            lines = await self._controller.logs(job.id, by=TERMINAL)
        except StorageError as error:
            log.debug("The log of job %s cannot be read: %s", job.id, error)
            return False
        self._print(new_lines(self._runner_lines.get(key, []), lines))
        self._runner_lines[key] = lines
        return bool(lines)

    def _print(self, lines: Sequence[str]) -> None:
        for line in lines:
            if line.startswith("[PROGRESS]"):
                continue  # the statuses tell it
            if speaks_of_trouble(line):
                self._reporter.warn(line)
            else:
                self._reporter.log(line)

    def _tell_end(self, machine: Machine, told: _Told) -> None:
        if machine.instance is None or machine.state not in _LEAVING:
            return
        if not told.leaving:
            told.leaving = True
            self._reporter.say("CLEANUP", f"Destroying instance #{machine.instance}...")
        if machine.gone_at is not None and not told.gone:
            told.gone = True
            self._reporter.say("OK", "Instance destroyed")
