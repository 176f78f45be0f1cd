"""Watches the logs of a whole test run: no token and no signed address may be in them.

Two nets: what code of this process logs is looked at as it is said, before any redaction, and
fails the test that was running; log files of processes are looked at when the run ends.
"""

import logging
import re
from pathlib import Path

import pytest

#: Bot tokens, also in an address, and what makes a presigned URL worth stealing.
SECRETS = re.compile(
    r"(?<!\d)\d{1,12}:[A-Za-z0-9_-]{30,}|X-Amz-(?:Signature|Credential)=[^*\s]|/[ud]/[\w-]{20,}"
)
_WATCHED = ("bot", "controller", "remote_runner", "aiogram", "aiohttp", "asyncio", "__main__")
_LOG_FOLDERS = ("logs", "log")


class Watcher(logging.Handler):
    """Keeps lines that hold what no log may hold."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.found: list[str] = []
        self.lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        text = self.format(record)
        if SECRETS.search(text):
            self.found.append(text)


WATCHER = Watcher()


def pytest_configure(config):
    _listen()


@pytest.fixture(autouse=True)
def secret_free_log():
    """No test may log a secret; what another one has changed of the loggers is put right."""
    _listen()
    WATCHER.found.clear()
    yield
    found = list(WATCHER.found)
    assert not found, "secrets in the log:\n" + "\n".join(found)


def pytest_sessionfinish(session, exitstatus):
    factory = getattr(session.config, "_tmp_path_factory", None)
    if factory is None:
        return
    leaks = find_leaks(factory.getbasetemp())
    if leaks:
        session.config.get_terminal_writer().line("\nsecrets in log files:\n" + "\n".join(leaks))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def find_leaks(root: Path) -> list[str]:
    """``path:line number`` of every line of a log file below a folder that holds a secret."""
    leaks = []
    for path in sorted(root.rglob("*")):
        is_log = path.suffix == ".log" or path.parent.name in _LOG_FOLDERS
        if not (is_log and path.is_file()):
            continue
        lines = path.read_text("utf-8", errors="replace").splitlines()
        leaks += [f"{path}:{at}" for at, line in enumerate(lines, 1) if SECRETS.search(line)]
    return leaks


def _listen() -> None:
    logging.getLogger().addHandler(WATCHER)  # does nothing where it is there
    for name in _WATCHED:
        logging.getLogger(name).setLevel(logging.INFO)
