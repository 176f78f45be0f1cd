import asyncio
import time

import pytest

from controller.errors import NotStored, StorageError
from remote_runner import transfer
from remote_runner.protocol import PART_BYTES
from tests.controller.storage.conftest import request, storage_of

KEY = "jobs/1/1/output"


def soon():
    return time.time() + 600


async def upload(urls, path):
    done = []
    await asyncio.to_thread(transfer.put_parts, urls, path, done.append)
    return done


def large_file(tmp_path, size=2 * PART_BYTES + 12345):
    path = tmp_path / "output.video"
    path.write_bytes((bytes(range(256)) * (size // 256 + 1))[:size])
    return path


async def test_a_machine_uploads_in_parts_and_we_put_them_together(storage, b2, tmp_path):
    path = large_file(tmp_path)
    size = path.stat().st_size
    urls = await storage.open_upload(KEY, soon())
    assert len(urls) == 64
    done = await upload(urls, path)
    assert (done[-1], b2.requests["UploadPart"]) == (size, 3)
    assert b2.keys() == []
    await storage.finish_upload(KEY, size)
    assert b2.get(KEY) == path.read_bytes()
    await storage.finish_upload(KEY, size)
    assert (await storage.stat(KEY)).bytes == size
    assert (b2.requests["CompleteMultipartUpload"], b2.open_uploads()) == (1, [])


async def test_an_upload_is_gone_on_with_after_a_restart(storage, b2, tmp_path):
    path = large_file(tmp_path)
    data = path.read_bytes()
    first = await storage.open_upload(KEY, soon())
    await request("PUT", first[0], data[:PART_BYTES])
    again = storage_of(b2, tmp_path)
    urls = await again.open_upload(KEY, soon())
    assert b2.open_uploads() == [KEY]
    await request("PUT", first[1], data[PART_BYTES : 2 * PART_BYTES])
    await request("PUT", urls[2], data[2 * PART_BYTES :])
    await again.finish_upload(KEY, len(data))
    assert b2.get(KEY) == data
    await again.close()


async def test_only_the_parts_that_were_said_make_an_object(storage, b2, tmp_path):
    path = large_file(tmp_path)
    size = path.stat().st_size
    for prefix in ("a", "b", "c"):
        urls = await storage.open_upload(f"{prefix}/output", soon())
        if prefix == "b":  # a hole
            urls = (urls[0], urls[2], urls[1])
            await request("PUT", urls[0], b"x" * PART_BYTES)
            await request("PUT", urls[1], b"x" * (size - PART_BYTES))
        elif prefix == "c":  # a part that is too small
            await request("PUT", urls[0], b"x" * 1000)
            await request("PUT", urls[1], b"x" * (size - 1000))
        else:
            await upload(urls, path)
        with pytest.raises(NotStored):
            await storage.finish_upload(f"{prefix}/output", size - (prefix == "a"))
    assert b2.keys() == []
    with pytest.raises(NotStored):
        await storage.finish_upload("never/output", size)
    await storage.finish_upload("a/output", size)
    assert b2.keys() == ["a/output"]


async def test_other_uploads_of_the_same_object_are_dropped(storage, b2, tmp_path):
    path = large_file(tmp_path)
    urls = await storage.open_upload(KEY, soon())
    for key in (KEY, f"{KEY}2"):
        b2.admin.create_multipart_upload(Bucket=b2.bucket, Key=key)
    await upload(urls, path)
    assert sorted(b2.open_uploads()) == [KEY, KEY, f"{KEY}2"]
    await storage.finish_upload(KEY, path.stat().st_size)
    assert b2.open_uploads() == [f"{KEY}2"]
    assert b2.get(KEY) == path.read_bytes()


async def test_a_lost_answer_to_putting_together_is_no_failure(b2, tmp_path):
    storage = storage_of(b2, tmp_path, attempts=1)
    path = large_file(tmp_path)
    size = path.stat().st_size
    await upload(await storage.open_upload(KEY, soon()), path)
    b2.lost_answers["CompleteMultipartUpload"] = 1
    with pytest.raises(StorageError) as error:
        await storage.finish_upload(KEY, size)
    assert not isinstance(error.value, NotStored)
    await storage.finish_upload(KEY, size)
    assert b2.get(KEY) == path.read_bytes()
    await storage.close()
    patient = storage_of(b2, tmp_path, attempts=3)
    await upload(await patient.open_upload("jobs/2/1/output", soon()), path)
    b2.lost_answers["CompleteMultipartUpload"] = 1
    await patient.finish_upload("jobs/2/1/output", size)
    assert b2.get("jobs/2/1/output") == path.read_bytes()
    await patient.close()


async def test_an_empty_output_is_one_empty_part(storage, b2, tmp_path):
    path = large_file(tmp_path, 0)
    await upload(await storage.open_upload(KEY, soon()), path)
    await storage.finish_upload(KEY, 0)
    assert b2.get(KEY) == b""


async def test_old_uploads_are_dropped_and_young_ones_stay(b2, tmp_path):
    now = [time.time()]
    storage = storage_of(b2, tmp_path, clock=lambda: now[0])
    for key in ("jobs/1/1/output", "jobs/2/1/output", "input/theirs"):
        await storage.open_upload(key, soon())
    assert await storage.abort_uploads("jobs/", 3600) == 0
    now[0] += 4000
    assert await storage.abort_uploads("jobs/", 3600) == 2
    assert b2.open_uploads() == ["input/theirs"]
    await storage.close()
