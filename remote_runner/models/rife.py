"""Interpolation by RIFE: the network of ``ifnet`` on frames of any size."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from remote_runner.models.ifnet import IFNet

#: Pictures with a longer side have their flow searched at half the size, as the authors of RIFE
#: advise for 4K: motion there is larger than what the blocks were trained to find.
LONGEST_FINE = 2048


class RifeInterpolator:
    """An :class:`~remote_runner.models.base.Interpolator`.

    What a frame needs is prepared once although it is in two pairs: the same tensor object is the
    same frame, so a frame must not be written to once it was given here.
    """

    def __init__(self, network: IFNet, *, name: str, device: torch.device) -> None:
        self._name = name
        self._device = device
        self._prepare = network.prepare
        self._multiple = network.layout.multiple
        self._macs = network.layout.macs_per_pixel
        self.bytes_per_pixel = network.layout.bytes_per_pixel(network.dtype.itemsize)
        self._ready: list[tuple[weakref.ref[Tensor], Tensor]] = []
        self.run: Callable[[Tensor, Tensor, int], Tensor] = network
        """Two prepared frames, a time and how much coarser to look → the frame at that time."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def macs_per_pixel(self) -> int:
        """Per new frame, up to :data:`LONGEST_FINE`; larger ones cost a quarter."""
        return self._macs

    def between(self, first: Tensor, second: Tensor) -> Callable[[float], Tensor]:
        """Two 1×3×H×W RGB frames in [0, 1] → a function from t in (0, 1) to the frame at t.

        The result is clamped and has the dtype and device of the frames; the network runs on its
        own device.
        """
        if first.shape != second.shape or first.shape[:2] != (1, 3):
            raise ValueError(f"two 1×3×H×W frames, not {first.shape} and {second.shape}")
        height, width = first.shape[-2:]
        coarser = 1 if max(height, width) <= LONGEST_FINE else 2

        @cache
        def pair() -> Tensor:
            return torch.cat([self._prepared(frame, coarser) for frame in (first, second)])

        def at(t: float) -> Tensor:
            if not 0 < t < 1:
                raise ValueError(f"t must lie between 0 and 1, not {t}")
            with torch.inference_mode():
                time = torch.full((1, 1, 1, 1), t, device=self._device)
                found = self.run(pair(), time, coarser)[..., :height, :width]
                return found.clamp(0, 1).to(first)

        return at

    def _prepared(self, frame: Tensor, coarser: int) -> Tensor:
        for known, ready in self._ready:
            if known() is frame:
                return ready
        padded = _pad(frame.to(self._device, torch.float32), self._multiple * coarser)
        ready = self._prepare(padded)
        self._ready = [*self._ready[-1:], (weakref.ref(frame), ready)]
        return ready


def _pad(frame: Tensor, multiple: int) -> Tensor:
    """To multiples on the right and below. The rim is repeated: what moves there is sampled from
    beyond it, where the published script has black."""
    height, width = frame.shape[-2:]
    return functional.pad(frame, (0, -width % multiple, 0, -height % multiple), mode="replicate")
