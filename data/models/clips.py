"""Short moving scenes with a known middle frame, to judge interpolation.

A clip is a function of time: any time gives the exact picture at it, 320×180 RGB 8 bit, drawn at
twice the size and averaged down. One unit of time is one frame of the source material before
every other frame is dropped, so an interpolator is given times 0 and 2 and asked for 1.
The set holds what flow is good at and what it is bad at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import images
import numpy as np
from images import Picture
from numpy.typing import NDArray

Clip = Callable[[float], Picture]
Canvas = NDArray[np.uint8]

WIDTH, HEIGHT = 320, 180
#: The given pair and the wanted middle, three times in a clip.
TRIPLETS = ((0.0, 1.0, 2.0), (4.0, 5.0, 6.0), (8.0, 9.0, 10.0))

_FINER = 2
_SHIFT = 4


def pan(time: float) -> Picture:
    """A drawn scene passes by, 3.3 pixels a frame."""
    return _finish(_view(_drawn("cartoon", 7), left=40 + 3.3 * time, top=30 + 0.8 * time))


def fast_pan(time: float) -> Picture:
    """18 pixels a frame, 36 across the gap."""
    return _finish(_view(_drawn("cartoon", 2), left=40 + 18 * time, top=60))


def photo_pan(time: float) -> Picture:
    """A camera moves over a photograph."""
    picture = images.read_photograph("coffee.png")
    return _finish(_view(picture, left=30 + 4.7 * time, top=20 + 2.1 * time))


def photo_zoom(time: float) -> Picture:
    """A zoom into a photograph."""
    picture = images.read_photograph("chelsea.png")
    return _finish(_view(picture, left=60, top=50, zoom=1.03**time))


def photo_handheld(time: float) -> Picture:
    """A photograph seen by an unsteady hand: it turns, drifts and breathes."""
    picture = images.read_photograph("astronaut.png")
    left, top = 90 + 9 * np.sin(time * 0.8), 60 + 7 * np.cos(time * 0.6)
    return _finish(_view(picture, left=left, top=top, angle=3 * np.sin(time * 0.5)))


def photo_fade(time: float) -> Picture:
    """A photograph drifts while the light goes down by a quarter in ten frames."""
    picture = images.read_photograph("rocket.jpg")
    canvas = _view(picture, left=100 + 2.2 * time, top=100)
    return _finish(np.rint(canvas * (1 - 0.025 * time)).astype(np.uint8))


def rotation(time: float) -> Picture:
    """Drawn shapes turn, 2.5 degrees a frame."""
    return _finish(_view(_drawn("shapes", 3), left=160, top=165, angle=2.5 * time))


def occlusion(time: float) -> Picture:
    """Textured discs and a bar cross a textured background, each its own way."""
    canvas = _view(_drawn("texture", 2), left=50 + time, top=50)
    for index, (speed_x, speed_y) in enumerate(((6, 1), (-5, 2), (3, -3), (-2, -4))):
        centre = (80 + 55 * index + speed_x * time, 60 + 25 * (index % 3) + speed_y * time)
        _disc(canvas, centre, radius=18 + 5 * index, look=_drawn("shapes", 5 + index))
    _fill(canvas, [(10 + 8 * time, 0), (22 + 8 * time, 0), (42 + 8 * time, 180),
                   (30 + 8 * time, 180)], (200, 60, 40))  # fmt: skip
    return _finish(canvas)


def text_crawl(time: float) -> Picture:
    """White letters rise over black, 2.6 pixels a frame."""
    canvas = np.full((HEIGHT * _FINER, WIDTH * _FINER, 3), 8, np.uint8)
    sheet = np.full((1200, WIDTH * _FINER, 3), 8, np.uint8)
    for row in range(24):
        text = f"Line {row + 1}: moving letters, {row * 37 % 91} of them"
        cv2.putText(sheet, text, (40, 60 + 48 * row), 0, 1.0, (240,) * 3, 2, cv2.LINE_AA)
    move = np.float32([[1, 0, 0], [0, 1, -(100 + 2.6 * time) * _FINER]])
    return _finish(cv2.warpAffine(sheet, move, canvas.shape[1::-1], flags=cv2.INTER_CUBIC))


def thin_lines(time: float) -> Picture:
    """A fan of lines, one pixel wide, turns over a soft gradient."""
    canvas = _view(_drawn("texture", 1), left=100, top=100, zoom=3)
    for spoke in range(9):
        angle = np.radians(spoke * 20 + 1.2 * time)
        reach = 150 * np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([160, 90])
        ends = [_fixed(middle - reach), _fixed(middle + reach)]
        cv2.line(canvas, ends[0], ends[1], (250, 250, 240), 2, cv2.LINE_AA, _SHIFT)
    return _finish(canvas)


def stripes(time: float) -> Picture:
    """A regular pattern moves by nearly half its period: any flow may take the wrong way."""
    across = (np.arange(WIDTH * _FINER) / _FINER + 1.9 * time) * 2 * np.pi / 8.0
    row = np.rint(128 + 100 * np.sin(across)).astype(np.uint8)
    canvas = np.repeat(np.repeat(row[None, :, None], 3, 2), HEIGHT * _FINER, 0)
    _disc(canvas, (160, 90), radius=40, look=_drawn("cartoon", 4))
    return _finish(np.ascontiguousarray(canvas))


def ripple(time: float) -> Picture:
    """A photograph under moving water: every pixel goes its own way."""
    picture = images.read_photograph("astronaut.png")
    rows, columns = np.mgrid[0 : HEIGHT * _FINER, 0 : WIDTH * _FINER].astype(np.float32) / _FINER
    columns_from = columns + 100 + 4 * np.sin(rows / 17 + 0.35 * time)
    rows_from = rows + 60 + 3 * np.sin(columns / 23 + 0.28 * time)
    mode = cv2.INTER_CUBIC
    bent = cv2.remap(picture, columns_from.astype(np.float32), rows_from.astype(np.float32), mode)
    return _finish(bent)


def grain(time: float) -> Picture:
    """Fresh film grain in every frame over a slow pan."""
    return _grainy(photo_zoom(time * 0.4), time)


def still(time: float) -> Picture:
    """Nothing moves; the frames are identical."""
    return _finish(_view(_drawn("text", 1), left=20, top=20))


def still_grain(time: float) -> Picture:
    """Nothing moves but the grain: blending is the best that can be done."""
    return _grainy(still(time), time)


def dissolve(time: float) -> Picture:
    """One still picture turns into another: blending is exact."""
    share = time / 10
    first = _view(_drawn("cartoon", 5), left=20, top=20).astype(np.float32)
    second = _view(_drawn("texture", 6), left=20, top=20)
    return _finish(np.rint(first * (1 - share) + second * share).astype(np.uint8))


CLIPS: dict[str, Clip] = {
    clip.__name__: clip
    for clip in (
        pan, fast_pan, photo_pan, photo_zoom, photo_handheld, photo_fade, rotation, occlusion,
        text_crawl, thin_lines, stripes, ripple, grain, still, still_grain, dissolve,
    )
}  # fmt: skip


@cache
def _drawn(kind: str, index: int) -> Picture:
    return images.draw(kind, images.HELD_OUT_SEEDS[50 + index], height=512, width=640)


def _view(
    picture: Picture, *, left: float, top: float, zoom: float = 1.0, angle: float = 0.0
) -> Canvas:
    """The window of WIDTH×HEIGHT at (left, top), zoomed and turned (degrees) about its middle."""
    cos, sin = np.cos(np.radians(angle)) / zoom, np.sin(np.radians(angle)) / zoom
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([WIDTH, HEIGHT]) / 2
    # Output pixel i lies at (i + 0.5) / _FINER in the window.
    start = np.array([left, top]) + middle + turn @ (np.full(2, 0.5 / _FINER) - middle) - 0.5
    matrix = np.column_stack([turn / _FINER, start]).astype(np.float32)
    size = (WIDTH * _FINER, HEIGHT * _FINER)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _disc(canvas: Canvas, centre: tuple[float, float], *, radius: int, look: Picture) -> None:
    """A round piece of ``look`` that moves with its centre."""
    view = _view(look, left=200 - centre[0], top=200 - centre[1])
    mask = np.zeros(canvas.shape[:2], np.uint8)
    spot, size = _fixed(np.array(centre)), radius * _FINER << _SHIFT
    cv2.circle(mask, spot, size, 255, -1, cv2.LINE_AA, _SHIFT)
    share = mask[..., None].astype(np.float32) / 255
    canvas[:] = np.rint(canvas * (1 - share) + view * share).astype(np.uint8)


def _fill(
    canvas: Canvas, corners: list[tuple[float, float]], colour: tuple[int, int, int]
) -> None:
    points = np.array([_fixed(np.array(corner)) for corner in corners], np.int32)
    cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA, _SHIFT)


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    """Window coordinates → OpenCV's fixed-point coordinates on the finer canvas."""
    x, y = np.rint((point * _FINER - 0.5) * (1 << _SHIFT))
    return int(x), int(y)


def _grainy(picture: Picture, time: float) -> Picture:
    noise = np.random.default_rng(int(time * 1000) + 77).normal(0, 6, (HEIGHT, WIDTH, 1))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _finish(canvas: Canvas) -> Picture:
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
