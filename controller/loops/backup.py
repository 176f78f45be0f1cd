"""Copies the database every few hours, where something has changed, and lets old copies go,
and what restorations have set aside as well.

The copy is made in a thread of its own with a connection of its own: the loops go on meanwhile.
Nothing that goes wrong here stops the work; it is logged and counted.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from controller.backups import back_up, find_backups, find_surplus
from controller.errors import DatabaseDamaged, DatabaseError
from controller.loops.context import Context
from controller.store import asides
from controller.store.snapshots import find_damage, have_same_content

log = logging.getLogger(__name__)

WHY = "schedule"
_FIRST_S = 60.0
"""A process that lives shorter than this makes none."""
_AGAIN_S = 900.0
"""Until the next try after one that failed."""
_SWEEP_S = 3600.0


class Backup:
    """One look at whether a copy is due."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._interval_s = context.settings.backup_s
        self._not_before = context.clock() + min(_FIRST_S, self._interval_s)
        self._last_at = float("-inf")
        self._swept_at = float("-inf")

    async def tick(self) -> int:
        """1 where a copy was made."""
        await self._sweep()
        if not self._is_due():
            return 0
        now = self._context.clock()
        try:
            made = await asyncio.to_thread(self._back_up)
        except DatabaseDamaged as error:
            await self._find_damage(error)
            return 0
        except (DatabaseError, OSError) as error:
            self._failed(error)
            return 0
        self._last_at = now
        self._context.vitals.beat("backup")
        return made

    async def _sweep(self) -> None:
        """Once an hour, whether or not a copy is made or can be made."""
        now = self._context.clock()
        if now - self._swept_at < _SWEEP_S:
            return
        self._swept_at = now
        try:
            await asyncio.to_thread(self._remove_asides, now)
        except OSError as error:
            log.warning("What was set aside stays for now: %s", error)

    def _remove_asides(self, now: float) -> None:
        for path in asides.find_surplus(self._context.settings.database, now):
            path.unlink(missing_ok=True)
            log.info("%s was set aside long enough, or newer ones were: it is removed", path.name)

    def _is_due(self) -> bool:
        now = self._context.clock()
        if not self._interval_s or now < self._not_before:
            return False
        # one of a time to come was made while the computer's clock was wrong
        made_at = (each.at for each in find_backups(self._folder) if each.at <= now)
        return now - max(self._last_at, next(made_at, 0.0)) >= self._interval_s

    async def _find_damage(self, error: DatabaseDamaged) -> None:
        """A copy that is not whole may be the first sign: what is read often is in memory."""
        self._failed(error)
        try:
            damage = await asyncio.to_thread(find_damage, self._context.settings.database)
        except DatabaseError as unreadable:
            log.warning("Whether the database is damaged is not known: %s", unreadable)
            return
        if damage:
            self._context.store.declare_damaged(damage)

    def _failed(self, error: Exception) -> None:
        self._context.vitals.count("backup_failures")
        self._not_before = self._context.clock() + min(_AGAIN_S, self._interval_s)
        log.error("The database is not backed up: %s", error)

    def _back_up(self) -> int:
        settings = self._context.settings
        before = find_backups(self._folder)
        made = back_up(settings.database, self._folder, why=WHY, clock=self._context.clock)
        if before and have_same_content(before[0].path, made):
            made.unlink()  # nothing has changed since
            return 0
        surplus = find_surplus(
            find_backups(self._folder),
            now=self._context.clock(),
            max_bytes=int(settings.backup_gb * 1e9),
        )
        for backup in surplus:
            backup.path.unlink(missing_ok=True)
        log.info("The database is backed up as %s", made.name)
        return 1

    @property
    def _folder(self) -> Path:
        return self._context.settings.backups_dir
