"""Short ways to back a house up and to go back to that."""

from controller.backups import back_up, restore
from tests.controller.conftest import video

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


def asides(house):
    return sorted(p.name for p in house.settings.data_dir.glob("noxfvr.db.*-*"))
