"""Where a database is at home: a directory that moves keeps its name, a copy takes another."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest

from controller import home, recovery
from controller.backups import Why, last_restoration
from controller.errands import reap
from controller.errors import DatabaseError
from controller.providers.local import LocalProvider
from controller.store import Store
from controller.wiring import Outside, open_controller
from tests.controller.conftest import House
from tests.controller.recovery.putting_back import put_back, take


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
