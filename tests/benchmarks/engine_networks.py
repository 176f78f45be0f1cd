"""Networks for the comparison: weight files, plain modules, and the least that a frame costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from remote_runner.models import rrdb, rrdb_structure, srvgg
from tests.runner.models.published import draw_state, run_rrdb

ROOT = Path(__file__).parents[2]
#: Where published weights may lie beside the repository.
BESIDE = ROOT.parent / "shared" / "weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One network to measure with."""

    name: str
    scale: int
    file: Path | None = None
    """Its weights; random ones of the same structure where there are none, equally fast."""
    structure: srvgg.Structure | rrdb_structure.Structure | None = None
    """Of the random weights."""

    def weights(self, folder: Path) -> tuple[Path, str]:
        """A weight file, made in ``folder`` if need be, and where it is from, in words."""
        if self.file is not None and self.file.is_file():
            return self.file, f"weights of {self.file.name}"
        if self.structure is None:
            raise FileNotFoundError(f"there is no weight file {self.file}")
        path = folder / f"{self.name}.pth"
        torch.save({"params": draw_state(self.structure.shapes())}, path)
        return path, "random weights"


def compact(num_conv: int) -> srvgg.Structure:
    return srvgg.Structure(num_feat=64, num_conv=num_conv, scale=4)


STARTER = Model(name="starter", scale=2, file=ROOT / "data" / "models" / "starter-x2.pth")
ANIME = Model(
    name="realesr-animevideov3",
    scale=4,
    file=BESIDE / "realesr-animevideov3-fp16.pth",
    structure=compact(16),
)
GENERAL = Model(name="realesr-general-x4v3", scale=4, structure=compact(32))
X4PLUS = Model(
    name="RealESRGAN_x4plus",
    scale=4,
    structure=rrdb_structure.Structure(
        num_feat=64, num_block=23, num_grow=32, doublings=2, fold=1
    ),
)


def build_plain(
    state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
) -> Callable[[Tensor], Tensor]:
    """The network as it was published, in the usual memory layout, one operation after another."""
    if not rrdb_structure.is_rrdb(state):
        return srvgg.build(state).to(device, dtype)
    placed = {key: value.to(device, dtype) for key, value in state.items()}
    fold = rrdb_structure.deduce_structure(state).fold
    return lambda frames: run_rrdb(placed, frames, fold)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame costs at the least, by its convolutions."""

    flop: float
    values: float
    """Numbers read or written, if every convolution reads its input and writes its output once."""


def count_cost(state: Mapping[str, Tensor], height: int, width: int) -> Cost:
    """Of one frame of that size; counted on a small one, since both grow with the pixels."""
    network = rrdb.build(state) if rrdb_structure.is_rrdb(state) else srvgg.build(state)
    side, flop, values = 16, 0, 0

    def count(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal flop, values
        weight = module.weight
        # each weight meets every pixel of the output, or of the input where that is enlarged
        pixels = (given[0] if isinstance(module, nn.ConvTranspose2d) else made)[0, 0].numel()
        flop += 2 * weight.numel() * pixels
        values += given[0].numel() + made.numel()

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    share = height * width / side**2
    return Cost(flop * share, values * share)
