"""What may be done to a network to make it fast or to fit must not be seen."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from remote_runner.models import ifnet, rrdb, srvgg
from remote_runner.models.ifnet_layout import V4_6, V4_25
from remote_runner.models.load import load_upscaler
from remote_runner.models.rrdb_structure import STRIP_BYTES
from remote_runner.models.rrdb_structure import Structure as Large
from remote_runner.models.srvgg import Structure as Compact
from tests.runner.models.published import draw_state

CPU = torch.device("cpu")
NETWORKS = {
    "compact": (srvgg, Compact(num_feat=24, num_conv=6, scale=4)),
    "compact x2": (srvgg, Compact(num_feat=16, num_conv=4, scale=2)),
    "large": (rrdb, Large(num_block=1, num_feat=24, num_grow=8)),
    "large x2": (rrdb, Large(num_block=1, num_feat=16, num_grow=8, fold=2)),
    "large x1": (rrdb, Large(num_block=1, num_feat=16, num_grow=8, fold=4)),
}


def build(name):
    module, structure = NETWORKS[name]
    state = draw_state(structure.shapes(), 4)
    if module is rrdb:
        state["conv_last.bias"] += 0.5  # into the range of pictures
    return module.build(state).to(memory_format=torch.channels_last), structure


def smooth_picture(height, width):
    small = torch.rand(1, 3, -(-height // 4), -(-width // 4), generator=torch.manual_seed(2))
    big = torch.nn.functional.interpolate(small, scale_factor=4.0, mode="bicubic").clamp(0, 1)
    return big[..., :height, :width].contiguous(memory_format=torch.channels_last)


def run_in_bands(network, structure, frames, rows):
    """Each band with its exact surroundings, as far as bands must begin at a multiple."""
    height, scale = frames.shape[-2], structure.scale
    parts = []
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        step = structure.alignment
        first = max(0, top - structure.receptive_radius) // step * step
        last = min(height, math.ceil((bottom + structure.receptive_radius) / step) * step)
        part = network(frames[:, :, first:last].contiguous(memory_format=torch.channels_last))
        parts.append(part[:, :, (top - first) * scale : (bottom - first) * scale])
    return torch.cat(parts, 2)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rows", [7, 16])
def test_bands_with_their_exact_surroundings_are_the_whole(name, rows):
    network, structure = build(name)
    frames = smooth_picture(2 * structure.receptive_radius + 27, 29)
    with torch.inference_mode():
        whole = network(frames)
        banded = run_in_bands(network, structure, frames, rows)
    assert float((banded - whole).abs().max()) < 1e-5 * float(whole.max() - whole.min())


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_is_as_good_as_50_db(name):
    network, _ = build(name)
    frames = smooth_picture(37, 43)
    with torch.inference_mode():
        wanted = network(frames).clamp(0, 1)
        found = network.half()(frames.half()).clamp(0, 1).float()
    assert float(wanted.std()) > 0.03
    assert float(-10 * (found - wanted).square().mean().log10()) > 50


def test_the_published_weights_in_half_precision_and_in_bands(published):
    model = load_upscaler(str(published), CPU, allow_paths=True)
    frames = smooth_picture(75, 61)
    structure = model.network.structure
    with torch.inference_mode():
        whole = model.network(frames)
        banded = run_in_bands(model.network, structure, frames, 21)
        half = model.network.half()(frames.half()).float()
    assert float((banded - whole).abs().max()) < 1e-5 * float(whole.max() - whole.min())
    assert float(-10 * (half - whole).clamp(-1, 1).square().mean().log10()) > 50


class Meter(TorchDispatchMode):
    """The most bytes that tensors made inside hold at one time."""

    def __init__(self):
        super().__init__()
        self.held, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor):
                storage = each.untyped_storage()
                self.held[storage.data_ptr()] = storage._weak_ref(), storage.nbytes()
        alive = {
            key: (ref, size)
            for key, (ref, size) in self.held.items()
            if not torch.UntypedStorage._expired(ref)
        }
        self.held = alive
        self.most = max(self.most, sum(size for _, size in alive.values()))
        return result


@pytest.mark.parametrize("name", NETWORKS)
def test_the_formula_tells_the_most_memory(name):
    network, structure = build(name)
    frames = torch.rand(1, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), Meter() as meter:
        network(frames).clamp(0, 1)
    told = structure.bytes_per_pixel(4) * 96 * 96
    if isinstance(structure, Large):
        # the tail of so small a picture is one strip
        side = 96 // structure.fold * structure.growth
        told += 2 * structure.num_feat * 4 * side**2
        assert told < STRIP_BYTES
    assert 0.75 * told < meter.most <= 1.02 * told


def test_the_tail_of_a_large_picture_takes_what_its_strips_take(monkeypatch):
    network, structure = build("large")
    strip = 16 * 96 * structure.num_feat * structure.growth**2 * 4
    monkeypatch.setattr(rrdb, "STRIP_BYTES", strip)
    frames = torch.rand(1, 3, 192, 96).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), Meter() as meter:
        network(frames).clamp(0, 1)
    told = structure.bytes_per_pixel(4) * 192 * 96 + 2 * strip
    # each strip has two rows more on either side
    assert 0.75 * told < meter.most <= 1.3 * told


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("layout", [V4_6, V4_25], ids=lambda each: each.version)
def test_the_memory_of_an_interpolator_is_as_told(layout, half):
    network = ifnet.build(draw_state(layout.shapes())).to(memory_format=torch.channels_last)
    network = network.half() if half else network
    frame = torch.rand(1, 3, 256, 256)
    with torch.no_grad(), Meter() as meter:
        pair = torch.cat([network.prepare(frame), network.prepare(frame)])
        network(pair, torch.full((1, 1, 1, 1), 0.5)).clamp(0, 1)
    told = layout.bytes_per_pixel(2 if half else 4) * 256**2
    assert 0.9 * told < meter.most <= 1.02 * told
