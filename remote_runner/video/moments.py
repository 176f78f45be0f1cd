"""Moments of a video worth looking at, found with work that does not grow with its length."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av.error
import cv2
import numpy as np
import numpy.typing as npt
import torch
from av.container import InputContainer
from av.video.frame import VideoFrame
from torch import Tensor

from remote_runner.errors import Cancelled, InputError
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.colour import Colours, small_luma
from remote_runner.video.decode import Picture, orient
from remote_runner.video.signal import Signal
from remote_runner.video.source import (
    as_runner_error,
    bound_decoder,
    main_video,
    open_source,
    orientation_of,
    time_base_of,
)
from remote_runner.video.tonemap import to_sdr

log = logging.getLogger(__name__)

Image = npt.NDArray[np.uint8]
Stop = Callable[[], bool]

_PLACES = 8
#: Frames decoded on the way to a place: beyond, whatever was reached is looked at.
_NEAR = 24
#: Likewise where it must be this frame: longer than the groups of pictures of our encoders.
_FAR = 600
_LOOKED_AT_S = 0.5
#: Motion that every scene is taken to have, so that of still ones the one with most detail wins.
STILL = 1e-4
#: How long before a moment to look for the key frame: MPEG-TS leads to any packet, not to one.
_BACK_S = (0.0, 2.0, 10.0)
#: Times of two containers that count milliseconds differ by as much.
_ROUNDING_S = 0.0015
#: Demuxers of bare streams: their frames have no times but those that are counted.
_TIMELESS = {"h264", "hevc", "mpegvideo", "m4v", "obu", "av1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A frame as RGB 3×H×W for an ordinary screen, upright, with samples as coded."""

    rgb: Tensor
    at_s: float
    sar: Fraction
    is_hdr: bool


class Reader:
    """Decodes the frames of a file from some moment on; use it as a context manager."""

    def __init__(self, path: Path, should_stop: Stop = lambda: False) -> None:
        self._path = path
        self._should_stop = should_stop
        self._open()
        self.start_s = self._start()
        self.duration_s = (self._container.duration or 0) / 1_000_000
        self.format_name = self._container.format.name

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def frames(self, at_s: float) -> Iterator[VideoFrame]:
        """From the key frame before a moment on; from the beginning where nothing can be sought.

        What cannot be decoded is left out. Frames that an earlier call gave end with this one.
        """
        first: VideoFrame | None = None
        for back_s in _BACK_S:
            found = self._read(at_s - back_s)
            first = next(found, None)
            in_time = first is not None and (first.time or 0.0) <= at_s + _ROUNDING_S
            if in_time or at_s - back_s <= self.start_s:
                break
        if first is None:
            found = self._read(self.start_s)
            first = next(found, None)
        if first is not None:
            yield first
            yield from found

    def _read(self, at_s: float) -> Iterator[VideoFrame]:
        """From wherever the container takes us for a moment."""
        step = 1 / (self.stream.guessed_rate or self.stream.average_rate or Fraction(25))
        timeless = self._container.format.name in _TIMELESS
        self._seek(at_s, from_start=timeless or at_s <= self.start_s)
        count = 0
        try:
            for packet in self._container.demux(self.stream):
                if self._should_stop():
                    raise Cancelled
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:
                    continue
                for frame in decoded:
                    if timeless:
                        frame.pts, frame.time_base = count, step
                    count += 1
                    if frame.time is not None:
                        yield frame
        except av.error.EOFError:
            return  # sought beyond what there is
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "looking for a frame") from None

    def _seek(self, at_s: float, *, from_start: bool) -> None:
        try:
            if not from_start:
                at = int(at_s / time_base_of(self.stream))
                self._container.seek(at, stream=self.stream)
                return
        except av.error.FFmpegError as error:
            log.info("reading from the beginning, nothing can be sought: %s", error)
        self._container.close()
        self._open()

    def _open(self) -> None:
        self._container: InputContainer = open_source(self._path)
        try:
            self.stream = main_video(self._container)
        except BaseException:
            self._container.close()
            raise
        bound_decoder(self.stream)

    def places(self, length_s: float = 0.0) -> list[float]:
        """Moments all over the video, each with so much behind it as far as there is."""
        span_s = max(0.0, self.duration_s - length_s)
        return [self.start_s + span_s * (n + 0.5) / _PLACES for n in range(_PLACES)]

    def _start(self) -> float:
        if self.stream.start_time is not None:
            return float(self.stream.start_time * time_base_of(self.stream))
        return (self._container.start_time or 0) / 1_000_000


def busiest_frame(
    path: Path, should_stop: Stop = lambda: False, *, seconds: float | None = None
) -> Shown:
    """The frame with the most detail of several all over a video, or over its first seconds."""
    best: tuple[float, Shown] | None = None
    with Reader(path, should_stop) as reader:
        for place in reader.places(0.0 if seconds is None else reader.duration_s - seconds):
            frame = _reach(reader, place, _NEAR) or _reach(reader, reader.start_s, 1)
            if frame is not None:
                shown = show(frame, reader)
                score = detail_of(shown.rgb.mean(0))
                if best is None or score > best[0]:
                    best = score, shown
    if best is None:
        raise InputError(Reason.CORRUPT, "there is no frame to draw")
    return best[1]


def frame_at(path: Path, at_s: float, should_stop: Stop = lambda: False) -> Shown:
    """The frame that is shown at a moment, or the nearest that is reached."""
    with Reader(path, should_stop) as reader:
        frame = _reach(reader, at_s, _FAR)
        if frame is None:
            raise InputError(Reason.CORRUPT, "there is no frame to draw")
        return show(frame, reader)


def first_moment(path: Path, should_stop: Stop = lambda: False) -> float:
    """When the first frame that can be decoded is shown: containers that know no times before 0
    shift all of a file."""
    with Reader(path, should_stop) as reader:
        frame = _reach(reader, reader.start_s, 1)
        if frame is None:
            raise InputError(Reason.CORRUPT, "there is no frame to draw")
        return frame.time or 0.0


def busiest_start(path: Path, seconds: float, should_stop: Stop = lambda: False) -> float:
    """Where a stretch of so many seconds begins that has much detail and much motion.

    The beginning of the video if it is no longer than that.
    """
    with Reader(path, should_stop) as reader:
        if reader.duration_s <= seconds:
            return reader.start_s
        found: list[tuple[float, float]] = []
        for place in reader.places(seconds):
            score, at_s = liveliness(reader, place)
            found.append((score, min(at_s, reader.start_s + reader.duration_s - seconds)))
        return max(found)[1]


def liveliness(reader: Reader, place: float) -> tuple[float, float]:
    """Detail × motion around a place, and when that was. A cut alone is no motion."""
    luma: list[Tensor] = []
    at_s: float | None = None
    for frame in islice(reader.frames(place), _NEAR):
        at_s = frame.time if at_s is None else at_s
        luma.append(thumbnail(frame, reader))
        if at_s is not None and (frame.time or 0.0) > at_s + _LOOKED_AT_S:
            break
    moved = sorted(float((b - a).abs().mean()) for a, b in pairwise(luma))
    motion = moved[len(moved) // 2] if moved else 0.0
    detail = detail_of(luma[0]) if luma else 0.0
    return detail * (motion + STILL), place if at_s is None else at_s


def thumbnail(frame: VideoFrame, reader: Reader) -> Tensor:
    """Luma of a decoded frame, 90×160."""
    signal = signals.of_frame(frame, reader.stream)
    plane = Picture(as_signal(frame, signal), 0, 0).planes()[0]
    return small_luma(plane, signal, rows=90, columns=160)


def detail_of(luma: Tensor) -> float:
    """Mean strength of edges: high where there is much to see."""
    across = (luma[:, 1:] - luma[:, :-1]).abs().mean()
    down = (luma[1:] - luma[:-1]).abs().mean()
    return float(across + down)


def busiest_window(image: Image, side_y: int, side_x: int) -> tuple[int, int]:
    """Top and left, both even, of the window with the strongest edges in a BGR image."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    edges = np.abs(np.asarray(cv2.Laplacian(grey, cv2.CV_32F)))
    mean = cv2.blur(edges, (side_x, side_y), borderType=cv2.BORDER_CONSTANT)
    inside = np.asarray(mean)[
        side_y // 2 : image.shape[0] - side_y + side_y // 2 + 1,
        side_x // 2 : image.shape[1] - side_x + side_x // 2 + 1,
    ]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top) // 2 * 2, int(left) // 2 * 2


def show(frame: VideoFrame, reader: Reader) -> Shown:
    """A decoded frame for an ordinary screen."""
    signal = signals.of_frame(frame, reader.stream)
    turn = orientation_of(frame)
    sar = reader.stream.sample_aspect_ratio or Fraction(1)
    planes = Picture(as_signal(frame, signal), 0, 0).planes()
    rgb = orient(Colours(signal, torch.device("cpu")).to_rgb(planes), turn)
    return Shown(
        rgb=to_sdr(rgb, signal),
        at_s=frame.time or 0.0,
        sar=1 / sar if turn.transposed else sar,
        is_hdr=signal.is_hdr,
    )


def as_signal(frame: VideoFrame, signal: Signal) -> VideoFrame:
    """In the layout that planes are read in; from RGB as the decoder makes it for the work."""
    if frame.format.name.replace("yuvj", "yuv") == signal.pix_fmt:
        return frame
    made = "rgb" in frame.format.name or frame.format.is_rgb or frame.format.name == "pal8"
    levels = "JPEG" if signal.full_range else "MPEG"
    return frame.reformat(
        format=signal.pix_fmt,
        dst_colorspace="ITU709" if made else None,
        src_color_range=None if made else levels,
        dst_color_range=levels,
    )


def as_image(rgb: Tensor) -> Image:
    """RGB floats 3×H×W → the BGR bytes H×W×3 of OpenCV."""
    levels = rgb.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
    image: Image = np.ascontiguousarray(levels.permute(1, 2, 0).numpy()[:, :, ::-1])
    return image


def _reach(reader: Reader, at_s: float, most: int) -> VideoFrame | None:
    """The frame that is shown at a moment, or the last of the first so many on the way."""
    shown: VideoFrame | None = None
    for frame in islice(reader.frames(at_s), most):
        if shown is not None and (frame.time or 0.0) > at_s + _ROUNDING_S:
            break
        shown = frame
    return shown
