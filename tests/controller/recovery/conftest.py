"""Databases that were at work and have a backup."""

import shutil

import pytest

from controller.backups import back_up
from controller.states import JobState
from controller.store import Store
from controller.wiring import Outside
from tests.controller.recovery.harms import PAGE
from tests.controller.standins import RentedProvider


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
