"""Names and paths that strangers choose stay names and paths inside the storage."""

import dataclasses
from pathlib import PurePosixPath

import pytest

from controller.errors import BadPath
from controller.model_names import show_reference
from controller.policy import output_key, safe_name, upload_key
from controller.storage.folder import FolderStorage
from controller.storage.s3 import S3Storage
from tests.controller.conftest import clock, house, provider

__all__ = ["clock", "house", "provider"]

OUT = (
    "../x.mp4", "input/../../etc/passwd", "input/..", "..", "/etc/passwd", "//etc/passwd",
    "input//x.mp4", "./x.mp4", "input/./x.mp4", "input\\..\\..\\x.mp4", "C:\\x.mp4",
    "input/x\n.mp4",
    "input/\u202egpj.exe", "input/\x00.mp4", "input/\ud800.mp4", "", "b2://other/input/x.mp4",
    "b2://ours/../x.mp4", "b2://ours//x.mp4", "b2://ours/", "b2://", "file:///etc/passwd",
    "http://127.0.0.1/x.mp4", "https://files.example/x.mp4", "input/" + "x" * 2000,
)  # fmt: skip
#: Odd, and inside: what is encoded is never decoded.
IN = (
    "input/%2e%2e/%2e%2e/etc/passwd", "input/..%2fx", "input/...", "input/ .. /x", "input/~/x.mp4",
    "input/$(id).mp4", "input/-rf.mp4", "input/x.mp4?versionId=1", "input/x.mp4#y",
    "input/a&b.mp4",
)  # fmt: skip


@pytest.fixture
def storages(tmp_path):
    bucket = S3Storage(
        bucket="ours", key="k", secret="s" * 8, endpoint="https://s3.example", region="r",
        work_dir=tmp_path,
    )  # fmt: skip
    return FolderStorage(tmp_path / "storage", reserve_bytes=0), bucket


@pytest.mark.parametrize("path", OUT, ids=ascii)
def test_a_path_that_leads_out_is_refused_by_every_storage(storages, path):
    for storage in storages:
        with pytest.raises(BadPath):
            storage.parse(path)


@pytest.mark.parametrize("path", IN)
async def test_an_odd_path_is_a_name_inside(storages, tmp_path, path):
    folder, bucket = storages
    assert folder.parse(path) == bucket.parse(path) == path
    await folder.write(path, b"x")
    (written,) = (each for each in (tmp_path / "storage").rglob("*") if each.is_file())
    assert written.relative_to(tmp_path / "storage").as_posix() == path
    url = bucket.link(path)
    assert url.startswith("https://s3.example/ours/input/")
    # only the signature's own question mark
    assert url.count("?") == 1 and "#" not in url


NAMES = (
    "../../etc/passwd", "..", ".", "", "/", "a/b/c.mp4", "a\\b.mp4", "\x1b[2J.mp4", "x\n.mp4",
    "\u202egpj.mp4", "\ud800.mp4", "CON", "-rf", "  ", "." * 300, "я" * 300 + ".mp4", "x" * 5000,
    "$(id).mp4", "a?b*c|d<e>f.mp4", "%2e%2e%2f.mp4", "name.mp4/..", "\u0000",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_file_name_is_one_part_of_a_key_whatever_it_is(house, name):
    job = await house.draft("clip.mp4")
    uploaded = upload_key(job.id, name)
    assert uploaded.startswith(f"input/uploads/{job.id}/")
    assert len(PurePosixPath(uploaded).parts) == 4
    made = output_key(dataclasses.replace(job, source_name=name), "mp4")
    assert len(PurePosixPath(made).parts) == 2 and made.endswith(f"_{job.short_id}.mp4")
    for key in (uploaded, made):
        assert house.storage.parse(key) == key
    assert safe_name(name).isprintable()


def test_what_is_shown_of_an_address_of_weights_has_no_secret():
    shown = show_reference("https://me:pass@files.example/w.pth?token=abc#sha256=" + "0" * 64)
    assert "pass" not in shown and "abc" not in shown
