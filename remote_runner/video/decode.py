"""Decoding: pictures with their times, one after another, as :mod:`.colour` can read them."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
import torch
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.errors import InputError
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.signal import HdrSideData, Signal
from remote_runner.video.source import (
    Orientation,
    as_runner_error,
    bound_decoder,
    main_video,
    open_source,
    orientation_of,
    side_data,
    time_base_of,
)

log = logging.getLogger(__name__)

#: Packets that may fail to decode: this share of the file, and always these few.
BAD_SHARE = 0.01
BAD_FEW = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame in the signal's ``pix_fmt``."""

    frame: VideoFrame
    at: int
    """Presentation time in ticks of the decoder's time base."""
    duration: int
    """Ticks, 0 where the file does not say."""

    def planes(self) -> list[Tensor]:
        """Views of the samples, H×W unsigned integers each; valid as long as they are held."""
        return [from_dlpack(plane) for plane in self.frame.planes]

    def equals(self, other: Picture) -> bool:
        """Whether the samples are the same, bit by bit."""
        pairs = zip(self.planes(), other.planes(), strict=True)
        return all(torch.equal(mine, theirs) for mine, theirs in pairs)


#: Frames that H.264 and HEVC may put between decoding and showing (ITU-T H.264, A.3.1).
_REORDERED = 16


class Decoder:
    """Reads the pictures of one file, in order; iterate over it once, in one thread.

    What the first frame tells (:attr:`signal`, :attr:`orientation`, size) is known from the start.
    Raises :class:`InputError` when nothing, or too little, can be decoded.
    """

    def __init__(self, path: Path, *, packets: int, interlaced: bool = False) -> None:
        self._container = open_source(path)
        try:
            self._stream = main_video(self._container)
            bound_decoder(self._stream)
            self.time_base = time_base_of(self._stream)
            self._allowed = max(BAD_FEW, int(packets * BAD_SHARE))
            self.bad_packets = 0
            self.notes: set[str] = set()
            self._raw = self._decode()
            self._first = next(self._raw, None)
            if self._first is None:
                raise InputError(Reason.CORRUPT, "no frame could be decoded")
        except BaseException:
            self._container.close()
            raise
        self._describe(self._first, interlaced)

    def _describe(self, first: VideoFrame, interlaced: bool) -> None:
        self.signal: Signal = signals.of_frame(first, self._stream)
        self.orientation: Orientation = orientation_of(first)
        self.width, self.height = first.width, first.height
        self.start: int = _ticks(first, self.time_base) or 0
        self.side_data = HdrSideData(
            mastering=side_data(first, SideDataType.MASTERING_DISPLAY_METADATA),
            light_level=side_data(first, SideDataType.CONTENT_LIGHT_LEVEL),
        )
        self.has_captions = side_data(first, SideDataType.A53_CC) is not None
        self.notes.update(self.signal.notes)
        self._graph = self._deinterlacer() if interlaced else None
        if interlaced:
            self.notes.add("deinterlaced")

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Picture]:
        latest: Picture | None = None
        for frame, told in self._timed():
            at = told
            if latest and (at is None or at <= latest.at):
                self.notes.add("timestamps_repaired")
                # a slip of one frame gets half a step, so that the next good time takes over
                # again; times that start anew go on at the pace of the frames
                slipped = at is not None and latest.at - at < 2 * latest.duration
                at = latest.at + max(1, latest.duration // (2 if slipped else 1))
            duration = round(frame.duration * (frame.time_base or 0) / self.time_base)
            latest = Picture(frame, at or 0, duration)
            yield latest

    def _timed(self) -> Iterator[tuple[VideoFrame, int | None]]:
        """Frames with their times in ticks.

        AVI has no presentation times: FFmpeg counts packets in the order of decoding, so that the
        times of B-frames come shuffled. The n-th frame shown gets the n-th of the times then.
        """
        if self._container.format.name != "avi":
            for frame in self._progressive():
                yield frame, _ticks(frame, self.time_base)
            return
        held: deque[VideoFrame] = deque()
        times: list[int] = []
        for frame in self._progressive():
            held.append(frame)
            at = _ticks(frame, self.time_base)
            if at is not None:
                heapq.heappush(times, at)
            if len(held) > _REORDERED:
                yield held.popleft(), heapq.heappop(times) if times else None
        while held:
            yield held.popleft(), heapq.heappop(times) if times else None

    def _progressive(self) -> Iterator[VideoFrame]:
        """Frames through the deinterlacer, where there is one."""
        for frame in self._plain():
            if self._graph is None:
                yield frame
                continue
            self._graph.vpush(frame)
            yield from _drain(self._graph)
        if self._graph is not None:
            self._graph.vpush(None)
            yield from _drain(self._graph)

    def _plain(self) -> Iterator[VideoFrame]:
        """Frames of one size and one of the known layouts."""
        if self._first is not None:
            first, self._first = self._first, None
            yield self._converted(first)
        for frame in self._raw:
            yield self._converted(frame)

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        same_size = (frame.width, frame.height) == (self.width, self.height)
        name = frame.format.name
        if same_size and name.replace("yuvj", "yuv") == self.signal.pix_fmt:
            return frame
        if not same_size:
            self.notes.add("size_changes")
        at, duration, base = frame.pts, frame.duration, frame.time_base
        # swscale must not touch the levels of YCbCr; from RGB it makes what the signal says.
        made = "rgb" in name or frame.format.is_rgb or name == "pal8"
        levels = "JPEG" if self.signal.full_range else "MPEG"
        frame = frame.reformat(
            width=self.width,
            height=self.height,
            format=self.signal.pix_fmt,
            dst_colorspace="ITU709" if made else None,
            src_color_range=None if made else levels,
            dst_color_range=levels,
            interpolation="BICUBIC",
        )
        frame.pts, frame.duration = at, duration
        if base:
            frame.time_base = base
        return frame

    def _decode(self) -> Iterator[VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError as error:
                    self._count_bad(str(error.strerror))
                    continue
                for frame in frames:
                    if frame.is_corrupt:
                        self._count_bad("damaged frame")
                    yield frame
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "decoding") from None

    def _count_bad(self, what: str) -> None:
        self.bad_packets += 1
        log.warning("packet %d could not be decoded well: %s", self.bad_packets, what)
        if self.bad_packets > self._allowed:
            raise InputError(
                Reason.CORRUPT, f"more than {self._allowed} packets are damaged: {what}"
            )

    def _deinterlacer(self) -> Graph:
        """bwdif on the frames that are flagged as interlaced; one frame out for one frame in."""
        graph = Graph()
        source = graph.add(
            "buffer",
            video_size=f"{self.width}x{self.height}",
            pix_fmt=self.signal.pix_fmt,
            time_base=str(self.time_base),
            pixel_aspect="1/1",
            range="full" if self.signal.full_range else "limited",
        )
        bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = graph.add("buffersink")
        graph.link_nodes(source, bwdif, sink).configure()
        return graph


def _drain(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _ticks(frame: VideoFrame, base: Fraction) -> int | None:
    at = frame.pts if frame.pts is not None else frame.dts
    if at is None or frame.time_base is None:
        return None
    return round(at * frame.time_base / base)


def orient(picture: Tensor, orientation: Orientation) -> Tensor:
    """Turn a picture, …×H×W, as a player would."""
    if orientation.transposed:
        picture = picture.transpose(-2, -1)
    axes = [axis for axis, flip in ((-1, orientation.flip_x), (-2, orientation.flip_y)) if flip]
    return picture.flip(axes) if axes else picture.contiguous()
