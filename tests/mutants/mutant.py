"""A bug that is planted on purpose: what it breaks, where, and which tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Promise(StrEnum):
    """What holds at every moment, whatever fails; numbered as the invariants of the docs are."""

    GIVEN_BACK = "1 what nothing wants is given back"
    ONE_EACH = "2 one machine a label, never more than the cap"
    ENDS = "3 every job ends once, in time"
    TRUE_RESULT = "4 one result, and it is what was asked for"
    WITHIN_BUDGET = "5 billed is within reserved, reserved within the cap"
    TOLD = "6 everything is told, nothing that came is lost"
    ONCE = "7 twice is once, and a cancel is one"
    HANDS_OFF = "8 what is not ours is not touched"
    SECRET = "9 secrets stay where they belong"


class StaleMutant(Exception):
    """The code has changed: the text that the bug replaces is not there, or not just once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """``swaps`` are pairs of an exact text, which is in the file just once, and what replaces it.

    ``tests`` are node ids, or files, that have to catch it.
    """

    name: str
    breaks: str
    promise: Promise
    path: str
    swaps: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def plant(self, root: Path) -> Path:
        """Change the file in a copy of the tree; the file."""
        file = root / self.path
        text = self.change(file.read_text())
        # what was compiled of the code before must not be taken for that of the code after
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()
        # a file of its own, also where the copy was made of links
        partial = file.with_suffix(".mutant")
        partial.write_text(text)
        partial.replace(file)
        return file

    def change(self, text: str) -> str:
        """The text of the file with the bug in it."""
        changed = text
        for old, new in self.swaps:
            if text.count(old) != 1 or changed.count(old) != 1:
                raise StaleMutant(
                    f"{self.name}: {self.path} has this {text.count(old)} times:\n{old}"
                )
            changed = changed.replace(old, new)
        return changed
