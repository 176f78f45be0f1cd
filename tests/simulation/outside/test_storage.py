import asyncio
import hashlib

import pytest

from controller.errors import NotStored, StorageError
from tests.simulation.faults import Fault
from tests.simulation.outside.objects import Refused
from tests.simulation.outside.storage import SimStorage

DATA = b"".join(b"%04d" % number for number in range(150))


def make_storage(outside, tmp_path, *, ahead_s=0.0):
    return SimStorage(
        outside.process, outside.objects, lambda: outside.now() + ahead_s, work_dir=tmp_path
    )


def test_objects_are_written_read_listed_and_deleted(simulated, tmp_path):
    async def play(outside):
        storage = make_storage(outside, tmp_path)
        await storage.write("input/c1/a", b"one")
        await storage.write("input/c10/a", b"other")
        await storage.copy("input/c1/a", "output/a")
        assert await storage.read("output/a") == b"one"
        assert [each.key for each in await storage.entries("input/c1")] == ["input/c1/a"]
        assert await storage.sha256("output/a") == hashlib.sha256(b"one").hexdigest()
        async with storage.local_file("output/a") as path:
            assert path.read_bytes() == b"one"
        await storage.delete("output/a")
        await storage.delete_prefix("input/c1/")
        with pytest.raises(NotStored):
            await storage.stat("output/a")
        assert outside.objects.keys() == ["input/c10/a"]

    simulated(play)


def test_a_url_is_for_one_kind_of_request_on_one_key_until_it_expires(simulated, tmp_path):
    async def play(outside):
        storage, objects = make_storage(outside, tmp_path), outside.objects
        put = storage.url_put("jobs/j/1/status", outside.now() + 100)
        get = storage.url_get("jobs/j/1/status", outside.now() + 100)
        with pytest.raises(Refused, match="404"):
            objects.get(get)
        objects.put(put, b"x")
        assert objects.get(get) == b"x"
        for ask in (
            lambda: objects.get(put),
            lambda: objects.put(get, b"y"),
            lambda: objects.put(put.replace("/1/status", "/2/status"), b"y"),
            lambda: objects.get(get.replace("expires=1", "expires=2")),
        ):
            with pytest.raises(Refused, match="403"):
                ask()
        await asyncio.sleep(101)
        with pytest.raises(Refused, match="403"):
            objects.get(get)

    simulated(play)


def test_parts_are_put_together_only_where_they_are_whole(simulated, tmp_path):
    async def play(outside):
        storage, objects = make_storage(outside, tmp_path), outside.objects
        urls = await storage.open_upload("jobs/j/1/output", outside.now() + 1000)
        again = await storage.open_upload("jobs/j/1/output", outside.now() + 1000)
        assert again == urls
        objects.put(urls[0], DATA[:256])
        objects.put(urls[2], DATA[512:])
        with pytest.raises(NotStored):
            await storage.finish_upload("jobs/j/1/output", len(DATA))
        objects.put(urls[1], DATA[256:512])
        await storage.finish_upload("jobs/j/1/output", len(DATA))
        await storage.finish_upload("jobs/j/1/output", len(DATA))
        assert await storage.read("jobs/j/1/output") == DATA
        assert not objects.uploads
        with pytest.raises(Refused, match="NoSuchUpload"):
            objects.put(urls[0], b"late")

    simulated(play)


def test_parts_that_are_too_small_are_refused(simulated, tmp_path):
    async def play(outside):
        storage, objects = make_storage(outside, tmp_path), outside.objects
        urls = await storage.open_upload("k", outside.now() + 1000)
        objects.put(urls[0], DATA[:100])
        objects.put(urls[1], DATA[100:])
        with pytest.raises(NotStored, match="EntityTooSmall"):
            await storage.finish_upload("k", len(DATA))

    simulated(play)


def test_old_uploads_are_dropped(simulated, tmp_path):
    async def play(outside):
        storage = make_storage(outside, tmp_path)
        await storage.open_upload("jobs/j/1/output", outside.now() + 1000)
        assert await storage.abort_uploads("jobs/", 100) == 0
        await asyncio.sleep(101)
        assert await storage.abort_uploads("jobs/", 100) == 1

    simulated(play)


def test_what_was_just_written_may_not_be_there_yet(simulated, tmp_path):
    async def play(outside):
        storage = make_storage(outside, tmp_path)
        outside.force(Fault.STORAGE_LAGS)
        await storage.write("k", b"one")
        with pytest.raises(NotStored):
            await storage.stat("k")
        assert await storage.entries("k") == []
        await asyncio.sleep(20)
        outside.force(Fault.STORAGE_LAGS)
        await storage.write("k", b"two")
        assert await storage.read("k") == b"one"

    simulated(play)


def test_a_lost_answer_is_an_error_and_it_is_done(simulated, tmp_path):
    async def play(outside):
        storage = make_storage(outside, tmp_path)
        outside.force(*[Fault.STORAGE_ANSWER_LOST] * 2)
        with pytest.raises(StorageError, match="no answer"):
            await storage.write("k", b"one")
        assert outside.objects.newest("k") == b"one"

    simulated(play)


def test_a_delete_that_comes_late_spares_what_was_written_since(simulated, tmp_path):
    async def play(outside):
        storage = make_storage(outside, tmp_path)
        await storage.write("k", b"one")
        versions = outside.objects.versions("k")
        await storage.write("k", b"two")
        for key, number in versions:
            outside.objects.delete(key, number)
        assert await storage.read("k") == b"two"

    simulated(play)


def test_a_clock_that_is_wrong_by_much_is_refused(simulated, tmp_path):
    async def play(outside):
        with pytest.raises(StorageError, match="Skewed"):
            await make_storage(outside, tmp_path, ahead_s=1000).write("k", b"")

    simulated(play)
