"""A start or a restoration is killed in the middle: nothing is lost, and nothing is half done."""

import os
from pathlib import Path

import pytest

from controller import backups, recovery
from controller.backups import Why, find_backups, restore
from controller.recovery import recover
from controller.store import Store, snapshots
from controller.store.snapshots import connect, find_damage
from tests.controller.recovery.harms import asides, garbage, read


def connect_once(database):
    with connect(database) as db:
        db.execute("SELECT count(*) FROM meta").fetchone()


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
