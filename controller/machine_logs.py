"""The lines that machines print, as they are kept for people: cleaned, in order, each once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from controller.redaction import redact

TAIL = 500
"""Lines that are asked for, and compared, at once."""
_TROUBLE = re.compile(r"ERROR|FAILED|Exception")
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+")


def speaks_of_trouble(line: str) -> bool:
    """Whether a person should see a line as a warning."""
    return _TROUBLE.search(line) is not None


def clean(line: str, secrets: Iterable[str]) -> str:
    """A foreign line as it may be shown: no secret, no URL, nothing that moves a cursor."""
    shown = "".join(each if each.isprintable() else " " for each in redact(line, secrets))
    return _URL.sub("(address left out)", shown).rstrip()


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """What was added to a tail of lines, of which the oldest may have been dropped."""
    for start in range(len(before)):
        overlap = list(before[start:])
        if list(now[: len(overlap)]) == overlap:
            return list(now[len(overlap) :])
    return list(now)


def log_path(logs_dir: Path, machine_id: str) -> Path:
    return logs_dir / f"{machine_id}.log"


def last_lines(path: Path) -> list[str]:
    """The newest lines that were kept, at most as many as are asked for at once."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL * 600))
        return file.read().decode(errors="replace").splitlines()[-TAIL:]


def append_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
