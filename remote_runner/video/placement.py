"""Where the source's picture lies in the output's frame, told from both pictures alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from remote_runner.video.enlarge import resize

_BLACK = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The enlarged source in pixels of the output; with rims cut off, it begins outside."""

    width: int
    height: int
    left: int = 0
    top: int = 0

    @property
    def is_cut(self) -> bool:
        return self.left < 0 or self.top < 0


def find_placement(source_shape: float, after: Tensor, sar: float) -> Placement:
    """``source_shape`` is width over height as shown; ``after`` a frame of the output, 3×H×W, with
    samples of this aspect ratio.

    A frame of another shape, by more than rounding to whole pixels, has black borders, or else
    shows the middle of the source.
    """
    height, width = after.shape[-2:]
    wide = source_shape / sar
    if abs(width / height / wide - 1) <= 1 / width + 1 / height + 1e-4:
        return Placement(width=width, height=height)
    boxed = _placed(width, height, wide, min(width / wide, height))
    inner = after.clone()
    inner[:, boxed.top : boxed.top + boxed.height, boxed.left : boxed.left + boxed.width] = 0
    rim = inner.numel() - 3 * boxed.width * boxed.height
    if float(inner.clamp(min=0).sum()) / max(1, rim) < _BLACK:
        return boxed
    return _placed(width, height, wide, max(width / wide, height))


def put(rgb: Tensor, placement: Placement, height: int, width: int) -> Tensor:
    """The source enlarged bicubically, as it lies in a frame of this size; black around it."""
    large = resize(rgb, (placement.height, placement.width))
    cut_y, cut_x = max(0, -placement.top), max(0, -placement.left)
    large = large[:, cut_y : cut_y + height, cut_x : cut_x + width]
    top, left = max(0, placement.top), max(0, placement.left)
    large = large[:, : height - top, : width - left]
    canvas = rgb.new_zeros(3, height, width)
    canvas[:, top : top + large.shape[1], left : left + large.shape[2]] = large
    return canvas


def _placed(width: int, height: int, wide: float, inner_height: float) -> Placement:
    inner = round(inner_height * wide / 2) * 2, round(inner_height / 2) * 2
    return Placement(
        width=inner[0],
        height=inner[1],
        left=_middle(width - inner[0]),
        top=_middle(height - inner[1]),
    )


def _middle(room: int) -> int:
    """Borders begin where chroma can; what is cut off is cut evenly."""
    return room // 4 * 2 if room >= 0 else -(-room // 2)
