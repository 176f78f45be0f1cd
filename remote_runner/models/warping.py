"""Moving pictures along flow fields: backward (sampling), forward (splatting), filling holes.

Pictures are 1×C×H×W float tensors on any device; a flow is 1×2×H×W in pixels, x then y.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: How much a filled hole trusts its surroundings against what was splatted there (weight about 1).
_FILL = 1e-3


def sample(picture: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Backward warp: the value at p is ``picture`` at p + flow(p); beyond the edge, the edge."""
    height, width = picture.shape[-2:]
    columns, rows = _grid(height, width, picture.device)
    # grid_sample's own coordinates, align_corners=False: -1 and 1 are the outer edges.
    x = (columns + flow[:, 0] + 0.5) * (2 / width) - 1
    y = (rows + flow[:, 1] + 0.5) * (2 / height) - 1
    return functional.grid_sample(
        picture, torch.stack([x, y], -1), mode=mode, padding_mode="border", align_corners=False
    )


def lands_inside(flow: Tensor) -> Tensor:
    """1×1×H×W, 1 where p + flow(p) lies in the picture, else 0."""
    height, width = flow.shape[-2:]
    columns, rows = _grid(height, width, flow.device)
    x, y = columns + flow[:, :1], rows + flow[:, 1:]
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return inside.to(flow.dtype)


def splat(values: Tensor, flow: Tensor, weight: Tensor) -> Tensor:
    """Forward warp: the weighted mean of all values that land on a pixel, holes filled.

    Every value is carried to p + flow(p) and shared bilinearly by the four pixels there
    (Niklaus and Liu, Softmax Splatting, 2020, with a weight given by the caller, 1×1×H×W > 0).
    """
    height, width = values.shape[-2:]
    columns, rows = _grid(height, width, values.device)
    x, y = (columns + flow[0, 0]).flatten(), (rows + flow[0, 1]).flatten()
    left, top = x.floor(), y.floor()
    right_share, low_share = x - left, y - top
    carried = torch.cat([values * weight, weight], 1)[0].flatten(1)
    landed = torch.zeros_like(carried)
    for step_x, share_x in ((0, 1 - right_share), (1, right_share)):
        for step_y, share_y in ((0, 1 - low_share), (1, low_share)):
            column, row = (left + step_x).long(), (top + step_y).long()
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = torch.where(inside, row * width + column, 0)
            landed.index_add_(1, place, carried * (share_x * share_y * inside))
    landed = landed.view(1, -1, height, width)
    return _fill(landed[:, :-1], landed[:, -1:])


def smooth(picture: Tensor, window: int) -> Tensor:
    """Mean over a square of ``window`` (odd) pixels, edges repeated."""
    for size, pad in (
        ((window, 1), (0, 0, window // 2, window // 2)),
        ((1, window), (window // 2, window // 2, 0, 0)),
    ):
        padded = functional.pad(picture, pad, mode="replicate")
        picture = functional.avg_pool2d(padded, size, stride=1)
    return picture


def resize(picture: Tensor, height: int, width: int) -> Tensor:
    """Bilinear to a new size; the values are left as they are."""
    if picture.shape[-2:] == (height, width):
        return picture
    return functional.interpolate(picture, (height, width), mode="bilinear", align_corners=False)


def _fill(total: Tensor, weight: Tensor) -> Tensor:
    """``total / weight`` where there is weight, else from coarser and coarser levels."""
    height, width = total.shape[-2:]
    if min(height, width) <= 2:
        # nothing at all may have landed inside: then the mean is zero, not a division by it
        landed = weight.sum((2, 3), keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
        mean: Tensor = total.sum((2, 3), keepdim=True) / landed
        return mean.expand_as(total)
    even = (0, width % 2, 0, height % 2)
    coarse_total, coarse_weight = (
        functional.avg_pool2d(functional.pad(part, even, mode="replicate"), 2)
        for part in (total, weight)
    )
    around = _fill(coarse_total, coarse_weight)
    around = resize(around, height + height % 2, width + width % 2)[..., :height, :width]
    return (total + _FILL * around) / (weight + _FILL)


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    columns = torch.arange(width, device=device, dtype=torch.float32).view(1, width)
    rows = torch.arange(height, device=device, dtype=torch.float32).view(height, 1)
    return columns.expand(height, width), rows.expand(height, width)
