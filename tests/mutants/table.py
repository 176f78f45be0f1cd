"""The verdicts as a page: which test noticed which bug."""

from __future__ import annotations

from collections.abc import Sequence

from tests.mutants.hunt import Verdict

_HEAD = """\
# Which test notices which bug

Each bug was planted in a copy of the tree, alone, and the last column has the first test that
failed for it. [`reliability.md`](reliability.md#bugs-planted-on-purpose) says how that is done.
This page is written by `python -m tests.mutants --jobs 2 --table docs/mutants.md`, and never by
hand.
"""
_ROW_HEAD = "| bug | what it breaks | where | noticed by |\n|---|---|---|---|"
_NOBODY = "**nothing**"
_NOT_KNOWN = "**no verdict**"


def make_page(verdicts: Sequence[Verdict]) -> str:
    """Markdown with a row for each bug, by the promise that it threatens."""
    parts = [_HEAD, _count(verdicts)]
    for promise in sorted({each.mutant.promise for each in verdicts}):
        rows = [_row(each) for each in verdicts if each.mutant.promise is promise]
        parts.append("\n".join([f"## {promise}", "", _ROW_HEAD, *rows, ""]))
    return "\n".join(parts)


def _count(verdicts: Sequence[Verdict]) -> str:
    caught = sum(bool(each.caught_by) for each in verdicts)
    return f"{caught} of {len(verdicts)} bugs were noticed.\n"


def _row(verdict: Verdict) -> str:
    mutant = verdict.mutant
    nobody = _NOT_KNOWN if verdict.trouble else _NOBODY
    noticed = f"`{verdict.caught_by}`" if verdict.caught_by else nobody
    cells = (f"`{mutant.name}`", mutant.breaks, f"`{mutant.path}`", noticed)
    return f"| {' | '.join(_escape(each) for each in cells)} |"


def _escape(text: str) -> str:
    """As it may stand in a cell: a bar would begin the next one, in code as well."""
    return " ".join(text.split()).replace("|", "\\|")
