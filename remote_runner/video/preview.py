"""A preview to play while the work goes on, made of one finished segment."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av.error
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import InputError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.moments import Reader
from remote_runner.video.signal import Signal
from remote_runner.video.small import SmallVideo
from remote_runner.video.source import time_base_of
from remote_runner.video.tonemap import lattice

LONGEST_SIDE = 1280
MAX_BYTES = 8_000_000

#: As the scaler calls them.
_MATRICES = ("bt709", "bt601", "bt2020", "fcc", "smpte240m")


def make_preview(
    segment: Path,
    target: Path,
    *,
    seconds: float = 10.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write the beginning of a segment as an MP4 (H.264, 8 bit) of at most 8 MB.

    At most 1280 pixels on the longer side, square; times start at 0; HDR is mapped to what an
    ordinary screen shows. Raises :class:`~remote_runner.errors.RunnerError` or
    :class:`~remote_runner.errors.Cancelled`, nothing left behind.
    """
    with Reader(segment, should_stop) as reader:
        frames = reader.frames(reader.start_s)
        first = next(frames, None)
        if first is None or first.pts is None:
            raise InputError(Reason.CORRUPT, "there is no frame to show")
        signal = signals.of_frame(first, reader.stream)
        graph = _graph(first, reader.stream, signal, target.parent)
        size = preview_size(first.width, first.height, _sar(reader.stream))
        try:
            video = SmallVideo(
                target,
                width=size[0],
                height=size[1],
                rate=reader.stream.average_rate or Fraction(25),
                time_base=time_base_of(reader.stream),
                seconds=seconds,
                max_bytes=MAX_BYTES,
            )
        except OSError as error:
            raise from_os_error(error, "starting a preview") from None
        try:
            for frame in _shown(first, frames, graph, seconds):
                video.write(frame, (frame.pts or 0) - first.pts)
            video.finish()
        except BaseException:
            video.abandon()
            raise


def preview_size(width: int, height: int, sar: Fraction) -> tuple[int, int]:
    """Even, square pixels, no larger than :data:`LONGEST_SIDE`."""
    wide = Fraction(width) * sar
    scale = min(Fraction(1), LONGEST_SIDE / max(wide, Fraction(height)))
    return max(2, round(wide * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _shown(
    first: VideoFrame, others: Iterator[VideoFrame], graph: Graph, seconds: float
) -> Iterator[VideoFrame]:
    end_s = (first.time or 0.0) + seconds
    frame: VideoFrame | None = first
    while frame is not None and (frame.time or 0.0) < end_s - 1e-6:
        graph.vpush(frame)
        made = graph.vpull()
        yield made
        frame = next(others, None)


def _graph(first: VideoFrame, stream: VideoStream, signal: Signal, folder: Path) -> Graph:
    """From frames as decoded to 8-bit BT.709 of the right size."""
    width, height = preview_size(first.width, first.height, _sar(stream))
    matrix = signal.matrix_name if signal.matrix_name in _MATRICES else "bt709"
    levels = f"in_color_matrix={matrix}:in_range={'full' if signal.full_range else 'limited'}"
    wanted = "out_color_matrix=bt709:out_range=limited"
    size = f"w={width}:h={height}:flags=bicubic"
    graph = Graph()
    chain = [graph.add_buffer(template=stream)]
    try:
        if signal.is_hdr:
            chain.append(graph.add("scale", f"{size}:{levels}"))
            chain.append(graph.add("format", "gbrp10le"))
            chain.append(_table(graph, signal, folder))
            chain.append(graph.add("scale", wanted))
        else:
            chain.append(graph.add("scale", f"{size}:{levels}:{wanted}"))
        chain += [graph.add("format", "yuv420p"), graph.add("buffersink")]
        graph.link_nodes(*chain).configure()
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(Reason.UNSUPPORTED, f"no preview of this: {error}") from None
    return graph


def _table(graph: Graph, signal: Signal, folder: Path) -> FilterContext:
    """The filter reads its file when it is made."""
    with tempfile.NamedTemporaryFile("w", suffix=".cube", dir=folder) as table:
        table.write(lattice(signal))
        table.flush()
        return graph.add("lut3d", file=table.name)


def _sar(stream: VideoStream) -> Fraction:
    return stream.sample_aspect_ratio or Fraction(1)
