import asyncio
import hashlib
import hmac
import io
import json
from urllib.parse import urlencode

import pytest

from bot.defaults import save_task
from controller import policy
from controller.capabilities import UploadState
from controller.records import TERMINAL, Actor, Request, Role
from controller.states import JobState
from remote_runner.protocol import Mode, Task
from tests.bot.stage import OTHER, TOKEN, USER
from tests.bot.web.conftest import VIDEO, restarted

MIB = 1 << 20
SKIP = ["Content-Type"]


def rows(house):
    return house.store.uploads.receiving()


async def test_a_file_that_came_whole_is_a_draft_in_the_same_chat(site):
    page = site.offer(language="ru")
    status, told, _ = await page.send()
    (job,) = site.house.controller.jobs()
    assert (status, told["state"]) == (200, "taken")
    assert (job.state, job.owner, job.chat, job.reply_to) == (JobState.DRAFT, USER, USER, 5)
    assert (job.request_key, job.source_name, job.language) == ("web:tg:7:5", "clip.mp4", "ru")
    assert site.house.kinds(job) == ["drafted"]
    assert (await site.house.storage.read(job.source_key)) == VIDEO
    assert job.source_is_ours
    assert (await page.state())["state"] == "taken"


async def test_what_its_owner_chose_last_is_what_the_draft_begins_with(site):
    save_task(site.house.controller, USER, Task(mode=Mode.INTERP))
    await site.offer().send()
    (job,) = site.house.controller.jobs()
    assert job.task.mode is Mode.INTERP


async def test_completing_twice_makes_one_job(site):
    page = site.offer()
    await page.open()
    await page.put(1, VIDEO)
    answers = await asyncio.gather(*(page.ask("POST", "complete", json={}) for _ in range(3)))
    assert [answer[0] for answer in answers] == [200, 200, 200]
    assert len(site.house.controller.jobs()) == 1


async def test_parts_survive_a_restart_and_are_not_asked_for_again(site):
    page = site.offer()
    data = bytes(range(256)) * (20 * MIB // 256) + VIDEO
    _, told, _ = await page.open("film.mkv", len(data))
    size = told["part_bytes"]
    assert (size, told["parts"]) == (8 * MIB, [])
    await page.put(2, data[size : 2 * size])
    async with restarted(site) as again:
        page = again.offer()
        assert (await page.state())["parts"] == [2]
        assert (await page.open("film.mkv", len(data)))[1]["parts"] == [2]
        await page.put(1, data[:size])
        await page.put(3, data[2 * size :])
        assert (await page.state())["parts"] == [1, 2, 3]
        # what came is no video, but it is all there
        upload = rows(again.house)[0]
        await again.house.storage.complete_parts(upload.key, upload.storage_id, len(data))
        assert (await again.house.storage.sha256(upload.key)) == hashlib.sha256(data).hexdigest()


async def test_what_was_whole_at_the_end_of_the_process_is_a_draft_after_the_next_start(site):
    page = site.offer()
    await page.open()
    await page.put(1, VIDEO)
    async with restarted(site) as again:
        async with asyncio.timeout(3):
            while not again.house.controller.jobs():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await again.offer().state())["state"] == "taken"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "holiday.jpg"}, "not_video_name"),
        ({"name": "clip.mp4.exe", "type": "application/x-msdownload"}, "not_video_name"),
        ({"size": 0}, "empty_file"),
        ({"size": 21 * 10**9}, "file_too_large"),
    ],
)
async def test_what_is_no_video_is_refused_before_a_byte_of_it(site, changes, code):
    page = site.offer()
    status, told, _ = await page.open(**changes)
    assert (status, told["error"]["code"]) == (400, code)
    assert told["error"]["text"]
    assert (await page.put(1, VIDEO))[0] == 409


async def test_a_type_of_video_is_enough_without_a_suffix(site):
    assert (await site.offer().open("clip", type="video/mp4"))[0] == 200


async def test_a_file_that_only_looks_like_a_video_is_told_and_removed(site):
    page = site.offer()
    status, told, _ = await page.send(b"no facts at all")
    assert (status, told["error"]["code"]) == (400, "not_a_video")
    state = await page.state()
    assert (state["state"], state["error"]["code"]) == ("failed", "not_a_video")
    assert await site.house.storage.entries("input/") == []
    assert (await page.send())[1]["state"] == "taken"


async def test_another_file_takes_the_place_of_one_half_way_only_when_that_is_said(site):
    page = site.offer()
    await page.open("a.mp4", 10 * MIB)
    await page.put(2, b"x" * (2 * MIB))
    status, told, _ = await page.open("b.mp4", 5)
    assert (status, told["error"]["code"], told["error"]["done"]) == (409, "other_file", 2 * MIB)
    assert (await page.state())["name"] == "a.mp4"
    status, told, _ = await page.open("b.mp4", 5, replace=True)
    assert (status, told["name"], told["parts"]) == (200, "b.mp4", [])


async def test_no_turn_left_is_told_before_the_file_is_sent_and_keeps_one_that_is_there(site):
    page = site.offer()
    await page.open()
    await page.put(1, VIDEO)
    jobs = [await site.house.draft(f"{n}.mp4") for n in range(policy.MAX_ACTIVE_JOBS)]
    status, told, _ = await page.ask("POST", "complete", json={})
    assert (status, told["error"]["code"]) == (409, "too_many_jobs")
    assert (await site.offer("tg:7:6").open())[1]["error"]["code"] == "too_many_jobs"
    await site.house.controller.discard(jobs[0].id, by=Actor(USER))
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"


@pytest.mark.parametrize("data", [VIDEO[:-1], VIDEO + b"x"])
async def test_a_part_of_another_size_is_refused(site, data):
    page = site.offer()
    await page.open()
    assert (await page.put(1, data))[1]["error"]["code"] == "bad_part"
    assert (await page.put(2, VIDEO))[1]["error"]["code"] == "bad_part"
    assert (await page.state())["parts"] == []


async def test_a_part_without_a_length_is_refused(site):
    async def stream():
        yield VIDEO

    page = site.offer()
    await page.open()
    assert (await page.put(1, stream()))[0] == 411


async def test_a_part_that_breaks_off_is_not_there(site):
    page = site.offer()
    await page.open("a.mp4", MIB)
    _, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    head = f"PUT /u/{page.code}/parts/1 HTTP/1.1\r\nHost: x\r\nContent-Length: {MIB}\r\n\r\n"
    writer.write(head.encode() + b"x" * 1000)
    await writer.drain()
    writer.close()
    assert (await page.state())["parts"] == []
    assert (await page.put(1, b"y" * MIB))[0] == 200
    assert (await page.ask("POST", "complete", json={}))[1]["error"]["code"] == "not_a_video"


async def test_a_newer_try_of_a_part_ends_the_one_that_hangs(site):
    page = site.offer()
    await page.open()

    async def hang():
        yield VIDEO[:10]
        await asyncio.sleep(30)

    hanging = asyncio.create_task(page.put(1, hang(), headers={"Content-Length": str(len(VIDEO))}))
    await asyncio.sleep(0.1)
    assert (await page.put(1, VIDEO))[0] == 200
    assert (await hanging)[1]["error"]["code"] == "upload_busy"
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"


async def test_an_unknown_or_old_page_says_so(site, open_house):
    status, body, _ = await site.ask("GET", "/u/" + "x" * 24)
    assert status == 404
    assert "не действует".encode() in body
    page = site.offer()
    open_house.clock.advance(24 * 3600 + 1)
    assert (await page.ask("GET"))[0] == 404
    assert (await page.ask("GET", "state"))[0] == 410
    assert (await page.open())[1]["error"]["code"] == "upload_gone"
    renewed = site.offer()
    assert renewed.code != page.code
    assert (await renewed.send())[1]["state"] == "taken"


async def test_a_page_in_use_lasts_longer_and_a_forgotten_one_leaves_nothing(site, open_house):
    page = site.offer()
    await page.open("a.mp4", 10 * MIB)
    open_house.clock.advance(20 * 3600)
    await page.put(2, b"x" * (2 * MIB))
    open_house.clock.advance(20 * 3600)
    assert (await page.state())["parts"] == [2]
    open_house.clock.advance(20 * 3600)
    await open_house.prune.tick()
    assert [each.state for each in [open_house.store.uploads.by_request("web:tg:7:5")]] == [
        UploadState.EXPIRED
    ]
    parts = open_house.settings.storage_dir / ".parts"
    assert list(parts.iterdir()) == []


async def test_the_same_request_has_the_same_page_and_only_a_hash_is_kept(site, open_house):
    first, again = site.offer(), site.offer()
    assert first.code == again.code
    assert len(first.code) == 24
    open_house.store.close()
    kept = open_house.settings.database.read_bytes()
    assert first.code.encode() not in kept
    open_house.open()


def test_without_a_public_address_nothing_is_offered(house):
    assert house.controller.uploads.offer(Request(key="a", owner=1)) is None


async def test_headers_keep_the_page_to_itself(site):
    status, body, headers = await site.offer(language="ru").ask("GET")
    assert status == 200
    assert "Отправить видео".encode() in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self';" in policy
    assert "frame-ancestors https://web.telegram.org" in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers
    assert "Access-Control-Allow-Origin" not in headers


async def test_a_form_of_another_site_is_no_request(site):
    page = site.offer()
    body = json.dumps({"name": "a.mp4", "bytes": 5, "type": ""})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        status, *_ = await page.ask("POST", "open", data=body, headers={"Content-Type": kind})
        assert status == 415


@pytest.mark.parametrize(
    "body", [[], {"name": 1, "bytes": 5}, {"name": "a.mp4", "bytes": "5"}, {"bytes": True}]
)
async def test_an_odd_body_is_refused(site, body):
    assert (await site.offer().ask("POST", "open", json=body))[0] == 400


async def test_numbers_of_parts_are_checked(site):
    page = site.offer()
    await page.open("a.mp4", 20 * MIB)
    for numbers in ([], [0], [4], ["1"], list(range(1, 14)), None):
        status, told, _ = await page.ask("POST", "parts", json={"numbers": numbers})
        assert (status, told["error"]["code"]) == (400, "bad_part"), numbers
    _, told, _ = await page.ask("POST", "parts", json={"numbers": [1, 3]})
    assert told == {"urls": {"1": None, "3": None}}


async def test_a_page_that_asks_all_the_time_is_told_to_wait(site):
    page = site.offer()
    answers = await asyncio.gather(*(page.ask("GET", "state") for _ in range(100)))
    assert {answer[0] for answer in answers} == {200, 429}
    assert (await site.offer("tg:7:9").ask("GET", "state"))[0] == 200


async def test_who_was_shut_out_meanwhile_sends_nothing(site, open_house):
    page = site.offer()
    await page.open()
    open_house.controller.people.set_role(USER, Role.BLOCKED, by=TERMINAL)
    assert (await page.put(1, VIDEO))[0] == 403
    assert (await page.ask("POST", "complete", json={}))[0] == 403
    assert (await site.offer(owner=666).open())[1]["error"]["code"] == "upload_not_yours"


def signed(user, at, token=TOKEN):
    """As Telegram signs it (core.telegram.org/bots/webapps)."""
    fields = {"user": json.dumps(user), "auth_date": str(int(at))}
    text = "\n".join(f"{name}={value}" for name, value in sorted(fields.items()))
    secret = hmac.digest(b"WebAppData", token.encode(), "sha256")
    return urlencode(fields | {"hash": hmac.new(secret, text.encode(), "sha256").hexdigest()})


@pytest.mark.parametrize(
    ("name", "status"),
    [("fresh", 200), ("other", 403), ("old", 403), ("forged", 403), ("foreign", 403),
     ("empty", 403), ("odd", 403)],
)  # fmt: skip
async def test_inside_telegram_only_the_owner_opens_it(site, open_house, name, status):
    now = open_house.clock()
    owner, other = {"id": USER, "first_name": "A"}, {"id": OTHER, "first_name": "B"}
    init_data = {
        "fresh": signed(owner, now - 60),
        "other": signed(other, now - 60),
        "old": signed(owner, now - 25 * 3600),
        "forged": signed(other, now - 60).replace(f"%22id%22%3A+{OTHER}", f"%22id%22%3A+{USER}"),
        "foreign": signed(owner, now - 60, token="43:" + "B" * 35),
        "empty": "",
        "odd": signed([1], now - 60),
    }[name]
    assert name != "forged" or f"%22id%22%3A+{USER}" in init_data
    found, told, _ = await site.offer().open(init_data=init_data)
    assert found == status
    assert status == 200 or told["error"]["code"] == "upload_not_yours"


async def test_neither_codes_nor_addresses_are_logged(bucket_site, caplog):
    caplog.set_level("DEBUG")
    page = bucket_site.offer()
    await page.open()
    await page.ask("POST", "parts", json={"numbers": [1]})
    await page.put(1, VIDEO)
    await page.ask("POST", "complete", json={})
    ours = [
        each for each in caplog.records if each.name.startswith(("bot", "controller", "aiohttp"))
    ]
    text = "\n".join(record.getMessage() for record in ours)
    assert page.code not in text
    assert "X-Amz-Signature" not in text
    assert "became job" in text


async def test_a_bucket_takes_parts_at_signed_addresses_that_end(bucket_site, b2, session):
    page = bucket_site.offer()
    data = VIDEO + b" " * (9 * MIB)
    await page.open("film.mp4", len(data))
    _, told, _ = await page.ask("POST", "parts", json={"numbers": [1, 2]})
    urls = told["urls"]
    async with session.put(
        urls["1"], data=io.BytesIO(data[: 8 * MIB]), skip_auto_headers=SKIP
    ) as r:
        assert r.status == 200
    assert (await page.state())["parts"] == [1]
    bucket_site.house.clock.advance(3700)
    async with session.put(
        urls["2"], data=io.BytesIO(data[8 * MIB :]), skip_auto_headers=SKIP
    ) as r:
        assert r.status == 403
    bucket_site.house.clock.advance(-3700)
    # through us, as where the bucket refuses pages
    assert (await page.put(2, data[8 * MIB :]))[0] == 200
    (upload,) = rows(bucket_site.house)
    await bucket_site.house.storage.complete_parts(upload.key, upload.storage_id, len(data))
    assert b2.get(upload.key) == data
    assert b2.open_uploads() == []
    assert (await page.state())["parts"] == [1, 2]


async def test_a_bucket_that_dropped_the_parts_gets_them_again(bucket_site, b2):
    page = bucket_site.offer()
    await page.open()
    (upload,) = rows(bucket_site.house)
    await bucket_site.house.storage.abort_parts(upload.key, upload.storage_id)
    assert (await page.put(1, VIDEO))[0] != 200
    assert (await page.state())["parts"] == []
    assert (await page.put(1, VIDEO))[0] == 200
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"


async def test_an_outage_of_the_bucket_is_no_fault_of_the_file(bucket_site, b2):
    page = bucket_site.offer()
    await page.open()
    await page.put(1, VIDEO)
    b2.cap = True
    status, told, _ = await page.ask("POST", "complete", json={})
    assert (status, told["error"]["code"]) == (503, "trouble")
    b2.cap = False
    assert (await page.ask("POST", "complete", json={}))[1]["state"] == "taken"
