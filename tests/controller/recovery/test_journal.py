"""What a journal holds after a kill is read; what is lost with it is kept, and told once."""

import contextlib
import dataclasses
import os
import shutil

import pytest
from filelock import FileLock

from controller import home
from controller.backups import Why, find_backups, restore
from controller.errands import check_deployment, judge_deployment, read_claims
from controller.recovery import recover
from controller.settings import Settings
from controller.store import Store, journal
from controller.store.snapshots import connect
from controller.wiring import open_controller
from tests.controller.recovery.harms import asides, garbage, overwrite_the_header, read


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


def damage_the_journal(database):
    journal = database.with_name("noxfvr.db-wal")
    with journal.open("r+b") as file:
        file.seek(journal.stat().st_size // 2)
        file.write(garbage(100))
    return journal.read_bytes()


def test_a_loss_is_told_once_and_kept_as_it_was_though_somebody_has_the_journal_open(
    killed, clock
):
    lost = damage_the_journal(killed)
    with connect(killed) as looker:
        looker.execute("SELECT * FROM meta").fetchall()
        recover(killed, clock=clock)
        clock.advance(60)
        value, told = read(killed, clock)[1:]
        assert (told.why, value == "number 49") == (Why.JOURNAL, False)
        store = Store(killed, clock=clock)
        store.preferences.set(1, "language", "after it")
        store.close()
        recover(killed, clock=clock)
        assert read(killed, clock)[1:] == ("after it", told)
        looker.execute("SELECT * FROM meta").fetchall()
    recover(killed, clock=clock)
    assert read(killed, clock)[2] == told
    assert asides(killed) == [told.set_aside]
    assert (killed.parent / told.set_aside).read_bytes() == lost
    assert list(killed.parent.glob("*lost-wal*")) == []


def test_a_journal_that_is_kept_already_outlasts_a_copy_that_fails(killed, monkeypatch, caplog):
    lost = damage_the_journal(killed)
    assert journal.keep_loss(killed)

    def fail(source, target):
        target.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(shutil, "copyfile", fail)
    assert journal.keep_loss(killed)
    assert "is not kept" in caplog.text
    assert [each.read_bytes() for each in killed.parent.glob("*lost-wal*")] == [lost]


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


def test_a_journal_that_is_kept_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "noxfvr.db-wal"
    path.write_bytes(b"frames")
    journal._copy_whole(path, tmp_path / "kept")
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
