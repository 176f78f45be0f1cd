"""The journal beside the database's file: folded into it, or found to have lost what it held."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO

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


def keep_loss(database: Path) -> str | None:
    """What the journal holds that SQLite cannot read any more; None where that is nothing.

    SQLite passes over that without a word, and the last one to close the file removes the journal:
    it is kept under a name of its own until :func:`put_away`, so that a process that is killed
    before it has told of the loss, and one that only looks, leave that to the next owner. For
    whoever may be the first to open the file.
    """
    journal, kept = path_of(database), _kept_path(database)
    loss = _find_loss(journal) if database.exists() else None
    # a process that only submits may just be writing: what is damaged is so at a second look too
    if loss is None or _find_loss(journal) != loss:
        return _find_loss(kept)
    try:
        _copy_whole(journal, kept)
    except OSError as error:
        log.warning("The damaged journal is not kept: %s", error)
    return loss


def end(database: Path) -> None:
    """Write what is good of the journal into the file, and empty it: where others have it open it
    stays, and what was lost in it would be found once more."""
    try:
        with snapshots.connect(database) as db:
            is_read = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        log.warning("The damaged journal stays in use: %s", error)
        return
    if is_read:
        log.warning("The damaged journal stays in use: another process reads from it")


def put_away(database: Path, aside: Path) -> None:
    """Give a kept journal its last name."""
    kept = _kept_path(database)
    with contextlib.suppress(FileNotFoundError):
        if aside.exists():
            kept.unlink()  # the same one: it was beside the file that was set aside
        else:
            kept.replace(aside)


def add_name(path: Path, other: Path) -> None:
    """A second name for a file, or a copy where the file system has only one for each."""
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(path, other)
        snapshots.sync(other)


def _copy_whole(path: Path, target: Path) -> None:
    """The content, not a second name: whoever has the file open goes on writing into it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        partial.touch(mode=0o600)  # what people sent is in it
        shutil.copyfile(path, partial)
        snapshots.sync(partial)
        partial.replace(target)
        snapshots.sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _kept_path(database: Path) -> Path:
    return database.with_name(f"{database.name}.lost-wal")


def _find_loss(journal: Path) -> str | None:
    """The journal's own numbers tell how many frames there were up to the last commit, and their
    running sums how many of them are good (https://sqlite.org/fileformat2.html, section 4)."""
    # one that is there and cannot be read is not passed over: SQLite opens nothing then
    with contextlib.suppress(OSError), journal.open("rb") as file:
        return _count_lost(file)
    return None


def _count_lost(file: BinaryIO) -> str | None:
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size or not any(header):
        return None
    magic, _, page_bytes, _, salt_1, salt_2, *sums = _HEADER.unpack(header)
    order = "<" if magic == _MAGIC[0] else ">"
    if magic not in _MAGIC or _add(header[:24], order) != tuple(sums):
        return "its journal is none of SQLite's"
    number = last = good = 0
    running: tuple[int, int] | None = (sums[0], sums[1])
    while len(frame := file.read(_FRAME.size)) == _FRAME.size:
        page = file.read(page_bytes)
        _, pages_after_commit, *salts, sum_1, sum_2 = _FRAME.unpack(frame)
        number += 1
        if running and len(page) == page_bytes:
            running = _add(page, order, _add(frame[:8], order, running))
        if salts != [salt_1, salt_2] or running != (sum_1, sum_2):
            running = None  # SQLite reads no further
        if salts == [salt_1, salt_2] and pages_after_commit:
            last = number
            good = number if running else good
    return f"{last - good} of {last} frames of its journal are damaged" if good < last else None


def _add(data: bytes, order: str, sums: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
