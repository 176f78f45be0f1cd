"""What the program itself needs: listeners, credit, the disk, backups, the database, time."""

import asyncio

import pytest
from sqlite_utils.utils import sqlite3

from controller.alerts import AlertKind
from controller.errors import DatabaseFull, Unclear
from controller.gauges import CREDIT
from controller.readings import Backlog
from controller.records import Actor
from tests.controller.alerts.cases import WARNING, look


async def test_events_that_were_not_told_wait_by_the_cursor_of_who_tells(looked):
    house = looked
    job = await house.queued()
    first = house.store.events.after(0, 10)[0]
    rows = house.controller.readings().rows
    assert (rows.chats.count, rows.chats.since) == (len(house.kinds(job)), first.at)
    house.controller.move_cursor("notifier", house.controller.newest_event())
    assert house.controller.readings().rows.chats == Backlog()
    assert house.controller.readings().rows.webhook == Backlog()
    house.change(webhook_url="https://example.org/hook")
    house.controller.cancel(job.id, by=Actor(7))
    rows = house.controller.readings().rows
    assert rows.webhook.count == 1
    assert rows.webhook_events >= rows.webhook.count
    # this process shows nothing in chats
    assert not house.controller.readings().notifies
    assert rows.chats == Backlog()


async def test_credit_is_asked_for_now_and_then_and_silence_changes_nothing(looked):
    house = looked
    asked = []
    house.provider.credit = 0.5

    async def credit_usd():
        asked.append(house.clock())
        if len(asked) == 2:
            raise Unclear("no answer")
        return house.provider.credit

    house.provider.credit_usd = credit_usd
    for _ in range(41):
        found = await look(house)
        assert found.keys() == {AlertKind.CREDIT}
        for name in ("loop:reap", "loop:notifier"):
            house.context.vitals.beat(name)
        house.clock.advance(15)
    assert len(asked) == 3
    house.provider.credit = 20.0
    house.clock.advance(300)
    assert await look(house) == {}
    assert house.context.vitals.figure(CREDIT) == 20.0


async def test_a_disk_that_fills_up_is_told(looked, roomy):
    roomy["free"] = 1_234_567_890
    found = (await look(looked))[AlertKind.DISK]
    assert (found.severity, found.figures) == (WARNING, {"free_bytes": 1_200_000_000})


@pytest.mark.parametrize("state", ["failing", "made", "late", "off", "silent"])
def test_backups_are_judged_by_their_newest_news(looked, state):
    house = looked
    house.change(backup_s=0.0 if state == "off" else 21600.0)
    vitals = house.context.vitals
    if state != "silent":
        vitals.count("backup_failures")
        house.clock.advance(10)
    if state in ("made", "late"):
        vitals.beat("backup")
    house.clock.advance(86401 if state == "late" else 10)
    expected = {"failing": True, "made": False, "late": True, "off": False, "silent": None}
    assert house.controller.readings().backup_failing is expected[state]


async def test_a_database_that_takes_nothing_is_in_the_log_the_figures_and_the_health(
    looked, caplog
):
    house = looked
    with caplog.at_level("INFO"):
        house.store._db.run("PRAGMA query_only = ON")
        for _ in range(3):
            await house.alarm.tick()
        assert [each.kind for each in house.controller.judge()] == [AlertKind.DATABASE]
        assert house.store.alarms.select() == []
        house.store._db.run("PRAGMA query_only = OFF")
        await house.alarm.tick()
    assert house.controller.judge() == []
    lines = [each.getMessage() for each in caplog.records if each.name == "controller.loops.alarm"]
    assert [line for line in lines if line.startswith("Alert")] == [
        "Alert database: cannot write", "Alert database is over",
    ]  # fmt: skip
    assert sum("does not work" in line for line in lines) == 1


async def test_a_database_that_cannot_be_read_is_an_alert_and_no_crash(looked, monkeypatch):
    def refuse(**_):
        raise DatabaseFull("no journal")

    monkeypatch.setattr(looked.store.figures, "take_rows", refuse)
    await looked.alarm.tick()
    (alarm,) = looked.controller.judge()
    assert (alarm.kind, alarm.figures) == (AlertKind.DATABASE, {"cannot": "read"})


@pytest.mark.parametrize("part", ["spending.machines_usd", "alarms.select", "recall"])
async def test_a_lock_that_is_held_for_long_is_a_reading_and_no_crash(looked, monkeypatch, part):
    def refuse(*_):
        raise sqlite3.OperationalError("database is locked")

    house, name = looked, part.rpartition(".")
    house.store.figures.check_writable()
    holder = getattr(house.store, name[0]) if name[0] else house.store
    monkeypatch.setattr(holder, name[2], refuse)
    found = {each.kind for each in house.controller.judge()}
    assert found == ({AlertKind.DATABASE} if name[0] == "spending" else set())


async def test_ticks_are_timed_and_so_is_the_lateness_of_the_loop():
    from controller.supervisor import Supervisor
    from controller.vitals import Vitals

    class Loop:
        async def tick(self):
            await asyncio.sleep(0.02)

    vitals = Vitals()
    running = asyncio.create_task(Supervisor({"place": (Loop(), 5.0)}, vitals).run())
    async with asyncio.timeout(10):
        while not (vitals.times("tick") and vitals.times("lag")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    times = vitals.times("tick")["place"]
    assert sum(times.classes) == 1
    assert times.classes[0] == 0
    assert times.longest_s >= 0.015
