"""The large upscaling network of Real-ESRGAN and ESRGAN, built from a weight file.

Structure as published for RRDBNet (Wang et al., ESRGAN, 2018; Real-ESRGAN, 2021; BSD-3-Clause):
a convolution, B blocks of three dense blocks each (five convolutions, every one of them sees the
block's input and all results before it), a convolution and a shortcut around the blocks; then
nearest-neighbour doublings with a convolution each, and two convolutions. The models of scale 2
and 1 read a picture that was folded by pixel-unshuffle (2 or 4) and enlarge that by 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from remote_runner.models.rrdb_structure import (
    CHANNELS,
    DENSE,
    KERNEL,
    STRIP_BYTES,
    Structure,
    deduce_structure,
    rename,
    seen_by_tail,
)

_SLOPE = 0.2
_RESIDUAL = 0.2


class _DenseBlocks(nn.Module):
    """The three dense blocks of one block; they work in a buffer of all their channels."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        for name in ("rdb1", "rdb2", "rdb3"):
            self.add_module(name, _DenseBlock(structure))

    def forward(self, buffer: Tensor, feat: int) -> None:
        """Replaces the first ``feat`` channels of the buffer, its input, by the block's result."""
        given = buffer[:, :feat].clone()
        for dense in self.children():
            dense(buffer, feat)
        inside = buffer[:, :feat]
        torch.add(given, inside, alpha=_RESIDUAL, out=inside)


class _DenseBlock(nn.Module):
    def __init__(self, structure: Structure) -> None:
        super().__init__()
        feat, grow = structure.num_feat, structure.num_grow
        for conv in range(1, DENSE + 1):
            width_out = grow if conv < DENSE else feat
            self.add_module(f"conv{conv}", _convolution(feat + (conv - 1) * grow, width_out))

    def forward(self, buffer: Tensor, feat: int) -> None:
        convolutions = list(self.children())
        filled = feat
        for convolution in convolutions[:-1]:
            grown: Tensor = convolution(buffer[:, :filled])
            place = buffer[:, filled : filled + grown.shape[1]]
            torch.ops.aten.leaky_relu.out(grown, _SLOPE, out=place)
            filled += grown.shape[1]
        # The last convolution's weights hold the residual scaling: see absorb_scaling.
        buffer[:, :feat].add_(convolutions[-1](buffer))


class RRDBNet(nn.Module):
    """N×3×H×W in [0, 1] → N×3×(H·scale)×(W·scale), not clamped; to infer only."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        self.structure = structure
        feat = structure.num_feat
        self.conv_first = _convolution(CHANNELS * structure.fold**2, feat)
        self.body = nn.ModuleList(_DenseBlocks(structure) for _ in range(structure.num_block))
        self.conv_body = _convolution(feat, feat)
        for step in range(1, structure.doublings + 1):
            self.add_module(f"conv_up{step}", _convolution(feat, feat))
        self.conv_hr = _convolution(feat, feat)
        self.conv_last = _convolution(feat, CHANNELS)

    def forward(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        fold, scale = self.structure.fold, self.structure.scale
        if fold > 1:
            frames = functional.pixel_unshuffle(_pad(frames, fold), fold)
        larger = self._enlarge(self._features(frames))
        return larger[..., : height * scale, : width * scale]

    def absorb_scaling(self) -> None:
        """Put the residual scaling of the dense blocks into their last convolutions, once."""
        for block in self.body:
            for dense in block.children():
                last = list(dense.children())[-1]
                for parameter in last.parameters():
                    parameter.data.mul_(_RESIDUAL)

    def _features(self, frames: Tensor) -> Tensor:
        first: Tensor = self.conv_first(frames)
        count, feat, height, width = first.shape
        channels = feat + (DENSE - 1) * self.structure.num_grow
        # a plain buffer's leading channels are contiguous where there is one picture
        buffer = torch.empty(
            (count, channels, height, width),
            dtype=first.dtype,
            device=first.device,
            memory_format=_memory_format(first),
        )
        buffer[:, :feat] = first
        for block in self.body:
            block(buffer, feat)
        deep: Tensor = self.conv_body(buffer[:, :feat])
        first += deep
        return first

    def _enlarge(self, features: Tensor) -> Tensor:
        """The tail, in strips: only there features are as large as the output."""
        count, feat, height, width = features.shape
        grown = self.structure.growth
        row_bytes = count * feat * width * grown**2 * features.element_size()
        step = max(8, STRIP_BYTES // row_bytes)
        if step >= height:
            return self._tail(features)
        above = -seen_by_tail(0, self.structure.doublings)[0]
        below = seen_by_tail(grown - 1, self.structure.doublings)[1]
        larger = features.new_empty((count, CHANNELS, height * grown, width * grown))
        for top in range(0, height, step):
            bottom = min(height, top + step)
            first, last = max(0, top - above), min(height, bottom + below)
            strip = self._tail(features[:, :, first:last])
            larger[:, :, top * grown : bottom * grown] = strip[
                :, :, (top - first) * grown : (bottom - first) * grown
            ]
        return larger

    def _tail(self, features: Tensor) -> Tensor:
        for step in range(1, self.structure.doublings + 1):
            doubled = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = self.get_submodule(f"conv_up{step}")(doubled)
            del doubled
            functional.leaky_relu_(features, _SLOPE)
        larger: Tensor = self.conv_last(functional.leaky_relu_(self.conv_hr(features), _SLOPE))
        return larger


def build(state: Mapping[str, Tensor]) -> RRDBNet:
    """The network that a state dict describes, in float32, with its weights, to infer only."""
    renamed = rename(state)
    network = RRDBNet(deduce_structure(renamed))
    network.load_state_dict({key: value.to(torch.float32) for key, value in renamed.items()})
    network.absorb_scaling()
    return network.eval().requires_grad_(False)


def _convolution(width_in: int, width_out: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, KERNEL, stride=1, padding=KERNEL // 2)


def _memory_format(picture: Tensor) -> torch.memory_format:
    if picture.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format


def _pad(frames: Tensor, multiple: int) -> Tensor:
    """To multiples on the right and below, reflected as the published inference does it; where the
    picture is too small to be reflected, its rim is repeated."""
    height, width = frames.shape[-2:]
    right, below = -width % multiple, -height % multiple
    if not right and not below:
        return frames
    mode = "reflect" if right < width and below < height else "replicate"
    return functional.pad(frames, (0, right, 0, below), mode=mode)
