"""Objects that come in parts, in a folder."""

import asyncio

import pytest

from controller.errors import BadPath, NotStored, StorageError
from controller.storage.folder import FolderStorage

KEY = "input/uploads/1/film.mp4"


@pytest.fixture
def storage(tmp_path):
    return FolderStorage(tmp_path / "storage", reserve_bytes=0)


async def stream(*chunks):
    for chunk in chunks:
        yield chunk


async def test_parts_in_any_order_make_the_object(storage):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 3, stream(b"c"), 1)
    await storage.write_part(KEY, upload, 1, stream(b"aa", b"aa"), 4)
    assert await storage.parts_there(KEY, upload) == {1: 4, 3: 1}
    with pytest.raises(NotStored):
        await storage.complete_parts(KEY, upload, 9)
    await storage.write_part(KEY, upload, 2, stream(b"bbbb"), 4)
    with pytest.raises(NotStored):
        await storage.complete_parts(KEY, upload, 8)
    await storage.complete_parts(KEY, upload, 9)
    await storage.complete_parts(KEY, upload, 9)
    assert await storage.read(KEY) == b"aaaabbbbc"
    assert storage.part_url(KEY, upload, 1, 0.0) is None


@pytest.mark.parametrize("chunks", [[b"aaa"], [b"aa", b"aaa"], []])
async def test_a_part_of_another_size_leaves_no_mark(storage, chunks):
    upload = await storage.open_parts(KEY, 4)
    with pytest.raises(StorageError):
        await storage.write_part(KEY, upload, 1, stream(*chunks), 4)
    assert await storage.parts_there(KEY, upload) == {}


async def test_a_part_that_is_there_is_not_written_over(storage):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 1, stream(b"aaaa"), 4)
    await storage.write_part(KEY, upload, 1, stream(b"bbbb"), 4)
    await storage.complete_parts(KEY, upload, 4)
    assert await storage.read(KEY) == b"aaaa"


async def test_an_upload_goes_on_after_a_restart_and_in_another_size_anew(storage, tmp_path):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 2, stream(b"bb"), 2)
    again = FolderStorage(tmp_path / "storage", reserve_bytes=0)
    assert await again.open_parts(KEY, 4) == upload
    assert await again.parts_there(KEY, upload) == {2: 2}
    other = await again.open_parts(KEY, 8)
    assert await again.parts_there(KEY, other) == {}


async def test_a_crash_after_the_move_leaves_a_whole_object_and_no_marks(storage, tmp_path):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 1, stream(b"aaaa"), 4)
    home = tmp_path / "storage" / ".parts" / upload
    target = tmp_path / "storage" / KEY
    target.parent.mkdir(parents=True)
    (home / "data").replace(target)
    await storage.complete_parts(KEY, upload, 4)
    assert await storage.read(KEY) == b"aaaa"
    assert not home.exists()
    assert await storage.parts_there(KEY, await storage.open_parts(KEY, 4)) == {}


async def test_marks_without_the_file_promise_nothing(storage, tmp_path):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 1, stream(b"aaaa"), 4)
    (tmp_path / "storage" / ".parts" / upload / "data").unlink()
    assert await storage.open_parts(KEY, 4) == upload
    assert await storage.parts_there(KEY, upload) == {}


async def test_a_cancelled_writer_writes_nothing_later(storage):
    upload = await storage.open_parts(KEY, 4)
    waiting = asyncio.Event()

    async def hang():
        yield b"xx"
        waiting.set()
        await asyncio.sleep(30)

    writing = asyncio.create_task(storage.write_part(KEY, upload, 1, hang(), 4))
    await waiting.wait()
    writing.cancel()
    await asyncio.wait([writing])
    assert await storage.parts_there(KEY, upload) == {}


async def test_an_upload_that_was_dropped_takes_no_part(storage):
    upload = await storage.open_parts(KEY, 4)
    await storage.abort_parts(KEY, upload)
    await storage.abort_parts(KEY, upload)
    with pytest.raises(NotStored):
        await storage.write_part(KEY, upload, 1, stream(b"aaaa"), 4)


@pytest.mark.parametrize("upload", ["../x-1", "x", "", "x-y", "a/b-1"])
async def test_an_id_that_is_none_is_refused(storage, upload):
    with pytest.raises(NotStored):
        await storage.write_part(KEY, upload, 1, stream(b"a"), 1)


async def test_parts_cannot_be_named_and_are_in_no_listing(storage):
    upload = await storage.open_parts(KEY, 4)
    await storage.write_part(KEY, upload, 1, stream(b"aaaa"), 4)
    with pytest.raises(BadPath):
        storage.parse(f".parts/{upload}/data")
    assert await storage.entries("") == []
