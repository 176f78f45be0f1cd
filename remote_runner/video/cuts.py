"""Scene cuts: nothing can be interpolated between neighbours of two different scenes."""

from __future__ import annotations

import torch
from torch import Tensor

#: Mean absolute difference of small luma, of full scale, below which two frames are one scene.
DIFFERENT = 0.04
#: Correlation of small luma above which two frames show the same things, differently lit.
ALIKE = 0.5
#: How much a cut stands out of the changes around it: a fast pan changes as much every time.
OUTSTANDING = 2.0


def is_cut(before: Tensor | None, first: Tensor, second: Tensor, after: Tensor | None) -> bool:
    """Whether the scene changes between ``first`` and ``second``, small luma pictures.

    Their neighbours may be missing at the ends of the video. A flash is no cut: it changes the
    light and not the things, or what was there before comes back after it.
    """
    change = difference(first, second)
    if change < DIFFERENT or correlation(first, second) > ALIKE:
        return False
    around = [0.0]
    if before is not None:
        around.append(difference(before, first))
        if difference(before, second) < change / 2:
            return False
    if after is not None:
        around.append(difference(second, after))
        if difference(first, after) < change / 2:
            return False
    return change >= OUTSTANDING * max(around)


def difference(first: Tensor, second: Tensor) -> float:
    """Mean absolute difference."""
    return float((first - second).abs().mean())


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's coefficient of two pictures; 0 where one of them is flat."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(torch.sqrt((a * a).mean() * (b * b).mean()))
    return float((a * b).mean()) / scale if scale > 1e-6 else 0.0
