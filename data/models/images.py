"""The pictures that the starter model learns from and is judged on; nothing is downloaded.

Two sources: the photographs in the scikit-image wheel whose documentation there names them CC0 or
public domain, and pictures drawn here from a seed. Whole pictures are held out: a photograph is
either in ``TRAINING_PHOTOGRAPHS`` or in ``HELD_OUT_PHOTOGRAPHS``, and drawn pictures of the two
sides come from disjoint ranges of seeds.

Every picture is H×W×3 RGB, 8 bit, with even sides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage
import torch
from numpy.typing import NDArray
from torch.nn import functional

Picture = NDArray[np.uint8]

#: astronaut, hubble: NASA; coffee: R. Michetti; brick, grass: CC0Textures; retina: Häggström;
#: cell: CC0. All CC0 or public domain, as their docstrings in skimage.data say.
TRAINING_PHOTOGRAPHS = (
    "astronaut.png",
    "coffee.png",
    "brick.png",
    "grass.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "cell.png",
)
#: camera: L. Varshney; chelsea: S. van der Walt; rocket: SpaceX; gravel: CC0Textures. Likewise.
HELD_OUT_PHOTOGRAPHS = ("camera.png", "chelsea.png", "rocket.jpg", "gravel.png")
#: A silhouette (A. Preuss, CC0) that no drawing here resembles.
HELD_OUT_ART = ("horse.png",)

TRAINING_SEEDS = range(0, 100_000)
HELD_OUT_SEEDS = range(900_000, 900_100)


def read_photograph(name: str) -> Picture:
    """One file of the scikit-image wheel; transparency is laid on white."""
    path = Path(skimage.__file__).parent / "data" / name
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise FileNotFoundError(f"{path} is not in this scikit-image wheel")
    if raw.ndim == 3 and raw.shape[2] == 4:
        alpha = raw[..., 3:].astype(np.float32) / 255
        raw = np.rint(raw[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    code = cv2.COLOR_GRAY2RGB if raw.ndim == 2 else cv2.COLOR_BGR2RGB
    return _even(cv2.cvtColor(raw, code))


def halve(picture: Picture) -> Picture:
    """Antialiased bicubic ÷2 (Keys, a = -0.5, stretched by 2), rounded to 8 bit."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    size = (picture.shape[0] // 2, picture.shape[1] // 2)
    small = functional.interpolate(planes, size=size, mode="bicubic", antialias=True)
    small = small.round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def draw(kind: str, seed: int, *, height: int = 256, width: int = 256) -> Picture:
    """A picture of one of ``KINDS``; the same seed and size give the same picture."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    finer = int(rng.integers(1, 4))
    canvas = KINDS[kind](rng, height * finer, width * finer, finer)
    if finer > 1:
        canvas = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return _even(canvas)


def _cartoon(rng: np.random.Generator, height: int, width: int, finer: int) -> Picture:
    canvas = _gradient(rng, height, width)
    for _ in range(int(rng.integers(4, 12))):
        outline = _blob(rng, height, width)
        cv2.fillPoly(canvas, [outline], _colour(rng), cv2.LINE_AA)
        ink = tuple(int(v) for v in rng.integers(0, 60, 3))
        cv2.polylines(canvas, [outline], True, ink, _thickness(rng, finer), cv2.LINE_AA)
    return _strokes(rng, canvas, finer, count=int(rng.integers(5, 25)))


def _ink(rng: np.random.Generator, height: int, width: int, finer: int) -> Picture:
    canvas = np.full((height, width, 3), rng.integers(225, 256), np.uint8)
    _strokes(rng, canvas, finer, count=int(rng.integers(15, 50)), dark=True)
    for _ in range(int(rng.integers(1, 4))):
        _hatch(rng, canvas, finer)
    return canvas


def _text(rng: np.random.Generator, height: int, width: int, finer: int) -> Picture:
    dark = rng.random() < 0.3
    canvas = (
        _gradient(rng, height, width)
        if rng.random() < 0.4
        else np.full((height, width, 3), 20 if dark else 240, np.uint8)
    )
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?%&()+-"
    y = 0
    while y < height:
        size = float(rng.uniform(0.35, 1.6)) * finer
        y += int(30 * size)
        line = "".join(rng.choice(list(letters + "      "), 60))
        colour = (235, 235, 235) if dark else tuple(int(v) for v in rng.integers(0, 120, 3))
        font = int(rng.integers(0, 8))
        cv2.putText(
            canvas, line, (int(rng.integers(-9, 9)), y), font, size, colour,
            _thickness(rng, finer), cv2.LINE_AA,
        )  # fmt: skip
    return canvas


def _shapes(rng: np.random.Generator, height: int, width: int, finer: int) -> Picture:
    canvas = _gradient(rng, height, width)
    for _ in range(int(rng.integers(6, 20))):
        corners = rng.integers(0, (width, height), (int(rng.integers(3, 6)), 2)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], _colour(rng), cv2.LINE_AA)
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        filled = -1 if rng.random() < 0.5 else _thickness(rng, finer)
        radius = int(rng.integers(3, max(4, width // 5)))
        cv2.circle(canvas, centre, radius, _colour(rng), filled, cv2.LINE_AA)
    return canvas


def _texture(rng: np.random.Generator, height: int, width: int, finer: int) -> Picture:
    total = np.zeros((height, width, 3), np.float32)
    fall = float(rng.uniform(0.45, 0.75))
    for octave in range(2, 8):
        grid = rng.standard_normal((2**octave, 2**octave, 3)).astype(np.float32)
        grid = 0.7 * grid.mean(axis=2, keepdims=True) * 1.7 + 0.3 * grid
        total += fall**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        bands = float(rng.uniform(2, 9))
        total = np.sin(bands * total / total.std()).astype(np.float32)
    total = (total - total.mean()) / total.std() * rng.uniform(15, 50) + rng.uniform(80, 170)
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


KINDS: dict[str, Callable[[np.random.Generator, int, int, int], Picture]] = {
    "cartoon": _cartoon,
    "ink": _ink,
    "text": _text,
    "shapes": _shapes,
    "texture": _texture,
}


def _strokes(
    rng: np.random.Generator, canvas: Picture, finer: int, *, count: int, dark: bool = False
) -> Picture:
    height, width = canvas.shape[:2]
    for _ in range(count):
        points = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
        if rng.random() < 0.6:
            points = points[:1] + (points - points[:1]) * rng.uniform(0.05, 0.4)
        colour = tuple(int(v) for v in rng.integers(0, 50, 3)) if dark else _colour(rng)
        curve = _bezier(points)
        cv2.polylines(canvas, [curve], False, colour, _thickness(rng, finer), cv2.LINE_AA)
    return canvas


def _hatch(rng: np.random.Generator, canvas: Picture, finer: int) -> None:
    height, width = canvas.shape[:2]
    gap, angle = float(rng.uniform(3, 12)) * finer, float(rng.uniform(0, np.pi))
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    centre = rng.uniform(0.2, 0.8, 2) * (width, height)
    reach = float(rng.uniform(0.1, 0.4)) * width
    for step in np.arange(-reach, reach, gap):
        middle = centre + across * step
        ends = [middle - along * reach, middle + along * reach]
        start, stop = (tuple(int(v) for v in end) for end in ends)
        cv2.line(canvas, start, stop, (30, 30, 30), max(1, finer), cv2.LINE_AA)


def _blob(rng: np.random.Generator, height: int, width: int) -> NDArray[np.int32]:
    turn = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.full_like(turn, 1.0)
    for wave in range(2, 6):
        radius += rng.uniform(-0.3, 0.3) / wave * 1.6 * np.cos(wave * turn + rng.uniform(0, 7))
    radius *= rng.uniform(0.04, 0.35) * min(height, width)
    centre = rng.uniform(0, 1, 2) * (width, height)
    stretch = rng.uniform(0.5, 1.5)
    points = np.stack([np.cos(turn) * radius * stretch, np.sin(turn) * radius], 1) + centre
    return points.astype(np.int32)


def _bezier(points: NDArray[np.float64]) -> NDArray[np.int32]:
    t = np.linspace(0, 1, 60)[:, None]
    weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
    curve = sum(w * p for w, p in zip(weights, points, strict=True))
    return np.asarray(curve).astype(np.int32)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Picture:
    corners = rng.integers(60, 256, (2, 2, 3)).astype(np.float32)
    smooth = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.rint(smooth).astype(np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def _thickness(rng: np.random.Generator, finer: int) -> int:
    return max(1, int(rng.uniform(0.7, 3.2) * finer))


def _even(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height // 2 * 2, : width // 2 * 2])
