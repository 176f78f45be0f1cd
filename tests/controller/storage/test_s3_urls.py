import asyncio
import time
from urllib.parse import parse_qs, urlsplit

from controller.storage import s3
from tests.controller.storage.conftest import ODD, request


async def test_a_url_allows_one_thing_and_no_other(storage, b2):
    until = time.time() + 600
    get, put = storage.url_get(ODD, until), storage.url_put(ODD, until)
    assert (await request("PUT", put, b"data"))[0] == 200
    assert (await request("GET", get))[:2] == (200, b"data")
    assert (await request("GET", get, Range="bytes=1-2"))[:2] == (206, b"at")
    for method, url in (
        ("PUT", get),
        ("HEAD", get),
        ("DELETE", get),
        ("GET", put),
        ("DELETE", put),
        ("GET", get.replace("x%27.mp4", "y%27.mp4")),
        ("PUT", put.replace("Expires=5", "Expires=6")),
        ("PUT", f"{put}&partNumber=1&uploadId=x"),
        ("GET", get.split("?")[0]),
    ):
        assert (method, url) not in (("GET", get), ("PUT", put))
        assert (await request(method, url, b"" if method == "PUT" else None))[0] == 403, method
    assert b2.get(ODD) == b"data"


async def test_urls_expire_within_a_minute_and_a_week(storage, b2):
    def lasts(url):
        return int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0])

    now = time.time()
    b2.put("a", b"data")
    assert lasts(storage.url_get("a", now + 1000)) in (999, 1000)
    assert lasts(storage.url_get("a", now - 1000)) == 60
    assert lasts(storage.url_put("a", now + 10**8)) == 7 * 86400
    assert lasts(storage.link("a")) == 6 * 86400
    assert 3600 <= lasts(await storage.media_source("a")) < 3610
    url = storage.url_get("a", now + 600)
    assert (await request("GET", url))[0] == 200
    b2.clock = lambda: now + 610
    assert (await request("GET", url))[0] == 403


async def test_a_link_saves_under_the_name_of_the_object(storage, b2):
    key = 'output/Мой "фильм" 100%_x2.mp4'
    b2.put(key, b"video")
    status, body, headers = await request("GET", storage.link(key))
    assert (status, body, headers["Content-Type"]) == (200, b"video", "video/mp4")
    assert "attachment" in headers["Content-Disposition"]
    assert "filename*=UTF-8''%D0%9C%D0%BE%D0%B9" in headers["Content-Disposition"]


def test_a_name_cannot_end_the_line_of_a_header(storage):
    url = storage.link("output/a.mp4", name="a\r\nX: y\t.mp4")
    told = parse_qs(urlsplit(url).query)["response-content-disposition"][0]
    assert told.isprintable()
    assert 'filename="a__X: y_.mp4"' in told


async def test_signing_by_thousands_leaves_the_loop_alone(storage, monkeypatch):
    monkeypatch.setattr(s3, "_PARTS", 10_000)
    gaps = []

    async def feel():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - before)

    await storage.entries("")  # the client is made
    feeler = asyncio.create_task(feel())
    began_at = time.monotonic()
    signed = await storage.open_upload("jobs/1/1/output", time.time() + 600)
    took_s = time.monotonic() - began_at
    feeler.cancel()
    assert len(set(signed)) == 10_000
    # of the whole, as a computer that is busy makes both longer
    assert max(gaps) < took_s / 2
    assert len(gaps) > 10
