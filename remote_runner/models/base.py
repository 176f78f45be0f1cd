"""What the pipeline knows of a network: how it is called and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscaler:
    """An enlarging network with what must be known to run it on a picture or on bands of one."""

    name: str
    scale: int
    """Enlargement of each side."""
    macs_per_pixel: int
    """Multiply-accumulates per input pixel; 0 where there is no network."""
    receptive_radius: int
    """Input pixels on each side that an output pixel depends on: the exact overlap of bands."""
    device: torch.device
    dtype: torch.dtype
    """What frames must be given as."""
    alignment: int = 1
    """A band must begin at a multiple of this, and end at one or at the picture's end."""
    bytes_per_pixel: int = 0
    """Most memory of activations per input pixel, as far as formulas tell; 0: not known."""
    tail_bytes: Callable[[int], int] = lambda pixels: 0
    """Memory for so many input pixels in a last stage that does not grow with them alone."""
    network: Callable[[Tensor], Tensor]

    def __call__(self, frames: Tensor) -> Tensor:
        """N×3×H×W RGB in [0, 1], any H and W from 1 → N×3×(H·scale)×(W·scale), clamped to [0, 1].

        Frames must be on ``device`` in ``dtype``; the result is too. Never writes into ``frames``.
        """
        with torch.inference_mode():
            frames = frames.contiguous(memory_format=torch.channels_last)
            return self.network(frames).clamp(0, 1)


class Interpolator(Protocol):
    """Makes frames between two frames."""

    @property
    def name(self) -> str: ...

    @property
    def macs_per_pixel(self) -> int:
        """What one frame costs, in multiply-accumulates of a network per pixel."""
        ...

    def between(self, first: Tensor, second: Tensor) -> Callable[[float], Tensor]:
        """Two 1×3×H×W RGB frames in [0, 1] → a function from t in (0, 1) to the frame at t.

        t is the share of the way from ``first`` to ``second``. What does not depend on t is worked
        out once per pair, at the first call of the function.
        """
        ...


def identity_upscaler(
    scale: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Upscaler:
    """Repeats every pixel: no network, for measuring the rest of the pipeline."""

    def repeat(frames: Tensor) -> Tensor:
        # half the time of repeat_interleave
        wide = torch.stack((frames,) * scale, -1).flatten(3)
        return torch.stack((wide,) * scale, 3).flatten(2, 3)

    return Upscaler(
        name="identity",
        scale=scale,
        macs_per_pixel=0,
        receptive_radius=0,
        device=device or torch.device("cpu"),
        dtype=dtype,
        network=repeat,
    )
