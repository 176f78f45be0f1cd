"""Enlarging a picture to an exact size with a network of some other scale, in bands if need be."""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor
from torch.nn import functional

from remote_runner.errors import MachineError
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.protocol import Reason
from remote_runner.video.geometry import Geometry

log = logging.getLogger(__name__)

_FEWEST_ROWS = 16


class Enlarger:
    """Takes RGB 3×H×W to the inner size of a :class:`Geometry`.

    The network runs as often as it takes to reach the size, and what it overshoots is resized
    with an antialiased bicubic filter. When memory runs out the same picture is tried again in
    twice as many bands, which overlap by what the network can see, so that no seam arises.
    """

    def __init__(self, upscaler: Upscaler, geometry: Geometry) -> None:
        self._upscaler = upscaler
        self._geometry = geometry
        self._passes = _passes(geometry, upscaler.scale)
        self._bands = 1

    @property
    def bands(self) -> int:
        """Bands that pictures are worked on in; 1 until memory ran out."""
        return self._bands

    def __call__(self, picture: Tensor) -> Tensor:
        for _ in range(self._passes):
            picture = self._run(picture)
        size = self._geometry.inner_height, self._geometry.inner_width
        return picture if tuple(picture.shape[-2:]) == size else resize(picture, size)

    def _run(self, picture: Tensor) -> Tensor:
        while True:
            try:
                return self._in_bands(picture)
            except (torch.OutOfMemoryError, MemoryError) as error:
                self._use_more_bands(picture, error)
            except RuntimeError as error:
                # The allocator of the CPU has no exception of its own.
                if "not enough memory" not in str(error) and "alloc" not in str(error):
                    raise
                self._use_more_bands(picture, error)

    def _use_more_bands(self, picture: Tensor, error: BaseException) -> None:
        if picture.device.type == "cuda":
            torch.cuda.empty_cache()
        if picture.shape[-2] / (self._bands * 2) < _FEWEST_ROWS:
            raise MachineError(
                Reason.OUT_OF_MEMORY, f"not even bands of {_FEWEST_ROWS} rows fit in memory"
            ) from error
        self._bands *= 2
        log.warning("out of memory, the picture is worked on in %d bands now", self._bands)

    def _in_bands(self, picture: Tensor) -> Tensor:
        network, scale = self._upscaler, self._upscaler.scale
        given = picture.to(network.dtype)[None]
        if self._bands == 1:
            return network(given)[0].float()
        height, halo = picture.shape[-2], network.receptive_radius
        step = math.ceil(height / self._bands)
        parts = []
        for top in range(0, height, step):
            bottom = min(height, top + step)
            first, last = max(0, top - halo), min(height, bottom + halo)
            part = network(given[:, :, first:last])[0]
            parts.append(part[:, (top - first) * scale : (bottom - first) * scale].float())
        return torch.cat(parts, dim=1)


def frame_in_borders(picture: Tensor, geometry: Geometry) -> Tensor:
    """The inner picture in its borders, 3×H×W of the outer size."""
    if geometry.inner_size == geometry.outer_size:
        return picture
    right = geometry.outer_width - geometry.inner_width - geometry.left
    bottom = geometry.outer_height - geometry.inner_height - geometry.top
    sides = (geometry.left, right, geometry.top, bottom)
    if geometry.letterboxed:
        return functional.pad(picture, sides, value=0.0)
    return functional.pad(picture[None], sides, mode="replicate")[0]


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """C×H×W to (height, width), bicubic, antialiased where it shrinks."""
    return functional.interpolate(picture[None], size=size, mode="bicubic", antialias=True)[0]


def upscales_first(upscaler: Upscaler, interpolator: Interpolator, geometry: Geometry) -> bool:
    """Whether it is cheaper to enlarge the source frames and interpolate between the large ones.

    Interpolating first, every in-between frame costs one run of each network at the small size;
    enlarging first, it costs one run of the interpolator at the large size and none of the
    upscaler. In multiply-accumulates per source pixel: u + i against i·s², s² the growth in area.
    """
    growth = geometry.inner_width * geometry.inner_height / (geometry.width * geometry.height)
    passes = _passes(geometry, upscaler.scale)
    enlarging: int = sum(
        upscaler.macs_per_pixel * upscaler.scale ** (2 * done) for done in range(passes)
    )
    return enlarging + interpolator.macs_per_pixel > interpolator.macs_per_pixel * growth


def _passes(geometry: Geometry, scale: int) -> int:
    """Runs of the network: until it is large enough, none where it shrinks, two at most."""
    wanted = max(geometry.inner_width / geometry.width, geometry.inner_height / geometry.height)
    if wanted <= 1 or scale == 1:
        return 0 if wanted <= 1 and geometry.enlarges else 1
    return 1 if wanted <= scale else 2
