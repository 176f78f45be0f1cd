import hashlib
import time

import pytest

from controller.errors import BadPath, NotStored, StorageError, StorageFull
from controller.storage import s3, s3_bucket, s3_download
from controller.storage.s3 import S3Storage
from tests.controller.storage.conftest import ODD

# --- paths -----------------------------------------------------------------------------------


def test_paths_are_keys_of_this_bucket_alone(tmp_path):
    storage = S3Storage(
        bucket="videos", key="k", secret="s", endpoint="http://127.0.0.1:1", region="r",
        work_dir=tmp_path,
    )  # fmt: skip
    assert storage.parse("b2://videos/input/c1/a.mp4") == "input/c1/a.mp4"
    assert storage.parse("input/c1") == "input/c1"
    with pytest.raises(BadPath, match=r"'other'.*'videos'"):
        storage.parse("b2://other/input/a.mp4")
    for path in (
        "b2://videos/../a",
        "b2://videos",
        "/a",
        "a//b",
        "a\x00b",
        "",
        "a\\b",
        "x" * 1025,
    ):
        with pytest.raises(BadPath):
            storage.parse(path)


# --- objects ---------------------------------------------------------------------------------


async def test_an_object_comes_back_as_it_was_put(storage, b2):
    for key, data in ((ODD, b"hello"), ("jobs/empty", b""), ("jobs/one", b"1")):
        await storage.write(key, b"older")
        await storage.write(key, data)
        assert await storage.read(key) == data == b2.get(key)
        entry = await storage.stat(key)
        assert (entry.key, entry.bytes, entry.etag) == (
            key,
            len(data),
            hashlib.md5(data).hexdigest(),
        )
        assert abs(entry.modified_at - time.time()) < 5
        assert await storage.sha256(key) == hashlib.sha256(data).hexdigest()


async def test_what_is_not_there_is_not_stored(storage, b2):
    b2.put("jobs/1/output.bak", b"x")
    for action in (
        storage.stat("jobs/1/output"),
        storage.read("jobs/1/output"),
        storage.sha256("jobs/1/output"),
        storage.copy("jobs/1/output", "output/x"),
        storage.media_source("jobs/1/output"),
    ):
        with pytest.raises(NotStored):
            await action
    with pytest.raises(NotStored):
        async with storage.local_file("jobs/1/output"):
            pass
    await storage.delete("jobs/1/output")
    await storage.delete_prefix("jobs/2/")
    assert b2.keys() == ["jobs/1/output.bak"]


async def test_a_document_has_a_largest_size(storage):
    await storage.write("status", b"x" * 100)
    assert await storage.read("status", limit=100) == b"x" * 100
    with pytest.raises(StorageError, match="larger than 99"):
        await storage.read("status", limit=99)


async def test_listings_are_whole_and_sorted_and_hold_no_folders(storage, b2, monkeypatch):
    monkeypatch.setattr(s3_bucket, "PAGE", 3)
    names = [f"input/c1/{number:02d}.mp4" for number in range(10)]
    for name in ["input/c1/", *reversed(names), "input/c10/other.mp4", "input/c1x.mp4"]:
        b2.put(name, b"12345")
    for prefix in ("input/c1/", "input/c1"):
        entries = await storage.entries(prefix)
        assert [entry.key for entry in entries] == names
        assert {entry.bytes for entry in entries} == {5}
        assert entries[0] == await storage.stat(names[0])
    assert [entry.key for entry in await storage.entries("input/c1x.mp4")] == ["input/c1x.mp4"]
    assert len(await storage.entries("")) == 12
    assert await storage.entries("nothing/") == []
    assert b2.requests["ListObjectsV2"] >= 5 + 5


async def test_deleting_leaves_no_version_behind(storage, b2, monkeypatch):
    monkeypatch.setattr(s3_bucket, "PAGE", 3)
    for _ in range(5):
        await storage.write("jobs/1/status", b"again")
    b2.admin.delete_object(Bucket=b2.bucket, Key="jobs/1/status")  # a marker hides them
    await storage.write("jobs/1/status.old", b"mine")
    await storage.write("jobs/1/statu", b"mine")
    assert len(b2.versions("jobs/1/status")) == 7
    await storage.delete("jobs/1/status")
    assert [key for key, _ in b2.versions()] == ["jobs/1/statu", "jobs/1/status.old"]


async def test_deleting_a_prefix_touches_nothing_else(storage, b2, monkeypatch):
    monkeypatch.setattr(s3_bucket, "PAGE", 4)
    others = ["input/c1/a.mp4", "jobs/01/log", "jobs/0", "jobs/0.txt", "output/a_x2.mp4"]
    for key in others:
        b2.put(key, b"theirs")
    for number in range(9):
        await storage.write(f"jobs/0/{number % 4}/status", b"ours")
    await storage.open_upload("jobs/0/1/output", time.time() + 60)
    await storage.open_upload("jobs/01/1/output", time.time() + 60)
    await storage.delete_prefix("jobs/0/")
    assert sorted(key for key, _ in b2.versions()) == sorted(others)
    assert b2.open_uploads() == ["jobs/01/1/output"]
    with pytest.raises(ValueError, match="slash"):
        await storage.delete_prefix("jobs/0")


async def test_a_copy_is_made_within_the_service(storage, b2, monkeypatch):
    data = bytes(range(256)) * (11 << 12)
    b2.put(ODD, data)
    await storage.copy(ODD, "output/a_x2.mp4")
    await storage.copy(ODD, "output/a_x2.mp4")
    assert b2.get("output/a_x2.mp4") == data
    monkeypatch.setattr(s3, "_LARGEST_COPY", 1 << 20)
    monkeypatch.setattr("controller.storage.s3_parts._COPY_PART", 5 << 20)
    await storage.copy(ODD, "output/large.mp4")
    assert b2.get("output/large.mp4") == data
    assert (b2.requests["CopyObject"], b2.requests["UploadPartCopy"]) == (2, 3)
    assert b2.requests["GetObject"] == 0


# --- files -----------------------------------------------------------------------------------


async def test_a_large_file_is_put_in_parts(storage, b2, tmp_path):
    path = tmp_path / "in.mp4"
    data = bytes(range(256)) * (33 << 12) + b"end"
    path.write_bytes(data)
    await storage.put_file("input/uploads/1/in.mp4", path, move=False)
    assert b2.get("input/uploads/1/in.mp4") == data
    assert b2.requests["UploadPart"] == 3
    assert path.exists()
    path.write_bytes(b"small")
    await storage.put_file("input/uploads/2/in.mp4", path, move=True)
    assert b2.get("input/uploads/2/in.mp4") == b"small"
    assert not path.exists()


async def test_an_upload_that_fails_leaves_no_parts(storage, b2, tmp_path):
    path = tmp_path / "in.mp4"
    path.write_bytes(bytes(40 << 20))
    b2.denied = {"UploadPart"}
    with pytest.raises(StorageError, match="B2_KEY may not"):
        await storage.put_file("input/uploads/1/in.mp4", path, move=True)
    assert (b2.keys(), b2.open_uploads()) == ([], [])
    assert path.exists()


async def test_a_local_file_is_there_while_it_is_needed(storage, b2, tmp_path, monkeypatch):
    data = bytes(range(256)) * (3 << 12)
    b2.put(ODD, data)
    async with storage.local_file(ODD) as path:
        assert path.read_bytes() == data
        assert path.parent == tmp_path / "incoming"
    assert list((tmp_path / "incoming").iterdir()) == []
    monkeypatch.setattr(s3_download, "_RESERVE_BYTES", 10**18)
    with pytest.raises(StorageFull):
        async with storage.local_file(ODD):
            pass
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_download_goes_on_where_it_broke(storage, b2):
    data = bytes(range(256)) * (12 << 12)
    b2.put("jobs/1/output", data)
    b2.half_answers = 2
    async with storage.local_file("jobs/1/output") as path:
        assert path.read_bytes() == data
    assert b2.requests["GetObject"] == 3
    b2.half_answers = 99
    with pytest.raises(StorageError) as error:
        async with storage.local_file("jobs/1/output"):
            pass
    assert not isinstance(error.value, NotStored)
    b2.half_answers = 0
