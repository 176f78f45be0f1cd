"""Enlarging a picture to an exact size with a network of some other scale, in bands if need be."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from remote_runner.errors import MachineError
from remote_runner.memory import FEWEST_ROWS, give_back, is_out_of_memory
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.protocol import Reason
from remote_runner.video.geometry import Geometry

log = logging.getLogger(__name__)


class Enlarger:
    """Takes RGB 3×H×W to the inner size of a :class:`Geometry`.

    The network runs as often as it takes to reach the size, and what it overshoots is resized
    with an antialiased bicubic filter. When memory runs out the same picture is tried again in
    twice as many bands, which overlap by what the network can see, so that no seam arises.
    """

    def __init__(self, upscaler: Upscaler, geometry: Geometry, *, bands: int = 1) -> None:
        self.upscaler = upscaler
        self._geometry = geometry
        self._passes = passes(geometry, upscaler.scale)
        self._bands = bands

    @property
    def bands(self) -> int:
        """Bands that pictures are worked on in."""
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
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # its frames hold tensors
            self._use_more_bands(picture, failure)

    def _use_more_bands(self, picture: Tensor, error: BaseException) -> None:
        give_back(picture.device)
        if picture.shape[-2] / (self._bands * 2) < FEWEST_ROWS:
            raise MachineError(
                Reason.OUT_OF_MEMORY, f"not even bands of {FEWEST_ROWS} rows fit in memory"
            ) from error
        self._bands *= 2
        log.warning("out of memory, the picture is worked on in %d bands now", self._bands)

    def _in_bands(self, picture: Tensor) -> Tensor:
        network, scale = self.upscaler, self.upscaler.scale
        given = picture.to(network.dtype)[None]
        if self._bands == 1:
            return network(given)[0].float()
        _, height, width = picture.shape
        larger = picture.new_empty((3, height * scale, width * scale), dtype=torch.float32)
        for band in cut(height, self._bands, network.receptive_radius, network.alignment):
            part = network(given[:, :, band.first : band.last])[0]
            inside = part[:, (band.top - band.first) * scale : (band.bottom - band.first) * scale]
            larger[:, band.top * scale : band.bottom * scale] = inside
            del part, inside  # before the next band is worked on
        return larger


@dataclass(frozen=True, slots=True)
class Band:
    """Rows that are wanted, and those that a network must see for them."""

    top: int
    bottom: int
    first: int
    last: int


def cut(height: int, bands: int, halo: int, alignment: int) -> Iterator[Band]:
    """So many bands or fewer, which together are a picture; all but the last begin and end at
    multiples of the alignment."""
    step = _multiple(math.ceil(height / bands), alignment)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        first = max(0, top - halo) // alignment * alignment
        last = min(height, _multiple(bottom + halo, alignment))
        yield Band(top, bottom, first, last)


def cut_to_window(picture: Tensor, geometry: Geometry) -> Tensor:
    """The part of an upright source picture, 3×H×W, that is worked on."""
    if tuple(picture.shape[-2:]) == (geometry.height, geometry.width):
        return picture
    below, right = geometry.y + geometry.height, geometry.x + geometry.width
    return picture[:, geometry.y : below, geometry.x : right].contiguous()


def frame_in_borders(picture: Tensor, geometry: Geometry) -> Tensor:
    """The inner picture in its borders or cut, 3×H×W of the outer size."""
    if geometry.inner_size == geometry.outer_size:
        return picture
    if geometry.whole_size is not None:
        left, top = -geometry.left, -geometry.top
        return picture[:, top : top + geometry.outer_height, left : left + geometry.outer_width]
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
    runs = passes(geometry, upscaler.scale)
    enlarging: int = sum(
        upscaler.macs_per_pixel * upscaler.scale ** (2 * done) for done in range(runs)
    )
    return enlarging + interpolator.macs_per_pixel > interpolator.macs_per_pixel * growth


def passes(geometry: Geometry, scale: int) -> int:
    """Runs of the network: until it is large enough, none where it shrinks, two at most."""
    wanted = max(geometry.inner_width / geometry.width, geometry.inner_height / geometry.height)
    if wanted <= 1 or scale == 1:
        return 0 if wanted <= 1 and geometry.enlarges else 1
    return 1 if wanted <= scale else 2


def _multiple(count: int, of: int) -> int:
    return -(-count // of) * of
