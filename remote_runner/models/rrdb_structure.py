"""What fixes an RRDBNet: read off a weight file under any of the names its parameters go by.

Three sets of names are in use for the same network: those of Real-ESRGAN (``body.0.rdb1.conv1``),
of the later ESRGAN (``RRDB_trunk.0.RDB1.conv1``) and of the first ESRGAN (``model.1.sub.0.RDB1.
conv1.0``, where the numbers of the tail depend on how often it doubles).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from remote_runner.models.state import check_shapes, unfit

CHANNELS = 3
KERNEL = 3
#: Convolutions of a dense block.
DENSE = 5
#: A strip of the tail has so many bytes of features at the output's size; twice as many at work.
STRIP_BYTES = 128 << 20
_FAMILY = "large (RRDB)"
_LATER_NAMES = {"trunk_conv": "conv_body", "HRconv": "conv_hr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """The numbers that fix the network; by default those of the published models of scale 4."""

    num_block: int
    """Blocks, of three dense blocks each."""
    num_feat: int = 64
    """Channels between the blocks."""
    num_grow: int = 32
    """Channels that a convolution of a dense block adds."""
    doublings: int = 2
    """How often the tail doubles both sides."""
    fold: int = 1
    """Side of the squares of pixels that are folded into channels before the network: 1, 2, 4."""

    @property
    def growth(self) -> int:
        """By how much the tail enlarges each side."""
        return 1 << self.doublings

    @property
    def scale(self) -> int:
        return self.growth // self.fold

    @property
    def alignment(self) -> int:
        """Bands of a picture must begin where a square does."""
        return self.fold

    @property
    def macs_per_pixel(self) -> int:
        """Multiply-accumulates per input pixel, convolutions only."""
        feat, grow = self.num_feat, self.num_grow
        dense = sum((feat + i * grow) * (grow if i < DENSE - 1 else feat) for i in range(DENSE))
        body = CHANNELS * self.fold**2 * feat + 3 * self.num_block * dense + feat**2
        areas = [(1 << step) ** 2 for step in range(1, self.doublings + 1)]
        tail = feat**2 * sum(areas) + self.growth**2 * feat * (feat + CHANNELS)
        return KERNEL**2 * (body + tail) // self.fold**2

    @property
    def receptive_radius(self) -> int:
        """Input pixels on each side that an output pixel depends on, exactly.

        15 B + 2 cells before the tail (one a convolution), then what the tail sees of them, worked
        out for each place of an output pixel in its cell; a cell is ``fold`` pixels wide.
        """
        reach = 3 * DENSE * self.num_block + 2
        farthest = 0
        for at in range(self.growth):
            low, high = seen_by_tail(at, self.doublings)
            pixel = at // self.scale
            first, last = (low - reach) * self.fold, (high + reach) * self.fold + self.fold - 1
            farthest = max(farthest, pixel - first, last - pixel)
        return farthest

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter's name and shape, in the order of the published files."""
        feat, grow = self.num_feat, self.num_grow
        layers = {"conv_first": (feat, CHANNELS * self.fold**2)}
        for block in range(self.num_block):
            for rdb in (1, 2, 3):
                for conv in range(1, DENSE + 1):
                    width_out = grow if conv < DENSE else feat
                    name = f"body.{block}.rdb{rdb}.conv{conv}"
                    layers[name] = (width_out, feat + (conv - 1) * grow)
        layers["conv_body"] = (feat, feat)
        for step in range(1, self.doublings + 1):
            layers[f"conv_up{step}"] = (feat, feat)
        layers |= {"conv_hr": (feat, feat), "conv_last": (CHANNELS, feat)}
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (width_out, width_in) in layers.items():
            shapes[f"{name}.weight"] = (width_out, width_in, KERNEL, KERNEL)
            shapes[f"{name}.bias"] = (width_out,)
        return shapes

    def bytes_per_pixel(self, itemsize: int) -> int:
        """Most memory of activations per input pixel, in numbers of ``itemsize`` bytes.

        In the body: the shortcut, the buffer of a dense block, the block's input and a result; in
        the tail, which works in strips (:data:`STRIP_BYTES`), features and twice the output.
        """
        widest = 3 * self.num_feat + self.num_feat + (DENSE - 1) * self.num_grow
        tail = self.num_feat + 2 * CHANNELS * self.growth**2
        folded = CHANNELS * self.fold**2
        return math.ceil(itemsize * (folded + max(widest, tail)) / self.fold**2)

    def tail_bytes(self, pixels: int, itemsize: int) -> int:
        """Memory in the tail for so many input pixels: what goes in and comes out, and a strip at
        work, twice at the output's size and once at half of it."""
        given = CHANNELS * self.fold**2 + self.num_feat + CHANNELS * self.growth**2
        cells = pixels / self.fold**2
        strip = min(STRIP_BYTES, cells * self.num_feat * self.growth**2 * itemsize)
        return math.ceil(cells * given * itemsize + 2.25 * strip)


def seen_by_tail(at: int, doublings: int) -> tuple[int, int]:
    """First and last cell, from its own, that the tail sees for the output pixel ``at`` of one."""
    low, high = at - 2, at + 2
    for _ in range(doublings):
        low, high = (low - 1) // 2, (high + 1) // 2
    return low, high


def is_rrdb(state: Mapping[str, Tensor]) -> bool:
    """Whether the parameters look like those of this family, under any names."""
    return any(".rdb1." in key.lower() for key in state)


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same parameters under the names of Real-ESRGAN."""
    if "model.0.weight" in state:
        return _rename_first(state)
    return {_rename_later(key): value for key, value in state.items()}


def deduce_structure(state: Mapping[str, Tensor]) -> Structure:
    """Read the structure off a state dict with the names of Real-ESRGAN.

    Raises :class:`MachineError` (``model_unavailable``) that says what is missing, superfluous or
    of the wrong shape when the dict does not describe such a network.
    """
    first, grown = state.get("conv_first.weight"), state.get("body.0.rdb1.conv1.weight")
    if first is None or grown is None or first.dim() != 4 or grown.dim() != 4:
        raise unfit(_FAMILY, "it holds no conv_first.weight or no body.0.rdb1.conv1.weight")
    folded = {CHANNELS * fold**2: fold for fold in (1, 2, 4)}
    if first.shape[1] not in folded:
        raise unfit(_FAMILY, f"conv_first takes {first.shape[1]} channels, not 3, 12 or 48")
    blocks = {int(key.split(".")[1]) for key in state if re.match(r"body\.\d+\.", key)}
    doublings = sum(bool(re.fullmatch(r"conv_up\d\.weight", key)) for key in state)
    fold = folded[first.shape[1]]
    if 2**doublings < fold:
        raise unfit(_FAMILY, f"it folds by {fold} and enlarges by {2**doublings}")
    structure = Structure(
        num_feat=int(first.shape[0]),
        num_block=max(blocks) + 1,
        num_grow=int(grown.shape[0]),
        doublings=doublings,
        fold=fold,
    )
    check_shapes(state, structure.shapes(), _FAMILY)
    return structure


def _rename_later(key: str) -> str:
    name, dot, kind = key.rpartition(".")
    name = _LATER_NAMES.get(name, name)
    name = re.sub(r"^upconv(\d)$", r"conv_up\1", name)
    name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
    return f"{name}{dot}{kind}"


def _rename_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """model.0, .1.sub.N (blocks, the last one the convolution), then one number in three for each
    doubling (an enlargement and an activation lie between), two more convolutions."""
    found = (re.fullmatch(r"model\.(\d+)\.weight", key) for key in state)
    numbers = sorted(int(each[1]) for each in found if each)
    plain = (re.fullmatch(r"model\.1\.sub\.(\d+)\.weight", key) for key in state)
    names = {f"model.1.sub.{each[1]}": "conv_body" for each in plain if each}
    tail = numbers[1:]
    labels = [f"conv_up{step}" for step in range(1, len(tail) - 1)] + ["conv_hr", "conv_last"]
    names |= {f"model.{number}": label for number, label in zip(tail, labels, strict=False)}
    names["model.0"] = "conv_first"
    renamed = {}
    for key, value in state.items():
        name, dot, kind = key.rpartition(".")
        name = re.sub(
            r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0$", r"body.\1.rdb\2.conv\3", name
        )
        renamed[f"{names.get(name, name)}{dot}{kind}"] = value
    return renamed
