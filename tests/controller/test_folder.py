from pathlib import Path

import pytest

from controller.errors import BadPath, NotStored, StorageError, StorageFull
from controller.storage.folder import FolderStorage


@pytest.fixture
def storage(tmp_path):
    return FolderStorage(tmp_path / "storage", reserve_bytes=0)


@pytest.mark.parametrize(
    "path",
    [
        "../secret", "input/../../etc/passwd", "/etc/passwd", "input//x", "", "input/./x",
        "input/x\x00.mp4", "input/\u202egpm.exe", "input\\..\\x", "x" * 2000, "b2://bucket/key",
        "input/", "~/x/..",
    ],
)  # fmt: skip
def test_a_path_that_leaves_the_storage_is_refused(storage, path):
    with pytest.raises(BadPath):
        storage.parse(path)


def test_an_ordinary_path_is_its_key(storage):
    assert storage.parse("input/c1/Фильм 1.mp4") == "input/c1/Фильм 1.mp4"


async def test_a_link_that_leads_out_is_refused(storage, tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "storage" / "input").mkdir()
    (tmp_path / "storage" / "input" / "link.mp4").symlink_to(tmp_path / "secret")
    with pytest.raises(BadPath):
        storage.parse("input/link.mp4")
    assert await storage.entries("input/") == []


async def test_objects_are_replaced_whole(storage, tmp_path):
    await storage.write("a/b", b"one")
    await storage.write("a/b", b"two")
    assert await storage.read("a/b") == b"two"
    assert [path.name for path in (tmp_path / "storage" / "a").iterdir()] == ["b"]


async def test_missing_objects_are_told_from_unreadable_ones(storage):
    for call in (storage.read("x"), storage.stat("x"), storage.sha256("x")):
        with pytest.raises(NotStored):
            await call
    with pytest.raises(StorageError, match="larger"):
        await storage.write("big", b"x" * 10)
        await storage.read("big", limit=5)


async def test_a_file_is_linked_or_moved_and_never_lost(storage, tmp_path):
    source = tmp_path / "film.mp4"
    source.write_bytes(b"film")
    await storage.put_file("input/1/film.mp4", source, move=False)
    assert source.exists()
    await storage.put_file("input/2/film.mp4", source, move=True)
    assert not source.exists()
    assert await storage.read("input/1/film.mp4") == b"film"
    assert await storage.read("input/2/film.mp4") == b"film"


async def test_a_link_to_a_file_is_stored_as_the_file(storage, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "link.mp4").symlink_to("film.mp4")
    await storage.put_file("input/link.mp4", tmp_path / "link.mp4", move=False)
    assert await storage.read("input/link.mp4") == b"film"


async def test_a_copy_does_not_change_with_its_source(storage):
    await storage.write("staging", b"result")
    await storage.copy("staging", "output/final")
    await storage.write("staging", b"late")
    assert await storage.read("output/final") == b"result"


async def test_deleting_is_idempotent_and_leaves_no_empty_folders(storage, tmp_path):
    await storage.write("a/b/c", b"x")
    await storage.delete("a/b/c")
    await storage.delete("a/b/c")
    assert list((tmp_path / "storage").iterdir()) == []
    await storage.write("jobs/1/x", b"x")
    await storage.write("jobs/2/x", b"x")
    await storage.delete_prefix("jobs/1/")
    await storage.delete_prefix("jobs/1/")
    assert [entry.key for entry in await storage.entries("jobs/")] == ["jobs/2/x"]
    with pytest.raises(ValueError, match="slash"):
        await storage.delete_prefix("jobs")


async def test_space_that_is_not_there_is_a_typed_error(storage):
    with pytest.raises(StorageFull):
        await storage.require_space(10**18)
    await storage.require_space(0)


async def test_a_full_disk_is_a_typed_error_and_leaves_nothing(small_disk):
    storage = FolderStorage(small_disk / "storage", reserve_bytes=0)
    with pytest.raises(StorageFull):
        await storage.write("a/b", b"x" * 4_000_000)
    files = [path for path in Path(small_disk).rglob("*") if path.is_file()]
    assert files == []
