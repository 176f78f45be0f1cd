"""Files that a restoration set aside beside the database, and which were kept long enough."""

from __future__ import annotations

import re
from pathlib import Path

from controller.store import snapshots

AT_MOST = 3
"""So many are kept, the newest ones: a disk that damages what it holds would be filled by them."""
KEEP_S = 30 * 86400.0
"""For so long, but for the newest."""
_FIRST_S = 86400.0
"""Whatever their number: the first of an evening of restorations may be the one that is missed."""


def find_surplus(database: Path, now: float) -> list[Path]:
    """Which files may go. A file and the journal of its name count as one."""
    name = re.compile(
        rf"{re.escape(database.name)}\.(?:damaged|replaced)-"
        r"(\d{8}T\d{6}Z)(?:\.\d+)?(?:-wal|-shm)?"
    )
    kept: dict[str, float] = {}
    files: dict[str, list[Path]] = {}
    for path in sorted(database.parent.glob(f"{database.name}.*")):
        match = name.fullmatch(path.name)
        at = snapshots.read_stamp(match[1]) if match else None
        if at is not None:
            base = path.name.removesuffix("-wal").removesuffix("-shm")
            kept[base] = at
            files.setdefault(base, []).append(path)
    # one of a time to come was set aside while the computer's clock was wrong
    newest = sorted(kept, key=lambda base: (kept[base] > now, -kept[base], base))
    return [
        path
        for place, base in enumerate(newest)
        if place and abs(now - kept[base]) > (_FIRST_S if place >= AT_MOST else KEEP_S)
        for path in files[base]
    ]
