"""Watches what runs: signs of life, results, requests to stop, and time that runs out."""

from __future__ import annotations

import asyncio
import functools
import logging

from controller import policy
from controller.errors import ControllerError, DatabaseFull
from controller.log_ids import logged
from controller.loops.context import Context, end_attempt
from controller.loops.granting import write_grant
from controller.loops.publish import Publisher
from controller.loops.tasks import Tasks
from controller.records import Attempt, Job, Machine
from controller.states import AnyReason, AttemptState, MachineState, Reason
from controller.terms import time_limit_s
from remote_runner.protocol import Outcome, Phase, ProtocolError, Result, Status
from remote_runner.protocol import Reason as RunnerReason

log = logging.getLogger(__name__)

_RESULT_S = 30.0
_LOOK_AGAIN_S = 30.0
_AT_ONCE = 32
"""Machines looked at side by side: all of many at once would keep everything else waiting."""
_WATCHED = (MachineState.BOOTING, MachineState.READY, MachineState.BUSY)


class Watch:
    """One pass over the machines that work. Results are checked in tasks of their own."""

    def __init__(self, context: Context, publisher: Publisher) -> None:
        self._context = context
        self._publisher = publisher
        self._checking: Tasks[tuple[str, int]] = Tasks()
        self._ordered: dict[str, tuple[object, ...]] = {}
        """What each machine was last told by this process."""
        self._asked: dict[str, float] = {}
        """When each machine's result was last asked for."""
        self._look_again: dict[str, float] = {}
        """When a result that could not be checked may be looked at again."""
        self._hints: set[str] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def tick(self) -> int:
        """How many machines were looked at."""
        machines = self._context.store.machines.select(_WATCHED)
        self._forget({machine.id for machine in machines})
        await asyncio.gather(*(self._take_turn(machine.id) for machine in machines))
        return len(machines)

    async def settle(self) -> None:
        """Wait for the checks of results that are under way."""
        await self._checking.settle()

    async def close(self) -> None:
        """Drop the checks under way; they begin anew after a restart."""
        await self._checking.close()

    def _forget(self, watched: set[str]) -> None:
        """What was remembered of machines that are watched no more."""
        for memory in (self._ordered, self._asked, self._look_again):
            for machine_id in memory.keys() - watched:
                del memory[machine_id]
        self._hints &= watched

    async def _take_turn(self, machine_id: str) -> None:
        async with self._gate:
            machine = self._context.store.machines.get(machine_id)
            if machine and machine.state in _WATCHED:
                try:
                    await self._look_at(machine)
                except DatabaseFull as error:
                    log.warning("Nothing new of machine %s is written down: %s", machine.id, error)

    @logged
    async def _look_at(self, machine: Machine) -> None:
        try:
            attempt = self._context.store.attempts.open_on(machine.id)
            if attempt:
                await self._look_at_attempt(machine, attempt)
            elif machine.state is MachineState.BOOTING:
                await self._look_at_boot(machine)
            await self._order(machine.id)
        except DatabaseFull:
            raise
        except ControllerError as error:
            # storage that does not answer says nothing about the machine; the clock goes on
            log.warning("Machine %s cannot be looked at: %s", machine.id, error)
            attempt = self._context.store.attempts.open_on(machine.id)
            if attempt:
                self._check_deadlines(self._context.store.jobs.get(attempt.job), attempt)

    async def _look_at_boot(self, machine: Machine) -> None:
        """A machine whose job was cancelled before it was up."""
        store, now = self._context.store, self._context.clock()
        if machine.retire_requested_at is not None:
            return
        if await self._context.mailbox.machine_status(machine):
            store.machines.move(machine, MachineState.READY, booted_at=now, idle_since=now)
            return
        trouble = await self._boot_trouble(machine)
        if trouble:
            log.warning("Machine %s: %s (%s)", machine.id, *trouble)
            if policy.is_hosts_fault(trouble[0]):
                store.bans.strike(machine.host, str(trouble[0]))
            store.machines.request_retire(machine.id, trouble[0])

    async def _boot_trouble(self, machine: Machine) -> tuple[AnyReason, str] | None:
        """Why a machine that has not worked yet will not."""
        now, provider = self._context.clock(), self._context.provider
        if not provider.rents:
            late = now - machine.created_at > provider.boot_s
            return (Reason.BOOT_TIMEOUT, "no first sign of life") if late else None
        if machine.instance is not None:
            # also of one that no listing has shown to run: it may have failed in between
            boot = await self._context.mailbox.boot(machine)
            if boot and boot != machine.boot:
                log.info("Machine %s: %s", machine.id, boot.phase)
                machine = self._context.store.machines.change(machine, boot=boot) or machine
        return policy.boot_trouble(machine, now, provider.boot_s)

    @logged
    async def _look_at_attempt(self, machine: Machine, attempt: Attempt) -> None:
        if (attempt.job, attempt.number) in self._checking:
            return
        job = self._context.store.jobs.get(attempt.job)
        status = await self._context.mailbox.attempt_status(attempt)
        if status and status != attempt.status:
            attempt = self._note_status(machine, job, attempt, status)
        try:
            result = await self._find_result(attempt)
        except ProtocolError as error:
            self._give_up(attempt, Reason.BAD_RESULT, str(error))
            return
        if result is not None:
            self._note_boot(machine)
            self._take(job, attempt, result)
            return
        starts = machine.booted_at is None and attempt.seen_at is None
        trouble = await self._boot_trouble(machine) if starts else None
        if trouble and job.cancel_requested_at is None:
            self._give_up(attempt, *trouble)
        else:
            self._check_time(job, attempt)

    def hint(self, machine_id: str) -> None:
        """Something printed says that a result is there: look now, believe nothing."""
        self._hints.add(machine_id)

    async def _find_result(self, attempt: Attempt) -> Result | None:
        """A result in a bucket is asked for when it is likely, and every now and then."""
        now, phase = self._context.clock(), attempt.phase
        likely = phase in (Phase.UPLOADING, Phase.FINISHED, Phase.IDLE)
        due = not 0 <= now - self._asked.get(attempt.machine, float("-inf")) < _RESULT_S
        hinted = attempt.machine in self._hints
        if self._context.provider.rents and not (likely or due or hinted):
            return None
        self._hints.discard(attempt.machine)
        self._asked[attempt.machine] = now
        return await self._context.mailbox.result(attempt)

    def _note_status(
        self, machine: Machine, job: Job, attempt: Attempt, status: Status
    ) -> Attempt:
        """Store a new sign of life; the first one starts the attempt."""
        store, now = self._context.store, self._context.clock()
        with store.transaction():
            self._note_boot(machine)
            if attempt.state is AttemptState.ASSIGNED:
                moved = store.attempts.move(
                    attempt, AttemptState.RUNNING, started_at=now, seen_at=now, status=status
                )
                kind: str | None = "started"
            else:
                moved = store.attempts.change(attempt, seen_at=now, status=status)
                kind = "phase" if status.phase is not attempt.phase else None
            if moved and kind:
                store.jobs.record(job.id, kind, {"phase": status.phase, "number": attempt.number})
        return moved or attempt

    def _note_boot(self, machine: Machine) -> None:
        if machine.state is MachineState.BOOTING:
            self._context.store.machines.move(
                machine, MachineState.BUSY, booted_at=self._context.clock()
            )

    def _take(self, job: Job, attempt: Attempt, result: Result) -> None:
        """Act on a result document."""
        if job.cancel_requested_at is not None or result.outcome is Outcome.CANCELLED:
            reason = Reason.USER if job.cancel_requested_at is not None else Reason.MACHINE_GONE
            end_attempt(
                self._context, attempt, AttemptState.CANCELLED, reason, "the runner stopped"
            )
        elif result.outcome is Outcome.FAILED:
            reason_told = result.reason or RunnerReason.INTERNAL
            if not reason_told.is_input_fault:
                # the next attempt is to run elsewhere
                self._context.store.machines.request_retire(attempt.machine, reason_told)
            end_attempt(
                self._context, attempt, AttemptState.FAILED, reason_told, result.detail[:500]
            )
        else:
            key = attempt.job, attempt.number
            self._checking.start(key, functools.partial(self._publish, job, attempt, result))

    @logged
    async def _publish(self, job: Job, attempt: Attempt, result: Result) -> None:
        left_s = self._look_again.get(attempt.machine, 0.0) - self._context.clock()
        # one that is further off was noted by a clock that was ahead
        if 0 < left_s <= _LOOK_AGAIN_S:
            return
        try:
            complaint = await self._publisher.publish(job, attempt, result)
        except DatabaseFull as error:
            log.warning("The result of job %s cannot be written down yet: %s", job.id, error)
            self._look_again[attempt.machine] = self._context.clock() + _LOOK_AGAIN_S
            return
        except Exception as error:
            if isinstance(error, ControllerError):
                log.warning("The result of job %s cannot be looked at yet: %s", job.id, error)
            else:
                log.exception("The result of job %s could not be checked", job.id)
            # a look can cost a download
            now = self._context.clock()
            self._look_again[attempt.machine] = now + _LOOK_AGAIN_S
            if now > min(attempt.deadline_at, job.deadline_at):
                self._give_up(attempt, Reason.TIMEOUT, "the result could not be looked at in time")
            return
        if complaint is not None:
            self._give_up(attempt, Reason.BAD_RESULT, complaint)

    def _check_time(self, job: Job, attempt: Attempt) -> None:
        """Requests to stop, deadlines and silence, in this order."""
        now, provider = self._context.clock(), self._context.provider
        if self._check_deadlines(job, attempt):
            return
        if attempt.seen_at is None:
            self._check_warm_start(attempt)
        elif now - attempt.seen_at > provider.silence_s:
            self._give_up(attempt, Reason.SILENT, f"no sign of life for {provider.silence_s:g} s")
        elif self._has_no_frames(job, attempt):
            self._give_up(attempt, Reason.NO_FRAMES, "not one frame was finished in time")

    @logged
    def _check_deadlines(self, job: Job, attempt: Attempt) -> bool:
        """What no look at storage is needed for; whether the attempt is on its way out."""
        now = self._context.clock()
        if job.cancel_requested_at is not None:
            # a time that is yet to come was noted by a clock that was ahead
            if not 0 <= now - job.cancel_requested_at <= policy.CANCEL_S:
                self._give_up(attempt, Reason.USER, "the runner did not stop in time")
            return True
        if now >= attempt.deadline_at or now >= job.deadline_at:
            self._give_up(attempt, Reason.TIMEOUT, "the attempt ran out of time")
            return True
        ran_s = now - attempt.started_at if attempt.started_at else 0.0
        if ran_s > time_limit_s(job, self._context.settings):
            self._give_up(attempt, Reason.TIMEOUT, "the attempt ran longer than allowed")
            return True
        return False

    def _check_warm_start(self, attempt: Attempt) -> None:
        """A machine that is up takes a next job at its next look at its orders."""
        machine = self._context.store.machines.get(attempt.machine)
        booted = machine is not None and machine.booted_at is not None
        limit_s = self._context.provider.boot_s
        if booted and self._context.clock() - attempt.assigned_at > limit_s:
            self._give_up(attempt, Reason.SILENT, "the machine did not take the job up")

    def _has_no_frames(self, job: Job, attempt: Attempt) -> bool:
        status, now = attempt.status, self._context.clock()
        if status is None or status.done or attempt.started_at is None:
            return False
        waits = status.phase in (Phase.STARTING, Phase.FETCHING, Phase.PROCESSING)
        return waits and now - attempt.started_at > policy.first_frame_s(job.source_bytes)

    def _give_up(self, attempt: Attempt, reason: AnyReason, detail: str) -> None:
        """End an attempt together with its machine, which cannot be trusted any more."""
        store = self._context.store
        to = AttemptState.CANCELLED if reason is Reason.USER else AttemptState.LOST
        with store.transaction():
            store.machines.request_retire(attempt.machine, reason)
            end_attempt(self._context, attempt, to, reason, detail)

    async def _order(self, machine_id: str) -> None:
        """Make a machine's orders say what the rows say, where they do not yet."""
        store = self._context.store
        machine = store.machines.get(machine_id)
        if machine is None or machine.state not in _WATCHED:
            return
        attempt = store.attempts.open_on(machine_id)
        job = store.jobs.get(attempt.job) if attempt else None
        cancel = job is not None and job.cancel_requested_at is not None
        stop = attempt is None and machine.retire_requested_at is not None
        wanted = (attempt.job if attempt else None, attempt and attempt.number, cancel, stop)
        if self._ordered.get(machine_id) == wanted:
            return
        if job and attempt and attempt.status is None:
            # a crash may have come between the assignment and its grant
            await write_grant(self._context, machine, job, attempt)
        await self._context.mailbox.write_orders(
            machine,
            sequence=store.machines.next_orders(machine_id),
            attempt=attempt,
            idle_s=self._context.idle_orders_s,
            cancel=cancel,
            stop=stop,
        )
        self._ordered[machine_id] = wanted
