import hashlib

import numpy as np
import pytest
import torch

from remote_runner.errors import InputError, MachineError
from remote_runner.models import catalog
from remote_runner.models.base import identity_upscaler
from remote_runner.models.load import load_upscaler
from remote_runner.protocol import MODELS, Reason
from tests.runner.models.conftest import ROOT

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def starter():
    return load_upscaler("starter", CPU)


def test_the_names_that_can_be_asked_for_are_the_catalogs():
    assert set(MODELS) == {"auto", *catalog.CATALOG}


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
    model = load_upscaler(str(published), CPU)
    assert (model.scale, model.name) == (4, "realesr-animevideov3-fp16")
    assert model.receptive_radius == 18
    ramp = torch.linspace(0, 1, 24).expand(1, 3, 16, 24).contiguous()
    larger = model(ramp)
    assert larger.shape == (1, 3, 64, 96)
    back = torch.nn.functional.interpolate(larger, (16, 24), mode="area")
    assert float((back - ramp).abs().mean()) < 0.05


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="realesr-general-x4v3") as caught:
        load_upscaler("best-model", CPU)
    assert caught.value.reason is Reason.BAD_TASK


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04broken"])
def test_a_file_that_is_no_weight_file_is_a_typed_error(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(MachineError) as caught:
        load_upscaler(str(path), CPU)
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE


def test_a_weight_file_cannot_run_code(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"params": {"x": print}}, path)
    with pytest.raises(MachineError):
        load_upscaler(str(path), CPU)


def test_the_catalog_says_everything_about_each_model():
    assert {"starter", "realesr-animevideov3", "realesr-general-x4v3"} <= set(catalog.CATALOG)
    for name, spec in catalog.CATALOG.items():
        assert spec.name == name
        assert spec.licence
        assert spec.when
        if spec.download:
            assert spec.download.url.startswith("https://")
            assert len(bytes.fromhex(spec.download.sha256)) == 32
            assert spec.download.bytes > 100_000
        else:
            assert (catalog.shipped_dir() / spec.file).is_file()


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_identity_repeats_pixels(scale):
    frames = torch.rand(1, 3, 4, 5)
    expected = frames.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.equal(identity_upscaler(scale)(frames), expected)
