"""Answers that no service should give: a failure of storage, never one of ours."""

import pytest

from controller.errors import NotStored, StorageError
from tests.controller.storage.conftest import storage_of
from tests.fuzz.wire import Said, listening

DATE = ("Last-Modified", "Fri, 15 Jan 2027 08:00:00 GMT")
ETAG = ("ETag", '"e"')


class Service:
    """What :func:`storage_of` asks of a bucket."""

    bucket, key, secret, region = "videos", "004key", "K004secret", "us-west-004"

    def __init__(self, url):
        self.url = url


@pytest.fixture
async def answering(tmp_path):
    """A storage and its wire."""
    async with listening() as wire:
        storage = storage_of(Service(wire.url), tmp_path, attempts=1)
        yield storage, wire
        await storage.close()


@pytest.mark.parametrize(
    "said",
    [
        Said(body=b"", headers=(ETAG,)),
        Said(body=b"", headers=(ETAG, ("Last-Modified", '"'))),
        Said(body=b"", headers=(ETAG, ("Last-Modified", "9" * 30))),
        Said(body=b"", headers=(ETAG, DATE), manner="chunks"),
        Said(body=b"", headers=(ETAG, DATE), manner="no_length"),
    ],
    ids=["no date", "a date that is none", "a date without end", "no size", "no length"],
)
async def test_an_object_that_is_not_described_is_a_failure_of_storage(answering, said):
    storage, wire = answering
    wire.answer = lambda asked: said
    with pytest.raises(StorageError) as raised:
        await storage.stat("a")
    assert not isinstance(raised.value, NotStored)


@pytest.mark.parametrize(
    "body",
    [
        b"<ListPartsResult><Part><Size>5</Size></Part></ListPartsResult>",
        b"<ListPartsResult><Part><PartNumber>x</PartNumber></Part></ListPartsResult>",
        b"\xff\x00 no XML at all",
    ],
    ids=["no number", "a number that is none", "no XML"],
)
async def test_a_listing_that_makes_no_sense_is_a_failure_of_storage(answering, body):
    storage, wire = answering
    wire.answer = lambda asked: Said(body=body, status=201, kind="application/xml")
    with pytest.raises(StorageError):
        await storage.parts_there("out", "u1")


async def test_a_service_that_tells_no_time_is_said_so(answering):
    storage, wire = answering
    wire.answer = lambda asked: Said(body=b"", headers=(("Date", "yesterday"),))
    with pytest.raises(StorageError, match="time"):
        await storage.clock_skew_s()
