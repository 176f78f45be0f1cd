import pytest
import torch

from remote_runner.errors import MachineError
from remote_runner.models import Engine, rrdb_structure, srvgg
from remote_runner.models.load import load_upscaler
from remote_runner.models.reference import load_reference
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Reason, Task

pytestmark = pytest.mark.reference

CPU = torch.device("cpu")


def pictures(height, width):
    levels = torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator())
    return levels.float() / 255


def farthest_levels(name, frames):
    """Largest difference of the two engines in steps of 8 bits, and the enlarged size."""
    ours = load_upscaler(name, CPU, allow_paths=True)(frames).mul(255).round()
    theirs = load_reference(name, CPU, allow_paths=True)(frames).mul(255).round()
    assert ours.shape == theirs.shape
    assert ours.max() - ours.min() > 50
    return float((ours - theirs).abs().max()), tuple(theirs.shape[-2:])


@pytest.mark.timeout(300)
def test_the_reference_takes_the_sample_through_the_gate(sample, tmp_path):
    report = process(
        sample,
        tmp_path / "large.mp4",
        Task(model="starter", scale=2),
        equipment=Equipment(device="cpu", engine=Engine.REALESRGAN),
    )
    assert all(check.passed for check in report.checks)
    assert (report.facts.width, report.facts.height) == (640, 360)
    assert (report.frames, report.model) == (72, "starter-x2 (realesrgan)")
    assert {"audio:aac", "subtitle:mov_text/eng"} <= set(report.kept)


def test_at_scale_2_both_engines_make_the_same_levels():
    # even sides: the reference pads odd ones by reflection
    farthest, size = farthest_levels("starter", pictures(46, 62))
    assert farthest <= 1
    assert size == (92, 124)


def test_at_scale_4_odd_sides_make_no_difference(published):
    farthest, size = farthest_levels(str(published), pictures(35, 47))
    assert farthest <= 1
    assert size == (140, 188)


@pytest.mark.parametrize(("fold", "scale"), [(1, 4), (2, 2), (4, 1)])
def test_the_large_network_makes_the_same_levels_at_odd_sides(drawn, fold, scale):
    structure = rrdb_structure.Structure(
        num_feat=64, num_block=2, num_grow=32, doublings=2, fold=fold
    )
    farthest, size = farthest_levels(str(drawn(structure)), pictures(21, 27))
    assert farthest <= 1
    assert size == (21 * scale, 27 * scale)


def test_weights_that_only_we_can_read_are_refused_in_words(tmp_path):
    path = tmp_path / "bare.pth"
    structure = srvgg.Structure(num_feat=16, num_conv=2, scale=2)
    torch.save(srvgg.SRVGGNetCompact(structure).state_dict(), path)
    assert load_upscaler(str(path), CPU, allow_paths=True).scale == 2
    with pytest.raises(MachineError, match="params or params_ema only") as caught:
        load_reference(str(path), CPU, allow_paths=True)
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE
