"""A graph of FFmpeg's filters that compares frames of two videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av.error
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from remote_runner.video.decode import Decoder
from remote_runner.video.placement import Placement


class Comparison:
    """Takes pairs of frames, gives the second ones back with figures in their metadata."""

    def __init__(
        self, graph: Graph, before: FilterContext, after: FilterContext, sink: FilterContext
    ) -> None:
        self._graph = graph
        self._inputs = before, after
        self._sink = sink
        self._count = 0

    def push(self, before: VideoFrame, after: VideoFrame) -> Iterator[VideoFrame]:
        """Put in a pair; some of the results come later."""
        for node, frame in zip(self._inputs, (before, after), strict=True):
            # a frame may be compared with more than one, so its own time stays
            kept = frame.pts
            frame.pts = self._count
            node.push(frame)
            frame.pts = kept
        self._count += 1
        return self._drain()

    def finish(self) -> Iterator[VideoFrame]:
        """The rest."""
        for node in self._inputs:
            node.push(None)
        return self._drain()

    def _drain(self) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if isinstance(frame, VideoFrame):
                yield frame


def build_comparison(
    old: Decoder, new: Decoder, placement: Placement, vmaf_log: Path | None
) -> Comparison:
    """PSNR and SSIM of luma at the source's size as shown; VMAF into a file if one is given."""
    graph = Graph()
    before, after = _buffer(graph, old), _buffer(graph, new)
    pix_fmt = "gray" if new.signal.bits == 8 else "gray10le"
    width, height = old.width, old.height
    if old.orientation.transposed:
        width, height = height, width
    width, height, cut_old, cut_new = _cuts(width, height, new, placement)
    wanted = [("extractplanes", "y"), *_upright(old), *cut_old, ("format", pix_fmt)]
    found = [("extractplanes", "y"), *cut_new]
    if (placement_size(new, placement)) != (width, height):
        how = "area" if placement.width >= width else "bicubic"
        found.append(("scale", f"w={width}:h={height}:flags={how}+accurate_rnd"))
    found.append(("format", pix_fmt))
    reference, distorted = _chain(graph, before, wanted), _chain(graph, after, found)
    meters = [("psnr", ""), ("ssim", "")]
    if vmaf_log is not None:
        meters.append(("libvmaf", f"log_fmt=json:log_path={vmaf_log}"))
    split = graph.add("split", str(len(meters)))
    reference.link_to(split)
    for place, (name, arguments) in enumerate(meters):
        meter = graph.add(name, arguments)
        distorted.link_to(meter, 0, 0)
        split.link_to(meter, place, 1)
        distorted = meter
    sink = graph.add("buffersink")
    distorted.link_to(sink)
    graph.configure()
    return Comparison(graph, before, after, sink)


def placement_size(new: Decoder, placement: Placement) -> tuple[int, int]:
    """Of the part of the output that shows the source."""
    return min(new.width, placement.width), min(new.height, placement.height)


def _cuts(
    width: int, height: int, new: Decoder, placement: Placement
) -> tuple[int, int, list[tuple[str, str]], list[tuple[str, str]]]:
    """The size to compare at, what to cut of the source (as shown) and of the output."""
    cut_old, cut_new = [], []
    seen = placement_size(new, placement)
    if seen != (new.width, new.height):
        left, top = max(0, placement.left), max(0, placement.top)
        cut_new.append(("crop", f"w={seen[0]}:h={seen[1]}:x={left}:y={top}:exact=1"))
    if placement.is_cut:
        across, down = width / placement.width, height / placement.height
        left, top = round(-min(0, placement.left) * across), round(-min(0, placement.top) * down)
        width, height = round(seen[0] * across), round(seen[1] * down)
        cut_old.append(("crop", f"w={width}:h={height}:x={left}:y={top}:exact=1"))
    return width, height, cut_old, cut_new


def _upright(old: Decoder) -> list[tuple[str, str]]:
    """Transposed first, then mirrored."""
    turn = old.orientation
    steps = (
        (turn.transposed, ("transpose", "cclock_flip")),
        (turn.flip_x, ("hflip", "")),
        (turn.flip_y, ("vflip", "")),
    )
    return [step for needed, step in steps if needed]


def _buffer(graph: Graph, decoder: Decoder) -> FilterContext:
    return graph.add(
        "buffer",
        video_size=f"{decoder.width}x{decoder.height}",
        pix_fmt=decoder.signal.pix_fmt,
        time_base="1/1000",
        pixel_aspect="1/1",
        range="full" if decoder.signal.full_range else "limited",
    )


def _chain(graph: Graph, first: FilterContext, steps: list[tuple[str, str]]) -> FilterContext:
    node = first
    for name, arguments in steps:
        following = graph.add(name, arguments or None)
        node.link_to(following)
        node = following
    return node
