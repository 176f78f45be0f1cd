"""What the blocks of an IFNet found, at the size and at the places where it is asked for.

A view of a picture at 1/s is its bilinear reduction (corners not aligned). For an even s it looks
at the four pixels in the middle of each s×s cell and takes their mean. So what is only there to be
reduced is computed at these pixels alone. Enlarging is linear and separable: at few places it is
a product with two small matrices, which are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, reduce

import torch
from torch import Tensor
from torch.nn import functional

from remote_runner.models.ifnet_layout import FLOW

#: From this scale on down a view looks at every pixel.
_ALL_PIXELS = 2


class Motion:
    """Flow to both pictures, mask and features; false as long as no block has spoken."""

    def __init__(self, height: int, width: int, *, sums_mask: bool) -> None:
        self._size = height, width
        self._sums_mask = sums_mask
        self._flows: list[tuple[Tensor, int]] = []
        self._rests: list[tuple[Tensor, int]] = []
        self._whole: Tensor | None = None
        self._counted = 0

    def __bool__(self) -> bool:
        return bool(self._flows)

    def add(self, output: Tensor, scale: int) -> None:
        """What a block gave at its view: flow in pixels of the view, mask logit, features."""
        self._flows.append((output[:, :FLOW].float() * scale, scale))
        rest = (output[:, FLOW:], scale)
        self._rests = [*self._rests, rest] if self._sums_mask else [rest]

    def flow_at(self, scale: int) -> Tensor:
        """1×4×h×w in pixels of the picture, at the pixels that a view at ``scale`` looks at."""
        if scale <= _ALL_PIXELS:
            return self._everywhere()
        return _add(self._enlarge(*each, scale, "at") for each in self._flows)

    def flow(self, scale: int) -> Tensor:
        """1×4×h×w in pixels of the picture, as a view at ``scale`` sees it."""
        if scale <= _ALL_PIXELS:
            whole = self._everywhere()
            return whole if scale == 1 else functional.avg_pool2d(whole, 2)
        return _add(self._enlarge(*each, scale, "seen") for each in self._flows)

    def rest(self, scale: int) -> Tensor:
        """Mask logit and features as a view at ``scale`` sees them."""
        return _add(
            _resize(rest, self._size) if scale == 1 else self._enlarge(rest, own, scale, "seen")
            for rest, own in self._rests
        )

    def _everywhere(self) -> Tensor:
        for flow, _ in self._flows[self._counted :]:
            larger = _resize(flow, self._size)
            self._whole = larger if self._whole is None else self._whole.add_(larger)
        self._counted = len(self._flows)
        assert self._whole is not None  # noqa: S101 - for the type checker
        return self._whole

    def _enlarge(self, values: Tensor, scale: int, view: int, how: str) -> Tensor:
        rows = _matrix(values.shape[-2], scale, view, how, values.device, values.dtype)
        columns = _matrix(values.shape[-1], scale, view, how, values.device, values.dtype)
        return rows @ values.contiguous() @ columns.T


def look(pair: Tensor, scale: int) -> Tensor:
    """A pair as a view at ``scale`` sees it."""
    return pair if scale == 1 else _resize(pair, [side // scale for side in pair.shape[-2:]])


def warp(pair: Tensor, flow: Tensor, scale: int) -> Tensor:
    """A pair 2×C×H×W, each picture sampled along its half of the flow, as a view at ``scale`` sees
    it; beyond the rim, the rim. ``flow`` lies at the pixels that the view looks at; float32."""
    height, width = pair.shape[-2:]
    step = flow.view(2, 2, *flow.shape[-2:]).permute(0, 2, 3, 1)
    grid, to_unit = _grid(height, width, scale, flow.device)
    warped = functional.grid_sample(
        pair, grid + step * to_unit, mode="bilinear", padding_mode="border", align_corners=True
    )
    return warped if scale == 1 else functional.avg_pool2d(warped, 2)


def _add(terms: Iterable[Tensor]) -> Tensor:
    """Their sum, in the place of the first one."""
    return reduce(Tensor.add_, terms)


def _resize(values: Tensor, size: tuple[int, int] | list[int]) -> Tensor:
    return functional.interpolate(values, tuple(size), mode="bilinear", align_corners=False)


@lru_cache(maxsize=64)
def _matrix(  # noqa: PLR0917 - a key of a cache
    count: int, scale: int, view: int, how: str, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Takes ``count`` values of a line to the pixels that a view looks at, or to what it sees."""
    enlarged = functional.interpolate(
        torch.eye(count)[None], scale_factor=float(scale), mode="linear", align_corners=False
    )[0].T
    matrix = enlarged[_places(count * scale, view)]
    if how == "seen":
        matrix = matrix.view(-1, 2, count).mean(1)
    return matrix.to(device=device, dtype=dtype)


@lru_cache(maxsize=16)
def _grid(height: int, width: int, scale: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """1×h×w×2: where the pixels are that a view looks at, -1 to 1 from centre to centre; and what
    a step of a pixel, across and down, is there."""
    rows = torch.linspace(-1, 1, height)[_places(height, scale)]
    columns = torch.linspace(-1, 1, width)[_places(width, scale)]
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    to_unit = torch.tensor((2 / (width - 1), 2 / (height - 1)))
    return torch.stack([x, y], -1)[None].to(device), to_unit.to(device)


def _places(count: int, scale: int) -> Tensor:
    """The pixels of a line that a view at ``scale`` looks at."""
    every = torch.arange(count)
    if scale <= _ALL_PIXELS:
        return every
    inside = every % scale
    return every[(inside == scale // 2 - 1) | (inside == scale // 2)]
