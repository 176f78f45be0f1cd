"""The journal beside the database's file: folded into it, or found to have lost what it held."""

from __future__ import annotations

import logging
import os
import shutil
import struct
from pathlib import Path

from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from controller.store import snapshots

log = logging.getLogger(__name__)

SIDES = ("-wal", "-shm")
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = (0x377F0682, 0x377F0683)


def path_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def fold(database: Path) -> bool:
    """Write what the journal holds into the file, so that it is whole by itself.

    False where another process has it open, or it is damaged.
    """
    try:
        with snapshots.connect(database) as db:
            db.execute("PRAGMA busy_timeout=2000").fetchall()
            mode = db.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    except sqlite3.Error:
        return False
    return str(mode) == "delete" and not path_of(database).exists()


def find_loss(database: Path, aside: Path) -> str | None:
    """Whether the journal holds commits that SQLite cannot read any more; then it is ``aside``.

    SQLite passes over them without a word. The journal's own numbers tell how many frames there
    were up to the last commit (https://sqlite.org/fileformat2.html, section 4), a checkpoint how
    many of them were good. For whoever is to open the file first.
    """
    journal = path_of(database)
    if not database.exists() or not journal.exists() or not journal.stat().st_size:
        return None
    counted = _count_frames(journal)
    if counted is None:
        journal.replace(aside)
        database.with_name(database.name + "-shm").unlink(missing_ok=True)
        return "its journal is none of SQLite's"
    frames, salts = counted
    try:
        add_name(journal, aside)  # the last one to close the file removes it
    except OSError as error:
        log.warning("The journal is not looked at: %s", error)
        return None
    good = _count_good(database, journal, salts)
    if good is not None and good < frames:
        return f"{frames - good} of {frames} frames of its journal are damaged"
    aside.unlink()
    return None


def add_name(path: Path, other: Path) -> None:
    """A second name for a file, or a copy where the file system has only one for each."""
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(path, other)
        snapshots.sync(other)


def _count_good(database: Path, journal: Path, salts: tuple[int, int]) -> int | None:
    """Frames that SQLite takes; None where the file is damaged, or others write just now."""
    try:
        with snapshots.connect(database) as db:
            good = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            now = _count_frames(journal)
    except (sqlite3.Error, FileNotFoundError):
        return None
    return int(good) if now is not None and now[1] == salts else None


def _count_frames(journal: Path) -> tuple[int, tuple[int, int]] | None:
    """Frames up to the last commit of this round, and its numbers; None without a header."""
    with journal.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not any(header):
            return 0, (0, 0)
        magic, _, page_bytes, _, salt_1, salt_2, *sums = _HEADER.unpack(header)
        order = "<" if magic == _MAGIC[0] else ">"
        if magic not in _MAGIC or _checksum(header[:24], order) != tuple(sums):
            return None
        number = last = 0
        while len(frame := file.read(_FRAME.size)) == _FRAME.size:
            _, pages_after_commit, *salts, _, _ = _FRAME.unpack(frame)
            number += 1
            if salts == [salt_1, salt_2] and pages_after_commit:
                last = number
            file.seek(page_bytes, os.SEEK_CUR)
    return last, (salt_1, salt_2)


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    one = two = 0
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
