"""A restoration that was asked for: the files, and a name of its own."""

import os
import stat

import pytest
import sqlite_utils

from controller.backups import find_backups, restore
from controller.errors import DatabaseError
from controller.migrations import migrations
from controller.records import Actor
from controller.states import AttemptState, JobState, MachineState, Reason
from controller.store.snapshots import connect, find_damage
from tests.controller.recovery.putting_back import HOUR, OUTPUT, asides, put_back, take

# --- files -------------------------------------------------------------------------------------


async def test_the_database_is_as_it_was_and_the_replaced_one_lies_beside_it(house):
    await house.draft("before.mp4")
    backup = take(house)
    await house.draft("after.mp4")
    house.clock.advance(HOUR)
    done = put_back(house, backup, keep=True)
    assert [job.source_name for job in house.store.jobs.select()] == ["before.mp4"]
    assert asides(house) == [done.set_aside] == ["noxfvr.db.replaced-20270115T090000Z"]
    with connect(house.settings.data_dir / done.set_aside) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone()[0] == 2
    assert find_damage(house.settings.database, thorough=True) is None
    assert stat.S_IMODE(house.settings.database.stat().st_mode) == 0o600
    assert backup.exists()
    assert not list(house.settings.data_dir.glob("*.restoring*"))


async def test_a_backup_that_is_not_whole_changes_nothing(house):
    await house.draft()
    backup = take(house)
    damaged = backup.with_name("damaged.db")
    damaged.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    house.store.close()
    for path in (damaged, backup.with_name("none.db")):
        with pytest.raises(DatabaseError):
            restore(path, house.settings.database, keep_deployment=False, clock=house.clock)
    house.open()
    assert asides(house) == []
    assert len(house.store.jobs.select()) == 1


async def test_a_backup_of_a_newer_release_is_refused(house):
    backup = take(house)
    with connect(backup) as db:
        db.execute(
            """INSERT INTO _sqlite_migrations (migration_set, name, applied_at)
               VALUES ('controller', 'm999_future', '')"""
        )
    house.store.close()
    with pytest.raises(DatabaseError, match="newer release"):
        restore(backup, house.settings.database, keep_deployment=True, clock=house.clock)
    house.open()


async def test_a_backup_of_an_older_release_is_brought_up_to_date(house, tmp_path):
    old = tmp_path / "old.db"
    ancient = sqlite_utils.Database(old)
    migrations.apply(ancient, stop_before="m007_chat_house")
    ancient.execute("INSERT INTO meta VALUES ('deployment', 'aaaa1111')")
    ancient.close()
    done = put_back(house, old)
    assert done.was_deployment == "aaaa1111"
    assert house.store.jobs.select() == []
    assert find_backups(house.settings.backups_dir) == []  # a copy of a copy is none


async def test_who_has_the_database_open_keeps_it_from_being_replaced(house):
    backup = take(house)
    await house.draft()
    with pytest.raises(DatabaseError, match="another process has the database open"):
        restore(backup, house.settings.database, keep_deployment=True, clock=house.clock)
    assert len(house.store.jobs.select()) == 1
    await house.draft("another.mp4")
    assert asides(house) == []


async def test_a_file_system_without_links_is_served_by_a_copy(house, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    backup = take(house)
    await house.draft()
    monkeypatch.setattr(os, "link", refuse)
    done = put_back(house, backup, keep=True)
    assert find_damage(house.settings.data_dir / done.set_aside) is None
    assert house.store.jobs.select() == []


# --- a name of its own -------------------------------------------------------------------------


async def test_a_restored_database_has_another_name_and_none_of_the_machines(working):
    old, machine = working.store.deployment, working.machine()
    instance = machine.instance
    backup = take(working)
    done = put_back(working, backup)
    assert done.is_renamed
    assert (done.was_deployment, done.deployment) == (old, working.store.deployment)
    assert (done.machines, done.jobs) == (1, 1)
    assert working.store.machines.select() == []
    row = working.store.machines.get(machine.id)
    assert (row.state, row.retire_reason) == (MachineState.GONE, Reason.RESTORED)
    assert row.disowned_at is not None
    assert row.destroyed_at is None  # no proof is made up
    for _ in range(5):
        await working.tick(30)
    # it lives on, for whom it belongs to
    assert instance in working.provider.alive
    assert working.provider.destroyed == []


async def test_the_job_begins_again_on_a_machine_of_the_new_name_and_its_chat_is_told(working):
    done = put_back(working, take(working))
    job = working.job(working.first)
    assert (job.state, job.not_before) == (JobState.QUEUED, working.clock())
    (lost,) = working.store.attempts.of_job(job.id)
    assert (lost.state, lost.reason) == (AttemptState.LOST, Reason.RESTORED)
    last = [e for e in working.store.events.after(0, 1000) if e.job == job.id][-1]
    assert (last.kind, last.data) == ("retrying", {"reason": "restored", "number": 1})
    await working.tick()
    assert working.machine().label.startswith(f"nox1|{done.deployment}|")
    working.runner.finish(working.machine(), OUTPUT)
    await working.tick(31)
    assert working.job(working.first).state is JobState.DONE
    # it was nobody's fault
    assert working.store.bans.active() == {}


async def test_a_job_that_was_to_be_cancelled_is(working):
    working.controller.cancel(working.first.id, by=Actor(7))
    put_back(working, take(working))
    job = working.job(working.first)
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.USER)
    assert job.ended_at is not None


async def test_money_is_counted_until_the_backup_and_reserved_no_more(working):
    backup = take(working)
    machine = working.machine()
    hours = (working.clock() - machine.created_at) / 3600
    working.clock.advance(5 * HOUR)
    put_back(working, backup)
    spent = working.store.machines.committed_usd(0)
    assert spent == pytest.approx(machine.usd_per_hour * hours + machine.traffic_usd, rel=0.01)
    assert spent < machine.reserved_usd
    assert working.job(working.first).cost_usd == pytest.approx(spent, rel=0.01)


async def test_the_orders_of_a_machine_that_is_none_of_ours_stay(working, monkeypatch):
    # ids hold the time of this computer, and the clock here is ahead of it
    monkeypatch.setattr("controller.loops.prune._OLDEST_MACHINE_S", 1e9)
    machine = working.machine()
    orders = working.settings.storage_dir / "machines" / machine.id / "orders"
    put_back(working, take(working))
    working.clock.advance(2 * HOUR)
    await working.prune.tick()
    assert orders.exists()
