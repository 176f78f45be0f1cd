"""A before/after picture of one moment: something to look at, and to show."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av.error
import cv2
import numpy as np
import numpy.typing as npt
import torch
from av.video.frame import VideoFrame

from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Picture, orient
from remote_runner.video.enlarge import resize
from remote_runner.video.source import (
    as_runner_error,
    bound_decoder,
    main_video,
    open_source,
    orientation_of,
    time_base_of,
)

Image = npt.NDArray[np.uint8]

_MOMENTS = 8
_WIDEST = 1920
_ZOOM = 2
_BAR = 22
_WHITE = (240, 240, 240)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A frame as RGB 3×H×W on the CPU, and when it is shown."""

    rgb: torch.Tensor
    at_s: float


def draw_picture(source: Path, output: Path, png: Path) -> None:
    """Write a PNG: the frame, left half before (enlarged bicubically), right half after; below it
    the same detail twice, before and after, at twice the size.

    The moment is the busiest of several across the video. Raises
    :class:`~remote_runner.errors.RunnerError` when a file cannot be read or the PNG not written.
    """
    before = max(_moments(source), key=lambda shown: _detail(shown.rgb))
    after = _frame_at(output, before.at_s)
    height, width = after.rgb.shape[-2:]
    enlarged = _fitted(before.rgb, width, height)
    image = _compose(_image(enlarged), _image(after.rgb))
    done, data = cv2.imencode(".png", image)
    if not done:
        raise MachineError(Reason.INTERNAL, "the picture could not be encoded")
    png.write_bytes(data.tobytes())


def _moments(path: Path) -> list[_Shown]:
    """Frames from all over a video."""
    with open_source(path) as container:
        duration_s = (container.duration or 0) / 1_000_000
        start_s = (container.start_time or 0) / 1_000_000
    places = [start_s + duration_s * (n + 0.5) / _MOMENTS for n in range(_MOMENTS)]
    return [_frame_at(path, place) for place in places]


def _frame_at(path: Path, at_s: float) -> _Shown:
    """The frame that is shown at a moment, or the last one."""
    with open_source(path) as container:
        stream = main_video(container)
        bound_decoder(stream)
        shown: VideoFrame | None = None
        try:
            container.seek(int(at_s / time_base_of(stream)), stream=stream)
            for frame in container.decode(stream):
                if shown is not None and frame.time is not None and frame.time > at_s + 1e-3:
                    break
                shown = frame
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "looking for a frame") from None
        if shown is None:
            raise InputError(Reason.CORRUPT, "there is no frame to draw")
        signal = signals.of_frame(shown, stream)
        sar = stream.sample_aspect_ratio or Fraction(1)
        plain = shown.reformat(format=signal.pix_fmt)
        turn = orientation_of(shown)
        planes = Picture(plain, 0, 0).planes()
        rgb = orient(Colours(signal, torch.device("cpu")).to_rgb(planes), turn)
        return _Shown(_square(rgb, 1 / sar if turn.transposed else sar), shown.time or 0.0)


def _square(rgb: torch.Tensor, sar: Fraction) -> torch.Tensor:
    height, width = rgb.shape[-2:]
    return rgb if sar == 1 else resize(rgb, (height, max(1, round(width * sar))))


def _detail(rgb: torch.Tensor) -> float:
    """Mean strength of edges of the luma: high where there is much to see."""
    luma = rgb.mean(0)
    across = (luma[:, 1:] - luma[:, :-1]).abs().mean()
    down = (luma[1:] - luma[:-1]).abs().mean()
    return float(across + down)


def _fitted(rgb: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The source in the output's frame, in the middle of black borders if the shapes differ."""
    scale = min(width / rgb.shape[-1], height / rgb.shape[-2])
    inner = min(height, round(rgb.shape[-2] * scale)), min(width, round(rgb.shape[-1] * scale))
    canvas = torch.zeros(3, height, width)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    canvas[:, top : top + inner[0], left : left + inner[1]] = resize(rgb, inner)
    return canvas


def _image(rgb: torch.Tensor) -> Image:
    """RGB floats → the BGR bytes of OpenCV."""
    bytes_ = rgb.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
    image: Image = np.ascontiguousarray(bytes_.permute(1, 2, 0).numpy()[:, :, ::-1])
    return image


def _compose(before: Image, after: Image) -> Image:
    height, width = after.shape[:2]
    top, left, side_y, side_x = _busiest(after, height // (2 * _ZOOM), width // (2 * _ZOOM))
    whole = after.copy()
    whole[:, : width // 2] = before[:, : width // 2]
    whole[:, width // 2 - 1 : width // 2 + 1] = _WHITE
    cv2.rectangle(whole, (left, top), (left + side_x - 1, top + side_y - 1), _WHITE, 1)
    crops = [
        cv2.resize(
            each[top : top + side_y, left : left + side_x],
            (width // 2, height // 2),
            interpolation=cv2.INTER_NEAREST,
        )
        for each in (before, after)
    ]
    crops = [np.pad(crops[0], ((0, 0), (0, width - 2 * (width // 2)), (0, 0))), crops[1]]
    rows = [
        _captions(width, "before (bicubic)", "after"),
        whole,
        np.hstack(crops),
    ]
    image: Image = np.vstack(rows)
    if width > _WIDEST:
        size = _WIDEST, round(image.shape[0] * _WIDEST / width)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return image


def _busiest(image: Image, side_y: int, side_x: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of the window with the strongest edges."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    edges = np.abs(np.asarray(cv2.Laplacian(grey, cv2.CV_32F)))
    mean = cv2.blur(edges, (side_x, side_y), borderType=cv2.BORDER_CONSTANT)
    inside = np.asarray(mean)[
        side_y // 2 : image.shape[0] - side_y + side_y // 2 + 1,
        side_x // 2 : image.shape[1] - side_x + side_x // 2 + 1,
    ]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left), side_y, side_x


def _captions(width: int, left: str, right: str) -> Image:
    bar: Image = np.full((_BAR, width, 3), 24, np.uint8)
    for text, start in ((left, 8), (right, width // 2 + 8)):
        cv2.putText(bar, text, (start, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _WHITE, 1, cv2.LINE_AA)
    return bar
