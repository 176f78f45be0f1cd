"""Whether a data directory is the one that its database was at home in, or a copy of that.

Two controllers of one deployment would destroy each other's machines, so a copy needs a name of
its own, and a directory that was only moved must keep its name. A copy of a file is another inode;
on one computer the original is still where it was. What cannot be told apart is a copy of a whole
disk: there the deadlines of the machines are what is left.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from controller.errors import DatabaseError
from controller.store import journal
from controller.store.snapshots import is_blank, read_contents

_NOTE = "home"
_MARK = "noxfvr.home"
_TEXT = "The database beside this file knows it: a copied directory is told from a moved one.\n"
_DATABASE = "noxfvr.db"


class Notes(Protocol):
    """What a :class:`~controller.store.Store` remembers by name."""

    def recall(self, name: str) -> str | None: ...
    def note(self, name: str, value: str) -> None: ...
    @property
    def deployment(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What tells one place from another."""

    path: str
    host: str
    """The computer's own number; empty in a container, whose number says nothing."""
    disk: int
    """The file system's number; not every one has one that stays."""
    folder: int
    mark: int
    """Inodes of the folder and of a file in it."""
    marked_ns: int
    """When that file's inode was changed last: of a copy, when it was copied."""

    def is_same_place(self, other: Home) -> bool:
        """Whether both are one directory, whatever it is called now."""
        if (self.folder, self.mark) != (other.folder, other.mark):
            return False
        return (
            self.marked_ns == other.marked_ns
            or bool(self.disk and self.disk == other.disk)
            or self.is_same_host(other)
        )

    def is_same_host(self, other: Home) -> bool:
        return bool(self.host) and self.host == other.host


def bind(store: Notes, folder: Path) -> None:
    """The database is at home here from now on; the directory gets its mark where it has none."""
    mark = folder / _MARK
    if not mark.exists():
        mark.write_text(_TEXT)
    here = json.dumps(asdict(look(folder)))
    if store.recall(_NOTE) != here:  # a start must not depend on a disk with room
        store.note(_NOTE, here)


def find_strangeness(store: Notes, folder: Path) -> str | None:
    """Why this directory has to be taken for a copy of another one; None where it is at home."""
    noted = store.recall(_NOTE)
    if noted is None:
        return None
    before, here = Home(**read_note(noted, Home)), look(folder)
    if before.path != here.path and (
        told := _find_original(Path(before.path), folder, store.deployment)
    ):
        return told
    if before.is_same_place(here) or before.is_same_host(here):
        return None
    return f"it was at home in {before.path} of another computer or volume"


def read_note(text: str, kind: type) -> dict[str, Any]:
    """The fields of a note that ``kind`` has: a newer release may have noted more, and this one
    must still start after it."""
    known = {each.name for each in dataclasses.fields(kind)}
    return {name: value for name, value in json.loads(text).items() if name in known}


def look(folder: Path) -> Home:
    """This directory as it is now; nothing is written."""
    folder = folder.resolve()
    mark = folder / _MARK
    found = mark.stat() if mark.exists() else None
    return Home(
        path=str(folder),
        host=_read_host(),
        disk=os.statvfs(folder).f_fsid,
        folder=folder.stat().st_ino,
        mark=found.st_ino if found else 0,
        marked_ns=found.st_ctime_ns if found else 0,
    )


def _read_host() -> str:
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return ""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _find_original(folder: Path, here: Path, deployment: str) -> str | None:
    """What tells of a database of this deployment in another folder; one that cannot be looked at
    may be it."""
    database = folder / _DATABASE
    try:
        if folder.samefile(here):
            return None  # a link to this directory is no original
        journal.keep_loss(database)
        if is_blank(database):
            return None
        if read_contents(database).deployment != deployment:
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (DatabaseError, OSError) as error:
        return f"the one that it was copied from may still be in {folder}: {error}"
    return f"the one that it was copied from is in {folder}"
