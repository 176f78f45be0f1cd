"""The new video from a plan: pictures decoded, rendered, encoded in segments, joined to a file.

Three threads work at once: one decodes, the caller's runs the networks, one encodes. Short queues
between them keep memory constant whatever the length. A failure of any of them ends all of them
and is raised here. A run that goes on where another stopped takes the same path: it begins at the
first segment that is missing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from remote_runner.belt import Abandoned, Belt, Worker, feed
from remote_runner.devices import keep_freed_memory, own_stream
from remote_runner.errors import Cancelled, InputError, MachineError, RunnerError
from remote_runner.memory import is_out_of_memory
from remote_runner.plan import Plan
from remote_runner.protocol import Phase, Reason, to_json
from remote_runner.segments import (
    Manifest,
    Numbering,
    SegmentStore,
    follow,
    recipe_of,
    sha256_of,
)
from remote_runner.speed import Speed
from remote_runner.video.decode import Picture
from remote_runner.video.join import Piece, join
from remote_runner.video.mux import Output
from remote_runner.video.render import Origin, OutOfStep, Timed
from remote_runner.video.segment import SegmentWriter

log = logging.getLogger(__name__)

#: Pictures waiting between two threads.
QUEUE = 4

#: Networks lighter than this run on one thread: the encoder makes better use of the others.
_LIGHT_MACS = 1_000

#: Notes of a decoder whose pictures depend on more than the key frame before them.
_UNCLEAN = {"timestamps_guessed", "timestamps_repaired", "deinterlaced", "size_changes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the work is."""

    phase: Phase
    done: int = 0
    """Output frames, those of earlier runs included."""
    total: int = 0
    segments: int = 0
    """Finished ones, those of earlier runs included."""
    resumed: int = 0
    """Output frames of earlier runs."""


@dataclass(slots=True, kw_only=True)
class Product:
    """The segments of one video, finished ones first."""

    plan: Plan
    store: SegmentStore
    recipe: str
    numbering: Numbering
    finished: list[Manifest]
    resumed: int = 0
    """How many of them earlier runs had finished."""

    @property
    def frames(self) -> int:
        return sum(manifest.frames for manifest in self.finished)

    @property
    def resumed_frames(self) -> int:
        return sum(manifest.frames for manifest in self.finished[: self.resumed])

    @property
    def is_complete(self) -> bool:
        return bool(self.finished) and self.finished[-1].next_at is None


def prepare(plan: Plan, store: SegmentStore, segment_s: float) -> Product:
    """Find out what earlier runs finished; it is on this machine then."""
    numbering = Numbering(plan.decoder.start, segment_s, plan.decoder.time_base)
    recipe = _recipe(plan, segment_s)
    chain = follow(store.manifests(recipe), numbering)
    chain = chain[: store.fetch(chain)]
    store.forget(but=chain)
    product = Product(
        plan=plan,
        store=store,
        recipe=recipe,
        numbering=numbering,
        finished=chain,
        resumed=len(chain),
    )
    if chain:
        log.info("going on behind %d frames of an earlier run", product.frames)
    return product


def make_segments(
    product: Product,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Make every segment that is missing.

    Raises :class:`~remote_runner.errors.RunnerError`, :class:`Cancelled`, or
    :class:`~remote_runner.video.render.OutOfStep` when the source does not go with what is there.
    """
    started = time.monotonic()
    plan = product.plan
    plan.decoder.should_stop = should_stop
    begin = _resume(product)
    speed = Speed()
    if begin is not None or not product.finished:
        pictures: Belt[Picture] = Belt(QUEUE)
        frames: Belt[Timed] = Belt(QUEUE)
        decoding = Worker(lambda: feed(pictures, plan.decoder), "decode")
        encoding = Worker(lambda: _encode(_Segmenter(product), frames), "encode")
        failure: BaseException | None = None
        try:
            _share_processors(plan)
            with torch.inference_mode(), own_stream(plan.device):
                _run_networks(product, begin, pictures, frames, progress, should_stop, speed)
        except BaseException as error:  # raised again once the threads have ended
            failure = error
        frames.close(failure)
        pictures.abandon()
        for worker in (decoding, encoding):
            worker.join()
        # What a thread died of comes before what the others noticed of it.
        _raise_first(decoding.failure, encoding.failure, failure)
        plan.decoded = plan.renderer.pictures
    plan.timings["process"] = time.monotonic() - started
    # what the whole video would take: speeds are learned from it, so that neither a warm-up nor
    # what an earlier run had finished may count
    if (whole_s := speed.seconds_for(product.frames)) is not None:
        plan.timings["processing"] = whole_s


def join_segments(
    product: Product, path: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Put the finished segments together, with the source's other streams beside them.

    Raises as :func:`make_segments` does. What no output takes is the source's fault only where no
    other run had a hand in it.
    """
    started = time.monotonic()
    plan = product.plan
    pieces = [
        Piece(
            path=product.store.path(each.number),
            time_base=plan.encoder.time_base,
            first=each.first,
            depth=each.depth,
            end=each.end,
        )
        for each in product.finished
    ]
    extradata = {each.extradata_sha256 for each in product.finished}
    output = Output(path, plan.source, plan.mux, plan.encoder, extradata)
    try:
        join(
            output,
            pieces,
            joined=lambda place: product.store.joined(product.finished[place].number),
            should_stop=should_stop,
        )
    except InputError as error:
        if product.resumed:
            raise OutOfStep(error.detail) from None
        raise
    plan.timings["join"] = time.monotonic() - started


def _recipe(plan: Plan, segment_s: float) -> str:
    """Which encoder works is left out: segments of several join."""
    settings = asdict(plan.encoder)
    for name in ("encoder", "options", "on_card", "side_data"):
        settings.pop(name, None)
    return recipe_of(
        plan.source,
        task=to_json(plan.task),
        model=plan.model,
        signal=plan.decoder.signal,
        geometry=plan.geometry,
        encoder=sorted(settings.items()),
        segment_s=segment_s,
    )


def _resume(product: Product) -> Origin | None:
    """Where to begin; None at the beginning, or when there is nothing left to do."""
    if not product.finished:
        return None
    plan, last = product.plan, product.finished[-1]
    plan.decoder.notes.update(last.notes)
    if last.next_at is None:
        renderer, decoder = plan.renderer, plan.decoder
        plan.decoded, renderer.cuts, renderer.repeated = last.pictures, last.cuts, last.repeated
        decoder.bad_packets = last.damaged
        renderer.last_at, renderer.until = last.last_at, last.until
        return None
    clean = not last.damaged and not _UNCLEAN & {note.split(":")[0] for note in last.notes}
    try:
        plan.decoder.skip_to(last.last_at, seek=clean)
    except RunnerError as error:
        raise OutOfStep(f"the source cannot be entered in its middle: {error}") from None
    return Origin(
        at=last.next_at,
        previous=last.last_at,
        pictures=last.pictures,
        cuts=last.cuts,
        repeated=last.repeated,
    )


def _run_networks(  # noqa: PLR0917 - one call, right above
    product: Product,
    begin: Origin | None,
    pictures: Belt[Picture],
    frames: Belt[Timed],
    progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    speed: Speed,
) -> None:
    plan, resumed = product.plan, product.frames
    rendered = plan.renderer.render(
        _stoppable(pictures, should_stop),
        plan.timeline,
        plan.decoder.time_base,
        begin=begin,
    )
    for done, timed in enumerate(rendered, resumed + 1):
        frames.put(timed)
        speed.note()
        if should_stop():
            raise Cancelled
        progress(
            Progress(
                phase=Phase.PROCESSING,
                done=done,
                total=max(done, plan.total),
                segments=len(product.finished),
                resumed=resumed,
            )
        )


def _stoppable(pictures: Iterable[Picture], should_stop: Callable[[], bool]) -> Iterator[Picture]:
    """Pictures that bring forth no frame, as when the rate is lowered, must not delay a stop."""
    for picture in pictures:
        if should_stop():
            raise Cancelled
        yield picture


class _Segmenter:
    """Encodes frames into one segment after the other. Use in one thread."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._writer: SegmentWriter | None = None
        self._number = -1
        self._first: Timed | None = None
        self._last: Timed | None = None

    def write(self, timed: Timed) -> None:
        number = self._product.numbering.number(timed.origin.at)
        if self._writer is None or number != self._number:
            self._close(timed)
            path = self._product.store.open(number)
            self._writer = SegmentWriter(path, self._product.plan.encoder)
            self._number, self._first = number, timed
        self._writer.write(timed)
        self._last = timed

    def finish(self) -> None:
        self._close(None)

    def abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()

    def _close(self, following: Timed | None) -> None:
        """Finish the segment that is open; its last frame ends where the following one begins."""
        writer, first, last = self._writer, self._first, self._last
        if writer is None or first is None or last is None:
            return
        writer.finish()
        self._writer = None
        plan, store = self._product.plan, self._product.store
        renderer, path = plan.renderer, store.path(self._number)
        counts: Origin | None = following.origin if following else None
        manifest = Manifest(
            number=self._number,
            recipe=self._product.recipe,
            begin_at=first.origin.at,
            last_at=_known(counts.previous if counts else renderer.last_at),
            next_at=counts.at if counts else None,
            until=None if counts else renderer.until,
            frames=len(writer.shown),
            first=first.at,
            last=last.at,
            end=following.at if following else plan.timeline.end(_known(renderer.until)),
            pictures=counts.pictures if counts else renderer.pictures,
            cuts=counts.cuts if counts else renderer.cuts,
            repeated=counts.repeated if counts else renderer.repeated,
            # the decoder is ahead: damage counts for a segment too early, never too late
            damaged=plan.decoder.bad_packets,
            notes=tuple(sorted(plan.decoder.notes.copy())),
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            encoder=plan.encoder.encoder,
            extradata_sha256=writer.extradata_sha256,
            depth=writer.depth,
        )
        store.keep(manifest)
        self._product.finished.append(manifest)


def _known(at: int | None) -> int:
    if at is None:
        raise MachineError(Reason.INTERNAL, "a segment without a source picture")
    return at


def _encode(segmenter: _Segmenter, frames: Belt[Timed]) -> None:
    try:
        for timed in frames:
            segmenter.write(timed)
        segmenter.finish()
    except BaseException:
        frames.abandon()
        segmenter.abandon()
        raise


def _share_processors(plan: Plan) -> None:
    """All processors for a network on the CPU; one where there is little to share out.

    Threads of PyTorch wait for each other after every operation: beside a busy encoder that costs
    more than it brings, unless the operations are long.
    """
    heavy = plan.interpolator is not None or (
        plan.upscaler is not None and plan.upscaler.macs_per_pixel > _LIGHT_MACS
    )
    if plan.device.type == "cpu":
        keep_freed_memory()
    torch.get_num_threads()  # settles this thread's default, which would undo the setting later
    torch.set_num_threads(len(os.sched_getaffinity(0)) if heavy else 1)


def _raise_first(*failures: BaseException | None) -> None:
    for failure in failures:
        if failure is None or isinstance(failure, Abandoned):
            continue
        if is_out_of_memory(failure):
            raise MachineError(Reason.OUT_OF_MEMORY, "no memory left") from failure
        raise failure
