"""What no page of ours sends: an answer that says no, and nothing in the log."""

import asyncio

import pytest

from controller.capabilities import UploadState
from tests.bot.web.conftest import VIDEO
from tests.bot.web.test_uploads import MIB

BODIES = {
    "a number without end": b'{"name": "a.mp4", "bytes": 1' + b"0" * 5000 + b"}",
    "a number that is too large": b'{"name": "a.mp4", "bytes": 1' + b"0" * 400 + b"}",
    "a time that is too large": b'{"name": "a.mp4", "bytes": 5, "modified": 9007199254740992}',
    "a time that is a text": b'{"name": "a.mp4", "bytes": 5, "modified": "1"}',
    "brackets without end": b"[" * 60_000,
    "no text at all": b"\xff\xfe",
}


@pytest.mark.parametrize("name", sorted(BODIES))
async def test_an_odd_body_is_refused_in_silence(site, caplog, name):
    headers = {"Content-Type": "application/json; charset=nothing"}
    status, *_ = await site.offer().ask("POST", "open", data=BODIES[name], headers=headers)
    assert status == 400
    assert "A page failed" not in caplog.text


async def test_half_a_character_in_a_name_is_replaced(site):
    body = rb'{"name": "\ud800.mp4", "bytes": 5}'
    headers = {"Content-Type": "application/json"}
    status, told, _ = await site.offer().ask("POST", "open", data=body, headers=headers)
    assert (status, told["name"]) == (200, "?.mp4")


async def test_a_signature_that_cannot_be_one_is_refused(site):
    status, told, _ = await site.offer().open(init_data="hash=%C3%A9&x=1")
    assert (status, told["error"]["code"]) == (403, "upload_not_yours")


# --- two files, two windows ------------------------------------------------------------------


async def test_a_file_changed_at_another_time_is_asked_about_and_may_be_the_same(site):
    page = site.offer()
    await page.open("a.mp4", 10 * MIB, modified=1000)
    await page.put(2, b"x" * (2 * MIB))
    assert (await page.open("a.mp4", 10 * MIB, modified=1000))[1]["parts"] == [2]
    status, told, _ = await page.open("a.mp4", 10 * MIB, modified=2000)
    assert (status, told["error"]["code"], told["error"]["same"]) == (409, "other_file", True)
    assert (await page.open("a.mp4", 10 * MIB, modified=2000, resume=True))[1]["parts"] == [2]
    assert (await page.open("a.mp4", 10 * MIB, modified=2000))[1]["parts"] == [2]
    status, told, _ = await page.open("b.mp4", 10 * MIB, modified=2000, resume=True)
    assert (status, told["error"]["same"]) == (409, False)
    assert (await page.open("a.mp4", 10 * MIB, modified=3000, replace=True))[1]["parts"] == []


async def test_parts_of_two_windows_never_make_one_file(site):
    page = site.offer()
    _, first, _ = await page.open("a.mp4", 10 * MIB, modified=1)
    await page.put(f"2?file={first['file']}", b"x" * (2 * MIB))
    _, second, _ = await page.open("a.mp4", 10 * MIB, modified=2, replace=True)
    assert second["file"] != first["file"]
    status, told, _ = await page.put(f"2?file={first['file']}", b"x" * (2 * MIB))
    assert (status, told["error"]["code"]) == (409, "other_file")
    for file, status in ((first["file"], 409), (second["file"], 200)):
        body = {"numbers": [1], "file": file}
        assert (await page.ask("POST", "parts", json=body))[0] == status
    assert (await page.state())["parts"] == []


async def test_another_file_does_not_take_the_place_of_one_that_became_a_job_meanwhile(
    site, monkeypatch
):
    page, storage = site.offer(), site.house.storage
    await page.open()
    await page.put(1, VIDEO)
    waiting, going_on = asyncio.Event(), asyncio.Event()

    async def wait(size):
        waiting.set()
        await going_on.wait()

    monkeypatch.setattr(storage, "require_space", wait)
    replacing = asyncio.create_task(page.open("b.mp4", 5, replace=True))
    await waiting.wait()
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"
    going_on.set()
    assert (await replacing)[1]["error"]["code"] == "upload_busy"
    (job,) = site.house.controller.jobs()
    assert await storage.read(job.source_key) == VIDEO


async def test_two_new_tries_of_a_part_that_hangs_leave_one_writer(site):
    page = site.offer()
    await page.open()

    async def hang():
        yield VIDEO[:10]
        await asyncio.sleep(30)

    length = {"Content-Length": str(len(VIDEO))}
    hanging = asyncio.create_task(page.put(1, hang(), headers=length))
    await asyncio.sleep(0.1)
    others = [asyncio.create_task(page.put(1, VIDEO)) for _ in range(2)]
    answers = [answer[0] for answer in await asyncio.gather(hanging, *others)]
    assert sorted(answers) in ([200, 200, 429], [200, 429, 429])
    assert site.house.controller.uploads._writers == {}
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"


async def test_what_is_looked_at_when_its_page_ends_is_not_swept(site, open_house):
    page = site.offer()
    await page.open()
    await page.put(1, VIDEO)
    open_house.clock.advance(24 * 3600 + 1)
    await open_house.prune.tick()
    assert [each.state for each in open_house.store.uploads.receiving()] == [UploadState.RECEIVING]
    open_house.clock.advance(3600)
    await open_house.prune.tick()
    assert open_house.store.uploads.receiving() == []


NO_HTTP = {
    "a header without end": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no size": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n",
    "noise": b"\x00\x01\x02\r\n\r\n",
    "no gzip": b"PUT /d/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(NO_HTTP))
async def test_what_is_not_even_http_fills_no_log(site, caplog, name):
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(NO_HTTP[name])
    assert (await reader.readline()).startswith(b"HTTP/1.")
    writer.close()
    await writer.wait_closed()
    assert (await site.ask("GET", "/u/x"))[0] == 404
    assert not [record for record in caplog.records if record.exc_info]
