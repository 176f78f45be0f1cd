"""Published weights that the operator's storage holds as well: ``models/<file name>``.

A machine asks there first, so that a release that moves or a slow network costs nothing. Trouble
with it never fails a job: the runner goes to where the files were published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from controller.errors import StorageError
from controller.model_names import PUBLISHED
from controller.storage.base import Storage

log = logging.getLogger(__name__)

PREFIX = "models/"
_KEEP_S = 300.0
_RETRY_S = 60.0


class Mirror:
    """Which published files are there, as far as was seen lately."""

    def __init__(self, storage: Storage, *, clock: Callable[[], float]) -> None:
        self._storage = storage
        self._clock = clock
        self._files: tuple[str, ...] = ()
        self._look_at = 0.0
        self._turn = asyncio.Lock()

    async def files(self) -> tuple[str, ...]:
        """File names. What is not published is left out: it is nobody's but the operator's."""
        async with self._turn:
            if self._clock() < self._look_at:
                return self._files
            try:
                self._files = await list_files(self._storage)
                self._look_at = self._clock() + _KEEP_S
            except StorageError as error:
                log.warning("The mirror of models cannot be listed: %s", error)
                self._look_at = self._clock() + _RETRY_S
            return self._files


async def list_files(storage: Storage) -> tuple[str, ...]:
    """File names of the published weights that lie in storage, in the order of the catalog."""
    there = {entry.key for entry in await storage.entries(PREFIX)}
    return tuple(name for name in PUBLISHED if f"{PREFIX}{name}" in there)
