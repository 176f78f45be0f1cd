"""The process around the database: who restores, who only looks, who meets damage at work."""

import asyncio
import shutil
from unittest.mock import patch

import pytest
from filelock import FileLock

from controller.backups import find_backups
from controller.errors import (
    AlreadyRunning,
    DatabaseDamaged,
    DatabaseError,
    DatabaseFull,
    DatabaseReplaced,
)
from controller.loops.backup import Backup
from controller.loops.webhook import Webhook
from controller.recovery import recover
from controller.settings import Settings
from controller.store import Store, snapshots
from controller.wiring import open_controller
from tests.controller.recovery.harms import (
    PAGE,
    asides,
    garbage,
    overwrite_a_page,
    overwrite_the_header,
)


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


async def test_a_start_that_fails_at_its_first_commit_gives_the_directory_back(
    kept, settings, outside
):
    """At once: not when its frames are collected one day."""
    with (
        patch.object(Webhook, "__init__", side_effect=DatabaseFull("no room")),
        pytest.raises(DatabaseFull) as failed,
    ):
        async with open_controller(settings, must_own=True, outside=outside):
            pass
    async with open_controller(settings, must_own=True, outside=outside) as controller:
        assert controller.reconciles
    assert failed.traceback  # they are all there still


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
