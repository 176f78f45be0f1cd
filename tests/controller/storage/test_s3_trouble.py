import time

import pytest

from controller.errors import NotStored, StorageError
from tests.controller.storage.conftest import storage_of


async def ask_all(storage):
    """What every call says of an object that is there."""
    answers = []
    for action in (
        storage.stat("a"),
        storage.read("a"),
        storage.entries(""),
        storage.write("a", b""),
        storage.copy("a", "b"),
        storage.delete("a"),
        storage.delete_prefix("jobs/"),
        storage.sha256("a"),
        storage.media_source("a"),
        storage.open_upload("a", time.time()),
        storage.finish_upload("a", 1),
        storage.abort_uploads("", 0),
    ):
        with pytest.raises(StorageError) as error:
            await action
        answers.append(error.value)
    return answers


async def test_a_cap_is_never_not_there(storage, b2):
    b2.put("a", b"data")
    b2.cap = True
    answers = await ask_all(storage)
    assert not any(isinstance(each, NotStored) for each in answers)
    assert all("cap" in str(each) for each in answers)
    b2.cap = False
    assert await storage.read("a") == b"data"


async def test_wrong_settings_are_named(storage, b2, tmp_path):
    for changes, setting in (
        ({"key": "004other"}, "B2_KEY"),
        ({"secret": "K004wrong"}, "B2_SECRET"),
        ({"region": "eu-central-003"}, "B2_REGION"),
        ({"bucket": "other-bucket"}, "B2_BUCKET"),
        ({"endpoint": "http://127.0.0.1:9"}, "B2_ENDPOINT"),
    ):
        wrong = storage_of(b2, tmp_path, attempts=1, **changes)
        with pytest.raises(StorageError, match=setting) as error:
            await wrong.entries("input/")
        assert not isinstance(error.value, NotStored)
        assert b2.secret not in str(error.value) and "127.0.0.1" not in str(error.value)
        await wrong.close()


async def test_what_passes_is_outlasted_and_what_stays_is_told(storage, b2, tmp_path):
    b2.put("a", b"data")
    b2.slow_down = 1
    assert await storage.read("a") == b"data"
    b2.slow_down = 99
    with pytest.raises(StorageError, match="SlowDown") as error:
        await storage.read("a")
    assert not isinstance(error.value, NotStored)
    assert b2.slow_down == 97
    b2.slow_down = 0
    b2.outage = True
    hasty = storage_of(b2, tmp_path, attempts=1)
    assert not any(isinstance(each, NotStored) for each in await ask_all(hasty))
    await hasty.close()
    b2.outage = False
    assert await storage.read("a") == b"data"


async def test_a_lost_answer_to_a_write_is_written_once_more(storage, b2):
    b2.lost_answers["PutObject"] = 1
    await storage.write("machines/1/orders", b"new")
    assert await storage.read("machines/1/orders") == b"new"


async def test_closing_may_be_said_twice(b2, tmp_path):
    storage = storage_of(b2, tmp_path)
    await storage.close()
    await storage.write("a", b"1")
    await storage.close()
    await storage.close()


# --- how it is set up ------------------------------------------------------------------------


async def test_access_is_tried_and_what_is_missing_named(storage, b2):
    await storage.check_access()
    assert b2.versions() == []
    for operation, capability in (
        ("ListObjectsV2", "listFiles"),
        ("PutObject", "writeFiles"),
        ("GetObject", "readFiles"),
        ("DeleteObjects", "deleteFiles"),
    ):
        b2.denied = {operation}
        with pytest.raises(StorageError, match=capability):
            await storage.check_access()


async def test_a_clock_that_is_wrong_is_measured(storage, b2):
    assert abs(await storage.clock_skew_s()) < 3
    b2.clock = lambda: time.time() + 4000
    assert abs(await storage.clock_skew_s() - 4000) < 3
    with pytest.raises(StorageError, match="clock"):
        await storage.entries("")


async def test_rules_of_the_bucket_are_read(storage, b2):
    assert await storage.has_lifecycle() is False
    assert await storage.cors_allows_download() is False
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}}
    b2.configure(
        cors=[{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}],
        lifecycle=[rule | {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}],
    )
    assert await storage.has_lifecycle() is True
    assert await storage.cors_allows_download() is True
    b2.denied = {"GetBucketLifecycleConfiguration", "GetBucketCors"}
    assert await storage.has_lifecycle() is None
    assert await storage.cors_allows_download() is None
