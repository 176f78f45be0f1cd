"""Looks at a result itself before anybody is told that it is there, and publishes it once.

The runner's word is checked against the object: its size, our own hash where that is cheap, and
what a probe of ours finds in it. Then it is copied to its final key, and only the guarded moves in
the database make it the job's result: an old attempt or a cancelled job cannot publish, nor does
what it has copied stay (:mod:`controller.loops.strays`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from fractions import Fraction

from controller import policy
from controller.errors import BadVideo, NotStored, StorageError
from controller.log_ids import logged
from controller.loops.context import Context, cost_usd, free_machine
from controller.places import output_key, sample_key
from controller.probe import Limits, Prober, probe
from controller.records import Attempt, Job, Machine
from controller.states import AttemptState, JobState
from controller.workload import SAMPLE_S, output_frames, output_size
from remote_runner.protocol import CONTAINERS, Facts, Result

log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Probes of results, each a process, at one time."""
_ROUNDING_S = 0.002
"""Of times in milliseconds."""
_RATE_SLACK = 0.02
_SLOWEST, _FASTEST = 10.0, 1e10
"""Source pixels a second: of one core with the heaviest network, of many cards with none."""
_AROUND_BYTES = 64 << 20
"""Headers, indices, and tags of a film."""
_EXTENSIONS = frozenset(CONTAINERS) - {"auto"}


class Publisher:
    """Checks and publishes results."""

    def __init__(self, context: Context, *, prober: Prober = probe) -> None:
        self._context = context
        self._probe = prober
        self._gate = asyncio.Semaphore(_AT_ONCE)

    @logged
    async def publish(self, job: Job, attempt: Attempt, result: Result) -> str | None:
        """Publish, or say what is wrong with the result; None as well where it came too late."""
        look = await self._check(job, attempt, result)
        if look.complaint:
            return look.complaint
        final_key = policy.output_key(job, result.extension)
        if job.sample_of is not None:
            final_key = sample_key(job.id, result.extension)
        if self._is_wanted(attempt):
            await self._copy(attempt, final_key)
            if self._commit(job, attempt, result, final_key, look):
                return None
            # it may have taken as long as whatever else has become of the job
            self._claim(attempt, final_key)
        await self._withdraw(job, final_key)
        return None

    async def _copy(self, attempt: Attempt, final_key: str) -> None:
        """Claimed first, so that no crash leaves it there; again where it failed: it may be late.

        See :mod:`controller.loops.strays` for what becomes of a copy that comes too late.
        """
        self._claim(attempt, final_key)
        try:
            await self._context.storage.copy(output_key(attempt), final_key)
        except StorageError:
            self._claim(attempt, final_key)
            raise

    def _claim(self, attempt: Attempt, final_key: str) -> None:
        self._context.store.claims.add(attempt.job, attempt.number, final_key)

    async def _check(self, job: Job, attempt: Attempt, result: Result) -> _Look:
        storage, key = self._context.storage, output_key(attempt)
        if result.extension not in _EXTENSIONS:
            return _Look(f"a result is never a .{result.extension[:8]}")
        failed = [check.name for check in result.checks if not check.passed]
        if failed or not result.checks:
            return _Look(f"the gate did not pass: {', '.join(failed) or 'no checks'}")
        if not 0 < result.bytes <= most_bytes(job):
            return _Look(f"{result.bytes} bytes are not the size of such a video")
        try:
            await self._context.mailbox.finish_output(attempt, result.bytes)
            entry = await storage.stat(key)
        except NotStored:
            return _Look("there is no output of the size that was reported")
        if entry.bytes != result.bytes:
            return _Look(f"{entry.bytes} bytes stored, {result.bytes} reported")
        digest = await storage.sha256(key)
        if digest is not None and digest != result.sha256:
            return _Look("the hash is not the one reported")
        if result.sha256 is None:
            return _Look("no hash was reported")
        look = await self._check_content(job, result, key)
        return replace(look, hashed_by="controller" if digest else "runner")

    async def _check_content(self, job: Job, result: Result, key: str) -> _Look:
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
            return _Look(f"the output cannot be read: {error}")
        if job.sample_of is not None:
            return _Look(sample_mismatch(job, found), found)
        return _Look(mismatch(job, found) or missing_streams(job, found, result), found)

    def _commit(
        self, job: Job, attempt: Attempt, result: Result, final_key: str, look: _Look
    ) -> bool:
        store, now = self._context.store, self._context.clock()
        # what is told of the output is what was found in it
        result = replace(result, facts=look.found)
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
                output_sha256=result.sha256, sha256_by=look.hashed_by, result=result,
                cost_usd=current.cost_usd + cost_usd(machine, newest, now),
            )  # fmt: skip
            store.claims.drop(job.id, attempt.number, final_key)
            free_machine(self._context, machine)
            self._learn(job, machine, result, look)
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
        """Remove the copy of a job that will have no result: the name holds its id, so that it is
        no other's. Where the job goes on, the next attempt may need the key."""
        current = self._context.store.jobs.get(job.id)
        is_given_up = current.cancel_requested_at is not None or current.state is JobState.FAILED
        if is_given_up and current.output_key is None:
            await self._context.storage.delete(final_key)

    def _learn(self, job: Job, machine: Machine, result: Result, look: _Look) -> None:
        seconds = result.timings.get("processing", 0.0)
        # offers are named as the provider names them, and a host does not choose its name
        device = machine.name if self._context.provider.rents else result.device
        if seconds > 0 and device:
            share = 1.0
            if job.sample_of is not None and look.found is not None:
                share = look.found.frames / output_frames(job.facts, job.task)
            speed = policy.work_pixels(job.facts) * share / seconds
            # beyond, it is no machine's: what plans rest on is not a host's to choose
            if _SLOWEST <= speed <= _FASTEST:
                self._context.store.speeds.learn(device, policy.work_name(job.task), speed)


@dataclass(frozen=True, slots=True)
class _Look:
    """What came of a look at an output."""

    complaint: str | None
    found: Facts | None = None
    hashed_by: str = ""


def most_bytes(job: Job) -> int:
    """What no output of this job exceeds: all its pictures as they are, three samples a pixel, and
    twice the source for what is beside them. A bucket is paid for by the byte."""
    width, height = output_size(job.facts, job.task)
    sample_bytes = 1 if job.facts.bit_depth <= 8 else 2
    pictures = output_frames(job.facts, job.task) * width * height * 3 * sample_bytes
    return pictures + 2 * job.source_bytes + _AROUND_BYTES


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
    if complaint := wrong_size(job, found):
        return complaint
    frame_s = _longest_frame_s(job)
    if abs(found.duration_s - job.facts.duration_s) > frame_s + 0.001:
        return f"{found.duration_s:.3f} s is not {job.facts.duration_s:.3f} s"
    expected = output_frames(job.facts, job.task)
    # a rate that varies has no exact count here: the gate on the machine has checked each frame
    slack = 2 if not job.facts.vfr else max(2, expected * 0.02)
    if abs(found.frames - expected) > slack:
        return f"{found.frames} frames are not {expected}"
    return None


def sample_mismatch(job: Job, found: Facts) -> str | None:
    """As :func:`mismatch`, for some seconds of the source: what else it holds was not promised."""
    if complaint := wrong_size(job, found):
        return complaint
    frame_s = _longest_frame_s(job)
    longest_s = min(SAMPLE_S, job.facts.duration_s)
    if not 0 < found.duration_s <= longest_s + frame_s + _ROUNDING_S:
        return f"{found.duration_s:.3f} s is no sample of {longest_s:.3f} s"
    if found.bit_depth < job.facts.bit_depth:
        return f"{found.bit_depth} bit are not {job.facts.bit_depth}"
    expected = found.duration_s * output_frames(job.facts, job.task) / job.facts.duration_s
    # where the rate varies, it may be anything for a while
    if not job.facts.vfr and abs(found.frames - expected) > 2 + expected * _RATE_SLACK:
        return f"{found.frames} frames are not {expected:.0f}"
    return None


def wrong_size(job: Job, found: Facts) -> str | None:
    """How an output's picture is not of the size that the job asked for."""
    width, height = output_size(job.facts, job.task)
    if abs(found.width - width) > 1 or abs(found.height - height) > 1:
        return f"{found.width}x{found.height} is not {width}x{height}"
    return None


def _longest_frame_s(job: Job) -> float:
    source_fps = Fraction(job.facts.fps)
    return float(1 / min(source_fps, job.task.target_fps(source_fps)))
