import hashlib

import numpy as np
import pytest
import torch

from remote_runner.errors import InputError, MachineError
from remote_runner.models import catalog, load
from remote_runner.models.base import identity_upscaler
from remote_runner.models.ifnet_layout import V4_6, V4_25
from remote_runner.models.load import load_interpolator, load_upscaler, or_shipped
from remote_runner.models.rrdb_structure import Structure as LargeStructure
from remote_runner.models.srvgg import Structure
from remote_runner.protocol import DENOISABLE, INTERPOLATORS, MODELS, Reason
from tests.runner.models.conftest import ROOT
from tests.runner.models.published import draw_state, run_rrdb

CPU = torch.device("cpu")
#: As large as realesr-general-x4v3 is in no test.
COMPACT = Structure(num_feat=6, num_conv=2, scale=4)
LARGE = LargeStructure(num_feat=8, num_block=1, num_grow=4, doublings=2, fold=2)


@pytest.fixture(scope="module")
def starter():
    return load_upscaler("starter", CPU)


def test_the_names_that_can_be_asked_for_are_the_catalogs():
    assert set(MODELS) == {"auto", *catalog.CATALOG}
    assert set(INTERPOLATORS) == {"auto", *catalog.INTERPOLATORS}
    assert DENOISABLE in catalog.CATALOG


def test_auto_is_the_shipped_model_and_needs_no_network(starter):
    assert load_upscaler("auto", CPU).name == starter.name == "starter"
    assert starter.scale == 2


def test_the_shipped_models_are_small_and_described_by_their_hash():
    files = list((ROOT / "data" / "models").glob("*.pth"))
    assert sum(each.stat().st_size for each in files) <= 1_000_000
    readme = (ROOT / "data" / "models" / "README.md").read_text()
    for each in files:
        assert hashlib.sha256(each.read_bytes()).hexdigest() in readme


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (17, 33), (180, 320)])
def test_any_size_is_enlarged_and_stays_in_range(starter, size):
    frames = torch.rand(2, 3, *size)
    larger = starter(frames)
    assert larger.shape == (2, 3, 2 * size[0], 2 * size[1])
    assert float(larger.min()) >= 0
    assert float(larger.max()) <= 1


def test_the_shipped_model_beats_lanczos_on_pictures_it_never_saw(starter):
    import evaluate
    import images
    from PIL import Image
    from scoring import psnr

    photograph = images.read_photograph("gravel.png")
    drawing = images.draw("text", images.HELD_OUT_SEEDS[5])
    for picture in (photograph, drawing):
        small = images.halve(picture)
        height, width = picture.shape[:2]
        lanczos = np.asarray(
            Image.fromarray(small).resize((width, height), Image.Resampling.LANCZOS)
        )
        gain = psnr(evaluate.enlarge(starter, small), picture) - psnr(lanczos, picture)
        assert gain > 0.7


def test_what_is_learned_from_and_what_is_judged_on_are_disjoint():
    import images

    assert not set(images.TRAINING_PHOTOGRAPHS) & set(images.HELD_OUT_PHOTOGRAPHS)
    assert not set(images.TRAINING_SEEDS) & set(images.HELD_OUT_SEEDS)


def test_published_weights_load_and_run(published):
    model = load_upscaler(str(published), CPU, allow_paths=True)
    assert (model.scale, model.name) == (4, "realesr-animevideov3-fp16")
    assert model.receptive_radius == 18
    ramp = torch.linspace(0, 1, 24).expand(1, 3, 16, 24).contiguous()
    larger = model(ramp)
    assert larger.shape == (1, 3, 64, 96)
    back = torch.nn.functional.interpolate(larger, (16, 24), mode="area")
    assert float((back - ramp).abs().mean()) < 0.05


def save(folder, name, state):
    path = folder / name
    torch.save(state, path)
    return path


def test_the_family_is_told_by_the_parameters(tmp_path):
    compact = save(tmp_path, "a.pth", {"params": draw_state(COMPACT.shapes())})
    state = draw_state(LARGE.shapes())
    large = save(tmp_path, "b.pth", {"params_ema": state})
    model = load_upscaler(str(compact), CPU, allow_paths=True)
    assert (model.scale, model.alignment, model.name) == (4, 1, "a")
    assert model.macs_per_pixel == COMPACT.macs_per_pixel
    model = load_upscaler(str(large), CPU, allow_paths=True)
    assert (model.scale, model.alignment, model.name) == (2, 2, "b")
    assert model.receptive_radius == LARGE.receptive_radius
    frames = torch.rand(1, 3, 8, 12)
    assert torch.allclose(model(frames), run_rrdb(state, frames, 2).clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("layout", [V4_6, V4_25], ids=lambda each: each.version)
def test_an_interpolator_of_ones_own_is_told_by_the_parameters(tmp_path, layout):
    state = {f"module.{key}": value for key, value in draw_state(layout.shapes()).items()}
    path = save(tmp_path, "mine.pkl", state)
    interpolator = load_interpolator(str(path), CPU, allow_paths=True)
    assert interpolator.name == "mine"
    assert interpolator.macs_per_pixel == layout.macs_per_pixel
    first, second = torch.rand(1, 3, 20, 30), torch.rand(1, 3, 20, 30)
    assert interpolator.between(first, second)(0.5).shape == first.shape


def test_a_network_in_the_wrong_place_is_told_what_it_is(tmp_path):
    rife = save(tmp_path, "rife.pkl", draw_state(V4_6.shapes()))
    compact = save(tmp_path, "compact.pth", draw_state(COMPACT.shapes()))
    other = save(tmp_path, "other.pth", {"stem.weight": torch.zeros(3)})
    for path, match in ((rife, "RIFE"), (other, r"1 parameters \(stem.weight\)")):
        with pytest.raises(MachineError, match=match) as caught:
            load_upscaler(str(path), CPU, allow_paths=True)
        assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    with pytest.raises(MachineError, match=r"body\.0\.weight"):
        load_interpolator(str(compact), CPU, allow_paths=True)
    with pytest.raises(InputError, match="makes new frames"):
        load_upscaler("rife-4.25", CPU)
    with pytest.raises(InputError, match="enlarges frames"):
        load_interpolator("starter", CPU)


def test_a_path_is_refused_unless_allowed(tmp_path):
    path = save(tmp_path, "a.pth", draw_state(COMPACT.shapes()))
    for load_it in (load_upscaler, load_interpolator):
        with pytest.raises(InputError) as caught:
            load_it(str(path), CPU)
        assert caught.value.reason is Reason.BAD_TASK


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="realesr-general-x4v3") as caught:
        load_upscaler("best-model", CPU)
    assert caught.value.reason is Reason.BAD_TASK


@pytest.fixture
def twins(tmp_path, monkeypatch):
    """The two ends of denoise, small, in a folder that stands for the catalog's places."""
    removes, keeps = draw_state(COMPACT.shapes(), 1), draw_state(COMPACT.shapes(), 2)
    paths = {
        DENOISABLE: save(tmp_path, "removes.pth", removes),
        catalog.NOISE_KEEPER.name: save(tmp_path, "keeps.pth", keeps),
    }
    monkeypatch.setattr(load.Sources, "fetch", lambda _, spec: paths[spec.name])
    return removes, keeps


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, None])
def test_denoise_mixes_the_weights_of_the_twins(twins, share):
    model = load_upscaler(DENOISABLE, CPU, denoise=share)
    removes, keeps = twins
    of_one = 1.0 if share is None else share
    for key, value in model.network.state_dict().items():
        assert torch.allclose(value, of_one * removes[key] + (1 - of_one) * keeps[key], atol=1e-6)


@pytest.mark.parametrize(("name", "share"), [("starter", 0.5), (DENOISABLE, 1.5)])
def test_denoise_of_another_model_or_beyond_its_ends_is_refused(name, share):
    with pytest.raises(InputError, match="denoise"):
        load_upscaler(name, CPU, denoise=share)


@pytest.mark.parametrize(
    ("auto", "device", "name"),
    [
        (catalog.AUTO_UPSCALERS, "cuda", "realesr-general-x4v3"),
        (catalog.AUTO_UPSCALERS, "cpu", "starter"),
        (catalog.AUTO_INTERPOLATORS, "cuda", "rife-4.25"),
        (catalog.AUTO_INTERPOLATORS, "cpu", "flow"),
    ],
)
def test_auto_is_what_the_device_is_good_for(auto, device, name):
    assert or_shipped("auto", auto, torch.device(device), str) == (name, ())


def unavailable(name):
    if name in ("starter", "flow"):
        return name
    raise MachineError(Reason.MODEL_UNAVAILABLE, f"{name} cannot be had")


def test_a_choice_of_ours_that_cannot_be_had_falls_back_with_a_note():
    cuda = torch.device("cuda")
    assert or_shipped("auto", catalog.AUTO_UPSCALERS, cuda, unavailable) == (
        "starter",
        ("model_fallback:realesr-general-x4v3",),
    )
    assert or_shipped("auto", catalog.AUTO_INTERPOLATORS, cuda, unavailable) == (
        "flow",
        ("model_fallback:rife-4.25",),
    )


def test_a_model_that_was_asked_for_is_never_replaced():
    with pytest.raises(MachineError, match="cannot be had"):
        or_shipped("rife-4.25", catalog.AUTO_INTERPOLATORS, torch.device("cuda"), unavailable)

    def too_little_memory(name):
        raise MachineError(Reason.OUT_OF_MEMORY, name)

    with pytest.raises(MachineError, match="out_of_memory"):
        or_shipped("auto", catalog.AUTO_UPSCALERS, torch.device("cuda"), too_little_memory)


def test_the_catalog_says_everything_about_each_model():
    for name, spec in {**catalog.ALL, catalog.NOISE_KEEPER.name: catalog.NOISE_KEEPER}.items():
        assert spec.name == name
        assert spec.licence.split()[0] in ("MIT", "BSD-3-Clause")
        assert spec.when
        if spec.download:
            assert spec.download.url.startswith("https://")
            assert spec.download.file == spec.file
            assert len(bytes.fromhex(spec.download.sha256)) == 32
            assert spec.download.bytes is None or spec.download.bytes > 100_000
        elif spec.file:
            assert (catalog.shipped_dir() / spec.file).is_file()


def test_the_catalog_knows_what_each_model_costs_and_enlarges():
    compact = {"starter": (32, 8, 2), "realesr-animevideov3": (64, 16, 4), DENOISABLE: (64, 32, 4)}
    large = {
        "RealESRGAN_x4plus": (23, 1),
        "RealESRGAN_x4plus_anime_6B": (6, 1),
        "RealESRGAN_x2plus": (23, 2),
    }
    structures = {
        name: Structure(num_feat=feat, num_conv=conv, scale=scale)
        for name, (feat, conv, scale) in compact.items()
    } | {
        name: LargeStructure(num_feat=64, num_block=blocks, num_grow=32, doublings=2, fold=fold)
        for name, (blocks, fold) in large.items()
    }
    assert set(structures) == set(catalog.CATALOG)
    for name, structure in structures.items():
        spec = catalog.CATALOG[name]
        assert (spec.macs_per_pixel, spec.scale) == (structure.macs_per_pixel, structure.scale)
    for name, layout in (("rife-4.6", V4_6), ("rife-4.25", V4_25), ("rife-4.26", V4_25)):
        assert catalog.INTERPOLATORS[name].macs_per_pixel == layout.macs_per_pixel


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_identity_repeats_pixels(scale):
    frames = torch.rand(1, 3, 4, 5)
    expected = frames.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.equal(identity_upscaler(scale)(frames), expected)
