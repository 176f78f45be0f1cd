"""A stage whose disk is as full as a test wants it."""

import shutil
from collections import namedtuple

import pytest

from tests.bot.stage import Stage

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def disk(monkeypatch):
    """How much is free; nearly nothing is the trouble that these tests make."""
    found = {"free": 10**11}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, found["free"]))
    return found


@pytest.fixture
def stage(house, bot_settings, disk):
    return Stage(house, bot_settings)
