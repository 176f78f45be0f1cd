"""What fixes an IFNet of RIFE: its version, read off the parameters of a weight file.

The versions 4.25 and 4.26 are one network with other weights; 4.6 is an older one without heads.
Names and shapes as in the published files (Huang et al., RIFE, 2022; MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from remote_runner.models.state import check_shapes, describe, unfit

#: Channels of a picture; of its head; of a flow both ways.
PICTURE, HEAD, FLOW = 3, 4, 4
HEAD_WIDTH = 16
RESIDUALS = 8
_FAMILY = "RIFE (IFNet)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of one version."""

    version: str
    widths: tuple[int, ...]
    """Channels inside each block."""
    scales: tuple[int, ...]
    """By how much each block's view is smaller than the picture."""
    outputs: int
    """Channels that a block gives: flow, mask, then features if there are heads."""
    heads: bool
    """Whether each picture is looked at by itself first, and features go from block to block."""
    working: tuple[int, int]
    """Most numbers held at one time per pixel: in the precision of the convolutions, and always
    in float32. Counted, and held to by a test."""

    @property
    def multiple(self) -> int:
        """Sides of a picture must be multiples of this; a block works at a quarter of its view."""
        return 4 * self.scales[0]

    @property
    def seen(self) -> int:
        """Channels of both pictures, with their heads."""
        return 2 * (PICTURE + (HEAD if self.heads else 0))

    @property
    def features(self) -> int:
        return self.outputs - FLOW - 1 if self.heads else 0

    def inputs(self, block: int) -> int:
        """Channels that a block takes: pictures and time, then mask, features and flow."""
        return self.seen + 1 + (1 + self.features + FLOW if block else 0)

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-accumulates for one new frame per pixel, one new head included."""
        total = 0.0
        for block, (width, scale) in enumerate(zip(self.widths, self.scales, strict=True)):
            half = width // 2
            inner = 9 * self.inputs(block) * half / 4 + 9 * half * width / 16
            inner += RESIDUALS * 9 * width**2 / 16 + 16 * width * 4 * self.outputs / 16
            total += inner / scale**2
        if self.heads:
            total += 9 * (PICTURE * HEAD_WIDTH + 2 * HEAD_WIDTH**2) / 4 + 4 * HEAD_WIDTH * HEAD
        return round(total)

    def bytes_per_pixel(self, itemsize: int) -> int:
        """Most memory of activations per pixel of a frame, the pair included."""
        return self.working[0] * itemsize + self.working[1] * 4

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter's name and shape."""
        shapes: dict[str, tuple[int, ...]] = {}

        def convolution(name: str, width_in: int, width_out: int) -> None:
            shapes[f"{name}.weight"] = (width_out, width_in, 3, 3)
            shapes[f"{name}.bias"] = (width_out,)

        def transposed(name: str, width_in: int, width_out: int) -> None:
            shapes[f"{name}.weight"] = (width_in, width_out, 4, 4)
            shapes[f"{name}.bias"] = (width_out,)

        for block, width in enumerate(self.widths):
            convolution(f"block{block}.conv0.0.0", self.inputs(block), width // 2)
            convolution(f"block{block}.conv0.1.0", width // 2, width)
            for number in range(RESIDUALS):
                convolution(f"block{block}.convblock.{number}.conv", width, width)
                shapes[f"block{block}.convblock.{number}.beta"] = (1, width, 1, 1)
            transposed(f"block{block}.lastconv.0", width, 4 * self.outputs)
        if self.heads:
            convolution("encode.cnn0", PICTURE, HEAD_WIDTH)
            convolution("encode.cnn1", HEAD_WIDTH, HEAD_WIDTH)
            convolution("encode.cnn2", HEAD_WIDTH, HEAD_WIDTH)
            transposed("encode.cnn3", HEAD_WIDTH, HEAD)
        return shapes


V4_6 = Layout(
    version="4.6",
    widths=(192, 128, 96, 64),
    scales=(8, 4, 2, 1),
    outputs=6,
    heads=False,
    working=(24, 17),
)
V4_25 = Layout(
    version="4.25",
    widths=(192, 128, 96, 64, 32),
    scales=(16, 8, 4, 2, 1),
    outputs=13,
    heads=True,
    working=(41, 38),
)


def is_rife(state: Mapping[str, Tensor]) -> bool:
    """Whether the parameters look like those of this family, of any version."""
    return any(key.startswith("block0.convblock") for key in state)


def deduce_layout(state: Mapping[str, Tensor]) -> Layout:
    """The version that a state dict holds all parameters of; more of them are training leftovers.

    Raises :class:`MachineError` (``model_unavailable``) that says what is missing or of the wrong
    shape.
    """
    if not is_rife(state):
        raise unfit(_FAMILY, f"found {describe(state)}")
    layout = V4_25 if any(key.startswith("encode.") for key in state) else V4_6
    check_shapes(state, layout.shapes(), f"{_FAMILY} {layout.version}", more=True)
    return layout
