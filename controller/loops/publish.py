"""Looks at a result itself before anybody is told that it is there, and publishes it once.

The runner's word is checked against the object: its size, our own hash where that is cheap, and
what a probe of ours finds in it. Then it is copied to its final key, and only the guarded moves in
the database make it the job's result: an old attempt or a cancelled job cannot publish.
"""

from __future__ import annotations

import asyncio
import logging
from fractions import Fraction

from controller import policy
from controller.errors import BadVideo, NotStored
from controller.loops.context import Context, cost_usd, free_machine
from controller.places import output_key
from controller.probe import Limits, Prober, probe
from controller.records import Attempt, Job, Machine
from controller.states import AttemptState, JobState
from controller.workload import output_frames, output_size
from remote_runner.protocol import CONTAINERS, Facts, Result

log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Probes of results, each a process, at one time."""
_EXTENSIONS = frozenset(CONTAINERS) - {"auto"}


class Publisher:
    """Checks and publishes results."""

    def __init__(self, context: Context, *, prober: Prober = probe) -> None:
        self._context = context
        self._probe = prober
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def publish(self, job: Job, attempt: Attempt, result: Result) -> str | None:
        """Publish, or say what is wrong with the result; None as well where it came too late."""
        complaint, hashed_by = await self._check(job, attempt, result)
        if complaint:
            return complaint
        final_key = policy.output_key(job, result.extension)
        if self._is_wanted(attempt):
            self._context.store.jobs.claim_output(job.id, final_key)
            await self._context.storage.copy(output_key(attempt), final_key)
            if self._commit(job, attempt, result, final_key, hashed_by):
                return None
        # the name holds the job's id: whatever is there is this job's unpublished copy
        await self._withdraw(job, final_key)
        return None

    async def _check(self, job: Job, attempt: Attempt, result: Result) -> tuple[str | None, str]:
        storage, key = self._context.storage, output_key(attempt)
        if result.extension not in _EXTENSIONS:
            return f"a result is never a .{result.extension[:8]}", ""
        failed = [check.name for check in result.checks if not check.passed]
        if failed or not result.checks:
            return f"the gate did not pass: {', '.join(failed) or 'no checks'}", ""
        try:
            await self._context.mailbox.finish_output(attempt, result.bytes)
            entry = await storage.stat(key)
        except NotStored:
            return "there is no output of the size that was reported", ""
        if entry.bytes != result.bytes:
            return f"{entry.bytes} bytes stored, {result.bytes} reported", ""
        digest = await storage.sha256(key)
        if digest is not None and digest != result.sha256:
            return "the hash is not the one reported", ""
        if result.sha256 is None:
            return "no hash was reported", ""
        complaint = await self._check_content(job, result, key)
        return complaint, "controller" if digest else "runner"

    async def _check_content(self, job: Job, result: Result, key: str) -> str | None:
        limits = Limits(
            max_bytes=result.bytes,
            max_seconds=job.facts.duration_s + 60,
            timeout_s=600,
        )
        try:
            async with self._gate:
                source = await self._context.storage.media_source(key)
                found = await self._probe(source, limits)
        except BadVideo as error:
            return f"the output cannot be read: {error}"
        return mismatch(job, found) or missing_streams(job, found, result)

    def _commit(
        self, job: Job, attempt: Attempt, result: Result, final_key: str, hashed_by: str
    ) -> bool:
        store, now = self._context.store, self._context.clock()
        with store.transaction():
            current = store.jobs.get(job.id)
            machine = store.machines.get(attempt.machine)
            newest = store.attempts.open_on(attempt.machine)
            if not (self._is_wanted(attempt) and machine and newest):
                return False
            store.attempts.move(newest, AttemptState.VERIFIED, ended_at=now)
            store.jobs.move(
                current, JobState.DONE, event="done", data={"number": attempt.number},
                ended_at=now, output_key=final_key, output_bytes=result.bytes,
                output_sha256=result.sha256, sha256_by=hashed_by, result=result,
                cost_usd=current.cost_usd + cost_usd(machine, newest, now),
            )  # fmt: skip
            free_machine(self._context, machine)
            self._learn(job, machine, result)
        log.info("Job %s is done: %s", job.id, final_key)
        return True

    def _is_wanted(self, attempt: Attempt) -> bool:
        """Whether the attempt is still the one that may publish."""
        job = self._context.store.jobs.get(attempt.job)
        newest = self._context.store.attempts.open_on(attempt.machine)
        ours = newest and (newest.job, newest.number) == (attempt.job, attempt.number)
        running = job.state is JobState.RUNNING and job.cancel_requested_at is None
        return bool(ours) and running and job.attempts == attempt.number

    async def _withdraw(self, job: Job, final_key: str) -> None:
        if self._context.store.jobs.get(job.id).output_key != final_key:
            await self._context.storage.delete(final_key)

    def _learn(self, job: Job, machine: Machine, result: Result) -> None:
        seconds = result.timings.get("processing", 0.0)
        # offers are named as the provider names them, and a host does not choose its name
        device = machine.name if self._context.provider.rents else result.device
        if seconds > 0 and device:
            speed = policy.work_pixels(job.facts) / seconds
            self._context.store.speeds.learn(device, policy.work_name(job.task), speed)


def missing_streams(job: Job, found: Facts, result: Result) -> str | None:
    """Which streams of the source are neither in the output nor reported as left out."""
    for kind, wanted, there in (
        ("audio", job.facts.audio, found.audio),
        ("subtitle", job.facts.subtitles, found.subtitles),
    ):
        dropped = sum(name.startswith(kind) for name in result.dropped)
        if len(there) + dropped < len(wanted):
            return f"{len(there)} {kind} streams are not {len(wanted)}"
    if found.bit_depth < job.facts.bit_depth:
        return f"{found.bit_depth} bit are not {job.facts.bit_depth}"
    return None


def mismatch(job: Job, found: Facts) -> str | None:
    """How an output differs from what the job asked for; None where it does not."""
    width, height = output_size(job.facts, job.task)
    if abs(found.width - width) > 1 or abs(found.height - height) > 1:
        return f"{found.width}x{found.height} is not {width}x{height}"
    source_fps = Fraction(job.facts.fps)
    target_fps = job.task.target_fps(source_fps)
    frame_s = float(1 / min(source_fps, target_fps))
    if abs(found.duration_s - job.facts.duration_s) > frame_s + 0.001:
        return f"{found.duration_s:.3f} s is not {job.facts.duration_s:.3f} s"
    expected = output_frames(job.facts, job.task)
    # a rate that varies has no exact count here: the gate on the machine has checked each frame
    slack = 2 if not job.facts.vfr else max(2, expected * 0.02)
    if abs(found.frames - expected) > slack:
        return f"{found.frames} frames are not {expected}"
    return None
