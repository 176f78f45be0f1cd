"""A start looks at the file, and puts the newest whole backup in the place of a damaged one."""

import shutil

import pytest

from controller.backups import Why, back_up, find_backups
from controller.errors import DatabaseDamaged, DatabaseError
from controller.recovery import recover
from controller.store import Store, snapshots
from controller.store.snapshots import connect, find_damage
from tests.controller.recovery.harms import (
    HARMS,
    asides,
    overwrite_a_page,
    overwrite_the_header,
    read,
    remove,
    truncate,
)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_moved_aside_and_the_newest_backup_takes_its_place(
    kept, database, clock, harm, caplog
):
    harm(database)
    damaged = database.read_bytes() if database.exists() else b""
    recover(database, clock=clock)
    name, value, told = read(database, clock)
    assert name == kept
    assert value == "x" * 1000
    assert (told.why, told.is_renamed, told.at) == (Why.DAMAGED, False, clock())
    assert told.as_of == clock() - 600
    assert told.detail
    assert "is restored from noxfvr-" in caplog.text
    assert find_damage(database, thorough=True) is None
    if harm is remove:
        assert told.set_aside == ""
    else:
        assert asides(database) == [told.set_aside]
        assert (database.parent / told.set_aside).read_bytes() == damaged


@pytest.mark.parametrize("harm", [overwrite_a_page, overwrite_the_header, truncate])
def test_without_a_backup_nothing_is_changed_and_the_remedy_is_named(kept, database, clock, harm):
    shutil.rmtree(database.parent / "backups")
    harm(database)
    damaged = database.read_bytes()
    with pytest.raises(DatabaseDamaged, match=r"noxfvr restore FILE.*move .* away"):
        recover(database, clock=clock)
    assert database.read_bytes() == damaged
    assert asides(database) == []


@pytest.mark.parametrize("step", ["copy_database", "sync"])
def test_a_disk_that_is_full_makes_no_backup_bad(kept, database, clock, monkeypatch, step):
    # an older one that is smaller would fit, and nobody would know what was lost with that
    newest = find_backups(database.parent / "backups")[0].path
    shutil.copy(newest, newest.with_name("noxfvr-20200101T000000Z-schedule.db"))
    overwrite_the_header(database)
    damaged = database.read_bytes()
    original = getattr(snapshots, step)
    calls = []

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, step, fail_once)
        with pytest.raises(DatabaseError, match="No space left") as caught:
            recover(database, clock=clock)
    assert newest.name in str(caught.value)
    assert database.read_bytes() == damaged
    recover(database, clock=clock)
    assert read(database, clock)[2].backup == newest.name


def test_a_backup_of_a_time_to_come_is_the_last_resort(kept, database, clock):
    # the computer's clock was wrong when it was made
    newest = find_backups(database.parent / "backups")[0].path
    later = newest.with_name("noxfvr-20400101T000000Z-schedule.db")
    shutil.copy(newest, later)
    for backup in (newest, later):
        overwrite_the_header(database)
        recover(database, clock=clock)
        assert read(database, clock)[2].backup == backup.name
        newest.unlink(missing_ok=True)


def test_a_backup_that_is_damaged_too_is_passed_over(kept, database, clock, caplog):
    store = Store(database, clock=clock)
    newer = back_up(database, database.parent / "backups", why="schedule", clock=clock)
    store.close()
    for path in (database, newer):
        overwrite_a_page(path)
    recover(database, clock=clock)
    assert read(database, clock)[1] == "x" * 1000
    assert f"{newer.name} is of no use" in caplog.text


def test_a_whole_file_is_left_as_it_is(kept, database, clock):
    recover(database, clock=clock)
    assert read(database, clock) == (kept, "changed since", None)
    assert asides(database) == []


def test_a_first_start_and_one_that_was_killed_in_its_first_step_are_no_damage(tmp_path, clock):
    database = tmp_path / "noxfvr.db"
    recover(database, clock=clock)
    assert not database.exists()
    snapshots.sqlite3.connect(database).close()
    recover(database, clock=clock)
    with snapshots.sqlite3.connect(database) as db:
        db.execute("CREATE TABLE _sqlite_migrations (id INTEGER, migration_set TEXT, name TEXT)")
    db.close()
    recover(database, clock=clock)


def test_what_cannot_be_read_at_all_is_not_taken_for_damaged(kept, database, clock):
    database.rename(database.with_name("moved.db"))
    database.mkdir()
    with pytest.raises(DatabaseError) as caught:
        recover(database, clock=clock)
    assert not isinstance(caught.value, DatabaseDamaged)
    assert database.is_dir()


def test_a_check_that_takes_too_long_is_broken_off_and_found_nothing(kept, database):
    assert find_damage(database, within_s=-1) is None
    assert find_damage(database, within_s=60) is None
    overwrite_a_page(database)
    assert find_damage(database, within_s=60) is not None


def test_a_row_without_the_one_it_refers_to_is_damage(kept, database):
    with connect(database) as db:
        db.execute("INSERT INTO events (at, job, kind, data) VALUES (0, 'none', 'queued', '{}')")
    assert "events refers to none of jobs" in find_damage(database)
