import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from controller.errors import NotStored
from remote_runner.protocol import (
    MARKER,
    Grant,
    Mode,
    Orders,
    Outcome,
    Result,
    Task,
    from_json,
    to_json,
)
from tests.runner.clips import make_clip

HERE = "jobs/1/1"


async def test_a_runner_works_through_presigned_urls_and_never_twice(storage, b2, tmp_path):
    clip = make_clip(tmp_path / "in.mp4", audio=1)
    await storage.put_file("input/in.mp4", clip, move=False)
    await write_papers(storage, clip.stat().st_size)

    output = await run(storage, tmp_path)
    assert output.count(MARKER) == 1
    with pytest.raises(NotStored):
        await storage.stat(f"{HERE}/output")
    result = from_json(Result, await storage.read(f"{HERE}/result"))
    assert result.outcome is Outcome.DONE
    await storage.finish_upload(f"{HERE}/output", result.bytes)
    assert await storage.sha256(f"{HERE}/output") == result.sha256
    assert b2.get(f"{HERE}/picture").startswith(b"\x89PNG")

    before = b2.requests["UploadPart"]
    assert MARKER not in await run(storage, tmp_path)
    assert b2.requests["UploadPart"] == before == 1
    assert not b2.refusals["SignatureDoesNotMatch"]


async def write_papers(storage, source_bytes):
    until = time.time() + 300
    put = storage.url_put
    grant = Grant(
        job="1",
        attempt=1,
        task=Task(mode=Mode.INTERP),
        source_url=storage.url_get("input/in.mp4", until),
        source_name="in.mp4",
        source_bytes=source_bytes,
        output_url=put(f"{HERE}/output", until),
        output_parts=await storage.open_upload(f"{HERE}/output", until),
        picture_url=put(f"{HERE}/picture", until),
        status_url=put(f"{HERE}/status", until),
        log_url=put(f"{HERE}/log", until),
        result_url=put(f"{HERE}/result", until),
        result_seen_url=storage.url_get(f"{HERE}/result", until),
        deadline_at=until,
        device="cpu",
    )
    orders = Orders(
        machine="1",
        sequence=1,
        deadline_at=until,
        idle_s=0.5,
        status_url=put("machines/1/status", until),
        job="1",
        attempt=1,
        grant_url=storage.url_get(f"{HERE}/grant", until),
    )
    await storage.write(f"{HERE}/grant", to_json(grant).encode())
    await storage.write("machines/1/orders", to_json(orders).encode())


async def run(storage, tmp_path):
    """What a runner says that follows the orders until it has nothing to do."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "remote_runner", storage.url_get("machines/1/orders", 0),
        cwd=Path(__file__).parents[3],
        env={**os.environ, "NOXFVR_WORK_DIR": str(tmp_path / "work")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 50)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return output.decode()
