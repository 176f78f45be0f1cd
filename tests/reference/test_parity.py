"""Our networks against the published modules, in float32, as the pipeline loads them."""

import pytest
import torch

from remote_runner.models import rrdb_structure, srvgg
from remote_runner.models.load import load_upscaler
from remote_runner.models.reference import build_architecture
from remote_runner.models.state import read_state
from tests.reference.conftest import ROOT

pytestmark = pytest.mark.reference

CPU = torch.device("cpu")
LIMIT = 1e-5


def difference(path, height, width, count=1):
    """Largest difference between the two, relative to the spread of the output."""
    ours = load_upscaler(str(path), CPU, allow_paths=True)
    state = read_state(path)
    module = build_architecture(state).module.eval()
    module.load_state_dict(state)
    frames = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        wanted = module(frames)
        # the network itself, so that no clamp hides anything
        made = ours.network(frames.contiguous(memory_format=torch.channels_last))
    assert made.shape == wanted.shape
    spread = wanted.max() - wanted.min()
    assert spread > 0.1
    return float((made - wanted).abs().max() / spread)


def compact(feat, conv, scale):
    return srvgg.Structure(num_feat=feat, num_conv=conv, scale=scale)


def large(blocks, fold, feat=64, grow=32):
    return rrdb_structure.Structure(
        num_feat=feat, num_block=blocks, num_grow=grow, doublings=2, fold=fold
    )


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 96)])
@pytest.mark.parametrize("numbers", [(64, 16, 4), (64, 32, 4), (32, 8, 2), (24, 3, 3), (16, 2, 1)])
def test_the_compact_network_is_the_published_one(drawn, numbers, size):
    assert difference(drawn(compact(*numbers)), *size) <= LIMIT


def test_two_compact_frames_at_once_are_two_frames(drawn):
    assert difference(drawn(compact(64, 16, 4)), 21, 35, count=2) <= LIMIT


@pytest.mark.parametrize("size", [(90, 161), (61, 47)])
def test_published_weights_give_the_published_picture(published, size):
    assert difference(published, *size) <= LIMIT


def test_the_shipped_weights_give_the_same_picture():
    assert difference(ROOT / "data" / "models" / "starter-x2.pth", 75, 133) <= LIMIT


@pytest.mark.parametrize("blocks", [6, 23])
@pytest.mark.parametrize(
    ("fold", "size"),
    [(1, (19, 23)), (1, (7, 1)), (2, (34, 50)), (4, (36, 52))],
    ids=["x4", "x4 of a line", "x2", "x1"],
)
def test_the_large_network_is_the_published_one(drawn, blocks, fold, size):
    assert difference(drawn(large(blocks, fold)), *size) <= LIMIT


def test_a_large_network_of_other_widths_is_the_published_one(drawn):
    assert difference(drawn(large(2, 1, feat=48, grow=24)), 25, 31) <= LIMIT
