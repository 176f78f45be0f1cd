"""Copies of the database: what syncs them to the disk is a call at which the program may die."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from controller.backups import find_backups
from controller.store import snapshots
from controller.store.snapshots import find_damage
from tests.simulation.loop import LIFE


@contextmanager
def simulated_copies() -> Iterator[None]:
    """Whoever is killed while a copy is made tidies nothing up: it stays, half made."""
    sync, remove = snapshots.sync, snapshots._remove

    def sync_at_points(path: Path) -> None:
        process = LIFE.get()
        if process is None:
            sync(path)
            return
        process.point("before disk sync")
        sync(path)
        process.point("after disk sync")

    def remove_alive(path: Path) -> None:
        process = LIFE.get()
        if process is None or process.alive:
            remove(path)

    with (
        patch.object(snapshots, "sync", sync_at_points),
        patch.object(snapshots, "_remove", remove_alive),
    ):
        yield


def find_bad_copies(folder: Path) -> list[str]:
    """Those that have a name that tells of a finished copy, and are not whole."""
    return [each.path.name for each in find_backups(folder) if find_damage(each.path)]


def has_copy_since(folder: Path, at: float) -> bool:
    return any(each.at > at for each in find_backups(folder))
