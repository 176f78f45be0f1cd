from dataclasses import replace
from fractions import Fraction
from functools import partial

import pytest
import torch

from remote_runner.errors import MachineError
from remote_runner.models.base import identity_upscaler
from remote_runner.protocol import Reason, Task
from remote_runner.video.enlarge import Enlarger, cut
from remote_runner.video.geometry import plan_geometry
from remote_runner.video.signal import Chroma
from tests.runner.test_memory import as_upscaler, compact, large


def geometry(upscaler, width, height):
    return plan_geometry(Task(scale=upscaler.scale), width, height, Fraction(1), Chroma.C444)


def alive(network):
    """Weights that do not fade out within the halo, as fresh ones do."""
    generator = torch.Generator().manual_seed(4)
    for name, parameter in network.named_parameters():
        if name.endswith("weight") and parameter.dim() == 4:
            fan_in = parameter[0].numel()
            parameter.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
    return network


NETWORKS = {"compact": compact, "large x4": large, "large x2": partial(large, fold=2)}


@pytest.mark.parametrize("bands", [2, 3, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_bands_of_real_networks_are_the_whole_within_a_hundred_thousandth(name, bands):
    upscaler = as_upscaler(alive(NETWORKS[name]()))
    width, height = 32, 141
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(1))
    sizes = geometry(upscaler, width, height)
    whole = Enlarger(upscaler, sizes)(picture)
    banded = Enlarger(upscaler, sizes, bands=bands)(picture)
    assert whole.std() > 0.05
    assert (banded - whole).abs().max() <= 1e-5


def test_a_halo_that_is_too_small_would_be_seen():
    upscaler = as_upscaler(alive(compact()))
    picture = torch.rand(3, 64, 32)
    sizes = geometry(upscaler, 32, 64)
    blind = replace(upscaler, receptive_radius=0)
    whole = Enlarger(upscaler, sizes)(picture)
    assert (Enlarger(blind, sizes, bands=4)(picture) - whole).abs().max() > 1e-2


@pytest.mark.parametrize("alignment", [1, 2, 4])
@pytest.mark.parametrize("height", [17, 64, 1081])
@pytest.mark.parametrize("bands", [2, 3, 8])
def test_bands_cover_a_picture_once_and_lie_where_the_network_folds(alignment, height, bands):
    cuts = list(cut(height, bands, 5, alignment))
    assert [band.top for band in cuts[1:]] == [band.bottom for band in cuts[:-1]]
    assert (cuts[0].top, cuts[-1].bottom) == (0, height)
    for band in cuts:
        assert band.first % alignment == 0
        assert band.last % alignment == 0 or band.last == height
        assert band.first <= max(0, band.top - 5)
        assert band.last >= min(height, band.bottom + 5)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_the_same_picture_is_tried_in_twice_as_many_bands_when_memory_runs_out(error, caplog):
    real = as_upscaler(alive(compact()))
    rows = []

    def network(frames):
        rows.append(frames.shape[2])
        if frames.shape[2] > 50:
            raise error
        return real.network(frames)

    picture = torch.rand(3, 128, 16)
    sizes = geometry(real, 16, 128)
    enlarger = Enlarger(replace(real, network=network), sizes)
    made = enlarger(picture)
    assert enlarger.bands == 4
    assert rows[:2] == [128, 68]
    assert "in 2 bands now" in caplog.text and "in 4 bands now" in caplog.text
    assert (made - Enlarger(real, sizes)(picture)).abs().max() <= 1e-5
    # the next picture begins with what worked
    rows.clear()
    enlarger(picture)
    assert max(rows) <= 50


def fail(error):
    def network(frames):
        raise error

    return replace(identity_upscaler(2), network=network)


def test_memory_that_never_suffices_is_a_typed_failure():
    upscaler = fail(torch.OutOfMemoryError("CUDA out of memory"))
    enlarger = Enlarger(upscaler, geometry(upscaler, 16, 64))
    with pytest.raises(MachineError) as caught:
        enlarger(torch.rand(3, 64, 16))
    assert caught.value.reason == Reason.OUT_OF_MEMORY
    assert enlarger.bands == 4


def test_other_failures_of_a_network_are_not_taken_for_memory():
    upscaler = fail(RuntimeError("CUDA error: an illegal memory access; allocation of nothing"))
    enlarger = Enlarger(upscaler, geometry(upscaler, 16, 64))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        enlarger(torch.rand(3, 64, 16))
    assert enlarger.bands == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_on_a_card_is_within_50_db(name):
    device = torch.device("cuda", 0)
    exact = as_upscaler(alive(NETWORKS[name]()))
    picture = torch.rand(3, 180, 320, generator=torch.Generator().manual_seed(1))
    sizes = geometry(exact, 320, 180)
    wanted = Enlarger(exact, sizes)(picture)
    half = alive(NETWORKS[name]()).to(device, torch.half)
    network = replace(exact, device=device, dtype=torch.half, network=half)
    with torch.inference_mode():
        made = Enlarger(network, sizes)(picture.to(device)).cpu()
    assert -10 * torch.log10((made - wanted).square().mean()) >= 50


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_card_whose_memory_runs_out_gives_the_same_picture():
    device = torch.device("cuda", 0)
    real = as_upscaler(alive(large()).to(device))
    real = replace(real, device=device)
    picture = torch.rand(3, 1080, 1920, device=device)
    sizes = geometry(real, 1920, 1080)
    with torch.inference_mode():
        whole = Enlarger(real, sizes)(picture).cpu()
        share = 6 << 30
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(share / total, device)
        try:
            enlarger = Enlarger(real, sizes)
            banded = enlarger(picture).cpu()
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert enlarger.bands > 1
    assert (banded - whole).abs().max() <= 1e-3
