"""The lines that machines print, as they are kept for people: cleaned, in order, each once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from controller.foreign import LONGEST, tidy
from controller.redaction import redact

TAIL = 500
"""Lines that are asked for, and compared, at once."""
_TROUBLE = re.compile(r"ERROR|FAILED|Exception")
_URL = re.compile(r"[\w+.-]{0,15}://\S+")
_LARGEST_FILE = 8_000_000


def speaks_of_trouble(line: str) -> bool:
    """Whether a person should see a line as a warning."""
    return _TROUBLE.search(line) is not None


def clean(line: str, secrets: Iterable[str]) -> str:
    """A foreign line as it may be shown: no secret, no URL, nothing that moves a cursor."""
    shown = tidy(redact(line[: 4 * LONGEST], secrets))
    return _URL.sub("(address left out)", shown).rstrip()


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """What was added to a tail of lines, of which the oldest may have been dropped.

    Nothing where ``now`` is an older look at the same log. A last line that was seen half is not
    shown again when it is whole.
    """
    before, now = list(before), list(now)
    if not before:
        return now
    if _find(now, before) is not None:
        return []
    for start in range(len(before)):
        overlap = before[start:]
        if _starts_with(now, overlap):
            return now[len(overlap) :]
    at = _find(before, now)
    return now if at is None else now[at + len(before) :]


def _starts_with(lines: list[str], head: list[str]) -> bool:
    """The last line of ``head`` may have been cut."""
    found = lines[: len(head)]
    return (
        len(found) == len(head)
        and found[:-1] == head[:-1]
        and bool(head[-1] or not found[-1])
        and found[-1].startswith(head[-1])
    )


def _find(part: list[str], whole: list[str]) -> int | None:
    """Where a run of lines stands in others."""
    starts = range(len(whole) - len(part) + 1)
    return next((at for at in starts if whole[at : at + len(part)] == part), None)


def log_path(logs_dir: Path, machine_id: str) -> Path:
    return logs_dir / f"{machine_id}.log"


def last_lines(path: Path) -> list[str]:
    """The newest lines that were kept, at most as many as are asked for at once."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL * (4 * LONGEST + 1)))
        return file.read().decode(errors="replace").splitlines()[-TAIL:]


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Add lines; of a file that grew too large only the newest are kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LARGEST_FILE:
        kept = last_lines(path)
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
