"""A before/after picture of one moment: something to look at, and to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from remote_runner.errors import MachineError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video.enlarge import resize
from remote_runner.video.moments import (
    Image,
    Reader,
    Shown,
    as_image,
    busiest_frame,
    busiest_window,
    first_moment,
    frame_at,
)
from remote_runner.video.placement import find_placement, put

BAR = 22
WHITE = (240, 240, 240)

_WIDEST = 1920
#: A chat takes a picture as a photo when it is no larger than this.
_FRAME_WIDEST, _FRAME_BYTES = 1280, 1_000_000
_NARROWEST = 160
_ZOOM = 2


def draw_picture(
    source: Path, output: Path, png: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Write a PNG: the frame, left half before (enlarged bicubically), right half after; below it
    the same detail twice, before and after, at twice the size.

    The moment is the busiest of several across the video; HDR is mapped to what an ordinary screen
    shows. Raises :class:`~remote_runner.errors.RunnerError` when a file cannot be read or the PNG
    not written, and :class:`~remote_runner.errors.Cancelled`.
    """
    image, is_hdr = _draw(source, output, None, should_stop)
    _write(png, _finish(image, _WIDEST, is_hdr=is_hdr))


def draw_frame(
    source: Path, segment: Path, png: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """As :func:`draw_picture`, from the beginning of a video: ``segment`` is the first part of
    the output. At most 1280 pixels wide and 1 MB; errors are the same."""
    with Reader(segment, should_stop) as reader:
        seconds = reader.duration_s
    image, is_hdr = _draw(source, segment, seconds, should_stop)
    width = min(_FRAME_WIDEST, image.shape[1])
    data = _finish(image, width, is_hdr=is_hdr)
    while len(data) > _FRAME_BYTES and width > _NARROWEST:
        width = int(width * min(0.9, 0.97 * (_FRAME_BYTES / len(data)) ** 0.5))
        data = _finish(image, width, is_hdr=is_hdr)
    _write(png, data)


def captions(width: int, left: str, right: str) -> Image:
    """A bar of :data:`BAR` rows with a text over each half."""
    bar: Image = np.full((BAR, width, 3), 24, np.uint8)
    for text, start, room in ((left, 8, width // 2), (right, width // 2 + 8, width - width // 2)):
        (long, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
        size = 0.45 * min(1.0, (room - 12) / long)
        cv2.putText(bar, text, (start, 15), cv2.FONT_HERSHEY_SIMPLEX, size, WHITE, 1, cv2.LINE_AA)
    return bar


def _draw(
    source: Path, output: Path, seconds: float | None, should_stop: Callable[[], bool]
) -> tuple[Image, bool]:
    """The picture in full size, and whether it was mapped from HDR; of the first ``seconds``."""
    before = busiest_frame(source, should_stop, seconds=seconds)
    later_s = first_moment(output, should_stop) - first_moment(source, should_stop)
    after = frame_at(output, before.at_s + later_s, should_stop)
    old, new = _square(before), _square(after)
    height, width = new.shape[-2:]
    placement = find_placement(old.shape[-1] / old.shape[-2], new, 1.0)
    image = _compose(as_image(put(old, placement, height, width)), as_image(new))
    return image, after.is_hdr


def _square(shown: Shown) -> Tensor:
    """With square pixels."""
    height, width = shown.rgb.shape[-2:]
    if shown.sar == 1:
        return shown.rgb
    return resize(shown.rgb, (height, max(1, round(width * shown.sar))))


def _compose(before: Image, after: Image) -> Image:
    height, width = after.shape[:2]
    side_y, side_x = height // (2 * _ZOOM), width // (2 * _ZOOM)
    top, left = busiest_window(after, side_y, side_x)
    whole = after.copy()
    whole[:, : width // 2] = before[:, : width // 2]
    whole[:, width // 2 - 1 : width // 2 + 1] = WHITE
    cv2.rectangle(whole, (left, top), (left + side_x - 1, top + side_y - 1), WHITE, 1)
    crops = [
        cv2.resize(
            each[top : top + side_y, left : left + side_x],
            (width // 2, height // 2),
            interpolation=cv2.INTER_NEAREST,
        )
        for each in (before, after)
    ]
    crops[0] = np.pad(crops[0], ((0, 0), (0, width - 2 * (width // 2)), (0, 0)))
    pair = np.hstack(crops)
    pair[:, width // 2 - 1 : width // 2 + 1] = WHITE
    image: Image = np.vstack([whole, pair])
    return image


def _finish(image: Image, widest: int, *, is_hdr: bool) -> bytes:
    """With captions, as PNG."""
    width = image.shape[1]
    if width > widest:
        size = widest, round(image.shape[0] * widest / width)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    mapped = ", HDR mapped to SDR" if is_hdr else ""
    bar = captions(image.shape[1], "before (bicubic)" + mapped, "after" + mapped)
    done, data = cv2.imencode(".png", np.vstack([bar, image]))
    if not done:
        raise MachineError(Reason.INTERNAL, "the picture could not be encoded")
    return data.tobytes()


def _write(png: Path, data: bytes) -> None:
    try:
        png.write_bytes(data)
    except OSError as error:
        raise from_os_error(error, "writing the picture") from None
