"""What the page's server answers, without a browser."""

import asyncio
import re

import aiohttp
import pytest

from bot.sandbox.web.routes import STATIC
from tests.bot.sandbox.conftest import MP4


@pytest.fixture
async def http(sandbox):
    async with aiohttp.ClientSession(sandbox.base_url) as session:
        yield session


async def test_the_page_may_load_its_own_files_only_and_frame_nobody(http):
    async with http.get("/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = await answer.text()
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == "'none'"
    assert directives["script-src"] == directives["connect-src"] == "'self'"
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"https?://|<script>|style=|\son\w+=", text)


async def test_every_file_that_a_page_names_is_served_as_its_kind(http):
    named = set(re.findall(r'"/web/([^"]+)"', (STATIC / "index.html").read_text()))
    for script in STATIC.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
    assert named == {path.name for path in STATIC.iterdir()} - {"index.html"}
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for name in sorted(named):
        async with http.get(f"/web/{name}") as answer:
            assert answer.status == 200
            assert answer.content_type == kinds[name[name.rindex(".") :]]


@pytest.mark.parametrize("name", ["none.js", "..%2froutes.py", "%2e%2e%2f__init__.py", "a%2fb"])
async def test_nothing_else_is_served(http, name):
    async with http.get(f"/web/{name}") as answer:
        assert answer.status == 404


async def test_no_script_of_the_page_makes_markup_of_text():
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(")
    found = [p.name for p in sorted(STATIC.glob("*.js")) if forbidden.search(p.read_text())]
    assert found == []


async def test_pages_of_other_sites_are_turned_away(http):
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        async with http.get("/sandbox/world", headers=headers) as answer:
            assert answer.status == 403


async def test_parts_of_a_video_are_served_and_a_file_never_runs_as_a_page(http, ann, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(MP4)
    video = await ann.chat.send_video(clip)
    path = f"/sandbox/files/{video.file['file_id']}"
    async with http.get(path, headers={"Range": "bytes=4-7"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"ftyp")
        assert answer.content_type == "video/mp4"
    clip.write_bytes(b"<script>alert(1)</script>")
    page = await ann.chat.send_video(clip, as_document=True, file_name='a"\r\nX: y.html')
    async with http.get(f"/sandbox/files/{page.file['file_id']}?save=1") as answer:
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["Content-Disposition"].startswith(
            "attachment; filename*=UTF-8''a%22"
        )
        assert "X" not in answer.headers


async def test_the_world_is_told_with_its_people_chats_and_newest_messages(driver, ann):
    bob = await driver.person(8, "Bob")
    await driver.group(-1009, "Films", {ann: "creator", bob: "member"})
    world = await driver.call("GET", "world")
    assert [person["first_name"] for person in world["persons"]] == ["Ann", "Bob"]
    chats = {chat["id"]: chat for chat in world["chats"]}
    assert chats[7]["last"]["raw"]["text"] == "/start"
    assert (chats[8]["started"], chats[8]["last"]) == (False, None)
    assert chats[-1009]["members"]["7"] == "creator"


async def test_an_ending_wakes_those_who_wait_and_is_told_to_those_who_come(sandbox, driver):
    query = {"since": 0, "timeout_s": 50}
    waiting = asyncio.create_task(driver.call("GET", "transcript", params=query))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    sandbox.end("The bot ended")
    assert (await asyncio.wait_for(waiting, 2))["ending"] == "The bot ended"
    late = asyncio.create_task(driver.call("GET", "transcript", params=query))
    assert (await asyncio.wait_for(late, 2))["ending"] == "The bot ended"
    assert (await driver.call("GET", "world"))["ending"] == "The bot ended"
