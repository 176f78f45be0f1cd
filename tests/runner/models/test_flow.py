import numpy as np
import pytest
import torch

from remote_runner.models.flow import FlowInterpolator


def frame(picture):
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


def error(found, wanted):
    return float((found - wanted).square().mean())


@pytest.mark.parametrize("clip", ["photo_pan", "occlusion", "thin_lines"])
def test_a_dropped_frame_is_made_again_far_better_than_by_blending(clip):
    import clips

    first, middle, last = (frame(getattr(clips, clip)(time)) for time in (0.0, 0.5, 1.0))
    found = FlowInterpolator().between(first, last)(0.5)
    assert 10 * np.log10(error((first + last) / 2, middle) / error(found, middle)) > 2


@pytest.mark.parametrize("time", [0.25, 0.5, 0.8])
def test_a_shift_is_followed_at_any_time(time):
    rng = np.random.default_rng(3)
    small = torch.from_numpy(rng.random((1, 3, 20, 24), dtype=np.float32))
    big = torch.nn.functional.interpolate(small, size=(160, 192), mode="bicubic").clamp(0, 1)
    first, last = big[..., 20:140, 20:140], big[..., 20:140, 28:148]
    shift = round(8 * time)
    wanted = big[..., 20:140, 20 + shift : 140 + shift]
    found = FlowInterpolator().between(first, last)(shift / 8)
    assert error(found[..., 16:-16, 16:-16], wanted[..., 16:-16, 16:-16]) < 1e-4


def test_frames_that_have_nothing_in_common_are_blended():
    rng = np.random.default_rng(1)
    first, last = (torch.from_numpy(rng.random((1, 3, 64, 64), dtype=np.float32)) for _ in "ab")
    found = FlowInterpolator().between(first, last)(0.5)
    assert error(found, (first + last) / 2) < 0.01


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 33), (64, 48)])
def test_any_size_works_and_stays_in_range(size):
    first, last = torch.rand(1, 3, *size), torch.rand(1, 3, *size)
    found = FlowInterpolator().between(first, last)(0.5)
    assert found.shape == first.shape
    assert torch.isfinite(found).all()
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


def test_noise_whose_motion_leads_out_of_the_picture_gives_a_picture():
    for seed in (932, 959, 1438, 1478):
        torch.manual_seed(seed)
        for size in [(1, 1), (5, 3)]:
            first, last = torch.rand(1, 3, *size), torch.rand(1, 3, *size)
            assert torch.isfinite(FlowInterpolator().between(first, last)(0.5)).all()


def test_equal_frames_stay_as_they_are():
    still = torch.rand(1, 3, 40, 40)
    assert torch.allclose(FlowInterpolator().between(still, still)(0.5), still, atol=2e-3)


def test_wrong_times_and_shapes_are_refused():
    still = torch.rand(1, 3, 40, 40)
    with pytest.raises(ValueError, match="between 0 and 1"):
        FlowInterpolator().between(still, still)(1.0)
    with pytest.raises(ValueError, match="1×3×H×W"):
        FlowInterpolator().between(still, still[..., :20])
