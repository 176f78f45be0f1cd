import dataclasses
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import sqlite_utils

from controller import home, recovery
from controller.backups import Why, back_up, find_backups, last_restoration, restore
from controller.errands import reap
from controller.errors import DatabaseError
from controller.migrations import migrations
from controller.providers.local import LocalProvider
from controller.records import Actor
from controller.states import AttemptState, JobState, MachineState, Reason
from controller.store import Store
from controller.store.snapshots import connect, find_damage
from controller.wiring import Outside, open_controller
from remote_runner.protocol import Reason as RunnerReason
from tests.controller.conftest import House, video

HOUR = 3600.0
OUTPUT = video(width=640, height=360)


def take(house):
    """A backup of the house as it is."""
    database, folder = house.settings.database, house.settings.backups_dir
    return back_up(database, folder, why="schedule", clock=house.clock)


def put_back(house, backup, *, keep=False):
    """Restore while nothing runs, and start again."""
    house.store.close()
    done = restore(backup, house.settings.database, keep_deployment=keep, clock=house.clock)
    house.open()
    return done


@pytest.fixture
async def working(rented):
    """A job at work on a rented machine, and another one in the queue."""
    rented.change(max_machines=1)
    rented.first = await rented.queued("first.mp4")
    await rented.tick()
    rented.second = await rented.queued("second.mp4")
    await rented.tick()
    rented.runner.heartbeat(rented.machine())
    await rented.tick()
    assert rented.job(rented.first).state is JobState.RUNNING
    return rented


def asides(house):
    return sorted(p.name for p in house.settings.data_dir.glob("noxfvr.db.*-*"))


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


# --- the same name ------------------------------------------------------------------------------


async def test_a_kept_name_keeps_its_machines_and_their_work_goes_on(working):
    backup, instance = take(working), working.machine().instance
    done = put_back(working, backup, keep=True)
    assert not done.is_renamed
    assert working.machine().instance == instance
    await working.tick()
    working.runner.finish(working.machine(), OUTPUT)
    await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


async def test_a_machine_that_was_rented_since_is_ended_within_five_minutes(rented):
    backup = take(rented)
    await rented.queued()
    await rented.tick()
    (instance,) = rented.provider.alive
    put_back(rented, backup, keep=True)
    began = rented.clock()
    while instance in rented.provider.alive:
        await rented.tick(10)
        assert rented.clock() - began <= 300
    assert rented.store.machines.select() == []


async def test_a_result_that_came_since_is_found_where_it_lies(working):
    backup = take(working)
    working.runner.finish(working.machine(), OUTPUT)
    await working.tick(31)
    assert working.job(working.first).state is JobState.DONE
    put_back(working, backup, keep=True)
    assert working.job(working.first).state is JobState.RUNNING
    await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert (working.settings.storage_dir / job.output_key).read_bytes() == OUTPUT


async def test_a_result_is_found_also_where_its_machine_has_gone_since(working):
    backup = take(working)
    working.runner.finish(working.machine(), OUTPUT)
    working.provider.alive.clear()
    put_back(working, backup, keep=True)
    for _ in range(20):
        await working.tick(31)
    job = working.job(working.first)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


async def test_a_failure_that_a_lost_attempt_left_does_not_end_the_one_of_its_number(rented):
    job = await rented.queued()
    backup = take(rented)
    await rented.tick()
    rented.runner.heartbeat(rented.machine())
    rented.runner.fail(rented.machine(), RunnerReason.INTERNAL)
    put_back(rented, backup, keep=True)
    rented.provider.alive.clear()
    await rented.tick()
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.RUNNING, 1)
    rented.runner.heartbeat(rented.machine())
    for _ in range(3):
        await rented.tick(31)
        rented.runner.heartbeat(rented.machine())
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.RUNNING, 1)


async def test_a_result_that_a_lost_attempt_left_is_taken(rented):
    job = await rented.queued()
    backup = take(rented)
    await rented.tick()
    rented.runner.finish(rented.machine(), OUTPUT)
    put_back(rented, backup, keep=True)
    for _ in range(3):
        await rented.tick(31)
    assert (rented.job(job).state, rented.job(job).attempts) == (JobState.DONE, 1)


async def test_a_machine_obeys_orders_of_a_database_that_went_back(working):
    backup = take(working)
    for _ in range(5):
        working.store.machines.next_orders(working.machine().id)
    newest = working.machine().orders_sequence
    put_back(working, backup, keep=True)
    await working.tick()
    assert working.runner.orders(working.machine()).sequence > newest


@pytest.mark.parametrize("keep", [False, True])
async def test_numbers_of_events_never_come_again(working, keep):
    # a receiver of the webhook knows a repeat by the number
    backup, known = take(working), working.store.events.newest()
    await working.queued("lost.mp4")
    lost = working.store.events.newest()
    put_back(working, backup, keep=keep)
    await working.queued("another.mp4")
    new = [event.id for event in working.store.events.after(known, 1000)]
    assert new
    assert min(new) > lost


async def test_numbers_of_events_never_come_again_where_there_were_none(house):
    backup = take(house)
    await house.queued()
    lost = house.store.events.newest()
    put_back(house, backup, keep=True)
    await house.queued("another.mp4")
    assert all(event.id > lost for event in house.store.events.after(0, 1000))


# --- what Telegram holds -----------------------------------------------------------------------


async def test_what_telegram_still_holds_is_asked_for_and_nothing_is_handled_twice(house):
    store = house.store
    store.inbox.add([(5, "five"), (6, "six")])
    for update in (5, 6):
        store.inbox.set_handled(update)
    backup = take(house)
    store.inbox.add([(7, "seven")])  # confirmed by the next request, or not any more
    put_back(house, backup, keep=True)
    assert house.store.inbox.offset() is None  # everything that was not confirmed
    house.store.inbox.add([(6, "six"), (7, "seven"), (8, "eight")])
    assert [update.id for update in house.store.inbox.pending(10)] == [7, 8]
    assert house.store.inbox.offset() == 9


# --- where it is at home -----------------------------------------------------------------------


def settle(house, *, keep=False):
    recovery.settle_home(
        house.store, house.settings.data_dir, keep_deployment=keep, now=house.clock()
    )
    return house.store.deployment


def start_in(folder, house):
    """Another start of the same files, wherever they are now."""
    other = House(folder, house.clock, house.provider)
    name = settle(other)
    other.store.close()
    return name


async def test_a_directory_that_stays_keeps_its_name(house):
    name = house.store.deployment
    assert [settle(house) for _ in range(3)] == [name] * 3
    house.restart()
    assert settle(house) == name
    assert last_restoration(house.store) is None


async def test_a_directory_that_is_renamed_keeps_its_name(house, tmp_path):
    name = settle(house)
    house.store.close()
    house.settings.data_dir.rename(tmp_path / "elsewhere")
    assert start_in(tmp_path / "elsewhere", house) == name
    assert start_in(tmp_path / "elsewhere", house) == name


async def test_a_directory_that_is_moved_to_another_disk_keeps_its_name(
    house, tmp_path, small_disk, monkeypatch
):
    monkeypatch.setattr(home, "_read_host", lambda: "this-host")
    name = settle(house)
    house.store.close()
    shutil.move(house.settings.data_dir, small_disk / "data")
    assert start_in(small_disk / "data", house) == name


async def test_a_directory_that_left_a_link_to_itself_keeps_its_name(house, tmp_path, monkeypatch):
    # what makes room: move it to a larger disk, and a link to it in its old place
    monkeypatch.setattr(home, "_read_host", lambda: "this-host")
    name = settle(house)
    house.store.close()
    before = house.settings.data_dir
    before.rename(tmp_path / "larger")
    before.symlink_to(tmp_path / "larger")
    assert start_in(tmp_path / "larger", house) == name


@pytest.mark.parametrize("harm", ["damaged", "closed"])
async def test_a_copy_whose_original_cannot_be_looked_at_takes_another_name(
    house, tmp_path, monkeypatch, harm
):
    # on one computer: that it cannot be read does not say that it is gone
    monkeypatch.setattr(home, "_read_host", lambda: "this-host")
    name = settle(house)
    house.store.close()
    original = house.settings.data_dir
    shutil.copytree(original, tmp_path / "copy")
    if harm == "damaged":
        (original / "noxfvr.db").write_bytes(b"damaged " * 1000)
    else:

        def refuse(path, other):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "samefile", refuse)
    assert start_in(tmp_path / "copy", house) != name


async def test_a_copy_that_cannot_be_marked_does_not_start_under_the_name(
    house, tmp_path, monkeypatch
):
    # the database alone was copied, and that filled the disk up
    name = settle(house)
    house.store.close()
    (tmp_path / "copy").mkdir()
    shutil.copy(house.settings.database, tmp_path / "copy")
    with monkeypatch.context() as patch:

        def refuse(*_, **__):
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "write_text", refuse)
        with pytest.raises(DatabaseError, match="No space left"):
            start_in(tmp_path / "copy", house)
    assert start_in(tmp_path / "copy", house) != name


async def test_a_copy_beside_its_original_takes_another_name_and_the_original_keeps_its(
    working, tmp_path
):
    name, instance = settle(working), working.machine().instance
    working.store.close()
    shutil.copytree(working.settings.data_dir, tmp_path / "copy")
    other = House(tmp_path / "copy", working.clock, working.provider)
    theirs = settle(other)
    other.restart()  # nothing is made of the name before it is settled
    assert theirs != name
    noted = last_restoration(other.store)
    assert (noted.why, noted.was_deployment, noted.machines) == (Why.COPIED, name, 1)
    for _ in range(5):
        await other.tick(30)
    assert instance in working.provider.alive
    other.store.close()
    working.open()
    assert settle(working) == name


async def test_a_copy_whose_database_was_copied_in_the_middle_takes_another_name_too(
    house, tmp_path, clock
):
    name = settle(house)
    take(house)
    house.store.close()
    copy = tmp_path / "copy"
    shutil.copytree(house.settings.data_dir, copy)
    os.truncate(copy / "noxfvr.db", 40960)
    recovery.recover(copy / "noxfvr.db", clock=clock)
    assert start_in(copy, house) != name
    house.open()


@pytest.mark.parametrize("host", ["another-host", ""])
async def test_a_copy_on_another_computer_or_volume_takes_another_name(
    house, tmp_path, monkeypatch, host, caplog
):
    name = settle(house)
    house.store.close()
    house.settings.data_dir.rename(tmp_path / "original")
    # as from a disk of its own: nothing is left of the original but its files
    shutil.copytree(tmp_path / "original", tmp_path / "data")
    shutil.rmtree(tmp_path / "original")
    monkeypatch.setattr(home, "_read_host", lambda: host)
    theirs = start_in(tmp_path / "data", house)
    assert theirs != name
    assert f"noxfvr reap --deployment {name}" in caplog.text
    assert start_in(tmp_path / "data", house) == theirs


async def test_who_says_so_keeps_the_name_of_a_copy(house, tmp_path):
    name = settle(house)
    house.store.close()
    shutil.copytree(house.settings.data_dir, tmp_path / "copy")
    other = House(tmp_path / "copy", house.clock, house.provider)
    assert settle(other, keep=True) == name
    other.store.close()


async def test_a_volume_in_a_container_keeps_its_name_though_the_container_is_new(
    house, monkeypatch
):
    monkeypatch.setattr(home, "_read_host", lambda: "")
    name = settle(house)
    house.restart()
    assert settle(house) == name


@pytest.mark.parametrize("keep", [False, True])
async def test_a_start_settles_the_name_before_anything_is_made_of_it(house, tmp_path, keep):
    name = settle(house)
    house.store.close()
    shutil.copytree(house.settings.data_dir, tmp_path / "copy")
    settings = dataclasses.replace(house.settings, data_dir=tmp_path / "copy")
    given = []

    def build(settings, *, deployment, clock):
        given.append(deployment)
        return LocalProvider(
            deployment=deployment, logs_dir=settings.logs_dir, work_dir=settings.work_dir
        )

    async with open_controller(
        settings, keep_deployment=keep, outside=Outside(provider=build)
    ) as controller:
        assert given == [controller._store.deployment]
    assert (given[0] == name) == keep
    house.open()


async def test_the_reaper_in_a_copy_asks_whose_machines_are_meant(house, tmp_path):
    settle(house)
    shutil.copytree(house.settings.data_dir, tmp_path / "copy")
    settings = dataclasses.replace(house.settings, data_dir=tmp_path / "copy", provider="vast")
    with pytest.raises(DatabaseError, match="--deployment"):
        await reap(settings, deployment=None, dry_run=True)


def test_a_start_in_the_known_place_writes_nothing(tmp_path, clock):
    folder = tmp_path / "data"
    folder.mkdir()
    store = Store(folder / "noxfvr.db", clock=clock)
    home.bind(store, folder)
    commits = []
    store.on_commit(lambda: commits.append(1))
    recovery.settle_home(store, folder, keep_deployment=False, now=clock())
    store.close()
    assert commits == []


# --- a directory of a newer release ------------------------------------------------------------


def add_to_note(store, name, **more):
    store.note(name, json.dumps(json.loads(store.recall(name)) | more))


async def test_what_a_newer_release_noted_beside_what_is_known_here_is_passed_over(
    house, tmp_path, monkeypatch
):
    monkeypatch.setattr(home, "_read_host", lambda: "this-host")
    home.bind(house.store, house.settings.data_dir)
    backup = take(house)
    put_back(house, backup, keep=True)
    add_to_note(house.store, "home", volume="a newer thing")
    add_to_note(house.store, "restoration", asked_by="a newer thing")
    assert home.find_strangeness(house.store, house.settings.data_dir) is None
    assert last_restoration(house.store).backup == backup.name
    home.bind(house.store, house.settings.data_dir)
    assert "a newer thing" not in house.store.recall("home")


async def test_a_restoration_for_a_reason_of_a_newer_release_is_none_that_can_be_told_of(house):
    backup = take(house)
    put_back(house, backup, keep=True)
    add_to_note(house.store, "restoration", why="replicated")
    assert last_restoration(house.store) is None
    assert house.controller.readings().restored is None
