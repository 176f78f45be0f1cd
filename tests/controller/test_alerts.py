import asyncio
import dataclasses
import shutil
from collections import namedtuple

import pytest
from sqlite_utils.utils import sqlite3

from controller import gauges
from controller.alarms import RING_S, Alarm, find_last_episode, follow_up, list_standing
from controller.alerts import Alert, AlertKind, Severity, find_alerts, list_unknown
from controller.errors import DatabaseFull, Unclear
from controller.gauges import CREDIT, SPARED, STRANGERS
from controller.providers.base import Instance
from controller.readings import Backlog, Failures, Readings, Restored, Rows
from controller.records import Actor
from controller.settings import Settings
from controller.states import AttemptState, MachineState, Reason
from remote_runner.protocol import Reason as RunnerReason

NOW = 1_800_000_000.0
WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
DAY = 86400.0
SETTINGS = Settings(day_budget=5.0)
Usage = namedtuple("Usage", "total used free")


def well(**changes) -> Readings:
    """A deployment of a day's age in which nothing is wrong, but for the changes."""
    values = {
        "rows": Rows(live_machines=2), "writable": True, "uptime_s": DAY, "listing_s": 5.0,
        "spared": 0, "strangers": 0, "strays": Backlog(),
        "loop_s": {"reap": 1.0, "place": 2.0}, "notifies": True,
        "credit_usd": 10.0, "free_bytes": 10**11, "backup_failing": False,
    }  # fmt: skip
    return Readings(**values | changes)


def waiting(name, age_s, **changes) -> Readings:
    """Three things that have waited so long."""
    backlog = Backlog(count=3, since=NOW - age_s, first="A" * 26)
    return well(rows=Rows(live_machines=2, **{name: backlog}), **changes)


def judge(readings, settings=SETTINGS):
    return {each.kind: each.severity for each in find_alerts(readings, settings, NOW)}


def of_rows(**changes) -> Readings:
    return well(rows=Rows(**{"live_machines": 2} | changes))


def failing(count, reason="silent"):
    return of_rows(failures=(Failures(reason=reason, count=count, job="J" * 26),))


#: Kind, what is just well, what is just not, how bad that is.
EDGES = [
    (AlertKind.DESTROY, waiting("unwanted", 299), waiting("unwanted", 300), WARNING),
    (AlertKind.DESTROY, None, waiting("unwanted", 1799), WARNING),
    (AlertKind.DESTROY, None, waiting("unwanted", 1800), CRITICAL),
    (AlertKind.EXPIRED, waiting("expired", 599), waiting("expired", 600), CRITICAL),
    (AlertKind.OVERDUE, waiting("overdue", 599), waiting("overdue", 600), WARNING),
    (AlertKind.CHATS, waiting("chats", 299), waiting("chats", 300), WARNING),
    (AlertKind.WEBHOOK, waiting("webhook", 3599), waiting("webhook", 3600), WARNING),
    (AlertKind.LISTING, well(listing_s=299), well(listing_s=300), WARNING),
    (AlertKind.LISTING, None, well(listing_s=1799), WARNING),
    (AlertKind.LISTING, None, well(listing_s=1800), CRITICAL),
    (AlertKind.LISTING, of_rows(live_machines=1), well(listing_s=None, uptime_s=300), WARNING),
    (AlertKind.LISTING, well(rows=Rows(), listing_s=9e9), well(listing_s=9e9), CRITICAL),
    (
        AlertKind.LISTING, well(rows=Rows(waiting_jobs=1), listing_s=299),
        well(rows=Rows(waiting_jobs=1), listing_s=300), WARNING,
    ),
    (AlertKind.STRANGERS, well(spared=3), well(spared=4), CRITICAL),
    (AlertKind.LOOP, well(loop_s={"reap": 900.0}), well(loop_s={"reap": 901.0}), CRITICAL),
    (AlertKind.DISK, well(free_bytes=2 * 10**9), well(free_bytes=2 * 10**9 - 1), WARNING),
    (AlertKind.DISK, None, well(free_bytes=5 * 10**8), WARNING),
    (AlertKind.DISK, None, well(free_bytes=5 * 10**8 - 1), CRITICAL),
    (AlertKind.CREDIT, well(credit_usd=1.0), well(credit_usd=0.99), WARNING),
    (AlertKind.CREDIT, None, well(credit_usd=0.1), WARNING),
    (AlertKind.CREDIT, None, well(credit_usd=0.09), CRITICAL),
    (AlertKind.BUDGET, of_rows(committed_usd=3.99), of_rows(committed_usd=4.0), WARNING),
    (AlertKind.BUDGET, None, of_rows(committed_usd=4.99), WARNING),
    (AlertKind.BUDGET, None, of_rows(committed_usd=5.0), CRITICAL),
    (AlertKind.ALIKE, failing(4), failing(5), WARNING),
    (AlertKind.DATABASE, well(writable=True), well(writable=False), CRITICAL),
    (AlertKind.DATABASE, None, well(rows=None), CRITICAL),
    (AlertKind.BACKUP, well(backup_failing=False), well(backup_failing=True), WARNING),
    (
        AlertKind.RESTORED,
        well(restored=Restored(at=NOW - DAY, as_of=0, why="damaged")),
        well(restored=Restored(at=NOW - DAY + 1, as_of=0, why="damaged")),
        CRITICAL,
    ),
    (
        AlertKind.RESTORED, None, well(restored=Restored(at=NOW, as_of=0, why="asked")), WARNING,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "before", "after", "severity"), EDGES)
def test_a_rule_holds_on_one_side_of_its_threshold_and_not_on_the_other(
    kind, before, after, severity
):
    if before is not None:
        assert judge(before) == {}
    assert judge(after) == {kind: severity}


def test_every_kind_has_a_rule_and_both_sides_of_it_are_tried():
    assert {kind for kind, before, *_ in EDGES if before is not None} == set(AlertKind)


def test_nothing_is_wrong_where_all_is_well():
    assert judge(well()) == {}
    assert list_unknown(well(), NOW) == frozenset()


def test_no_budget_at_all_is_a_choice():
    nothing = dataclasses.replace(SETTINGS, day_budget=0.0)
    assert judge(of_rows(committed_usd=3.0), nothing) == {}


def test_figures_tell_what_it_is_and_do_not_change_with_time_alone():
    (alert,) = find_alerts(waiting("overdue", 700), SETTINGS, NOW)
    (later,) = find_alerts(waiting("overdue", 799), SETTINGS, NOW + 99)
    assert alert.figures == later.figures == {"count": 3, "job": "A" * 26}
    assert alert.since == NOW - 700
    (alert,) = find_alerts(failing(7), SETTINGS, NOW)
    assert alert.figures == {"count": 7, "reason": "silent", "job": "J" * 26}
    (alert,) = find_alerts(well(loop_s={"reap": 901.0, "place": 1e4, "x": 1}), SETTINGS, NOW)
    assert alert.figures == {"count": 2, "names": "place, reap"}
    assert alert.since == NOW - 1e4


def test_what_waited_before_this_process_began_is_not_its_fault_yet():
    for name, limit_s in (("unwanted", 300), ("expired", 600), ("webhook", 3600)):
        early = waiting(name, 5 * DAY, uptime_s=limit_s - 1)
        assert judge(early) == {}
        assert len(list_unknown(early, NOW)) == 1
        assert len(judge(waiting(name, 5 * DAY, uptime_s=limit_s))) == 1
        # whoever only looks believes the rows
        assert len(judge(waiting(name, 5 * DAY, uptime_s=None))) == 1
        # and what is over is over at once
        assert list_unknown(waiting(name, 1, uptime_s=1), NOW) == frozenset()


@pytest.mark.parametrize(
    ("readings", "unknown"),
    [
        (well(credit_usd=None), {AlertKind.CREDIT}),
        (well(spared=None), {AlertKind.STRANGERS}),
        (well(strays=None), {AlertKind.DESTROY}),
        (well(free_bytes=None), {AlertKind.DISK}),
        (well(backup_failing=None), {AlertKind.BACKUP}),
        (well(loop_s={}), {AlertKind.LOOP}),
        (well(writable=None), {AlertKind.DATABASE}),
        (well(notifies=False), {AlertKind.CHATS}),
        (well(listing_s=None, uptime_s=299), {AlertKind.LISTING}),
    ],
)
def test_what_cannot_be_told_is_neither_wrong_nor_well(readings, unknown):
    assert judge(readings) == {}
    assert list_unknown(readings, NOW) == unknown


def test_a_database_that_cannot_be_read_hides_its_own_figures_only():
    readings = well(rows=None, free_bytes=1, spared=9)
    assert judge(readings).keys() == {AlertKind.DATABASE, AlertKind.DISK, AlertKind.STRANGERS}
    unknown = list_unknown(readings, NOW)
    assert AlertKind.DATABASE not in unknown
    assert {AlertKind.DESTROY, AlertKind.LISTING, AlertKind.BUDGET} < unknown


# --- memory ----------------------------------------------------------------------------------


class Memory:
    """What is kept, as the loop keeps it."""

    def __init__(self) -> None:
        self.now = NOW
        self.alarms: dict[AlertKind, Alarm] = {}
        self.rings = 0

    def see(self, *alerts, after=0.0, unknown=()):
        self.now += after
        for each in follow_up(self.alarms.values(), alerts, unknown, self.now):
            self.alarms[each.kind] = each
            self.rings += each.rung_at == self.now
        return self

    @property
    def standing(self):
        return {each.kind: each for each in list_standing(self.alarms.values())}


def alert(kind=AlertKind.DESTROY, severity=WARNING, since=NOW, **figures):
    return Alert(kind=kind, severity=severity, since=since, figures=figures)


def test_something_new_rings_once_however_long_it_stays():
    memory = Memory()
    for _ in range(1000):
        memory.see(alert(count=2), after=15)
    assert memory.rings == 1
    assert memory.standing[AlertKind.DESTROY].since == NOW


def test_other_figures_are_kept_and_do_not_ring():
    memory = Memory().see(alert(count=2)).see(alert(count=3, since=NOW + 50), after=15)
    assert memory.rings == 1
    (alarm,) = memory.alarms.values()
    assert (alarm.figures, alarm.since) == ({"count": 3}, NOW)


def test_nothing_is_written_where_nothing_has_changed():
    memory = Memory().see(alert(count=2))
    assert follow_up(memory.alarms.values(), [alert(count=2)], (), NOW + 15) == []
    memory.see(after=15)
    assert follow_up(memory.alarms.values(), [], (), NOW + 30) == []


def test_it_rings_again_when_it_gets_worse():
    memory = Memory().see(alert()).see(alert(severity=CRITICAL), after=1500)
    assert memory.rings == 2
    memory.see(alert(), after=15).see(alert(severity=CRITICAL), after=15)
    assert memory.rings == 2


@pytest.mark.parametrize(
    ("counts", "rings"),
    [
        ((1, 3), 1),
        ((1, 4), 2),
        ((2, 4), 1),
        ((3, 5), 1),
        ((3, 6), 2),
        ((10, 19), 1),
        ((10, 20), 2),
        ((3, 6, 11), 2),
        ((3, 6, 12), 3),
        ((6, 3, 6), 1),  # no more than people were rung for
    ],
)
def test_it_rings_again_where_there_are_many_more_of_it(counts, rings):
    memory = Memory()
    for count in counts:
        memory.see(alert(count=count), after=RING_S)
        memory.see(alert(count=count), after=15)
    assert memory.rings == rings


def test_what_grows_and_grows_rings_once_an_hour_at_most():
    memory = Memory().see(alert(count=1))
    for turn in range(1, 4 * 60):
        memory.see(alert(count=1 + turn * turn * turn), after=60)
    assert memory.rings == 4


def test_what_grew_and_went_back_before_the_hour_was_over_does_not_ring():
    memory = Memory().see(alert(count=1)).see(alert(count=9), after=60)
    memory.see(alert(count=2), after=60).see(alert(count=2), after=RING_S)
    assert memory.rings == 1


def test_each_kind_rings_for_itself():
    memory = Memory().see(alert()).see(alert(), alert(AlertKind.DISK), after=15)
    assert memory.rings == 2


def test_what_flaps_rings_once_an_hour_and_is_told_in_the_end():
    memory = Memory()
    for _ in range(int(RING_S) // 60 - 1):
        memory.see(alert(), after=30).see(after=30)
    assert memory.rings == 1
    # it stays: when the hour is over it is told
    memory.see(alert(), after=1)
    assert memory.rings == 1
    memory.see(alert(), after=RING_S)
    assert memory.rings == 2


def test_a_day_of_flapping_rings_once_an_hour_at_most():
    memory = Memory()
    for turn in range(24 * 60):
        memory.see(alert(severity=CRITICAL if turn % 2 else WARNING), after=30).see(after=30)
    assert memory.rings <= 25


def test_what_is_not_known_stays_as_it_is():
    memory = Memory().see(alert()).see(after=15, unknown={AlertKind.DESTROY})
    assert memory.standing
    memory.see(after=15)
    assert not memory.standing
    assert memory.alarms[AlertKind.DESTROY].ended_at == NOW + 30


def test_the_last_episode_is_all_that_was_wrong_together():
    memory = Memory().see(alert(AlertKind.DISK)).see(after=100)
    memory.see(alert(), after=100).see(alert(), alert(AlertKind.LOOP), after=10)
    memory.see(alert(AlertKind.LOOP), after=10).see(after=10)
    assert not memory.standing
    found = [each.kind for each in find_last_episode(memory.alarms.values())]
    assert found == [AlertKind.DESTROY, AlertKind.LOOP]


# --- readings --------------------------------------------------------------------------------


@pytest.fixture
def roomy(monkeypatch):
    """A disk of the test's own."""
    disk = {"free": 10**11}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, disk["free"]))
    return disk


@pytest.fixture
def looked(rented, roomy):
    """Whose loops have run for long, and who has just listed its machines."""
    for name in ("start", "loop:reap", "loop:notifier", "listing"):
        rented.context.vitals.beat(name)
    return rented


async def rent(house):
    await house.queued()
    await house.tick()
    return house.machine()


async def look(house):
    await house.alarm.tick()
    return {each.kind: each for each in list_standing(house.store.alarms.select())}


async def test_how_many_were_rung_for_outlasts_a_restart(looked):
    house = looked
    (alarm,) = follow_up((), [alert(count=4)], (), house.clock())
    house.store.alarms.save(alarm)
    house.restart()
    assert house.store.alarms.select() == [alarm]
    assert alarm.rung_count == 4


async def test_jobs_that_wait_while_it_is_not_known_what_exists_are_told_of_without_a_machine(
    looked,
):
    house = looked
    instances = house.provider.instances

    async def refuse():
        raise Unclear("no listing")

    house.provider.instances = refuse
    for _ in range(3):
        await house.tick(300)
        assert AlertKind.LISTING not in await look(house)  # nothing is there, and nobody waits
    await house.queued("one.mp4")
    await house.queued("two.mp4")
    await house.tick(15)
    assert house.store.machines.select() == []
    alarm = (await look(house))[AlertKind.LISTING]
    assert alarm.figures == {"count": 0, "waiting": 2}
    assert alarm.rung_at == house.clock()
    house.provider.instances = instances
    await house.tick(15)
    assert AlertKind.LISTING not in await look(house)
    assert house.store.machines.select()


async def test_a_machine_is_unwanted_from_its_end_on_and_not_while_it_works(rented):
    machine = await rent(rented)
    job = rented.controller.jobs()[0]
    rows = rented.controller.readings().rows
    assert (rows.live_machines, rows.open_attempts) == (1, {"assigned": 1})
    rented.store.machines.request_retire(machine.id, "idle")
    rented.clock.advance(50)
    assert rented.controller.readings().rows.unwanted.count == 0
    rented.controller.cancel(job.id, by=Actor(7))
    attempt = rented.store.attempts.open_on(machine.id)
    ended = rented.clock()
    rented.store.attempts.move(
        attempt, AttemptState.CANCELLED, ended_at=ended, reason=Reason.USER, detail=""
    )
    rented.clock.advance(70)
    rows = rented.controller.readings().rows
    assert rows.unwanted == Backlog(count=1, since=ended, first=machine.id)
    assert rows.retiring.count == 0
    machine = rented.store.machines.get(machine.id)
    rented.store.machines.move(machine, MachineState.RETIRING)
    rows = rented.controller.readings().rows
    assert rows.retiring == rows.unwanted


async def test_an_end_that_is_not_proven_is_told_after_five_minutes_and_half_an_hour(looked):
    house = looked
    machine = await rent(house)
    job = house.controller.jobs()[0]
    house.provider.destroy_faults.extend(["lies"] * 1000)
    house.controller.cancel(job.id, by=Actor(7))
    house.runner.cancelled(machine)
    await house.tick()
    house.store.machines.request_retire(machine.id, "idle")
    for _ in range(29):
        await house.tick(10)
    assert AlertKind.DESTROY not in await look(house)
    await house.tick(20)
    found = (await look(house))[AlertKind.DESTROY]
    assert (found.severity, found.figures) == (WARNING, {"count": 1})
    house.clock.advance(1500)
    await house.tick()
    assert (await look(house))[AlertKind.DESTROY].severity is CRITICAL
    house.provider.destroy_faults.clear()
    for _ in range(4):
        await house.tick(15)
    assert not house.store.machines.select()
    assert AlertKind.DESTROY not in await look(house)


async def test_no_complete_listing_is_told_while_machines_exist_also_if_there_never_was_one(
    looked,
):
    house = looked
    await rent(house)
    house.provider.list_faults.extend(["x"] * 100)
    for _ in range(3):
        await house.tick(99)
    assert not await look(house)
    await house.tick(10)
    assert AlertKind.LISTING in await look(house)
    # a process that never saw one: at first it does not know, then it counts from its start
    house.restart()
    house.context.vitals.beat("start")
    house.context.vitals.beat("loop:reap")
    assert AlertKind.LISTING in await look(house)
    assert house.controller.readings().listing_s is None
    house.clock.advance(301)
    house.context.vitals.beat("loop:reap")
    assert house.store.machines.select()
    house.provider.list_faults.clear()
    await house.tick()
    assert AlertKind.LISTING not in await look(house)


async def test_a_stranger_that_cannot_be_ended_is_told_like_a_machine_of_ours(looked):
    house = looked
    label = f"nox1|{house.store.deployment}|{0:026d}|1"
    house.provider.alive["s"] = Instance(id="s", label=label)
    house.provider.destroy_faults.extend(["lies"] * 1000)
    for _ in range(30):
        await house.tick(9.9)
    assert AlertKind.DESTROY not in await look(house)
    await house.tick(10)
    found = (await look(house))[AlertKind.DESTROY]
    assert (found.severity, found.figures) == (WARNING, {"count": 1})
    house.clock.advance(1500)
    await house.tick()
    assert (await look(house))[AlertKind.DESTROY].severity is CRITICAL
    house.provider.destroy_faults.clear()
    for _ in range(3):
        await house.tick(15)
    assert not house.provider.alive
    assert AlertKind.DESTROY not in await look(house)


async def test_strangers_that_are_spared_are_told(looked):
    house = looked
    deployment = house.store.deployment
    for number in range(4):
        label = f"nox1|{deployment}|{number:026d}|zzzzzzz"
        house.provider.alive[f"s{number}"] = Instance(id=f"s{number}", label=label)
    await house.tick()
    vitals = house.context.vitals
    assert (vitals.figure(STRANGERS), vitals.figure(SPARED)) == (4, 4)
    assert (await look(house))[AlertKind.STRANGERS].figures == {"count": 4}
    del house.provider.alive["s0"]
    await house.tick()
    assert (vitals.figure(STRANGERS), vitals.figure(SPARED)) == (3, 0)
    assert not await look(house)


async def test_a_job_past_its_deadline_is_told_with_its_id(looked):
    house = looked
    job = await house.queued()
    house.clock.advance(house.job(job).deadline_at - house.clock() + 599)
    house.context.vitals.beat("loop:reap")
    assert AlertKind.OVERDUE not in await look(house)
    house.clock.advance(1)
    assert (await look(house))[AlertKind.OVERDUE].figures == {"count": 1, "job": job.id}
    await house.prune.tick()
    assert AlertKind.OVERDUE not in await look(house)


async def test_attempts_that_fail_alike_are_counted_by_reason_but_not_the_files_own_faults(rented):
    job = await rented.queued()
    now = rented.clock()
    machine = None
    ends = [(Reason.SILENT, 5), (RunnerReason.NOT_A_VIDEO, 9), (Reason.TIMEOUT, 2)]
    number = 0
    await rented.tick()
    machine = rented.machine()
    for reason, count in ends:
        for _ in range(count):
            number += 1
            rented.store._db.run(
                """INSERT INTO attempts (job, number, machine, state, assigned_at, ended_at,
                     deadline_at, reason)
                   VALUES (:job, :number, :machine, 'lost', :now, :ended, :now, :reason)""",
                job=job.id, number=100 + number, machine=machine.id, now=now,
                ended=now + number, reason=str(reason),
            )  # fmt: skip
    found = rented.controller.readings().rows.failures
    assert [(each.reason, each.count) for each in found] == [("silent", 5), ("timeout", 2)]
    assert found[0].job == job.id
    rented.clock.advance(3700)
    assert rented.controller.readings().rows.failures == ()


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


# --- what is broken --------------------------------------------------------------------------


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


async def test_rows_that_another_process_left_tell_nothing_of_now(looked):
    house = looked
    house.context.vitals.note(CREDIT, 0.5)
    house.provider.credit = None
    assert AlertKind.CREDIT in await look(house)
    other = gauges.Gauges(store=house.store, settings=house.settings, clock=house.clock)
    silent = house.context.vitals.__class__(house.clock)
    assert [each.kind for each in other.judge(silent)] == [AlertKind.CREDIT]
    house.clock.advance(181)
    assert other.judge(silent) == []


async def test_a_restart_keeps_what_stands_and_rings_for_nothing_again(looked):
    house = looked
    house.provider.credit = 0.5
    before = (await look(house))[AlertKind.CREDIT]
    house.provider.credit = None  # the service is silent
    house.restart()
    house.clock.advance(60)
    after = (await look(house))[AlertKind.CREDIT]
    assert after == before


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
