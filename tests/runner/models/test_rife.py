import gc

import pytest
import torch

from remote_runner.models import ifnet, rife
from remote_runner.models.ifnet_layout import V4_6, V4_25
from remote_runner.models.rife import RifeInterpolator
from tests.runner.models.test_ifnet import pictures, rife_state, run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return ifnet.build(rife_state(V4_25))


def interpolator(network):
    return RifeInterpolator(network, name="rife-4.25", device=CPU)


@pytest.mark.parametrize("layout", [V4_6, V4_25], ids=lambda each: each.version)
@pytest.mark.parametrize("size", [(1, 1), (7, 130), (33, 65)])
def test_any_size_works_and_stays_in_range(layout, size):
    between = RifeInterpolator(ifnet.build(rife_state(layout)), name="rife", device=CPU).between
    first, second = torch.rand(1, 3, *size), torch.rand(1, 3, *size)
    found = between(first, second)(0.5)
    assert found.shape == first.shape
    assert torch.isfinite(found).all()
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_a_size_that_fits_is_what_the_network_makes(network):
    first, second = pictures(64, 128)
    found = interpolator(network).between(first, second)(0.3)
    assert torch.equal(found, run(network, first, second, 0.3).clamp(0, 1))


def test_other_sizes_are_padded_by_their_rim_and_cut_again(network):
    first, second = pictures(64, 128)
    first, second = first[..., :50, :100], second[..., :50, :100]
    padded = [
        torch.nn.functional.pad(each, (0, 28, 0, 14), mode="replicate") for each in (first, second)
    ]
    wanted = run(network, *padded, 0.6)[..., :50, :100].clamp(0, 1)
    assert torch.equal(interpolator(network).between(first, second)(0.6), wanted)


def test_a_frame_is_prepared_once_for_both_its_pairs(network, monkeypatch):
    frames = [torch.rand(1, 3, 40, 40) for _ in range(3)]
    asked = []
    heads = network.prepare
    monkeypatch.setattr(network, "prepare", lambda frame: asked.append(frame) or heads(frame))
    chain = interpolator(network)
    made = [chain.between(*frames[at : at + 2])(t) for at in (0, 1) for t in (0.25, 0.75)]
    assert len(asked) == 3
    alone = [
        interpolator(network).between(*frames[at : at + 2])(t)
        for at in (0, 1)
        for t in (0.25, 0.75)
    ]
    assert all(torch.equal(*each) for each in zip(made, alone, strict=True))


def test_a_new_frame_at_the_place_of_an_old_one_is_not_taken_for_it(network):
    chain = interpolator(network)
    still = torch.rand(1, 3, 20, 20)
    for _ in range(4):
        frame = torch.rand(1, 3, 20, 20)
        found = chain.between(still, frame)(0.5)
        assert torch.equal(found, interpolator(network).between(still, frame)(0.5))
        del frame
        gc.collect()


def test_pictures_that_are_very_large_are_looked_at_more_coarsely(network, monkeypatch):
    monkeypatch.setattr(rife, "LONGEST_FINE", 100)
    first, second = pictures(128, 128)
    found = interpolator(network).between(first, second)(0.5)
    assert torch.equal(found, run(network, first, second, 0.5, coarser=2).clamp(0, 1))


def test_the_result_is_of_the_kind_of_the_frames(network):
    first, second = pictures(64, 64)
    assert interpolator(network).between(first.half(), second.half())(0.5).dtype == torch.half


def test_wrong_times_and_shapes_are_refused(network):
    still = torch.rand(1, 3, 40, 40)
    with pytest.raises(ValueError, match="between 0 and 1"):
        interpolator(network).between(still, still)(0.0)
    with pytest.raises(ValueError, match="1×3×H×W"):
        interpolator(network).between(still, still[..., :20])
