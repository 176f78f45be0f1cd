"""Houses of which nothing is to be told yet."""

import shutil
from collections import namedtuple

import pytest

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def roomy(monkeypatch):
    """A disk of the test's own."""
    disk = {"free": 10**11}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, disk["free"]))
    return disk


@pytest.fixture
def looked(rented, roomy):
    """Whose loops have run for long, and who has just listed its machines."""
    for name in ("start", "loop:reap", "loop:notifier", "listing"):
        rented.context.vitals.beat(name)
    return rented
