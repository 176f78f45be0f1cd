"""One attempt of a played runner: fetch, process segment by segment, upload."""

import hashlib
import math
from typing import Any

from controller.market import output_gb
from controller.workload import output_frames
from remote_runner.protocol import (
    Facts,
    Grant,
    Phase,
    ProtocolError,
    Reason,
    Result,
    from_json,
)
from remote_runner.report import progress_line
from tests.simulation.faults import Fault
from tests.simulation.outside.products import (
    MP4,
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
from tests.simulation.outside.trouble import Cancelled, Failed, Troubled

PART_BYTES = 256
_SLOWEST_TFLOPS = 12.7

_AT_END = (
    Fault.RESULT_WRONG, Fault.RESULT_LATE, Fault.RESULT_TWICE, Fault.UPLOAD_TRUNCATED,
    Fault.PART_MISSING, Fault.RUNNER_CRASHES, Fault.RUNNER_BABBLES,
)  # fmt: skip
#: A run has few ends, and many faults share them.
_END_WEIGHT = 3.0


class SimAttempt(Troubled):
    """``work`` is what is noted of it; ``shelf`` keeps the source for the next one."""

    def __init__(self, machine: Any, signs: Signs, grant: Grant, shelf: dict[str, bytes]) -> None:
        super().__init__(machine, signs, grant)
        self.work = machine.machines.begin(grant, machine.instance)
        self._shelf = shelf
        self._processing_s = 0.0
        self._resumed_frames = 0
        self._output_gb = 0.0
        """What the output would weigh if it were one: the document that stands for it does not."""
        self._segments = 1

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
        faults = [
            each for each in _AT_END if each is not Fault.PART_MISSING or self.grant.output_parts
        ]
        fault = self._faults.pick(faults, self.states, weight=_END_WEIGHT)
        is_wider = fault is Fault.RESULT_WRONG and self._faults.rng.random() < 0.5
        if is_wider:
            output = output.replace(b'"width": ', b'"width": 1')
        await self._upload(output, fault)
        result = answer_done(
            self.grant, facts, output, device=self._machine.instance.offer["gpu_name"],
            seconds=self._processing_s, resumed_frames=self._resumed_frames,
        )  # fmt: skip
        # a wrong video has a true record: only a look at it tells
        return result if is_wider else await self._spoil(result, fault)

    async def _fetch(self) -> Facts:
        grant = self.grant
        await self._signs.enter(Phase.FETCHING)
        source = self._shelf.get(grant.source_id) if grant.source_id else None
        if source is None:
            source = await self._network.get(grant.source_url)
            self._machine.instance.gb_down += grant.source_bytes / 1e9
            await self._signs.beat(self._faults.after(1, 12))
            self.check()
        self._shelf.clear()
        self._shelf[grant.source_id] = source
        try:
            facts = from_json(Facts, source)
        except ProtocolError:
            raise Failed(Reason.NOT_A_VIDEO, "it is no video") from None
        share = count_frames(grant, facts) / output_frames(facts, grant.task)
        self._output_gb = share * output_gb(facts, grant.task, grant.source_bytes / 1e9)
        return facts

    async def _process(self, facts: Facts) -> None:
        """Segment by segment behind what earlier attempts left; each is saved when it is done."""
        grant = self.grant
        total = count_frames(grant, facts)
        count = 1 if grant.sample_s else max(1, math.ceil(facts.duration_s / grant.segment_s))
        self._segments = count
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
            self._machine.instance.gb_down += self._output_gb / count
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
            self._machine.instance.gb_up += self._output_gb / self._segments
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
        self._machine.instance.gb_up += self._output_gb
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
