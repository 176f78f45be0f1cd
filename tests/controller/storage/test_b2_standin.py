import asyncio
import sys
import time

import aiohttp
import pytest

from controller.storage.s3 import S3Storage
from tests.controller.storage.conftest import request


async def test_the_standin_refuses_what_b2_refuses(storage, b2):
    put = storage.url_put("a", time.time() + 600)
    for name, value in (
        ("x-amz-checksum-crc32", "AAAAAA=="),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("If-None-Match", "*"),
        ("Content-Encoding", "aws-chunked"),
    ):
        status, body, _ = await request("PUT", put, b"x", **{name: value})
        assert status in (400, 501) and b"<Code>" in body
    status, body, _ = await request("GET", f"{b2.url}/{b2.bucket}/a?AWSAccessKeyId=k&Signature=s")
    assert status == 400 and b"version 2" in body
    assert (await request("PUT", put, b"x"))[0] == 200
    assert set(b2.seen_headers) >= {"if-none-match", "x-amz-trailer"}
    with pytest.raises(aiohttp.ClientError):
        b2.outage = True
        await request("GET", put)
    b2.outage = False


async def test_the_standin_runs_in_a_process_of_its_own(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.standins.b2", stdout=asyncio.subprocess.PIPE
    )
    try:
        url = (await process.stdout.readline()).decode().strip()
        lines = [(await process.stdout.readline()).decode().strip() for _ in range(5)]
        settings = {
            name.removeprefix("B2_").lower(): value
            for name, _, value in (line.partition("=") for line in lines)
        }
        assert settings["endpoint"] == url
        storage = S3Storage(work_dir=tmp_path, **settings)
        await storage.write("a", b"data")
        assert await storage.read("a") == b"data"
        await storage.close()
    finally:
        process.terminate()
        code = await process.wait()
    assert code == 0
