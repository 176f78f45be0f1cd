"""Sizes: what a task makes of a picture's width and height, and the borders it needs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from remote_runner.errors import InputError
from remote_runner.protocol import Reason, Task, parse_size
from remote_runner.video.signal import Chroma
from remote_runner.video.source import MAX_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """From the picture as shown (after rotation) to the picture as encoded, in pixels."""

    width: int
    height: int
    """Of the source, turned upright."""
    inner_width: int
    inner_height: int
    """Of the enlarged picture."""
    outer_width: int
    outer_height: int
    """Of the coded picture: the inner one in borders, or padded to even sides."""
    left: int = 0
    top: int = 0
    letterboxed: bool = False
    """Borders are black; otherwise the outermost pixels are repeated."""
    sar: Fraction = Fraction(1)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.inner_size == self.outer_size:
            return ()
        what = "letterboxed" if self.letterboxed else "padded"
        return (f"{what}:{self.outer_width}x{self.outer_height}",)

    @property
    def inner_size(self) -> tuple[int, int]:
        return self.inner_width, self.inner_height

    @property
    def outer_size(self) -> tuple[int, int]:
        return self.outer_width, self.outer_height

    @property
    def enlarges(self) -> bool:
        return self.inner_size != (self.width, self.height)


def plan_geometry(task: Task, width: int, height: int, sar: Fraction, chroma: Chroma) -> Geometry:
    """Sizes for a source of width×height pixels as shown, with this sample aspect ratio.

    Raises :class:`InputError` when the output would be larger than any encoder here takes.
    """
    if task.mode.upscales and task.size is not None:
        return _fit(width, height, sar, *parse_size(task.size))
    scale = task.scale if task.mode.upscales else 1
    inner_width, inner_height = width * scale, height * scale
    even_x = chroma is not Chroma.C444
    even_y = chroma in (Chroma.C420, Chroma.GRAY)
    if max(inner_width, inner_height) > MAX_SIDE:
        raise InputError(
            Reason.PICTURE_TOO_LARGE,
            f"the output would be {inner_width}x{inner_height}, {MAX_SIDE} a side is the most",
        )
    return Geometry(
        width=width,
        height=height,
        inner_width=inner_width,
        inner_height=inner_height,
        outer_width=inner_width + (inner_width % 2 if even_x else 0),
        outer_height=inner_height + (inner_height % 2 if even_y else 0),
        sar=sar,
    )


def _fit(width: int, height: int, sar: Fraction, outer_width: int, outer_height: int) -> Geometry:
    """The largest picture of the same shape inside the wanted size, centred, square pixels."""
    shape = Fraction(width, height) * sar
    inner_width = min(outer_width, _even(outer_height * shape))
    inner_height = min(outer_height, _even(outer_width / shape))
    return Geometry(
        width=width,
        height=height,
        inner_width=inner_width,
        inner_height=inner_height,
        outer_width=outer_width,
        outer_height=outer_height,
        left=(outer_width - inner_width) // 4 * 2,
        top=(outer_height - inner_height) // 4 * 2,
        letterboxed=True,
    )


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2))
