"""All inputs of the slow tests, or some, and a table of how they were answered.

``python -m tests.fuzz`` tries all; ``python -m tests.fuzz KIND [FIRST[:BEHIND]]`` those of one
kind, or one of them, or some, also beyond the number that the tests try.
"""

import sys
import tempfile
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.tally import Kind, Tally, TooManyFailures


def main(arguments: list[str]) -> int:
    wanted = {kind.name: kind for kind in KINDS}
    if arguments and arguments[0] not in wanted:
        print(f"one of {', '.join(wanted)}")  # noqa: T201
        return 2
    kinds = [wanted[arguments[0]]] if arguments else list(KINDS)
    failed = False
    for kind in kinds:
        tally = try_some(kind, _numbers(kind, arguments[1:]))
        failed |= bool(tally.failures)
        print(_row(tally), *tally.failures, sep="\n\n", flush=True)  # noqa: T201
    return int(failed)


def try_some(kind: Kind, numbers: range) -> Tally:
    tally = Tally(kind.name)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        try:
            kind.run(tally, numbers, Path(folder))
        except TooManyFailures:
            print(f"{kind.name}: stopped at {tally.inputs} inputs")  # noqa: T201
    return tally


def _numbers(kind: Kind, arguments: list[str]) -> range:
    if not arguments:
        return range(kind.count)
    first, colon, behind = arguments[0].partition(":")
    return range(int(first or 0), int(behind or kind.count) if colon else int(first) + 1)


def _row(tally: Tally) -> str:
    reasons = ", ".join(f"{name} {count}" for name, count in tally.refused.most_common())
    return (
        f"{tally.kind:<10} {tally.inputs:>5} inputs  {tally.right:>5} right  "
        f"{tally.refused.total():>5} refused  slowest {tally.slowest_s:.2f} s "
        f"(number {tally.slowest})  {len(tally.failures)} failed\n           {reasons}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
