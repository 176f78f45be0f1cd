"""Looks at the database of a data directory and its backups, thoroughly and without a change."""

from __future__ import annotations

from controller.backups import find_backups, show_moment
from controller.checkup import Finding, fail, ok, warn
from controller.errors import DatabaseError
from controller.settings import Settings
from controller.store import snapshots

_LATE = 4
"""So many intervals from a backup to the file's last change are no chance."""


def examine_data(settings: Settings) -> list[Finding]:
    """Whether the file is whole to its last index, and what there is in case it is not."""
    if snapshots.is_blank(settings.database):
        return []
    return [_examine_file(settings), _examine_backups(settings)]


def _examine_file(settings: Settings) -> Finding:
    name = settings.database.name
    try:
        damage = snapshots.find_damage(settings.database, thorough=True)
    except DatabaseError as error:
        return fail("database", str(error), "give this user the data directory")
    if damage:
        remedy = "the next start of noxfvr bot restores the newest backup, if there is one"
        return fail("database", f"{name} is damaged: {damage}", remedy)
    return ok("database", f"{name} is whole")


def _examine_backups(settings: Settings) -> Finding:
    backups = find_backups(settings.backups_dir)
    if not settings.backup_s:
        return warn("backups", "none are made", "set NOXFVR_BACKUP_S, to 21600 for instance")
    if not backups:
        return warn(
            "backups", "there is none yet", "noxfvr bot makes one when it has run a minute"
        )
    size = sum(each.bytes for each in backups) / 1e6
    newest = f"the newest of {show_moment(backups[0].at)}"
    detail = f"{len(backups)}, {size:.1f} MB, {newest}"
    if settings.database.stat().st_mtime - backups[0].at > _LATE * settings.backup_s:
        return warn("backups", detail, "the log of noxfvr bot says why there is no newer one")
    return ok("backups", detail)
