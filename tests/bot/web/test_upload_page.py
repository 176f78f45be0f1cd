import asyncio
import hashlib
import os
import urllib.request

import pytest

from tests.bot.web.conftest import VIDEO, site_of, until
from tests.bot.web.pipe import Pipe
from tests.browser import open_page
from tests.controller import conftest as houses

PHONE = {"width": 390, "height": 844}
MB = 10**6


async def watch_requests(page):
    """Methods and addresses of all requests of a page from now on."""
    seen = []
    page.on("request", lambda request: seen.append((request.method, request.url)))
    return seen


def puts(seen):
    return [url for method, url in seen if method == "PUT"]


async def test_a_file_goes_up_from_a_phone_and_the_page_says_where_to_look(
    site, browser, tmp_path
):
    path = tmp_path / "Отпуск.mp4"
    path.write_bytes(VIDEO)
    offered = site.offer(language="ru")
    page, complaints = await open_page(browser, f"{site.url}/u/{offered.code}", **PHONE)
    await page.get_by_text("Выбрать видео").wait_for()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.set_input_files("#file", path)
    await page.get_by_text("Карточка уже в чате").wait_for()
    (job,) = site.house.controller.jobs()
    assert job.source_name == "Отпуск.mp4"
    await page.reload()
    await page.get_by_text("Карточка уже в чате").wait_for()
    assert complaints == []


async def test_a_file_of_the_wrong_type_is_refused_with_no_byte_sent(site, browser, tmp_path):
    names = ["cat.jpg", "<img src=x onerror=alert(1)>.exe"]
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 1000)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    page, complaints = await open_page(browser, f"{site.url}/u/{site.offer().code}")
    seen = await watch_requests(page)
    for name in names:
        await page.set_input_files("#file", tmp_path / name)
        await page.get_by_text(f"“{name}” is not a video").wait_for()
    await page.set_input_files("#file", empty)
    await page.get_by_text("“empty.mp4” is empty").wait_for()
    assert [each for each in seen if each[0] != "GET"] == []
    assert complaints == []


async def test_what_only_looks_like_a_video_is_told_on_the_page_and_another_can_follow(
    site, browser, tmp_path
):
    bad, good = tmp_path / "bad.mp4", tmp_path / "good.mp4"
    bad.write_bytes(b"nothing")
    good.write_bytes(VIDEO)
    page, _ = await open_page(browser, f"{site.url}/u/{site.offer().code}")
    await page.set_input_files("#file", bad)
    await page.get_by_text("This is not a video, whatever").wait_for()
    await page.set_input_files("#file", good)
    await page.get_by_text("The card is in the chat").wait_for()


@pytest.mark.slow
async def test_a_pause_holds_and_a_reload_goes_on_with_the_same_file(
    site, browser, tmp_path, monkeypatch
):
    monkeypatch.setattr(site.house.controller.uploads, "complete", never)
    path = write_film(tmp_path / "film.mp4", 40 * MB)
    offered = site.offer()
    async with Pipe(site.url) as pipe:
        page, _ = await open_page(browser, f"{pipe.url}/u/{offered.code}")
        await slow_down(page, 20 * MB)
        await page.set_input_files("#file", path)
        await until(lambda: count_parts(site) >= 1)
        await page.get_by_role("button", name="Pause").click()
        await page.get_by_text("Paused.").wait_for()
        await asyncio.sleep(0.3)
        stored, sent = count_parts(site), pipe.sent
        await asyncio.sleep(0.3)
        assert (count_parts(site), pipe.sent) == (stored, sent)
        await page.reload()
        await page.get_by_text("Choose the same file to go on").wait_for()
        await page.set_input_files("#file", write_film(tmp_path / "other.mp4", MB))
        await page.get_by_text("Drop it and send “other.mp4” instead?").wait_for()
        await page.get_by_role("button", name="No, keep it").click()
        await page.set_input_files("#file", path)
        await until(lambda: count_parts(site) == 5, 15)
        assert pipe.sent < sent + 40 * MB - stored * (8 << 20) + 3 * (8 << 20)


async def test_a_phone_that_does_not_know_when_a_file_was_changed_can_go_on(
    site, browser, tmp_path
):
    path = tmp_path / "film.mp4"
    path.write_bytes(VIDEO + b" " * (9 << 20))
    os.utime(path, (1000, 1000))
    offered = site.offer()
    await offered.open("film.mp4", path.stat().st_size, modified=2_000_000)
    await offered.put(2, b" " * (path.stat().st_size - (8 << 20)))
    page, complaints = await open_page(browser, f"{site.url}/u/{offered.code}")
    seen = await watch_requests(page)
    await page.set_input_files("#file", path)
    await page.get_by_text("was changed at another time").wait_for()
    await page.get_by_role("button", name="The same, go on").click()
    await until(lambda: count_parts(site) == 2)
    await until(lambda: puts(seen), 10)  # the browser tells of it in its own time
    assert len(puts(seen)) == 1
    assert [each for each in complaints if "409" not in each] == []


async def test_a_page_that_is_shut_while_a_file_is_looked_at_says_so(
    site, browser, tmp_path, monkeypatch
):
    monkeypatch.setattr(site.house.controller.uploads, "complete", never)
    monkeypatch.setattr("bot.web.uploads._LOOK_S", 0.05)
    monkeypatch.setattr(site.house.controller.uploads, "is_looked_at", lambda upload: True)
    page, _ = await open_page(browser, f"{site.url}/u/{site.offer().code}")
    await page.get_by_text("Looking at the file").wait_for()
    site.house.clock.advance(25 * 3600)
    await page.get_by_text("not valid any more").wait_for()


async def test_in_telegrams_colours_and_with_its_word_for_who_opened_it(site, browser, tmp_path):
    page, _ = await open_page(
        browser,
        f"{site.url}/u/{site.offer().code}#tgWebAppData=hash%3Dfalse%26user%3Dx"
        "&tgWebAppVersion=9.0"
        "&tgWebAppThemeParams=%7B%22bg_color%22%3A%22%23102030%22%2C%22text_color%22%3A%22%23ffeedd"
        "%22%2C%22button_color%22%3A%22url(x)%22%7D",
    )
    colour = "getComputedStyle(document.body).color"
    assert await page.evaluate(colour) == "rgb(255, 238, 221)"
    path = tmp_path / "a.mp4"
    path.write_bytes(VIDEO)
    await page.set_input_files("#file", path)
    await page.get_by_text("was made for somebody else").wait_for()
    assert site.house.controller.jobs() == []


async def test_parts_go_to_the_bucket_itself_where_it_lets_pages(
    bucket_site, b2, browser, tmp_path
):
    b2.pages = {bucket_site.url}
    seen = await send_to_bucket(bucket_site, browser, tmp_path)
    assert puts(seen)
    assert all(url.startswith(b2.url) for url in puts(seen))


async def test_a_bucket_that_refuses_pages_is_reached_through_the_server(
    bucket_site, b2, browser, tmp_path
):
    seen = await send_to_bucket(bucket_site, browser, tmp_path)
    assert puts(seen)[-1].startswith(bucket_site.url)
    assert b2.refusals["Preflight"] >= 1


async def send_to_bucket(site, browser, tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(VIDEO)
    page, _ = await open_page(browser, f"{site.url}/u/{site.offer().code}")
    seen = await watch_requests(page)
    await page.set_input_files("#file", path)
    await page.get_by_text("The card is in the chat").wait_for(timeout=10_000)
    (job,) = site.house.controller.jobs()
    assert (await site.house.storage.read(job.source_key)) == VIDEO
    return seen


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", ["bucket", "folder"])
async def test_300_mb_over_a_line_that_drops_twice_go_up_without_starting_over(
    where, tmp_path, browser, bot_settings, texts, session, monkeypatch
):
    monkeypatch.setattr(houses, "read_facts", read_first_line)
    size = 300 * MB
    path = write_film(tmp_path / "film.mp4", size)
    drops = (size // 3, 2 * size // 3)
    async with (
        Pipe(drop_at=() if where == "bucket" else drops) as front,
        Pipe(drop_at=drops if where == "bucket" else ()) as back,
        site_of(where, tmp_path, front, back, bot_settings, texts, session) as site,
    ):
        front.target_url = site.url
        page, _ = await open_page(browser, f"{front.url}/u/{site.offer().code}", **PHONE)
        await slow_down(page, 60 * MB)
        seen = await watch_requests(page)
        await page.set_input_files("#file", path)
        await page.get_by_text("The card is in the chat").wait_for(timeout=200_000)
        line = back if where == "bucket" else front
        assert line.drops == 2
        assert size <= front.sent + back.sent < 1.2 * size
        assert len(set(puts_by_part(seen))) == 36
        assert len(puts_by_part(seen)) <= 36 + 2 * 3
        (job,) = site.house.controller.jobs()
        async with site.house.storage.local_file(job.source_key) as stored:
            assert digest(stored) == digest(path)


def puts_by_part(seen):
    return [
        url.partition("partNumber=")[2].partition("&")[0] or url.rpartition("/")[2]
        for url in puts(seen)
    ]


async def slow_down(page, bytes_per_second):
    """As fast as that: so fast a line as this computer's own has no middle."""
    client = await page.context.new_cdp_session(page)
    await client.send("Network.enable")
    await client.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False, "latency": 5, "downloadThroughput": -1,
            "uploadThroughput": bytes_per_second,
        },
    )  # fmt: skip


async def read_first_line(source, limits):
    if isinstance(source, str):
        text = await asyncio.to_thread(read_head, source)
    else:
        with source.open("rb") as file:
            text = file.readline()
    return houses.from_json(houses.Facts, text)


def read_head(url):
    with urllib.request.urlopen(url) as answer:
        return answer.readline()


def write_film(path, size):
    """A video's facts in its first line, then noise."""
    with path.open("wb") as file:
        file.write(VIDEO + b"\n")
        left = size - len(VIDEO) - 1
        while left:
            left -= file.write(os.urandom(min(left, 1 << 20)))
    return path


def digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def count_parts(site):
    return site.house.controller.vitals.counts("upload_parts").get("relay", 0)


async def never(code):
    await asyncio.sleep(60)
