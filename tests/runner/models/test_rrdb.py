import pytest
import torch
from torch.nn import functional

from remote_runner.errors import MachineError
from remote_runner.models import rrdb
from remote_runner.models.rrdb_structure import Structure, deduce_structure, rename
from remote_runner.protocol import Reason
from tests.runner.models.published import draw_state, run_rrdb


def structure(blocks=1, fold=1, doublings=2, feat=64, grow=32):
    return Structure(
        num_feat=feat, num_block=blocks, num_grow=grow, doublings=doublings, fold=fold
    )


SMALL = structure(feat=8, grow=4)


def spread(wanted):
    return float(wanted.max() - wanted.min())


def first_names(state, blocks, doublings):
    """Names of the first ESRGAN: an entry each for convolution, enlargement and activation."""
    tail = [f"conv_up{step}" for step in range(1, doublings + 1)]
    numbers = {name: 3 * step for step, name in enumerate(tail, 1)}
    numbers |= {"conv_hr": 3 * doublings + 2, "conv_last": 3 * doublings + 4, "conv_first": 0}
    renamed = {}
    for key, value in state.items():
        name, kind = key.rsplit(".", 1)
        if name.startswith("body."):
            _, block, rdb, conv = name.split(".")
            name = f"model.1.sub.{block}.{rdb.upper()}.{conv}.0"
        elif name == "conv_body":
            name = f"model.1.sub.{blocks}"
        else:
            name = f"model.{numbers[name]}"
        renamed[f"{name}.{kind}"] = value
    return renamed


def later_names(state):
    renamed = {}
    for key, value in state.items():
        later = key.replace("conv_body", "trunk_conv").replace("conv_hr", "HRconv")
        later = later.replace("conv_up", "upconv").replace("body.", "RRDB_trunk.")
        renamed[later.replace("rdb", "RDB")] = value
    return renamed


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        (structure(blocks=2), (19, 23)),
        (structure(fold=2), (18, 22)),
        (structure(fold=4), (20, 28)),
        (structure(doublings=1), (17, 9)),
        (structure(doublings=0, feat=32, grow=16), (11, 30)),
    ],
)
def test_it_calculates_what_was_published(numbers, size, layout):
    state = draw_state(numbers.shapes())
    frames = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    wanted = run_rrdb(state, frames, numbers.fold)
    network = rrdb.build(state).to(memory_format=layout)
    with torch.inference_mode():
        found = network(frames.contiguous(memory_format=layout))
    assert float(wanted.std()) > 0.05
    assert float((found - wanted).abs().max()) < 1e-5 * spread(wanted)


def test_the_full_network_calculates_what_was_published():
    numbers = structure(blocks=23)
    state = draw_state(numbers.shapes())
    frames = torch.rand(1, 3, 33, 47)
    wanted = run_rrdb(state, frames, 1)
    with torch.inference_mode():
        found = rrdb.build(state)(frames)
    assert float((found - wanted).abs().max()) < 1e-5 * spread(wanted)


@pytest.mark.parametrize(("fold", "size"), [(2, (7, 9)), (4, (9, 5)), (4, (1, 2)), (2, (1, 1))])
def test_sizes_that_do_not_fold_are_padded_as_published_and_cut_again(fold, size):
    numbers = structure(fold=fold, feat=8, grow=4)
    state = draw_state(numbers.shapes())
    frames = torch.rand(1, 3, *size)
    below, right = -size[0] % fold, -size[1] % fold
    can_reflect = below < size[0] and right < size[1]
    padded = functional.pad(
        frames, (0, right, 0, below), mode="reflect" if can_reflect else "replicate"
    )
    wanted = run_rrdb(state, padded, fold)
    wanted = wanted[..., : size[0] * numbers.scale, : size[1] * numbers.scale]
    found = rrdb.build(state)(frames)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=1e-5)


def test_published_sizes_of_the_three_models():
    # parameters as counted in the published files; operations by their convolutions
    for numbers, scale, parameters, macs in (
        (structure(blocks=23), 4, 16_697_987, 17_926_848),
        (structure(blocks=6), 4, 4_467_779, 5_706_432),
        (structure(blocks=23, fold=2), 2, 16_703_171, 4_483_008),
    ):
        assert numbers.scale == scale
        assert numbers.macs_per_pixel == macs
        shapes = numbers.shapes().values()
        assert sum(torch.Size(each).numel() for each in shapes) == parameters


@pytest.mark.parametrize("numbers", [structure(blocks=3, fold=2), structure(doublings=1), SMALL])
def test_the_structure_is_read_off_the_parameters(numbers):
    assert deduce_structure(draw_state(numbers.shapes())) == numbers


@pytest.mark.parametrize("doublings", [0, 1, 2])
def test_old_names_mean_the_same_network(doublings):
    numbers = structure(blocks=2, doublings=doublings, feat=8, grow=4)
    state = draw_state(numbers.shapes())
    for old in (first_names(state, 2, doublings), later_names(state)):
        assert "conv_body.weight" not in old
        renamed = rename(old)
        assert deduce_structure(renamed) == numbers
        assert all(torch.equal(renamed[key], state[key]) for key in state)


def test_a_file_that_lacks_or_adds_something_is_refused_with_its_name():
    good = draw_state(SMALL.shapes())
    for key in good:
        lacking = {name: value for name, value in good.items() if name != key}
        with pytest.raises(MachineError) as caught:
            rrdb.build(lacking)
        assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    with pytest.raises(MachineError, match="not part of this network: tail"):
        rrdb.build({**good, "tail": torch.zeros(1)})
    with pytest.raises(MachineError, match=r"conv_hr\.bias has shape"):
        rrdb.build({**good, "conv_hr.bias": torch.zeros(9)})
    with pytest.raises(MachineError, match="takes 4 channels"):
        rrdb.build({**good, "conv_first.weight": torch.zeros(8, 4, 3, 3)})


@pytest.mark.parametrize(("fold", "doublings"), [(1, 2), (2, 2), (4, 2), (1, 1), (1, 0), (1, 3)])
def test_the_receptive_radius_is_exact(fold, doublings):
    numbers = structure(fold=fold, doublings=doublings, feat=2, grow=2)
    radius, scale = numbers.receptive_radius, numbers.scale
    # positive sums of one row that is not zero: whatever sees it is not zero, however little
    state = {
        key: torch.zeros(shape) if key.endswith("bias") else torch.full(shape, 0.1)
        for key, shape in numbers.shapes().items()
    }
    network = rrdb.build(state).double()
    height = fold * ((2 * radius + 3 * fold) // fold + 1)
    reach = 0
    for row in range(radius + fold, radius + 2 * fold):
        frames = torch.zeros(1, 3, height, fold, dtype=torch.double)
        frames[:, :, row] = 1
        rows = (network(frames) != 0).any(1).any(-1)[0].nonzero().flatten() // scale
        reach = max(reach, row - int(rows.min()), int(rows.max()) - row)
    assert reach == radius


def test_strips_of_the_tail_change_nothing(monkeypatch):
    numbers = structure(feat=8, grow=4)
    network = rrdb.build(draw_state(numbers.shapes()))
    frames = torch.rand(1, 3, 37, 21)
    whole = network(frames)
    monkeypatch.setattr(rrdb, "STRIP_BYTES", 1)
    strips = []
    tail = network._tail
    monkeypatch.setattr(network, "_tail", lambda rows: strips.append(rows) or tail(rows))
    assert float((network(frames) - whole).abs().max()) < 1e-5 * spread(whole)
    assert len(strips) == 5


def test_frames_are_never_written_into():
    network = rrdb.build(draw_state(SMALL.shapes()))
    frames = torch.rand(1, 3, 9, 9)
    kept = frames.clone()
    network(frames)
    assert torch.equal(frames, kept)
