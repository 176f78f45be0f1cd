"""The network of RIFE that finds the motion between two pictures and makes one in between.

Structure as published for IFNet 4.6 and 4.25/4.26 (Huang et al., Real-Time Intermediate Flow
Estimation, 2022, and its later releases; MIT). A few blocks look at the pair from coarse to fine;
each corrects the flow to both pictures, by which they are warped for the next.

Three savings change nothing but roundings: what scales the residual convolutions is put into them,
outputs that nobody reads are left out, and what a block sees at less than half its size is
computed only where the bilinear reduction looks: two pixels by two in the middle of each cell.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from remote_runner.models.ifnet_layout import (
    FLOW,
    HEAD,
    HEAD_WIDTH,
    PICTURE,
    RESIDUALS,
    Layout,
    deduce_layout,
)
from remote_runner.models.ifnet_motion import Motion, look, warp

_SLOPE = 0.2


class IFNet(nn.Module):
    """A pair and a time → the picture at that time; build it with :func:`build`, to infer only."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        last = len(layout.widths) - 1
        self.blocks = nn.ModuleList(
            _Block(
                layout.inputs(number),
                width,
                # the last features go nowhere, as does the sixth output of the older version
                layout.outputs if layout.heads and number < last else FLOW + 1,
            )
            for number, width in enumerate(layout.widths)
        )
        self.head = _Head() if layout.heads else None

    def prepare(self, picture: Tensor) -> Tensor:
        """1×3×H×W → what a pair is made of: float32, the picture and its head; sides must be
        multiples of the layout's."""
        if self.head is None:
            return picture.float()
        given = picture.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return torch.cat([picture.float(), self.head(given).float()], 1)

    @property
    def dtype(self) -> torch.dtype:
        """What convolutions calculate in; flow and warping stay in float32."""
        return next(self.parameters()).dtype

    def forward(self, pair: Tensor, time: Tensor, coarser: int = 1) -> Tensor:
        """2×C×H×W (two prepared pictures), 1×1×1×1 in (0, 1) → 1×3×H×W float32, not clamped.

        ``coarser`` 2 halves every view: for pictures so large that motion is too. Sides must then
        be multiples of twice the layout's.
        """
        motion = Motion(pair.shape[-2], pair.shape[-1], sums_mask=not self.layout.heads)
        for block, own in zip(self.blocks, self.layout.scales, strict=True):
            scale = own * coarser
            seen = warp(pair, motion.flow_at(scale), scale) if motion else look(pair, scale)
            size = seen.shape[-2:]
            parts = [seen.reshape(1, -1, *size), time.expand(1, 1, *size)]
            if motion:
                parts += [motion.rest(scale), motion.flow(scale) / scale]
            del seen
            motion.add(block(parts), scale)
        warped = warp(pair[:, :PICTURE], motion.flow_at(1), 1)
        return torch.lerp(warped[1:], warped[:1], torch.sigmoid(motion.rest(1)[:, :1].float()))


class _Block(nn.Module):
    def __init__(self, width_in: int, width: int, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.down = nn.ModuleList(
            (
                nn.Conv2d(width_in, width // 2, 3, stride=2, padding=1),
                nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
            )
        )
        self.residual = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1) for _ in range(RESIDUALS)
        )
        self.up = nn.ConvTranspose2d(width, 4 * outputs, 4, stride=2, padding=1)

    def forward(self, parts: list[Tensor]) -> Tensor:
        """``parts`` of the input, 1×C×h×w each, are taken out of the list as they are used."""
        given = _join(parts, self.up.weight.dtype)
        for convolution in self.down:
            given = functional.leaky_relu_(convolution(given), _SLOPE)
        for convolution in self.residual:
            given = functional.leaky_relu_(convolution(given).add_(given), _SLOPE)
        return functional.pixel_shuffle(self.up(given), 2)


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            (
                nn.Conv2d(PICTURE, HEAD_WIDTH, 3, stride=2, padding=1),
                nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 3, padding=1),
                nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 3, padding=1),
            )
        )
        self.up = nn.ConvTranspose2d(HEAD_WIDTH, HEAD, 4, stride=2, padding=1)

    def forward(self, given: Tensor) -> Tensor:
        for convolution in self.convolutions:
            given = functional.leaky_relu_(convolution(given), _SLOPE)
        result: Tensor = self.up(given)
        return result


def build(state: Mapping[str, Tensor]) -> IFNet:
    """The network that a state dict describes, in float32, with its weights, to infer only.

    Raises :class:`MachineError` (``model_unavailable``) where the dict is not such a network's.
    """
    layout = deduce_layout(state)
    network = IFNet(layout)
    network.load_state_dict(_translate(state, network))
    return network.eval().requires_grad_(False)


def _join(parts: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Concatenated, converted and laid out as convolutions like it, all in one copy."""
    height, width = parts[0].shape[-2:]
    joined = torch.empty(
        (1, sum(part.shape[1] for part in parts), height, width),
        dtype=dtype,
        device=parts[0].device,
        memory_format=torch.channels_last,
    )
    filled = 0
    while parts:
        part = parts.pop(0)
        joined[:, filled : filled + part.shape[1]] = part
        filled += part.shape[1]
    return joined


def _translate(state: Mapping[str, Tensor], network: IFNet) -> dict[str, Tensor]:
    """Published parameters as our modules have them."""
    ours: dict[str, Tensor] = {}

    def take(theirs: str, name: str) -> None:
        for kind in ("weight", "bias"):
            ours[f"{name}.{kind}"] = state[f"{theirs}.{kind}"].float()

    order = _input_order(network.layout)
    for number, block in enumerate(network.blocks):
        theirs, name = f"block{number}", f"blocks.{number}"
        take(f"{theirs}.conv0.0.0", f"{name}.down.0")
        take(f"{theirs}.conv0.1.0", f"{name}.down.1")
        first = f"{name}.down.0.weight"
        rest = list(range(len(order), ours[first].shape[1]))
        ours[first] = ours[first][:, order + rest]
        for each in range(RESIDUALS):
            take(f"{theirs}.convblock.{each}.conv", f"{name}.residual.{each}")
            beta = state[f"{theirs}.convblock.{each}.beta"].float().flatten()
            residual = f"{name}.residual.{each}"
            ours[f"{residual}.weight"] = ours[f"{residual}.weight"] * beta.view(-1, 1, 1, 1)
            ours[f"{residual}.bias"] = ours[f"{residual}.bias"] * beta
        take(f"{theirs}.lastconv.0", f"{name}.up")
        used = 4 * int(block.outputs)  # type: ignore[arg-type]
        ours[f"{name}.up.weight"] = ours[f"{name}.up.weight"][:, :used]
        ours[f"{name}.up.bias"] = ours[f"{name}.up.bias"][:used]
    if network.head is not None:
        for each in range(3):
            take(f"encode.cnn{each}", f"head.convolutions.{each}")
        take("encode.cnn3", "head.up")
    return ours


def _input_order(layout: Layout) -> list[int]:
    """Where the published first convolution has each channel of our pair: there both pictures come
    first and both heads after them, here each picture with its head."""
    if not layout.heads:
        return list(range(2 * PICTURE))
    order = []
    for side in (0, 1):
        order += [side * PICTURE + channel for channel in range(PICTURE)]
        order += [2 * PICTURE + side * HEAD + channel for channel in range(HEAD)]
    return order
