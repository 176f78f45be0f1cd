import asyncio
import os
import sqlite3 as stdlib_sqlite3
import stat
import threading

import pytest
import sqlite_utils

from controller.backups import Backup, back_up, find_backups, find_surplus, read_contents
from controller.errors import DatabaseError
from controller.loops.backup import Backup as BackupLoop
from controller.migrations import migrations
from controller.store import Store, snapshots
from controller.store.snapshots import connect, find_damage, have_same_content

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def store(tmp_path, clock):
    store = Store(tmp_path / "noxfvr.db", clock=clock)
    yield store
    store.close()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "noxfvr.db"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


def preferences_in(path):
    with connect(path) as db:
        return db.execute("SELECT count(*) FROM preferences").fetchone()[0]


def old_database(path, before="m006_predecessors"):
    """A database as an earlier release left it."""
    db = sqlite_utils.Database(path)
    migrations.apply(db, stop_before=before)
    db.execute("INSERT INTO meta VALUES ('deployment', 'aaaa1111')")
    db.close()


def test_a_copy_is_whole_private_and_named_by_its_moment(store, database, folder, clock):
    store.preferences.set(1, "language", "ru")
    path = back_up(database, folder, why="schedule", clock=clock)
    assert path.name == "noxfvr-20270115T080000Z-schedule.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert find_damage(path, thorough=True) is None
    assert preferences_in(path) == 1
    assert [each.name for each in folder.iterdir()] == [path.name]  # no journal, nothing partial
    (backup,) = find_backups(folder)
    assert (backup.at, backup.why, backup.bytes) == (clock(), "schedule", path.stat().st_size)


def test_a_file_whose_name_is_no_moment_is_no_backup(folder):
    folder.mkdir()
    (folder / "noxfvr-20261399T000000Z-schedule.db").touch()
    assert find_backups(folder) == []


def test_two_copies_of_one_second_have_two_names(store, database, folder, clock):
    paths = [back_up(database, folder, why="schedule", clock=clock) for _ in range(3)]
    assert len(set(paths)) == 3
    assert len(find_backups(folder)) == 3


def test_a_copy_made_under_writes_is_of_one_moment(store, database, folder, clock, monkeypatch):
    # a page at a time: a copy that began anew with every commit would never end
    monkeypatch.setattr(snapshots, "_PAGES_A_STEP", 1)
    with store.transaction():
        for user in range(200, 500):
            store.preferences.set(user, "bulk", "x" * 4000)
    # two rows that every transaction changes together
    ends = threading.Event()

    def write():
        other = Store(database, clock=clock)
        number = 0
        while not ends.is_set():
            number += 1
            with other.transaction():
                other.preferences.set(1, "one", str(number))
                for user in range(100, 130):
                    other.preferences.set(user, f"bulk {number}", "x" * 500)
                other.preferences.set(1, "two", str(number))
        other.close()

    def copy():
        with connect(back_up(database, folder, why="schedule", clock=clock)) as db:
            rows = dict(db.execute("SELECT name, value FROM preferences WHERE user = 1"))
        assert rows.get("one") == rows.get("two")
        return int(rows.get("one", 0))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [copy() for _ in range(5)]
        while seen[-1] == seen[0] and len(seen) < 50:  # the writer may get few turns
            seen.append(copy())
    finally:
        ends.set()
        writer.join()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]  # it was not the copies that waited for the writer to end


def test_what_fails_leaves_nothing_behind(store, database, folder, clock, monkeypatch):
    monkeypatch.setattr(snapshots, "find_damage", lambda *_, **__: "a page is bad")
    with pytest.raises(DatabaseError, match="a page is bad"):
        back_up(database, folder, why="schedule", clock=clock)
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_a_typed_error_and_leaves_nothing(small_disk, store, database, clock):
    store.preferences.set(1, "bulk", "x" * 3_000_000)
    with pytest.raises(DatabaseError, match="cannot be backed up"):
        back_up(database, small_disk / "backups", why="schedule", clock=clock)
    assert list((small_disk / "backups").iterdir()) == []


def test_what_a_kill_left_goes_with_a_later_copy(store, database, folder, clock):
    folder.mkdir()
    young, old = (folder / f"noxfvr-2026010{n}T000000Z-schedule.db.partial" for n in (1, 2))
    for path, age_s in ((young, 60), (old, 2 * HOUR)):
        path.write_bytes(b"half")
        os.utime(path, (clock() - age_s, clock() - age_s))
    back_up(database, folder, why="schedule", clock=clock)
    assert young.exists()  # it may be another process's that copies now
    assert not old.exists()
    assert len(find_backups(folder)) == 1


def make_backups(*ages_s, now=1000 * DAY + 23 * HOUR, size=10):
    return [
        Backup(path=snapshots.Path(f"{age:010.0f}"), at=now - age, why="schedule", bytes=size)
        for age in ages_s
    ], now


def ages_of(backups, now):
    return sorted(now - each.at for each in backups)


def test_the_newest_of_each_day_are_kept_for_two_weeks():
    backups, now = make_backups(*(hours * HOUR for hours in range(0, 24 * 20, 3)))
    kept = set(backups) - set(find_surplus(backups, now=now, max_bytes=10**9))
    per_day = {}
    for each in kept:
        per_day.setdefault(int(each.at // DAY), []).append(each)
    newest_first = [per_day[day] for day in sorted(per_day, reverse=True)]
    assert [len(day) for day in newest_first[:14]] == [3] * 14
    assert max(ages_of(kept, now)) <= 14 * DAY
    assert min(ages_of(kept, now)) == 0


def test_beyond_their_size_the_oldest_go_and_never_the_newest():
    backups, now = make_backups(0, DAY, 2 * DAY, 3 * DAY, size=40)
    assert ages_of(find_surplus(backups, now=now, max_bytes=100), now) == [2 * DAY, 3 * DAY]
    assert ages_of(find_surplus(backups, now=now, max_bytes=1), now) == [DAY, 2 * DAY, 3 * DAY]
    backups, now = make_backups(100 * DAY, 101 * DAY)
    assert ages_of(find_surplus(backups, now=now, max_bytes=100), now) == [101 * DAY]


def test_a_migration_is_preceded_by_a_copy_of_what_was(database, folder, clock):
    old_database(database)
    store = Store(database, clock=clock)
    assert store.deployment == "aaaa1111"
    store.close()
    (backup,) = find_backups(folder)
    assert backup.why == "migration"
    with connect(backup.path) as db:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    assert "jobs" in tables
    assert "batches" not in tables
    Store(database, clock=clock).close()
    assert len(find_backups(folder)) == 1  # nothing was due


def test_a_new_database_is_not_copied(store, folder):
    assert not folder.exists()


def test_a_migration_whose_copy_fails_does_not_start(database, folder, clock):
    old_database(database)
    folder.write_text("in the way")
    with pytest.raises(DatabaseError, match=r"noxfvr\.db is not brought up to date without"):
        Store(database, clock=clock)
    db = sqlite_utils.Database(database)
    assert migrations.pending(db)[0].name == "m006_predecessors"
    db.close()


def test_the_rule_of_gone_machines_is_changed_in_an_old_database_too(database, clock):
    old_database(database, before="m012_disowned_machines")
    store = Store(database, clock=clock)
    store.close()
    with connect(database) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        (rule,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'machines'").fetchone()
        assert "disowned_at IS NOT NULL OR (destroyed_at" in rule
        columns = (
            "(id, label, provider, state, name, usd_per_hour, reserved_usd, created_at, "
            "expires_at, gone_at"
        )
        values = "VALUES ('m', 'l', 'p', 'gone', 'n', 0, 0, 0, 0, 1"
        with pytest.raises(snapshots.sqlite3.IntegrityError):
            db.execute(f"INSERT INTO machines {columns}) {values})")
        db.execute(f"INSERT INTO machines {columns}, disowned_at) {values}, 1)")


def test_contents_are_read_for_people(house, folder, clock):
    path = back_up(house.settings.database, folder, why="schedule", clock=clock)
    assert read_contents(path).jobs == 0
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseError, match="cannot be read"):
        read_contents(path)


def test_a_database_of_somebody_else_is_none_of_ours(tmp_path):
    path = tmp_path / "other.db"
    with stdlib_sqlite3.connect(path) as db:
        db.execute("CREATE TABLE cats (name)")
    db.close()
    assert "no table" in find_damage(path)


# --- the loop ----------------------------------------------------------------------------------


@pytest.fixture
def scheduled(house):
    house.change(backup_s=6 * HOUR, backup_gb=1.0)
    house.backup = BackupLoop(house.context)
    return house


def backups_of(house):
    return find_backups(house.settings.backups_dir)


async def test_a_copy_is_made_every_six_hours_where_something_has_changed(scheduled):
    assert await scheduled.backup.tick() == 0  # it has only just started
    for hours in (1, 5, 6, 12):
        await scheduled.draft(f"{hours}.mp4")
        scheduled.clock.now = 1_800_000_000.0 + hours * HOUR
        assert await scheduled.backup.tick() == (hours != 5 and hours != 6)
    assert len(backups_of(scheduled)) == 2
    assert scheduled.context.vitals.age("backup") is not None


async def test_where_nothing_has_changed_no_second_copy_is_kept(scheduled):
    scheduled.clock.advance(HOUR)
    assert await scheduled.backup.tick() == 1
    scheduled.clock.advance(7 * HOUR)
    assert await scheduled.backup.tick() == 0
    assert len(backups_of(scheduled)) == 1
    scheduled.clock.advance(HOUR)
    assert await scheduled.backup.tick() == 0  # and it is not copied again and again for that
    await scheduled.draft()
    scheduled.clock.advance(6 * HOUR)
    assert await scheduled.backup.tick() == 1


async def test_a_look_at_whether_all_is_well_is_no_change(scheduled):
    scheduled.clock.advance(HOUR)
    await scheduled.alarm.tick()
    assert await scheduled.backup.tick() == 1
    for _ in range(7):
        scheduled.clock.advance(HOUR + 0.123)
        await scheduled.alarm.tick()
    assert await scheduled.backup.tick() == 0
    assert len(backups_of(scheduled)) == 1


async def test_a_restart_makes_no_copy_before_its_time(scheduled):
    scheduled.clock.advance(HOUR)
    await scheduled.backup.tick()
    await scheduled.draft()
    scheduled.restart()
    again = BackupLoop(scheduled.context)
    scheduled.clock.advance(5 * HOUR)
    assert await again.tick() == 0
    scheduled.clock.advance(HOUR)
    assert await again.tick() == 1


async def test_a_copy_of_a_time_to_come_keeps_none_from_being_made(scheduled):
    # the computer's clock was wrong once
    scheduled.clock.advance(400 * DAY)
    assert await scheduled.backup.tick() == 1
    scheduled.clock.advance(-400 * DAY)
    again = BackupLoop(scheduled.context)
    await scheduled.draft()
    scheduled.clock.advance(HOUR)
    assert await again.tick() == 1
    assert await again.tick() == 0
    scheduled.clock.advance(6 * HOUR)
    await scheduled.draft()
    assert await again.tick() == 1


async def test_old_copies_go(scheduled):
    for day in range(18):
        scheduled.store.preferences.set(1, "day", str(day))
        scheduled.clock.advance(DAY)
        await scheduled.backup.tick()
    found = backups_of(scheduled)
    assert found[0].at == scheduled.clock()
    assert scheduled.clock() - found[-1].at <= 14 * DAY
    assert len(found) == 15


def set_aside(house, kind, age_s, ends=("",)):
    base = f"{house.settings.database.name}.{kind}-{snapshots.stamp(house.clock() - age_s)}"
    for end in ends:
        (house.settings.data_dir / (base + end)).write_bytes(b"evidence")
    return [base + end for end in ends]


def find_asides(house):
    return sorted(each.name for each in house.settings.data_dir.glob("noxfvr.db.*-*"))


async def test_the_newest_three_that_were_set_aside_stay_for_thirty_days(scheduled, caplog):
    caplog.set_level("INFO")
    set_aside(scheduled, "damaged", 25 * HOUR, ("", "-wal", "-shm"))
    kept = set_aside(scheduled, "damaged", 3 * HOUR, ("", "-wal"))  # one, with its journal
    kept += set_aside(scheduled, "replaced", 2 * HOUR)
    kept += set_aside(scheduled, "damaged", HOUR, ("-wal",))
    mine = scheduled.settings.data_dir / "noxfvr.db.damaged-copied-by-hand"
    mine.touch()
    await scheduled.backup.tick()
    assert find_asides(scheduled) == sorted([*kept, mine.name])
    assert caplog.text.count("is removed") == 3
    scheduled.clock.advance(30 * DAY - 90 * 60)
    await scheduled.backup.tick()
    assert find_asides(scheduled) == sorted([*kept[-1:], mine.name])
    scheduled.clock.advance(2 * HOUR)
    await scheduled.backup.tick()
    assert find_asides(scheduled) == sorted([*kept[-1:], mine.name])  # the newest one stays


async def test_what_was_set_aside_in_a_time_to_come_is_no_newer(scheduled):
    kept = [set_aside(scheduled, "damaged", hours * HOUR)[0] for hours in (1, 2, 3)]
    set_aside(scheduled, "damaged", -400 * DAY)
    await scheduled.backup.tick()
    assert find_asides(scheduled) == sorted(kept)


async def test_what_cannot_be_removed_keeps_no_copy_from_being_made(scheduled, caplog):
    set_aside(scheduled, "replaced", HOUR)
    (name,) = set_aside(scheduled, "damaged", 31 * DAY)
    path = scheduled.settings.data_dir / name
    path.unlink()
    path.mkdir()
    scheduled.clock.advance(HOUR)
    assert await scheduled.backup.tick() == 1
    assert "stays for now" in caplog.text


async def test_a_copy_that_fails_is_counted_and_tried_again_and_stops_nothing(scheduled, caplog):
    scheduled.clock.advance(HOUR)
    scheduled.settings.backups_dir.write_text("in the way")
    assert await scheduled.backup.tick() == 0
    assert scheduled.context.vitals.counts("backup_failures") == {"": 1}
    assert scheduled.context.vitals.age("backup") is None
    assert "not backed up" in caplog.text
    scheduled.settings.backups_dir.unlink()
    assert await scheduled.backup.tick() == 0  # not at once
    scheduled.clock.advance(901)
    assert await scheduled.backup.tick() == 1


async def test_who_switches_it_off_gets_none(house):
    loop = BackupLoop(house.context)
    house.clock.advance(30 * DAY)
    assert await loop.tick() == 0
    assert not house.settings.backups_dir.exists()


async def test_the_event_loop_goes_on_committing_while_a_copy_is_made(scheduled):
    with scheduled.store.transaction():
        for user in range(2000):
            scheduled.store.preferences.set(user, "bulk", "x" * 10_000)
    scheduled.clock.advance(HOUR)
    copying = asyncio.create_task(scheduled.backup.tick())
    commits = 0
    while not copying.done():
        scheduled.store.preferences.set(1, "language", str(commits))
        commits += 1
        await asyncio.sleep(0)
    assert await copying == 1
    assert commits > 5
    assert find_damage(backups_of(scheduled)[0].path) is None


def test_equal_copies_are_told_from_others(store, database, folder, clock):
    one = back_up(database, folder, why="schedule", clock=clock)
    two = back_up(database, folder, why="schedule", clock=clock)
    store.preferences.set(1, "language", "ru")
    three = back_up(database, folder, why="schedule", clock=clock)
    assert have_same_content(one, two)
    assert not have_same_content(one, three)
