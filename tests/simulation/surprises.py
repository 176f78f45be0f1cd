"""Errors that the program met and did not foresee: each is a finding."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from sqlite_utils.utils import sqlite3

from controller.errors import DatabaseReplaced, NotStored
from controller.probe import ProbeError
from tests.simulation.loop import LIFE
from tests.simulation.process import is_death

#: SQLite's codes for a disk that cannot be written, or is full: whoever meets one may say so.
_OF_THE_DISK = (10, 13)
#: So long after a disk has failed somebody may still tell of it.
_RECENT_S = 300.0
#: Of a storage that does not show, or give, what was just written, and who says so: the update is
#: tried again.
_FORESEEN = {"bot.feed.inbox": (ProbeError, NotStored)}


class Surprises(logging.Handler):
    """Notes one line for each. A handler of the root logger while the run goes on."""

    def __init__(self, world) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the context is open; whoever listens otherwise hears nothing of it."""
        root = logging.getLogger()
        others, root.handlers = root.handlers, [self]
        try:
            yield
        finally:
            root.handlers = others

    def emit(self, record: logging.LogRecord) -> None:
        process = LIFE.get()
        if process is not None and not process.alive:
            return
        error = record.exc_info[1] if record.exc_info else None
        if error is None and record.name != "asyncio":
            return  # an error that is told without a trace was foreseen
        if not isinstance(error, _FORESEEN.get(record.name, ())):
            self.note(record.getMessage(), error)

    def note(self, text: str, error: BaseException | None) -> None:
        """An error that came where none was foreseen; none where it is the disk's, or a death."""
        if is_death(error) or is_of_the_disk(error, self._world):
            return
        where = ""
        if error is not None:
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if ("/tests/" not in f.filename and "/bot/" in f.filename)
                    or "/controller/" in f.filename]  # fmt: skip
            place = (ours or frames or [None])[-1]
            where = f" at {place.filename.rpartition('/')[2]}:{place.lineno}" if place else ""
        line = f"{text[:200]}: {error!r}{where}"
        if self._world.keeps_traces and error is not None:
            self._world.story.extend("".join(traceback.format_exception(error)).splitlines()[-30:])
        self._world.invariants.note(10, line)


def is_of_the_disk(error: BaseException | None, world) -> bool:
    """Whether it is, or was caused by, what a disk that fails says."""
    if isinstance(error, DatabaseReplaced):
        # whoever worked here before it has put a good copy in the place of a bad one
        return bool(world.computer.replaced)
    if world.now() - world.disk.failed_at > _RECENT_S:
        return False
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return all(is_of_the_disk(each, world) for each in error.exceptions)
        if isinstance(error, sqlite3.Error):
            return getattr(error, "sqlite_errorcode", 0) in _OF_THE_DISK
        error = error.__cause__
    return False
