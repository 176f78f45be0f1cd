import asyncio
import contextlib
import dataclasses
import os
import random
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from controller import backups, home, recovery
from controller.backups import Why, back_up, find_backups, last_restoration, restore
from controller.errands import check_deployment, judge_deployment, read_claims
from controller.errors import AlreadyRunning, DatabaseDamaged, DatabaseError, DatabaseReplaced
from controller.loops.backup import Backup
from controller.recovery import recover
from controller.settings import Settings
from controller.store import Store, snapshots
from controller.store.snapshots import connect, find_damage
from controller.wiring import Outside, open_controller
from tests.controller.standins import RentedProvider

PAGE = 4096


def garbage(size):
    return random.Random(7).randbytes(size)


def overwrite_a_page(path):
    # the last but one of a table that has many
    with path.open("r+b") as file:
        file.seek((path.stat().st_size // PAGE - 2) * PAGE)
        file.write(garbage(PAGE))


def overwrite_the_header(path):
    with path.open("r+b") as file:
        file.write(garbage(PAGE))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def empty(path):
    os.truncate(path, 0)


def remove(path):
    path.unlink()


HARMS = [overwrite_a_page, overwrite_the_header, truncate, empty, remove]


@pytest.fixture
def database(tmp_path):
    return tmp_path / "data" / "noxfvr.db"


@pytest.fixture
def kept(database, clock):
    """A database of some size, closed, with a backup; its name."""
    database.parent.mkdir()
    store = Store(database, clock=clock)
    with store.transaction():
        for user in range(200):
            store.preferences.set(user, "language", "x" * 1000)
    name = store.deployment
    back_up(database, database.parent / "backups", why="schedule", clock=clock)
    store.preferences.set(1, "language", "changed since")
    store.close()
    clock.advance(600)
    return name


@pytest.fixture
def outside():
    provider = RentedProvider()

    async def close():
        return None

    provider.close = close
    return Outside(provider=lambda *_, **__: provider)


def read(database, clock):
    store = Store(database, clock=clock)
    found = store.deployment, store.preferences.get(1, "language"), last_restoration(store)
    store.close()
    return found


def connect_once(database):
    with connect(database) as db:
        db.execute("SELECT count(*) FROM meta").fetchone()


def asides(database):
    return sorted(path.name for path in database.parent.glob("noxfvr.db.*-*"))


# --- at the start ------------------------------------------------------------------------------


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


# --- the journal -------------------------------------------------------------------------------


@pytest.fixture
def killed(kept, database, clock, tmp_path):
    """As after kill -9: what was committed last is in the journal alone."""
    store = Store(database, clock=clock)
    for number in range(50):
        store.preferences.set(1, "language", f"number {number}")
    copy = tmp_path / "killed"
    copy.mkdir()
    for path in database.parent.glob("noxfvr.db*"):
        shutil.copy(path, copy / path.name)
    shutil.copytree(database.parent / "backups", copy / "backups")
    store.close()
    (copy / "noxfvr.db-shm").unlink()
    assert (copy / "noxfvr.db-wal").stat().st_size > 50 * PAGE
    return copy / "noxfvr.db"


def test_a_journal_that_a_kill_left_is_read_to_its_end(killed, clock):
    recover(killed, clock=clock)
    assert read(killed, clock)[1:] == ("number 49", None)
    assert asides(killed) == []


def test_a_journal_that_is_garbage_is_set_aside_and_it_is_said(killed, clock, kept, caplog):
    journal = killed.with_name("noxfvr.db-wal")
    journal.write_bytes(garbage(journal.stat().st_size))
    recover(killed, clock=clock)
    name, value, told = read(killed, clock)
    assert name == kept
    assert value == "changed since"  # the file is newer than the backup
    assert (told.why, told.backup) == (Why.JOURNAL, "")
    assert asides(killed) == [told.set_aside]
    assert "newest changes" in caplog.text


def test_frames_of_the_journal_that_are_lost_are_counted(killed, clock):
    journal = killed.with_name("noxfvr.db-wal")
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(garbage(100))
    recover(killed, clock=clock)
    _, value, told = read(killed, clock)
    assert value.startswith("number ")
    assert value != "number 49"
    assert "frames of its journal are damaged" in told.detail
    assert asides(killed) == [told.set_aside]


def test_a_journal_whose_last_commit_was_cut_off_by_a_kill_is_no_loss(killed, clock):
    # the frame is written, and what makes a commit of it is not
    journal = killed.with_name("noxfvr.db-wal")
    os.truncate(journal, journal.stat().st_size - 100)
    recover(killed, clock=clock)
    _, value, told = read(killed, clock)
    assert value in ("number 48", "number 49")
    assert told is None or "frames" in told.detail


# --- killed in the middle ----------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone at this step."""


@pytest.mark.parametrize("owner", [snapshots, recovery, Store])
def test_a_lost_journal_is_told_of_though_the_start_that_noticed_it_was_killed(
    killed, clock, monkeypatch, owner
):
    journal = killed.with_name("noxfvr.db-wal")
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(garbage(100))
    lost = journal.read_bytes()
    name = {snapshots: "find_damage", recovery: "note_restoration", Store: "close"}[owner]

    def die(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(Killed):
            recover(killed, clock=clock)
    connect_once(killed)  # as whoever looks at it meanwhile: the journal is gone
    clock.advance(60)
    recover(killed, clock=clock)
    told = read(killed, clock)[2]
    assert told.why is Why.JOURNAL
    assert "frames of its journal are damaged" in told.detail
    assert asides(killed) == [told.set_aside]
    assert (killed.parent / told.set_aside).read_bytes() == lost
    recover(killed, clock=clock)
    assert read(killed, clock)[2] == told


def damage_the_journal(database):
    journal = database.with_name("noxfvr.db-wal")
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(garbage(100))
    return journal.read_bytes()


async def look_at_status(settings, outside):
    async with open_controller(settings, only_look=True):
        pass


async def look_as_doctor(settings, outside):
    check_deployment(settings)
    judge_deployment(settings)


async def look_for_claims(settings, outside):
    read_claims(settings)


async def look_from_a_copy(settings, outside):
    shutil.copytree(settings.data_dir, copy := settings.data_dir.with_name("copy"))
    async with open_controller(dataclasses.replace(settings, data_dir=copy), outside=outside):
        pass


async def look_beside_the_owner(settings, outside):
    lock = FileLock(settings.data_dir / "noxfvr.lock")
    lock.acquire()
    try:
        async with open_controller(settings, outside=outside):
            pass
    finally:
        lock.release()


@pytest.mark.parametrize(
    "look",
    [look_at_status, look_as_doctor, look_for_claims, look_from_a_copy, look_beside_the_owner],
)
async def test_who_opens_the_database_before_the_owner_leaves_what_tells_of_a_lost_journal(
    killed, clock, outside, look
):
    with contextlib.closing(Store(killed, clock=clock)) as store:
        home.bind(store, killed.parent)
        shutil.copy(killed.with_name("noxfvr.db-wal"), killed.with_name("kept"))
    killed.with_name("kept").replace(killed.with_name("noxfvr.db-wal"))
    lost = damage_the_journal(killed)
    await look(Settings(data_dir=killed.parent), outside)
    recover(killed, clock=clock)
    told = read(killed, clock)[2]
    assert told is not None
    assert told.why is Why.JOURNAL
    assert (killed.parent / told.set_aside).read_bytes() == lost


def test_a_restoration_that_somebody_asked_for_keeps_a_lost_journal_too(killed, clock):
    lost = damage_the_journal(killed)
    (backup,) = find_backups(killed.parent / "backups")
    done = restore(backup.path, killed, keep_deployment=False, clock=clock)
    assert (killed.parent / f"{done.set_aside}-wal").read_bytes() == lost
    assert asides(killed) == [done.set_aside, f"{done.set_aside}-wal"]
    clock.advance(60)
    recover(killed, clock=clock)
    assert read(killed, clock)[2].why is Why.ASKED


def test_a_journal_that_goes_with_a_damaged_file_is_set_aside_with_it(killed, clock):
    journal = killed.with_name("noxfvr.db-wal")
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(garbage(100))
    overwrite_the_header(killed)
    recover(killed, clock=clock)
    told = read(killed, clock)[2]
    assert told.why is Why.DAMAGED
    assert asides(killed) == [told.set_aside, f"{told.set_aside}-wal"]
    recover(killed, clock=clock)
    assert read(killed, clock)[2] == told


@pytest.mark.parametrize("step", range(12))
def test_a_restoration_that_is_killed_leaves_the_old_or_the_new_one_whole(
    kept, database, clock, monkeypatch, step
):
    backup = find_backups(database.parent / "backups")[0].path
    count = 0

    def dying(original):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == step + 1:
                raise Killed
            return original(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "copy_database", dying(snapshots.copy_database))
        patch.setattr(snapshots, "sync", dying(snapshots.sync))
        patch.setattr(backups, "bind", dying(backups.bind))
        patch.setattr(os, "link", dying(os.link))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        try:
            restore(backup, database, keep_deployment=True, clock=clock)
            ended = True
        except Killed:
            ended = False
    assert find_damage(database, thorough=True) is None
    recover(database, clock=clock)
    value = read(database, clock)[1]
    assert value == "x" * 1000 if ended else value in ("x" * 1000, "changed since")
    # no second name of the file that is worked on, and nothing half made
    assert not [name for name in asides(database) if (database.parent / name).samefile(database)]
    assert not list(database.parent.glob("*.restoring*"))


def test_the_steps_at_which_it_is_killed_are_all_there_are(kept, database, clock, monkeypatch):
    backup = find_backups(database.parent / "backups")[0].path
    calls = []
    for owner, name in (
        (snapshots, "copy_database"), (snapshots, "sync"), (backups, "bind"), (os, "link"),
        (Path, "replace"), (Path, "unlink"),
    ):  # fmt: skip
        original = getattr(owner, name)

        def count(*arguments, _original=original, **options):
            calls.append(1)
            return _original(*arguments, **options)

        monkeypatch.setattr(owner, name, count)
    restore(backup, database, keep_deployment=True, clock=clock)
    assert 6 <= len(calls) <= 20


# --- a process around it -----------------------------------------------------------------------


@pytest.fixture
def settings(database):
    return Settings(data_dir=database.parent, poll_s=0.02)


async def test_the_first_process_restores_and_says_so(kept, database, settings, outside):
    overwrite_a_page(database)
    async with open_controller(settings, outside=outside) as controller:
        assert controller.preference(1, "language") == "x" * 1000


async def test_who_only_looks_changes_nothing(kept, database, settings, outside):
    overwrite_the_header(database)
    with pytest.raises(DatabaseError):
        async with open_controller(settings, only_look=True, outside=outside):
            pass
    assert asides(database) == []


async def test_a_start_that_fails_gives_the_directory_back(kept, database, settings, outside):
    shutil.rmtree(database.parent / "backups")
    overwrite_the_header(database)
    for _ in range(2):
        with pytest.raises(DatabaseDamaged):
            async with open_controller(settings, must_own=True, outside=outside):
                pass


async def test_damage_that_is_met_while_running_ends_the_process_and_the_next_start_restores(
    kept, database, settings, outside
):
    async def serve():
        async with open_controller(settings, outside=outside):
            with database.open("r+b") as file:
                file.seek(PAGE)
                file.write(garbage(database.stat().st_size - PAGE))
            await asyncio.Event().wait()  # it is a loop that meets it

    with pytest.raises(DatabaseDamaged, match="the next start restores"):
        async with asyncio.timeout(20):
            await serve()
    async with open_controller(settings, outside=outside) as controller:
        assert controller.preference(1, "language") == "x" * 1000
    assert asides(database)


@pytest.mark.parametrize("change", ["restored", "renamed"])
async def test_who_waits_for_the_directory_does_not_take_over_a_database_of_before(
    kept, database, clock, settings, outside, change
):
    # its loops would take machines that were rented since for nobody's, and destroy them
    first = FileLock(settings.data_dir / "noxfvr.lock")
    first.acquire()

    async def submit():
        async with open_controller(settings, outside=outside) as second:
            assert not second.reconciles
            if change == "restored":
                overwrite_the_header(database)
                recover(database, clock=clock)
            else:
                store = Store(database, clock=clock)
                store.ownership.rename("other123", as_of=clock())
                store.close()
            first.release()
            await asyncio.Event().wait()

    with pytest.raises(DatabaseReplaced, match="start this one again"):
        async with asyncio.timeout(20):
            await submit()
    async with open_controller(settings, outside=outside, must_own=True):
        pass


async def test_a_copy_that_is_not_whole_may_be_the_first_sign(house):
    # all that is read is in memory: no statement meets the damage
    house.change(backup_s=3600.0)
    loop = Backup(house.context)
    house.store.jobs.select()
    with house.settings.database.open("r+b") as file:
        file.seek(PAGE)
        file.write(garbage(house.settings.database.stat().st_size - PAGE))
    house.store.jobs.select()
    house.clock.advance(3600)
    assert await loop.tick() == 0
    assert house.context.vitals.counts("backup_failures") == {"": 1}
    assert find_backups(house.settings.backups_dir) == []
    with pytest.raises(DatabaseDamaged):
        house.store.jobs.select()


async def test_a_copy_that_was_damaged_on_its_way_ends_nothing(house, monkeypatch):
    house.change(backup_s=3600.0)
    loop = Backup(house.context)
    house.clock.advance(3600)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "find_damage", lambda *_, **__: "a page is bad")
        assert await loop.tick() == 0
    assert house.store.damage is None
    house.store.jobs.select()


def test_nothing_more_is_asked_of_a_damaged_file(kept, database, clock):
    store = Store(database, clock=clock)
    calls = []
    store.on_damage(lambda: calls.append(1))
    with database.open("r+b") as file:
        file.seek(PAGE)
        file.write(garbage(database.stat().st_size - PAGE))
    for _ in range(3):
        with pytest.raises(DatabaseDamaged):
            store.preferences.get(1, "language")
        with pytest.raises(DatabaseDamaged), store.transaction():
            pytest.fail("it went on")
    assert calls == [1]
    store.close()


async def test_a_restoration_needs_the_directory_for_itself(kept, database, settings, outside):
    from controller.errands import restore as restore_in

    backup = find_backups(settings.backups_dir)[0].path
    async with open_controller(settings, outside=outside):
        with pytest.raises(AlreadyRunning):
            restore_in(settings, backup, keep_deployment=True)
    done = restore_in(settings, backup, keep_deployment=True)
    assert done.deployment == kept


def test_leftovers_of_a_restoration_are_not_taken_for_something_else(kept, database, clock):
    aside = database.with_name("noxfvr.db.replaced-20270101T000000Z")
    aside.write_bytes(b"an older one")
    second_name = database.with_name("noxfvr.db.replaced-20270102T000000Z")
    os.link(database, second_name)
    database.with_suffix(".restoring").write_bytes(b"half")
    recover(database, clock=clock)
    assert aside.exists()
    assert not second_name.exists()
    assert not database.with_suffix(".restoring").exists()
    assert recovery  # the module under test
