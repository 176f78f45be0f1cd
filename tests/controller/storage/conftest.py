import io

import aiohttp
import pytest

from controller.storage.s3 import S3Storage
from tests.standins.b2 import B2Standin

ODD = "input/c1/Мой фильм (1) & 100% + a~b='x'.mp4"


@pytest.fixture
async def b2():
    async with B2Standin() as standin:
        yield standin


@pytest.fixture
async def storage(b2, tmp_path):
    storage = storage_of(b2, tmp_path)
    yield storage
    await storage.close()


def storage_of(b2, work_dir, **changes):
    settings = {
        "bucket": b2.bucket,
        "key": b2.key,
        "secret": b2.secret,
        "endpoint": b2.url,
        "region": b2.region,
        "work_dir": work_dir,
        "attempts": 2,
    }
    return S3Storage(**settings | changes)


async def request(method, url, data=None, **headers):
    body = None if data is None else io.BytesIO(data)
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.read(), answer.headers
