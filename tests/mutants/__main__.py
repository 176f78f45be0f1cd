# ruff: noqa: T201
"""Plants each bug of the catalog in a copy of the tree and tells which test notices.

Exit code 0 if all are caught, 1 if one survives, 2 if the tests fail without any bug.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.catalog import MUTANTS
from tests.mutants.hunt import Unsound, Verdict, open_hunt
from tests.mutants.mutant import Mutant
from tests.mutants.table import make_page

ROOT = Path(__file__).resolve().parents[2]
_WIDTH = max(len(each.name) for each in MUTANTS)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    chosen = [each for each in MUTANTS if not options.names or each.name in options.names]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:{_WIDTH}}  {mutant.promise}\n  {mutant.breaks}\n  {mutant.path}")
        return 0
    started = time.monotonic()
    with open_hunt(ROOT, jobs=options.jobs) as hunt:
        try:
            sound_s = hunt.check_soundness(chosen)
        except Unsound as error:
            print(f"These fail without any bug planted; mend them first:\n{error}")
            return 2
        print(f"Without a bug the named tests pass ({sound_s:.0f} s).")
        verdicts = hunt.follow(chosen, _say)
    if options.table:
        options.table.write_text(make_page(verdicts))
    if options.json:
        options.json.write_text(json.dumps([_row(each) for each in verdicts], indent=1) + "\n")
    left = [each for each in verdicts if not each.caught_by]
    _sum_up(verdicts, left, time.monotonic() - started)
    return 1 if left else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="bugs of the catalog; else all")
    parser.add_argument("--jobs", type=int, default=1, help="copies that are tried side by side")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there, too")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write them as a page, too")
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - {each.name for each in MUTANTS}:
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    if options.jobs < 1:
        parser.error("--jobs is 1 or more")
    return options


def _say(verdict: Verdict) -> None:
    mutant = verdict.mutant
    if verdict.caught_by:
        # one that the catalog does not name is as good, and slower to ask
        told = f"caught by {verdict.caught_by}{'' if verdict.named else ' (not named)'}"
    else:
        told = "NO VERDICT" if verdict.trouble else "SURVIVED"
    print(f"{mutant.name:{_WIDTH}}  {mutant.promise[0]}  {verdict.seconds:5.1f} s  {told}")
    if not verdict.caught_by:
        print(f"  {mutant.path}: {mutant.breaks}\n{verdict.trouble}".rstrip())
    sys.stdout.flush()


def _sum_up(verdicts: Sequence[Verdict], left: Sequence[Verdict], seconds: float) -> None:
    for promise in sorted({each.mutant.promise for each in verdicts}):
        of_it = [each for each in verdicts if each.mutant.promise is promise]
        caught = sum(bool(each.caught_by) for each in of_it)
        print(f"{caught:3} of {len(of_it):2} caught   {promise}")
    print(
        f"{len(verdicts) - len(left)} of {len(verdicts)} bugs are caught, {seconds:.0f} s in all"
    )


def _row(verdict: Verdict) -> dict[str, object]:
    mutant: Mutant = verdict.mutant
    return {
        "name": mutant.name,
        "breaks": mutant.breaks,
        "promise": str(mutant.promise),
        "file": mutant.path,
        "caught_by": verdict.caught_by or None,
        "named": verdict.named,
        "trouble": verdict.trouble or None,
        "seconds": round(verdict.seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
