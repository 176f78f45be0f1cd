"""The last source that was fetched: the next attempt may be at the same one.

Standard library only.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

#: With less than this left on the disk nothing is kept, bytes.
LEAST_FREE = 2 << 30


class Shelf:
    """One file in a folder of its own; whoever owns the folder removes it in the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._id = ""

    @property
    def _path(self) -> Path:
        return self._folder / "source"

    def find(self, source_id: str, size: int) -> Path | None:
        """The source of that id if it is here, as long as was said (0: not known)."""
        if not source_id or source_id != self._id or not self._path.is_file():
            return None
        there = self._path.stat().st_size
        return self._path if there and size in (0, there) else None

    def keep(self, source_id: str, path: Path) -> Path:
        """Take a file over, in the place of the one before; where it lies now."""
        self.clear()
        if not source_id:
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        self._id = source_id
        return path.rename(self._path)

    def tidy(self) -> None:
        """Between two attempts: no disk is filled by what may never be asked for."""
        if self._id and shutil.disk_usage(self._folder).free < LEAST_FREE:
            log.info("the disk is short: the source is not kept")
            self.clear()

    def clear(self) -> None:
        """Remove what is here."""
        self._id = ""
        shutil.rmtree(self._folder, ignore_errors=True)
