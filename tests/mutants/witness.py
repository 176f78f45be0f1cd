"""A plugin of pytest for runs in a copy of the tree: whose code runs, and what failed.

A copy is worth nothing where the tests import the code of the tree it was taken from.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

_PACKAGES = ("bot", "controller", "remote_runner", "tests")


class Witness:
    """Writes down the ids of tests that failed, as soon as they have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self._failed:
            self._failed.append(report.nodeid)
            self._path.write_text(json.dumps(self._failed))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--failed-to", type=Path, help="a file for the ids of tests that failed")


def pytest_configure(config: pytest.Config) -> None:
    for name in _PACKAGES:
        file = importlib.import_module(name).__file__ or ""
        if not Path(file).resolve().is_relative_to(config.rootpath.resolve()):
            raise pytest.UsageError(f"{name} is {file}, which is not in {config.rootpath}")
    path = config.getoption("--failed-to")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Witness(path))
