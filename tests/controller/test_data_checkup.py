import os
import shutil

import pytest

from controller.backups import back_up
from controller.data_checkup import examine_data


@pytest.fixture
def settings(house):
    house.change(backup_s=21600.0)
    house.store.close()
    yield house.settings
    house.open()


def levels(settings):
    return {each.name: each.level for each in examine_data(settings)}


def test_a_whole_database_with_a_backup_is_fine(settings, house):
    back_up(settings.database, settings.backups_dir, why="schedule", clock=house.clock)
    assert levels(settings) == {"database": "ok", "backups": "ok"}
    assert "2027-01-15 08:00 UTC" in str(examine_data(settings)[1])


def test_what_is_missing_is_said_with_its_remedy(settings, house):
    assert levels(settings)["backups"] == "warn"
    back_up(settings.database, settings.backups_dir, why="schedule", clock=house.clock)
    later = house.clock() + 5 * 21600
    os.utime(settings.database, (later, later))
    assert levels(settings)["backups"] == "warn"
    with settings.database.open("r+b") as file:
        file.seek(8192)
        file.write(b"x" * 8192)
    found = examine_data(settings)[0]
    assert (found.level, "restores the newest backup" in found.remedy) == ("fail", True)
    shutil.copy(settings.backups_dir / next(settings.backups_dir.iterdir()), settings.database)


def test_an_empty_directory_has_nothing_to_look_at(tmp_path, settings):
    settings.database.rename(tmp_path / "aside.db")
    assert examine_data(settings) == []
    (tmp_path / "aside.db").rename(settings.database)
