import asyncio
import dataclasses
import re
import socket
from pathlib import Path

import pytest
from aiogram.exceptions import TelegramRetryAfter
from aiogram.methods import GetMe
from prometheus_client.parser import text_string_to_metric_families

from bot.client import CountCalls
from bot.web.server import serve_web
from controller import web_checkup
from controller.backups import back_up
from controller.errors import DatabaseFull, SettingsError
from controller.records import Actor
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


def parse(body):
    """By the parser of the official client: each sample by its name and labels."""
    families = list(text_string_to_metric_families(body.decode()))
    samples = {
        (each.name, *sorted(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }
    return families, samples


async def test_every_figure_is_told_what_it_is_and_has_a_place_in_the_documents(
    rented, bot_settings, texts, session
):
    house = rented
    house.change(bind="127.0.0.1:0", webhook_url="https://example.org/hook")
    vitals = house.controller.vitals
    for name in ("start", "loop:reap", "loop:notifier", "listing", "poller", "backup"):
        vitals.beat(name)
    for name in ("strangers", "strangers_spared", "credit_usd", "writable"):
        vitals.note(name, 1)
    for name in ("loop_failures", "telegram_calls", "telegram_floods", "upload_parts"):
        vitals.count(name, "x")
    vitals.time("tick", 0.2, "reap")
    vitals.time("tick", 1e4, "reap")
    vitals.time("lag", 0.001)
    back_up(house.settings.database, house.settings.backups_dir, why="test", clock=house.clock)
    await house.queued()
    await house.tick()
    async with Site(house, bot_settings, texts, session).serving() as site:
        status, body, _ = await site.ask("GET", "/metrics")
    families, samples = parse(body)
    assert status == 200
    ours = {each.name: each for each in families if each.name.startswith("noxfvr_")}
    assert len(ours) == sum(each.name.startswith("noxfvr_") for each in families)
    assert all(each.documentation.endswith(".") for each in ours.values())
    page = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text("utf-8")
    assert [name for name in ours if name not in page] == []
    told = set(re.findall(r"noxfvr_[a-z_]+", page))
    known = set(ours) | {f"{name}_total" for name in ours} | {f"{name}_bucket" for name in ours}
    assert told <= known
    buckets = {key[1:]: value for key, value in samples.items()
               if key[0] == "noxfvr_loop_tick_seconds_bucket"}  # fmt: skip
    assert buckets[("le", "0.1"), ("loop", "reap")] == 0
    assert buckets[("le", "0.5"), ("loop", "reap")] == 1
    assert buckets[("le", "900.0"), ("loop", "reap")] == 1
    assert buckets[("le", "+Inf"), ("loop", "reap")] == 2
    assert samples["noxfvr_loop_tick_seconds_count", ("loop", "reap")] == 2
    assert samples["noxfvr_loop_tick_seconds_sum", ("loop", "reap")] == 10000.2


async def test_figures_of_the_invariants(rented, bot_settings, texts, session):
    rented.change(bind="127.0.0.1:0", webhook_url="https://example.org/hook")
    job = await rented.queued()
    await rented.tick()
    vitals = rented.controller.vitals
    vitals.beat("loop:notifier")
    machine = rented.machine()
    rented.provider.destroy_faults.extend(["lies"] * 99)
    rented.controller.cancel(job.id, by=Actor(7))
    rented.runner.cancelled(machine)
    rented.store.machines.request_retire(machine.id, "idle")
    for _ in range(3):
        await rented.tick(10)
    ended_at = rented.store.attempts.of_job(job.id)[0].ended_at
    rented.clock.advance(400)
    rented.controller.inbox_add([(1, "{}")])
    rented.clock.advance(7)
    async with Site(rented, bot_settings, texts, session).serving() as site:
        _, body, _ = await site.ask("GET", "/metrics")
    _, samples = parse(body)
    age_s = rented.clock() - ended_at
    for name, value in (
        ("open_attempts", None), ("unwanted_machines", 1), ("retiring_machines", 1),
        ("unwanted_machines_oldest_seconds", age_s), ("retiring_machines_oldest_seconds", age_s),
        ("unanswered_creates", 0), ("expired_machines", 0), ("overdue_jobs", 0),
        ("updates_pending", 1), ("updates_pending_oldest_seconds", 7), ("day_budget_usd", 5),
        ("strangers", 0), ("listing_age_seconds", 407),
    ):  # fmt: skip
        if value is not None:
            assert samples[f"noxfvr_{name}",] == pytest.approx(value), name
    assert samples["noxfvr_open_attempts", ("state", "running")] == 0
    events = rented.store.events.newest()
    assert samples["noxfvr_outbox_events", ("to", "chats")] == events
    assert samples["noxfvr_outbox_oldest_seconds", ("to", "webhook")] >= 407
    assert samples["noxfvr_reserved_usd",] > 0
    committed = samples["noxfvr_committed_today_usd",]
    assert committed >= samples["noxfvr_spent_today_usd",] > 0
    assert samples["noxfvr_alerts", ("kind", "destroy"), ("severity", "warning")] == 1
    assert samples["noxfvr_alerts", ("kind", "disk"), ("severity", "")] == 0


async def test_a_listing_that_never_was_complete_is_as_old_as_the_process(site, pulse):
    site.house.controller.vitals = vitals = Vitals(pulse)
    _, samples = parse((await site.ask("GET", "/metrics"))[1])
    assert ("noxfvr_listing_age_seconds",) not in samples
    vitals.beat("start")
    pulse.now += 400
    _, samples = parse((await site.ask("GET", "/metrics"))[1])
    assert samples["noxfvr_listing_age_seconds",] == 400
    vitals.beat("listing")
    pulse.now += 5
    _, samples = parse((await site.ask("GET", "/metrics"))[1])
    assert samples["noxfvr_listing_age_seconds",] == 5


async def test_a_database_that_cannot_be_read_hides_its_own_figures_only(site, pulse, monkeypatch):
    def refuse(**_):
        raise DatabaseFull("no journal")

    monkeypatch.setattr(site.house.store.figures, "take_rows", refuse)
    status, body, _ = await site.ask("GET", "/metrics")
    _, samples = parse(body)
    assert status == 200
    assert samples["noxfvr_alerts", ("kind", "database"), ("severity", "critical")] == 1
    assert samples["noxfvr_loop_age_seconds", ("loop", "reap")] == 0
    assert ("noxfvr_overdue_jobs",) not in samples


async def test_a_database_that_fails_in_the_middle_of_a_look_does_not_hide_the_rest(
    site, pulse, monkeypatch
):
    def refuse():
        raise DatabaseFull("no journal")

    monkeypatch.setattr(site.house.store.figures, "machines", refuse)
    status, body, _ = await site.ask("GET", "/metrics")
    _, samples = parse(body)
    assert status == 200
    assert samples["noxfvr_loop_age_seconds", ("loop", "reap")] == 0
    assert ("noxfvr_disk_free_bytes",) in samples


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
