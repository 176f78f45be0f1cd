"""Planes of YCbCr to RGB and back, with the file's own matrix, range, depth and chroma layout.

Formulas: ITU-T H.273 (ISO/IEC 23091-2) 8.3, ITU-R BT.601, BT.709 and BT.2020. Chroma of 4:2:0
and 4:2:2 is taken to be sited at the left, as H.264 and HEVC have it by default (H.264 E.2.1).
RGB is float32, 3×H×W, nominally 0 to 1, and not clipped: what lies outside (blacker than black,
whiter than white) survives the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from remote_runner.video.signal import Chroma, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Levels:
    """Black, white and chroma levels of the samples."""

    luma_zero: float
    luma_span: float
    chroma_zero: float
    chroma_span: float
    top: int


def _levels(bits: int, full_range: bool) -> _Levels:
    unit = 1 << (bits - 8)
    top = (1 << bits) - 1
    if full_range:
        return _Levels(
            luma_zero=0, luma_span=top, chroma_zero=128 * unit, chroma_span=top, top=top
        )
    return _Levels(
        luma_zero=16 * unit,
        luma_span=219 * unit,
        chroma_zero=128 * unit,
        chroma_span=224 * unit,
        top=top,
    )


class Colours:
    """Converts pictures of one :class:`Signal` on one device, both ways."""

    def __init__(self, signal: Signal, device: torch.device) -> None:
        kr, kb = signal.luma
        kg = 1 - kr - kb
        levels = _levels(signal.bits, signal.full_range)
        self._chroma = signal.chroma
        self.device = device
        self._levels = levels
        to_rgb = torch.tensor(
            [
                [1, 0, 2 * (1 - kr)],
                [1, -2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg],
                [1, 2 * (1 - kb), 0],
            ],
            dtype=torch.float64,
        )
        spans = torch.tensor(
            [levels.luma_span, levels.chroma_span, levels.chroma_span], dtype=torch.float64
        )
        zeros = torch.tensor(
            [levels.luma_zero, levels.chroma_zero, levels.chroma_zero], dtype=torch.float64
        )
        forward = to_rgb / spans
        backward = torch.linalg.inv(to_rgb) * spans[:, None]
        self._luma_gain = float(forward[0, 0])
        self._from_chroma = forward[:, 1:].float().contiguous().to(device)
        self._zero = -(forward @ zeros).float().to(device)[:, None]
        self._to_luma = backward[:1].float().contiguous().to(device)
        self._to_chroma = backward[1:].float().contiguous().to(device)
        # The half makes the truncation of the final conversion to integers a rounding.
        self._luma_zero = levels.luma_zero + 0.5
        self._chroma_zero = levels.chroma_zero + 0.5

    def to_rgb(self, planes: list[Tensor]) -> Tensor:
        """Planes of integers, H×W and chroma as subsampled → RGB 3×H×W on the device."""
        luma = planes[0].to(self.device, non_blocking=True).float()
        height, width = luma.shape
        if self._chroma is Chroma.GRAY:
            level = luma.sub_(self._levels.luma_zero).mul_(self._luma_gain)
            return level.expand(3, height, width).contiguous()
        chroma = torch.empty((2, *planes[1].shape), device=self.device)
        for part, plane in zip(chroma, planes[1:3], strict=True):
            part.copy_(plane, non_blocking=True)
        if self._chroma is Chroma.C420:
            chroma = _spread_down(chroma)
        if self._chroma is not Chroma.C444:
            chroma = _spread_across(chroma)
        rgb = torch.addmm(self._zero, self._from_chroma, chroma.view(2, -1))
        rgb = rgb.view(3, *chroma.shape[1:])[:, :height, :width]
        return rgb.add_(luma, alpha=self._luma_gain)

    def to_planes(self, rgb: Tensor, planes: list[Tensor]) -> None:
        """RGB 3×H×W → written into planes of integers on the same device, rounded and clipped.

        A grey signal leaves chroma planes neutral. H and W must be even as far as the chroma is
        subsampled.
        """
        _, height, width = rgb.shape
        flat = rgb.reshape(3, -1)
        luma = torch.mm(self._to_luma, flat).view(height, width)
        self._store(luma.add_(self._luma_zero), planes[0])
        if self._chroma is Chroma.GRAY:
            for plane in planes[1:]:
                plane.fill_(int(self._levels.chroma_zero))
            return
        for value, plane in zip(self._gather(rgb), planes[1:], strict=True):
            self._store(value, plane)

    def _gather(self, rgb: Tensor) -> Tensor:
        """Chroma in its own layout, 2×h×w, biased for truncation.

        Linear, so the rows and columns are averaged before the matrix where that is cheaper.
        Left siting: [1 2 1] / 4 across around the even columns, [1 1] / 2 down.
        """
        weights = self._to_chroma
        if self._chroma is Chroma.C420:
            rgb = rgb[:, 0::2] + rgb[:, 1::2]
            weights = weights / 2
        height, width = rgb.shape[1:]
        if self._chroma is not Chroma.C444:
            weights = weights / 4
        full = torch.mm(weights, rgb.reshape(3, -1)).view(2, height, width)
        if self._chroma is Chroma.C444:
            return full.add_(self._chroma_zero)
        even, odd = full[:, :, 0::2], full[:, :, 1::2]
        value = torch.add(odd, even, alpha=2)
        value[:, :, 1:] += odd[:, :, :-1]
        value[:, :, 0] += even[:, :, 0]
        return value.add_(self._chroma_zero)

    def _store(self, value: Tensor, plane: Tensor) -> None:
        value.clamp_(0, self._levels.top)
        # Straight from floats to bytes PyTorch converts one number at a time on a CPU.
        plane.copy_(value.to(torch.int32 if value.device.type == "cpu" else plane.dtype))


def small_luma(plane: Tensor, signal: Signal, *, rows: int = 36, columns: int = 64) -> Tensor:
    """A luma plane, H×W integers, as a thumbnail of rows×columns floats, 0 black and 1 white."""
    levels = _levels(signal.bits, signal.full_range)
    height, width = plane.shape
    # Enough samples for a stable mean; all of them would cost more than the thumbnail is worth.
    step_y, step_x = max(1, height // (rows * 4)), max(1, width // (columns * 4))
    picture = plane[::step_y, ::step_x].float()[None, None]
    small = functional.interpolate(picture, size=(rows, columns), mode="area")[0, 0]
    return (small - levels.luma_zero) / levels.luma_span


def _spread_down(chroma: Tensor) -> Tensor:
    """2×h×w → 2×(2h)×w, linearly: rows of chroma lie between two rows of luma."""
    parts, rows, columns = chroma.shape
    out = chroma.new_empty(parts, rows * 2, columns)
    upper, lower = chroma[:, :-1], chroma[:, 1:]
    out[:, 0], out[:, -1] = chroma[:, 0], chroma[:, -1]
    torch.lerp(lower, upper, 0.25, out=out[:, 2::2])
    torch.lerp(upper, lower, 0.25, out=out[:, 1:-1:2])
    return out


def _spread_across(chroma: Tensor) -> Tensor:
    """2×h×w → 2×h×(2w), linearly: columns of chroma lie on the even columns of luma."""
    parts, rows, columns = chroma.shape
    odd = torch.cat((chroma[:, :, 1:], chroma[:, :, -1:]), 2).add_(chroma).mul_(0.5)
    return torch.stack((chroma, odd), -1).view(parts, rows, columns * 2)
