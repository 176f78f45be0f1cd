import asyncio
import dataclasses
import socket

import pytest
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import GetMe

from bot.client import CountCalls
from bot.web.server import serve_web
from controller import web_checkup
from controller.errors import SettingsError
from controller.supervisor import Supervisor
from controller.vitals import Vitals
from controller.web import LOOP_S, POLLER_S, examine_health
from controller.web_checkup import examine_page_rule, examine_pages
from tests.bot.web.conftest import PUBLIC, Site


class Ticks:
    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def pulse(site):
    """The vitals of the controller, on a clock of the test."""
    clock = Ticks()
    vitals = site.house.controller.vitals = Vitals(clock)
    for name in ("start", "loop:place", "loop:reap", "listing", "poller"):
        vitals.beat(name)
    return clock


async def test_health_is_told_while_everything_works(site, pulse):
    status, told, _ = await site.ask("GET", "/healthz")
    assert (status, told["ok"], told["problems"]) == (200, True, [])
    assert told["loop_age_s"] == {"place": 0.0, "reap": 0.0}


async def test_what_has_stopped_is_named(site, pulse):
    pulse.now += POLLER_S + 1
    status, told, _ = await site.ask("GET", "/healthz")
    assert (status, told["problems"]) == (503, ["poller"])
    pulse.now += LOOP_S
    site.house.controller.vitals.beat("loop:place")
    assert examine_health(site.house.controller)["problems"] == ["loop reap", "listing", "poller"]


async def test_a_database_that_takes_nothing_is_told(site, pulse):
    site.house.store._db.run("PRAGMA query_only = ON")
    status, told, _ = await site.ask("GET", "/healthz")
    assert (status, told["problems"]) == (503, ["database"])
    site.house.store._db.run("PRAGMA query_only = OFF")


async def test_health_is_looked_at_once_a_second_however_often_it_is_asked(
    site, pulse, monkeypatch
):
    looks = []
    monkeypatch.setattr(site.house.store.figures, "check_writable", lambda: looks.append(1))
    answers = await asyncio.gather(*(site.ask("GET", "/healthz") for _ in range(50)))
    assert {answer[0] for answer in answers} == {200}
    assert len(looks) < 10


async def test_figures_are_what_the_database_says(site, pulse):
    house = site.house
    await house.draft("a.mp4")
    await house.queued("b.mp4")
    house.clock.advance(30)
    house.controller.inbox_add([(1, "{}")])
    house.controller.vitals.count("telegram_floods", "editMessageText", 3)
    status, body, headers = await site.ask("GET", "/metrics")
    lines = body.decode().splitlines()
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    for line in (
        'noxfvr_jobs{state="draft"} 1.0', 'noxfvr_jobs{state="queued"} 1.0',
        'noxfvr_jobs{state="done"} 0.0', "noxfvr_queue_jobs 1.0",
        "noxfvr_queue_oldest_seconds 30.0", "noxfvr_updates_pending 1.0",
        'noxfvr_telegram_floods_total{method="editMessageText"} 3.0',
        "noxfvr_machine_usd_per_hour 0.0", 'noxfvr_machines{state="busy"} 0.0',
        'noxfvr_loop_age_seconds{loop="reap"} 0.0', "noxfvr_spent_today_usd 0.0",
    ):  # fmt: skip
        assert line in lines
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)


async def test_attempts_and_machines_are_counted(rented, bot_settings, texts, session):
    rented.change(bind="127.0.0.1:0")
    await rented.queued()
    await rented.tick()
    async with Site(rented, bot_settings, texts, session).serving() as site:
        _, body, _ = await site.ask("GET", "/metrics")
    text = body.decode()
    assert 'noxfvr_attempts_total{reason="",state="assigned"} 1.0' in text
    (price,) = [
        line for line in text.splitlines() if line.startswith("noxfvr_machine_usd_per_hour")
    ]
    assert float(price.split()[1]) > 0


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("bot:8080", 200), ("[::1]", 200),
     ("videos.example.org", 404), ("127.0.0.1.example.org", 404), ("x:999999", 404)],
)  # fmt: skip
async def test_figures_are_not_for_the_outside(site, host, status):
    assert (await site.ask("GET", "/metrics", headers={"Host": host}))[0] == status


async def test_figures_are_not_told_through_a_proxy(site):
    headers = {"X-Forwarded-For": "203.0.113.5"}
    assert (await site.ask("GET", "/metrics", headers=headers))[0] == 404
    assert (await site.ask("GET", "/healthz", headers=headers))[0] in (200, 503)


async def test_a_port_in_use_is_a_mistake_in_one_line_where_pages_are_wanted(
    open_house, bot_settings, texts
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        open_house.change(bind=bind)
        with pytest.raises(SettingsError) as raised:
            async with serve_web(open_house.controller, bot_settings, texts):
                pass
        assert raised.value.problems[0].startswith(f"NOXFVR_BIND: {bind} cannot be used")
        assert "\n" not in str(raised.value)


async def test_the_usual_port_in_use_costs_the_pages_only(house, bot_settings, texts, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr("controller.settings.BIND", bind)
        house.change(bind=bind)
        async with serve_web(house.controller, bot_settings, texts) as where:
            assert where == ""


async def test_loops_tell_when_they_ticked_and_when_that_failed():
    class Loop:
        async def tick(self):
            raise RuntimeError("broken")

    vitals = Vitals()
    running = asyncio.create_task(Supervisor({"place": (Loop(), 0.001)}, vitals).run())
    async with asyncio.timeout(3):
        while not vitals.counts("loop_failures").get("place"):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.wait([running])
    assert "place" in vitals.ages("loop")


async def test_calls_of_the_bot_api_and_floods_are_counted():
    vitals = Vitals()
    count = CountCalls(vitals)

    async def answer(bot, method):
        return True

    async def flood(bot, method):
        raise TelegramRetryAfter(method, "wait", 3)

    await count(answer, None, GetMe())
    with pytest.raises(TelegramRetryAfter):
        await count(flood, None, GetMe())
    assert vitals.counts("telegram_calls") == {"getMe": 2}
    assert vitals.counts("telegram_floods") == {"getMe": 1}


async def test_the_doctor_knows_pages_that_answer_and_those_that_do_not(site, open_house):
    bind = site.url.removeprefix("http://")
    here = dataclasses.replace(open_house.settings, bind=bind, public_url=site.url)
    found = await examine_pages(here)
    assert [each.level for each in found] == ["ok", "ok"]
    assert "already" in found[0].detail
    bind, public = await examine_pages(open_house.settings)
    assert (bind.level, public.level) == ("ok", "warn")
    assert "does not answer" in public.detail
    nowhere = dataclasses.replace(open_house.settings, public_url="")
    assert [each.level for each in await examine_pages(nowhere)] == ["ok", "ok"]


async def test_the_doctor_warns_of_figures_that_everybody_sees(open_house, monkeypatch):
    async def ask(url):
        return {"loop_age_s": {}} if url.endswith("/healthz") else web_checkup._ELSE

    monkeypatch.setattr(web_checkup, "_ask", ask)
    public = dataclasses.replace(open_house.settings, public_url="https://videos.example.org")
    assert [each.level for each in await examine_pages(public)] == ["ok", "warn"]


async def test_the_doctor_knows_a_port_of_somebody_else(open_house):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        open_house.change(bind=f"127.0.0.1:{taken.getsockname()[1]}")
        answering = asyncio.get_running_loop().run_in_executor(None, answer_something, taken)
        bind, _ = await examine_pages(open_house.settings)
        await answering
    assert bind.level == "fail"
    assert "NOXFVR_BIND" in bind.remedy


def answer_something(server):
    server.settimeout(5)
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def test_the_doctor_knows_whether_a_bucket_lets_the_page(bucket_site, b2):
    house = bucket_site.house
    for rules, level in (
        ([], "warn"),
        ([{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}], "warn"),
        ([{"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://else.org"]}], "warn"),
        ([{"AllowedMethods": ["PUT"], "AllowedOrigins": [PUBLIC]}], "ok"),
        ([{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"]}], "ok"),
    ):
        b2.configure(cors=rules)
        (found,) = await examine_page_rule(house.storage, house.settings)
        assert found.level == level, rules
        assert level == "ok" or f'"AllowedOrigins": ["{PUBLIC}"]' in found.remedy
