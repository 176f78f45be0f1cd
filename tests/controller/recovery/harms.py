"""What can happen to the file of a database, and what is in it and beside it afterwards."""

import os
import random

from controller.backups import last_restoration
from controller.store import Store

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


def read(database, clock):
    store = Store(database, clock=clock)
    found = store.deployment, store.preferences.get(1, "language"), last_restoration(store)
    store.close()
    return found


def asides(database):
    return sorted(path.name for path in database.parent.glob("noxfvr.db.*-*"))
