import dataclasses
import hashlib

import pytest

from remote_runner.errors import InputError, MachineError
from remote_runner.models import catalog
from remote_runner.models.catalog import Family, ModelSpec
from remote_runner.models.fetch import Download
from remote_runner.models.sources import Sources
from remote_runner.protocol import Reason
from tests.runner.http_folder import HttpFolder

CONTENT = bytes(range(256)) * 50
HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder():
    folder = HttpFolder()
    yield folder
    folder.close()


@pytest.fixture
def model(folder, monkeypatch):
    """A model of the catalog that is published on this machine."""
    folder.objects["release/m.pth"] = CONTENT
    url = folder.url("release/m.pth").partition("?")[0]
    spec = ModelSpec(
        name="m",
        family=Family.COMPACT,
        file="m.pth",
        licence="MIT",
        when="in tests",
        macs_per_pixel=1,
        download=Download(url=url, bytes=len(CONTENT), sha256=HASH),
    )
    monkeypatch.setattr(catalog, "ALL", {**catalog.ALL, "m": spec})
    return spec


def asked(folder, name):
    return folder.requests["GET", name]


def test_a_name_is_fetched_from_where_it_was_published(folder, model, tmp_path):
    path = Sources(cache_dir=tmp_path).locate("m")
    assert (path, path.read_bytes()) == (tmp_path / "m.pth", CONTENT)


def test_a_shipped_model_needs_no_network():
    assert Sources().locate("starter").is_file()


def test_the_mirror_is_asked_first(folder, model, tmp_path):
    folder.objects["mirror/m.pth"] = CONTENT
    sources = Sources(weights={"m.pth": folder.url("mirror/m.pth")}, cache_dir=tmp_path)
    assert sources.locate("m") == sources.locate("m") == tmp_path / "m.pth"
    assert asked(folder, "mirror/m.pth") == 1
    assert asked(folder, "release/m.pth") == 0


@pytest.mark.parametrize("fault", ["other", "longer", "missing"])
def test_a_mirror_that_has_another_file_or_none_costs_nothing(
    folder, model, tmp_path, fault, caplog
):
    if fault != "missing":
        folder.objects["mirror/m.pth"] = CONTENT[::-1] if fault == "other" else CONTENT + b"x"
    sources = Sources(weights={"m.pth": folder.url("mirror/m.pth")}, cache_dir=tmp_path)
    assert sources.locate("m").read_bytes() == CONTENT
    assert asked(folder, "release/m.pth") == 1
    assert "s3cret" not in caplog.text


def test_a_mirror_in_a_folder_is_used_where_it_lies(folder, model, tmp_path):
    (tmp_path / "mirror").mkdir()
    mirrored = tmp_path / "mirror" / "m.pth"
    mirrored.write_bytes(CONTENT)
    sources = Sources(weights={"m.pth": mirrored.as_uri()}, cache_dir=tmp_path / "cache")
    assert sources.locate("m") == mirrored
    mirrored.write_bytes(CONTENT[::-1])
    assert sources.locate("m") == tmp_path / "cache" / "m.pth"


def test_a_url_with_a_hash_is_kept_under_its_hash(folder, tmp_path):
    folder.objects["mine.safetensors"] = CONTENT
    reference = f"{folder.url('mine.safetensors')}#sha256={HASH.upper()}"
    sources = Sources(cache_dir=tmp_path)
    assert sources.locate(reference) == tmp_path / f"{HASH}.safetensors"
    sources.locate(reference)
    assert asked(folder, "mine.safetensors") == 1
    assert sources.label(reference) == "mine"


def test_a_url_with_a_wrong_hash_is_refused(folder, tmp_path):
    folder.objects["mine.pth"] = CONTENT[::-1]
    with pytest.raises(MachineError, match="SHA-256") as caught:
        Sources(cache_dir=tmp_path).locate(f"{folder.url('mine.pth')}#sha256={HASH}")
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    assert "s3cret" not in caught.value.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["", "#", "#sha256=12", f"#md5={HASH}", f"#sha256={HASH}0"])
def test_a_url_without_a_hash_is_refused_and_not_repeated(end):
    with pytest.raises(InputError, match="#sha256=") as caught:
        Sources().locate(f"https://example.invalid/m.pth?signature=s3cret{end}")
    assert caught.value.reason is Reason.BAD_TASK
    assert "s3cret" not in str(caught.value)


def test_a_url_that_is_no_address_is_refused():
    with pytest.raises(InputError) as caught:
        Sources().locate(f"https://[::1/s3cret.pth#sha256={HASH}")
    assert caught.value.reason is Reason.BAD_TASK
    assert "s3cret" not in str(caught.value)


def test_only_https_and_this_machine_are_asked(tmp_path):
    with pytest.raises(MachineError, match="only https"):
        Sources(cache_dir=tmp_path).locate(f"http://example.invalid/m.pth#sha256={HASH}")


def test_an_object_is_fetched_anew_each_time(folder, tmp_path):
    folder.objects["x"] = CONTENT
    key = "models/my own.pth"
    sources = Sources(weights={key: folder.url("x")}, cache_dir=tmp_path)
    assert sources.locate(key).read_bytes() == CONTENT
    folder.objects["x"] = CONTENT[::-1]
    path = sources.locate(key)
    assert path.read_bytes() == CONTENT[::-1]
    assert (path.parent, path.suffix) == (tmp_path, ".pth")
    assert sources.label(key) == "my own"


def test_an_object_in_a_folder_is_used_where_it_lies(tmp_path):
    (tmp_path / "own.pth").write_bytes(CONTENT)
    sources = Sources(weights={"models/own.pth": (tmp_path / "own.pth").as_uri()})
    assert sources.locate("models/own.pth") == tmp_path / "own.pth"


def test_a_path_counts_only_where_paths_are_allowed(tmp_path):
    path = tmp_path / "own.pth"
    path.write_bytes(CONTENT)
    assert Sources(allow_paths=True).locate(str(path)) == path
    for reference in (str(path), "own.pth", "/etc/passwd", path.as_uri()):
        with pytest.raises(InputError) as caught:
            Sources().locate(reference)
        assert caught.value.reason is Reason.BAD_TASK


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="realesr-general-x4v3"):
        Sources(allow_paths=True).locate("best-model")


def test_urls_are_not_in_what_is_printed(folder):
    sources = Sources(weights={"m.pth": folder.url("m.pth")})
    assert "s3cret" not in repr(sources)
    assert "weights" in {each.name for each in dataclasses.fields(sources)}
