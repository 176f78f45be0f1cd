"""The compact upscaling network of the Real-ESRGAN video models, built from a weight file.

Structure as published for SRVGGNetCompact (Wang et al., Real-ESRGAN, 2021; BSD-3-Clause): a
plain stack ``body`` of 3×3 convolutions, each but the last followed by a PReLU with one slope a
channel, then a pixel shuffle; the input, enlarged by nearest neighbour, is added, so the stack
learns the rest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from remote_runner.models.state import check_shapes, unfit

_CHANNELS = 3
_KERNEL = 3
_FAMILY = "compact (SRVGG)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The three numbers that fix the network."""

    num_feat: int
    """Channels between the convolutions."""
    num_conv: int
    """Convolutions between the first and the last one."""
    scale: int
    """Enlargement of each side."""

    @property
    def alignment(self) -> int:
        """Bands of a picture may begin anywhere."""
        return 1

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-accumulates per input pixel, convolutions only: 9·(3f + n·f² + 3f·s²)."""
        inner = self.num_conv * self.num_feat**2
        ends = _CHANNELS * self.num_feat * (1 + self.scale**2)
        return _KERNEL**2 * (ends + inner)

    @property
    def receptive_radius(self) -> int:
        """Input pixels on each side that an output pixel depends on: one a convolution."""
        return self.num_conv + 2

    def bytes_per_pixel(self, itemsize: int) -> int:
        """Most memory of activations per input pixel, in numbers of ``itemsize`` bytes.

        The input and either two layers between the ends or two pictures of the output's size.
        """
        return itemsize * (_CHANNELS + 2 * max(self.num_feat, _CHANNELS * self.scale**2))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter's name and shape, in order."""
        widths = [_CHANNELS, *[self.num_feat] * (self.num_conv + 1), _CHANNELS * self.scale**2]
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (width_in, width_out) in enumerate(pairwise(widths)):
            shapes[f"body.{2 * layer}.weight"] = (width_out, width_in, _KERNEL, _KERNEL)
            shapes[f"body.{2 * layer}.bias"] = (width_out,)
            if layer <= self.num_conv:
                shapes[f"body.{2 * layer + 1}.weight"] = (width_out,)
        return shapes


class SRVGGNetCompact(nn.Module):
    """N×3×H×W in [0, 1] → N×3×(H·scale)×(W·scale), not clamped."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        self.structure = structure
        feat = structure.num_feat
        layers: list[nn.Module] = [_convolution(_CHANNELS, feat), nn.PReLU(feat)]
        for _ in range(structure.num_conv):
            layers += [_convolution(feat, feat), nn.PReLU(feat)]
        layers.append(_convolution(feat, _CHANNELS * structure.scale**2))
        self.body = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> Tensor:
        scale = self.structure.scale
        detail = functional.pixel_shuffle(self.body(frames), scale)
        # in place: of what is as large as the output, one picture less
        return detail.add_(functional.interpolate(frames, scale_factor=scale, mode="nearest"))


def deduce_structure(state: Mapping[str, Tensor]) -> Structure:
    """Read the structure off a state dict.

    Raises :class:`MachineError` (``model_unavailable``) that says what is missing, superfluous or
    of the wrong shape when the dict does not describe such a network.
    """
    layers = [int(found[1]) for key in state if (found := re.fullmatch(r"body\.(\d+)\.bias", key))]
    if "body.0.weight" not in state or not layers:
        raise unfit(_FAMILY, "it holds no body.0.weight or no body.N.bias")
    last = max(layers)
    rows = int(state[f"body.{last}.bias"].numel())
    scale = isqrt(rows // _CHANNELS)
    if last < 2 or last % 2 or rows != _CHANNELS * scale**2 or scale < 1:
        raise unfit(_FAMILY, f"body.{last} with {rows} outputs cannot be the last convolution")
    structure = Structure(
        num_feat=int(state["body.0.weight"].shape[0]), num_conv=last // 2 - 1, scale=scale
    )
    check_shapes(state, structure.shapes(), _FAMILY)
    return structure


def is_compact(state: Mapping[str, Tensor]) -> bool:
    """Whether the parameters look like those of this family."""
    return "body.0.weight" in state and "body.1.weight" in state


def build(state: Mapping[str, Tensor]) -> SRVGGNetCompact:
    """The network that a state dict describes, in float32, with its weights, to infer only."""
    network = SRVGGNetCompact(deduce_structure(state))
    network.load_state_dict({key: value.to(torch.float32) for key, value in state.items()})
    return network.eval().requires_grad_(False)


def _convolution(width_in: int, width_out: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, _KERNEL, stride=1, padding=_KERNEL // 2)
