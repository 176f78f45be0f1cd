import json

import numpy as np
import pytest
import torch

from remote_runner.errors import MachineError
from remote_runner.models import ifnet
from remote_runner.models.ifnet_layout import V4_6, V4_25, deduce_layout
from remote_runner.protocol import Reason
from tests.runner.models.conftest import ROOT
from tests.runner.models.published import draw_state, run_ifnet

VECTORS = ROOT.parent / "shared" / "vectors"
LAYOUTS = {layout.version: layout for layout in (V4_6, V4_25)}


def rife_state(layout, seed=0):
    """Weights under which the flow goes a few pixels far and the mask is no constant."""
    state = draw_state(layout.shapes(), seed)
    for key, value in state.items():
        if key.endswith("beta"):
            state[key] = 1 + value
        if key.startswith("block") and "lastconv" in key:
            state[key] = value * 0.5
    return state


def pictures(height, width):
    generator = torch.Generator().manual_seed(3)
    small = torch.rand(2, 3, height // 8, width // 8, generator=generator)
    big = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return big[:1], big[1:]


def run(network, first, second, t, coarser=1):
    with torch.inference_mode():
        pair = torch.cat([network.prepare(each) for each in (first, second)])
        return network(pair, torch.full((1, 1, 1, 1), t), coarser)


def draw_by_formula(version):
    """Weights as the reference outputs were made with."""
    keys = json.loads((VECTORS / f"rife-{version}-keys.json").read_text())
    state = {}
    for number, key in enumerate(sorted(keys), 1):
        shape = keys[key]
        at = np.arange(1, np.prod(shape) + 1, dtype=np.float64)
        value = np.sin(at * 12.9898 + number * 78.233) * 43758.5453
        value = 2 * (value - np.floor(value)) - 1
        if key.endswith("beta"):
            value = 1 + 0.1 * value
        elif key.endswith("bias"):
            value = 0.02 * value
        else:
            value = value * np.sqrt(1.5 / np.prod(shape[1:]))
        state[key] = torch.from_numpy(value.astype(np.float32).reshape(shape))
    return state


def picture_by_formula(p):
    y, x = np.mgrid[0:128, 0:192].astype(np.float64)
    channels = [
        0.5
        + 0.5
        * np.sin(0.11 * (x + 3 * p) + 0.07 * (y - 2 * p) + 1.7 * c)
        * np.cos(0.05 * (x - p) - 0.09 * (y + p) + c)
        for c in range(3)
    ]
    return torch.from_numpy(np.stack(channels).astype(np.float32))[None]


@pytest.mark.parametrize("version", LAYOUTS)
def test_the_reference_outputs_are_met(version):
    if not (VECTORS / f"rife-{version}.npz").exists():
        pytest.skip("the reference outputs are not beside this checkout")
    network = ifnet.build(draw_by_formula(version))
    wanted = np.load(VECTORS / f"rife-{version}.npz")
    for t in (0.5, 0.25, 0.8):
        found = run(network, picture_by_formula(0), picture_by_formula(2), t)
        assert np.abs(found.numpy() - wanted[f"t{t}"]).max() < 1e-5


@pytest.mark.parametrize("version", LAYOUTS)
def test_the_parameters_are_those_of_the_published_files(version):
    path = VECTORS / f"rife-{version}-keys.json"
    if not path.exists():
        pytest.skip("the list of parameters is not beside this checkout")
    published = {key: tuple(shape) for key, shape in json.loads(path.read_text()).items()}
    assert LAYOUTS[version].shapes() == published


@pytest.mark.parametrize("coarser", [1, 2])
@pytest.mark.parametrize("version", LAYOUTS)
def test_no_saving_changes_what_was_published(version, coarser):
    layout = LAYOUTS[version]
    side = layout.multiple * coarser
    first, second = pictures(side, 2 * side if side < 128 else side)
    state = rife_state(layout)
    scales = [scale * coarser for scale in layout.scales]
    wanted = run_ifnet(state, first, second, 0.3, scales)
    # a test of the test: the motion is not nothing
    still = 0.3 * second + 0.7 * first
    assert float((wanted - still).abs().max()) > 0.05
    found = run(ifnet.build(state), first, second, 0.3, coarser)
    assert float((found - wanted).abs().max()) < 1e-4


@pytest.mark.parametrize("version", LAYOUTS)
def test_half_precision_is_close(version):
    layout = LAYOUTS[version]
    first, second = pictures(layout.multiple, 2 * layout.multiple)
    network = ifnet.build(rife_state(layout))
    wanted = run(network, first, second, 0.4)
    found = run(network.half(), first, second, 0.4)
    assert found.dtype == torch.float32
    assert float(-10 * (found - wanted).square().mean().log10()) > 50


def test_published_costs():
    assert (V4_25.macs_per_pixel, V4_25.multiple) == (19_186 + 1_516, 64)
    assert (V4_6.macs_per_pixel, V4_6.multiple) == (41_946, 32)


@pytest.mark.parametrize("version", LAYOUTS)
def test_leftovers_are_ignored_and_gaps_refused(version):
    layout = LAYOUTS[version]
    state = draw_state(layout.shapes())
    assert deduce_layout({**state, "teacher.conv.weight": torch.zeros(1)}) is layout
    for key in ("block0.lastconv.0.bias", "block3.convblock.7.beta"):
        lacking = {name: value for name, value in state.items() if name != key}
        with pytest.raises(MachineError, match=f"missing: {key}") as caught:
            deduce_layout(lacking)
        assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    with pytest.raises(MachineError, match="has shape"):
        deduce_layout({**state, "block1.conv0.0.0.bias": torch.zeros(3)})


def test_a_file_of_something_else_is_named():
    with pytest.raises(MachineError, match=r"2 parameters \(a.weight, a.bias\)"):
        deduce_layout({"a.weight": torch.zeros(1), "a.bias": torch.zeros(1)})


def test_another_release_is_refused_and_not_taken_for_a_known_one():
    state = draw_state(V4_6.shapes())
    state["block0.conv0.0.0.weight"] = torch.zeros(96, 11, 3, 3)
    with pytest.raises(MachineError, match=r"block0.conv0.0.0.weight has shape"):
        deduce_layout(state)
