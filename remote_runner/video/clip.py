"""A side-by-side clip of the busiest seconds: the source enlarged plainly, and the output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from remote_runner.errors import InputError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Picture, orient
from remote_runner.video.moments import (
    Image,
    Reader,
    as_image,
    as_signal,
    busiest_start,
    busiest_window,
    first_moment,
    frame_at,
)
from remote_runner.video.picture import BAR, WHITE, captions
from remote_runner.video.placement import Placement, find_placement, put
from remote_runner.video.signal import Chroma
from remote_runner.video.small import SmallVideo
from remote_runner.video.source import orientation_of, time_base_of
from remote_runner.video.tonemap import to_sdr

MAX_BYTES = 10_000_000

_HALF, _TALLEST = 960, 1058
_MARGIN = 8
#: Containers round times to milliseconds.
_EARLY_S = 0.0015


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What is shown of the output, in its pixels."""

    top: int
    left: int
    height: int
    width: int


def draw_clip(
    source: Path,
    output: Path,
    target: Path,
    *,
    seconds: float = 3.0,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Write an MP4 (H.264, 8 bit, no sound) of the seconds with the most detail and motion.

    Left the source, enlarged bicubically, each frame held until its next; right the output, pixel
    by pixel: the same part of the picture on both sides, the busiest where all of it would be
    wider than 960. At most 1920 wide and 10 MB; all of a video that is shorter. Raises
    :class:`~remote_runner.errors.RunnerError` or :class:`~remote_runner.errors.Cancelled`, nothing
    left behind.
    """
    start_s = busiest_start(source, seconds, should_stop)
    old = frame_at(source, start_s, should_stop)
    later_s = first_moment(output, should_stop) - first_moment(source, should_stop)
    new = frame_at(output, start_s + later_s + seconds / 2, should_stop)
    shape = old.rgb.shape[-1] * float(old.sar) / old.rgb.shape[-2]
    placement = find_placement(shape, new.rgb, float(new.sar))
    window = _window(new.rgb, placement)
    with Reader(source, should_stop) as before, Reader(output, should_stop) as after:
        left = _Before(before, start_s, placement, window)
        pairs = _pairs(left, _right(after, window, start_s + later_s, seconds), later_s)
        video = _video(target, window, after, new.sar, seconds)
        try:
            _write(video, pairs, window.width, mapped=", HDR mapped to SDR" * new.is_hdr)
            video.finish()
        except BaseException:
            video.abandon()
            raise


def _video(
    target: Path, window: _Window, after: Reader, sar: Fraction, seconds: float
) -> SmallVideo:
    try:
        return SmallVideo(
            target,
            width=2 * window.width,
            height=window.height + BAR,
            rate=after.stream.average_rate or Fraction(25),
            time_base=time_base_of(after.stream),
            seconds=seconds,
            max_bytes=MAX_BYTES,
            sar=sar,
        )
    except OSError as error:
        raise from_os_error(error, "starting a clip") from None


def _write(
    video: SmallVideo, pairs: Iterator[tuple[int, Image]], middle: int, *, mapped: str
) -> None:
    bar = captions(2 * middle, f"before (bicubic){mapped}", f"after{mapped}")
    first: int | None = None
    for at, pair in pairs:
        first = at if first is None else first
        pair[:, middle - 1 : middle + 1] = WHITE
        video.write(_as_frame(np.vstack([bar, pair])), at - first)
    if first is None:
        raise InputError(Reason.CORRUPT, "there is no frame to draw")


def _pairs(
    left: _Before, right: Iterator[tuple[VideoFrame, Image]], later_s: float
) -> Iterator[tuple[int, Image]]:
    """Both sides of each frame of the output, with its time in ticks; its times are so much later
    than the source's."""
    for frame, image in right:
        yield frame.pts or 0, np.hstack([left.at((frame.time or 0.0) - later_s), image])


def _window(after: Tensor, placement: Placement) -> _Window:
    """The busiest part of the output that fits in half of the clip, within its borders."""
    top, left = max(0, placement.top), max(0, placement.left)
    height = min(after.shape[-2], placement.height) // 2 * 2
    width = min(after.shape[-1], placement.width) // 2 * 2
    side_y, side_x = min(height, _TALLEST), min(width, _HALF)
    inner = as_image(after[:, top : top + height, left : left + width])
    y, x = busiest_window(inner, side_y, side_x)
    return _Window(top=top + y, left=left + x, height=side_y, width=side_x)


class _Before:
    """The source's side, for moments that only grow."""

    def __init__(
        self, reader: Reader, start_s: float, placement: Placement, window: _Window
    ) -> None:
        self._reader = reader
        self._placement = placement
        self._window = window
        self._frames = reader.frames(start_s)
        self._next = next(self._frames, None)
        self._held: VideoFrame | None = None
        self._image: Image = np.zeros((window.height, window.width, 3), np.uint8)

    def at(self, moment_s: float) -> Image:
        """What is shown then."""
        shown = self._held
        while self._next is not None:
            if shown is not None and (self._next.time or 0.0) > moment_s + _EARLY_S:
                break
            shown, self._next = self._next, next(self._frames, None)
        if shown is not None and shown is not self._held:
            self._held = shown
            self._image = as_image(self._drawn(shown))
        return self._image

    def _drawn(self, frame: VideoFrame) -> Tensor:
        turn = orientation_of(frame)
        width, height = frame.width, frame.height
        if turn.transposed:
            width, height = height, width
        place, window = self._placement, self._window
        across, down = place.width / width, place.height / height
        box = _Window(top=0, left=0, height=height, width=width)
        if turn.is_upright:
            box = _cut(
                (window.top - place.top) / down,
                (window.left - place.left) / across,
                window.height / down,
                window.width / across,
                box,
            )
        rgb = orient(_rgb(frame, self._reader, box if turn.is_upright else None), turn)
        inside = Placement(
            width=round(box.width * across),
            height=round(box.height * down),
            left=place.left + round(box.left * across) - window.left,
            top=place.top + round(box.top * down) - window.top,
        )
        return put(rgb, inside, window.height, window.width)


def _right(
    reader: Reader, window: _Window, start_s: float, seconds: float
) -> Iterator[tuple[VideoFrame, Image]]:
    for frame in reader.frames(start_s):
        at_s = frame.time or 0.0
        if at_s >= start_s + seconds - _EARLY_S:
            return
        if at_s >= start_s - _EARLY_S:
            yield frame, as_image(_rgb(frame, reader, window))


def _cut(top: float, left: float, height: float, width: float, whole: _Window) -> _Window:
    """A part of a frame with what a bicubic filter looks at around it, cut where chroma can be."""
    y = max(0, int(top) - _MARGIN) // 2 * 2
    x = max(0, int(left) - _MARGIN) // 2 * 2
    return _Window(
        top=y,
        left=x,
        height=min(whole.height, int(top + height) + _MARGIN) - y,
        width=min(whole.width, int(left + width) + _MARGIN) - x,
    )


def _rgb(frame: VideoFrame, reader: Reader, part: _Window | None) -> Tensor:
    """A part of a coded frame, or all of it, for an ordinary screen; 3×H×W."""
    signal = signals.of_frame(frame, reader.stream)
    planes = Picture(as_signal(frame, signal), 0, 0).planes()
    if part is not None:
        halves = {Chroma.C420: (2, 2), Chroma.C422: (1, 2)}
        down, across = halves.get(signal.chroma, (1, 1))
        luma, *chroma = planes
        bottom, right = part.top + part.height, part.left + part.width
        planes = [luma[part.top : bottom, part.left : right]]
        planes += [
            each[part.top // down : -(-bottom // down), part.left // across : -(-right // across)]
            for each in chroma
        ]
    return to_sdr(Colours(signal, torch.device("cpu")).to_rgb(planes), signal)


def _as_frame(image: Image) -> VideoFrame:
    frame = VideoFrame.from_ndarray(image, "bgr24")
    return frame.reformat(
        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BILINEAR"
    )
