"""Sizes: what a task makes of a picture's width and height, its borders and what is cut off."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from remote_runner.errors import InputError
from remote_runner.protocol import NAMED_SIZES, Fit, Reason, Task, parse_size
from remote_runner.video.signal import Chroma
from remote_runner.video.source import MAX_SIDE

#: Pixels around the part that is shown which networks and filters get to see as well.
CONTEXT = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """From the picture as shown (after rotation) to the picture as encoded, in pixels."""

    width: int
    height: int
    """Of what is worked on: the source turned upright, or the part of it that is shown."""
    inner_width: int
    inner_height: int
    """Of that, enlarged."""
    outer_width: int
    outer_height: int
    """Of the coded picture: the inner one in borders, cut, or padded to even sides."""
    left: int = 0
    top: int = 0
    """Where the inner picture begins in the coded one; negative where it is cut."""
    x: int = 0
    y: int = 0
    """Where the part that is worked on begins in the source."""
    whole_size: tuple[int, int] | None = None
    """Of the whole source, enlarged, where a part of it is cut off."""
    letterboxed: bool = False
    """Borders are black; otherwise the outermost pixels are repeated."""
    sar: Fraction = Fraction(1)

    @property
    def notes(self) -> tuple[str, ...]:
        if self.whole_size is not None:
            return (f"cropped:{self.outer_width}x{self.outer_height}",)
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
    def picture_size(self) -> tuple[int, int]:
        """Of the enlarged source without borders, with what is cut off."""
        return self.whole_size or self.inner_size

    @property
    def enlarges(self) -> bool:
        return self.inner_size != (self.width, self.height)


def plan_geometry(task: Task, width: int, height: int, sar: Fraction, chroma: Chroma) -> Geometry:
    """Sizes for a source of width×height pixels as shown, with this sample aspect ratio.

    Raises :class:`InputError` when the output would be larger than any encoder here takes.
    """
    if task.mode.upscales and task.size is not None:
        if task.size.lower() in NAMED_SIZES:
            return _in_box(width, height, sar, NAMED_SIZES[task.size.lower()])
        fit = _fill if task.fit is Fit.CROP else _letterbox
        return fit(width, height, sar, *parse_size(task.size))
    scale = task.scale if task.mode.upscales else 1
    inner_width, inner_height = width * scale, height * scale
    if task.mode.upscales and asks_for_av1(task) and sar != 1:
        # neither AV1 as made here nor our Matroska tells the shape of other samples
        inner_width, sar = _even(inner_width * sar), Fraction(1)
    chroma = Chroma.C420 if asks_for_av1(task) else chroma
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


def asks_for_av1(task: Task) -> bool:
    """Outright, or by the one container that takes nothing else that is made here."""
    return task.codec == "av1" or (task.codec == "auto" and task.container == "webm")


def _in_box(width: int, height: int, sar: Fraction, box: tuple[int, int]) -> Geometry:
    """The largest picture of the source's shape in a box that turns with it, square pixels."""
    shape = Fraction(width, height) * sar
    wide, high = box if shape >= 1 else box[::-1]
    inner_width = min(wide, _even(high * shape))
    inner_height = min(high, _even(wide / shape))
    return Geometry(
        width=width,
        height=height,
        inner_width=inner_width,
        inner_height=inner_height,
        outer_width=inner_width,
        outer_height=inner_height,
    )


def _letterbox(
    width: int, height: int, sar: Fraction, outer_width: int, outer_height: int
) -> Geometry:
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


def _fill(width: int, height: int, sar: Fraction, outer_width: int, outer_height: int) -> Geometry:
    """The smallest picture of the same shape that fills the wanted size, cut evenly."""
    down = max(Fraction(outer_height, height), outer_width / (width * sar))
    across = down * sar
    x, inner_width, left = _cut(width, across, outer_width)
    y, inner_height, top = _cut(height, down, outer_height)
    whole = max(outer_width, _even(width * across)), max(outer_height, _even(height * down))
    return Geometry(
        width=len(x),
        height=len(y),
        inner_width=inner_width,
        inner_height=inner_height,
        outer_width=outer_width,
        outer_height=outer_height,
        left=left,
        top=top,
        x=x.start,
        y=y.start,
        whole_size=whole if whole != (outer_width, outer_height) else None,
    )


def _cut(length: int, growth: Fraction, outer: int) -> tuple[range, int, int]:
    """Which pixels of a side to work on so that its middle, enlarged, gives ``outer`` pixels, how
    many they are enlarged, and where they begin in the outcome (0 or before it).

    Just what is shown, with :data:`CONTEXT` around it, where a piece can be had that begins and
    ends on whole pixels both of the source and of the enlarged picture: then the outcome is the
    same as if all had been enlarged and then cut.
    """
    hidden = math.floor((length * growth - outer) / 2)
    unit = growth.denominator
    start = max(0, math.floor(hidden / growth) - CONTEXT) // unit * unit
    stop = min(length, -(-(math.ceil((hidden + outer) / growth) + CONTEXT) // unit) * unit)
    inner = (stop - start) * growth
    if inner.denominator == 1:
        return range(start, stop), int(inner), int(start * growth) - hidden
    whole = max(outer, _even(length * growth))
    return range(length), whole, -((whole - outer) // 2)


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2))
