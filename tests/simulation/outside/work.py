"""One attempt of a played runner: fetch, process segment by segment, upload, and what fails."""

import asyncio
import contextlib
import dataclasses
import hashlib
import math
from typing import Any

from remote_runner.protocol import (
    Check,
    Facts,
    Grant,
    Phase,
    ProtocolError,
    Reason,
    Result,
    from_json,
    to_json,
)
from remote_runner.report import progress_line
from tests.simulation.faults import Fault
from tests.simulation.outside.products import (
    MP4,
    NONSENSE,
    PNG,
    SPOILT,
    answer_done,
    count_frames,
    make_manifest,
    make_output,
    make_segment,
)
from tests.simulation.outside.rented import NotThere, TransferFailed
from tests.simulation.outside.signs import BEAT_S, Signs

PART_BYTES = 256
_KILLED = -9
_FOR_EVER_S = 1e7
_SLOWEST_TFLOPS = 12.7

_MEANWHILE = (
    Fault.RUNNER_CRASHES, Fault.RUNNER_OUT_OF_MEMORY, Fault.RUNNER_HANGS, Fault.RUNNER_SLOW,
    Fault.RUNNER_FAILS, Fault.RUNNER_BABBLES,
)  # fmt: skip
_AT_END = (
    Fault.RESULT_WRONG, Fault.RESULT_LATE, Fault.RESULT_TWICE, Fault.UPLOAD_TRUNCATED,
    Fault.PART_MISSING, Fault.RUNNER_CRASHES, Fault.RUNNER_BABBLES,
)  # fmt: skip
#: A run has few ends, and many faults share them.
_END_WEIGHT = 3.0
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


class SimAttempt:
    """``work`` is what is noted of it; ``shelf`` keeps the source for the next one."""

    def __init__(self, machine: Any, signs: Signs, grant: Grant, shelf: dict[str, bytes]) -> None:
        self.grant = grant
        self.work = machine.machines.begin(grant, machine.instance)
        self._machine, self._signs, self._shelf = machine, signs, shelf
        self._network, self._faults = machine.network, machine.faults
        self.states = machine.machines.objects.states_of(f"jobs/{grant.job}/{grant.attempt}/")
        self._slow = 1.0
        self._processing_s = 0.0
        self._resumed_frames = 0

    def check(self) -> None:
        """Raise where it must end."""
        grant, orders = self.grant, self._signs.latest
        if orders and (
            orders.stop
            or orders.cancel
            or (orders.job, orders.attempt) != (grant.job, grant.attempt)
        ):
            raise Cancelled
        if self._machine.now() > grant.deadline_at:
            raise Failed(Reason.DEADLINE, "the attempt ran out of time")

    async def do(self) -> Result:
        """All of it; how it ends otherwise is raised."""
        await self._meet_trouble()
        self.check()
        facts = await self._fetch()
        await self._process(facts)
        await self._signs.enter(Phase.VERIFYING)
        await self._signs.beat(self._faults.after(1, 4))
        self.check()
        await self._signs.enter(Phase.UPLOADING)
        output = make_output(self.grant, facts, self._machine.instance.id)
        self.work.outputs.append(hashlib.sha256(output).hexdigest())
        fault = self._faults.pick(_AT_END, self.states, weight=_END_WEIGHT)
        if fault is Fault.RESULT_WRONG and self._faults.rng.random() < 0.5:
            output = output.replace(b'"width": ', b'"width": 1')
        await self._upload(output, fault)
        result = answer_done(
            self.grant, facts, output, device=self._machine.instance.offer["gpu_name"],
            seconds=self._processing_s, resumed_frames=self._resumed_frames,
        )  # fmt: skip
        return await self._spoil(result, fault)

    async def _fetch(self) -> Facts:
        grant = self.grant
        await self._signs.enter(Phase.FETCHING)
        source = self._shelf.get(grant.source_id) if grant.source_id else None
        if source is None:
            source = await self._network.get(grant.source_url)
            await self._signs.beat(self._faults.after(1, 12))
            self.check()
        self._shelf.clear()
        self._shelf[grant.source_id] = source
        try:
            return from_json(Facts, source)
        except ProtocolError:
            raise Failed(Reason.NOT_A_VIDEO, "it is no video") from None

    async def _process(self, facts: Facts) -> None:
        """Segment by segment behind what earlier attempts left; each is saved when it is done."""
        grant = self.grant
        total = count_frames(grant, facts)
        count = 1 if grant.sample_s else max(1, math.ceil(facts.duration_s / grant.segment_s))
        resumed = await self._resume(count)
        self.work.resumed = max(self.work.resumed, resumed)
        self._resumed_frames = total * resumed // count
        await self._signs.enter(
            Phase.PROCESSING, total=total, done=self._resumed_frames, segments=resumed
        )
        if facts.codec == SPOILT:
            raise Failed(Reason.CORRUPT, "nothing can be decoded")
        in_row = True
        for number in range(resumed, count):
            await self._make_frames(total * (number + 1) // count, total)
            await self._meet_trouble()
            if number < len(grant.segments) and in_row:
                in_row = await self._save(number)
            self._signs.note(segments=number + 1)
            if number == 0:
                await self._show()

    async def _resume(self, count: int) -> int:
        """How many segments, from the first on, are there and good."""
        there = {each.number: each for each in self.grant.finished}
        for number in range(count):
            each = there.get(number)
            if each is None:
                return number
            try:
                manifest = await self._network.get(each.manifest_url)
                content = await self._network.get(each.content_url)
            except (NotThere, TransferFailed):
                return number
            if manifest != make_manifest(self.grant, number, content):
                return number
        return count

    async def _make_frames(self, until: int, total: int) -> None:
        """Frames up to ``until``, with a sign of life every few seconds."""
        signs = self._signs
        power = self._machine.instance.offer["total_flops"] / _SLOWEST_TFLOPS
        fps = self._machine.machines.speed * power**0.5 / self._slow
        while signs.status.done < until:
            frames = min(until - signs.status.done, max(1, round(fps * BEAT_S)))
            started_at = self._machine.now()
            signs.note(done=signs.status.done + frames, fps=fps)
            await signs.beat(frames / fps)
            self._processing_s += self._machine.now() - started_at
            left_s = (total - signs.status.done) / fps
            self._machine.instance.say(progress_line(signs.status.done, total, fps, left_s))
            self.check()

    async def _save(self, number: int) -> bool:
        """Content, then its manifest; whether the next one may follow."""
        content, urls = make_segment(self.grant, number), self.grant.segments[number]
        try:
            await self._network.put(urls.content_url, content)
            manifest = make_manifest(self.grant, number, content)
            await self._network.put(urls.manifest_url, manifest)
        except (NotThere, TransferFailed):
            return False
        self.work.left[number] = self._machine.machines.clock()
        return True

    async def _show(self) -> None:
        """What people look at while the work goes on; nothing about it may fail the work."""
        for url, data, name in (
            (self.grant.frame_url, PNG, "frame"),
            (self.grant.preview_url, MP4, "preview"),
        ):
            if url and await self._try_put(url, data):
                self._signs.note(**{name: True})

    async def _upload(self, output: bytes, fault: Fault | None) -> None:
        grant = self.grant
        sent = output[:-40] if fault is Fault.UPLOAD_TRUNCATED else output
        if grant.output_parts:
            await self._upload_parts(sent, skips=fault is Fault.PART_MISSING)
        else:
            await self._network.put(grant.output_url, sent)
        for url, data in ((grant.picture_url, PNG), (grant.clip_url, MP4)):
            if url:
                await self._try_put(url, data)
        self._machine.instance.gb_up += len(output) / 1e9
        self.check()

    async def _upload_parts(self, data: bytes, *, skips: bool) -> None:
        urls = self.grant.output_parts
        part_bytes = max(PART_BYTES, math.ceil(len(data) / len(urls)))
        starts = range(0, len(data), part_bytes)
        skipped = self._faults.rng.choice(starts) if skips else None
        for number, start in enumerate(starts):
            self.check()
            if start != skipped:
                await self._network.put(urls[number], data[start : start + part_bytes])

    async def _try_put(self, url: str, data: bytes) -> bool:
        try:
            await self._network.put(url, data)
        except (NotThere, TransferFailed):
            return False
        return True

    # --- what goes wrong -----------------------------------------------------------------------

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
            {"sha256": None}, {"extension": "exe"}, {},
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
