"""``python -m tests.chaos``: kill everything at random, and see whether the promises hold.

One line for each figure; exit 1, with the story, where a promise was broken.
"""

import argparse
import asyncio
import json
import secrets
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.campaign import Report, run_campaign
from tests.chaos.deployment import LocalDeployment, RentedDeployment
from tests.chaos.harm import WAYS, Dose

SHAPES = {"local": LocalDeployment, "rented": RentedDeployment}
JUDGED = (
    "controller killed", "runner killed", *WAYS.values(), "videos sent", "jobs done",
    "machines left", "jobs that did not end", "videos without an answer",
    "results not as recorded", "messages doubled",
)  # fmt: skip
#: Of all harm, where both are hurt: a rented machine is proven gone two minutes after its death.
SHARES = {"local": 0.75, "rented": 0.25}


def main() -> int:
    options = parse()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    shapes = list(SHAPES) if options.shape == "both" else [options.shape]
    reports = []
    for number, shape in enumerate(shapes):
        share = SHARES[shape] if len(shapes) > 1 else 1.0
        report = asyncio.run(run(shape, seed + number, options, share))
        print("\n".join(report.lines()), flush=True)  # noqa: T201
        reports.append(report)
    if options.json:
        options.json.write_text(json.dumps([each.row() for each in reports], indent=2))
    tell_all(reports)
    broken = [report for report in reports if report.findings.broken]
    for report in broken:
        print("\n".join(report.story), *report.findings.broken, sep="\n")  # noqa: T201
    return 1 if broken else 0


def tell_all(reports: list[Report]) -> None:
    """The figures of all shapes together, by which a run is judged."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report.done)
        total.update(report.findings.figures)
    for name in JUDGED:
        print(f"all: {name} {total[name]}")  # noqa: T201


async def run(shape: str, seed: int, options: argparse.Namespace, share: float) -> Report:
    """One shape with its share of all the harm."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir=options.dir) as folder:
        dose = Dose(
            kills=round(options.kills * share),
            runner_kills=round(options.runner_kills * share),
            freezes=options.freezes,
            runner_freezes=options.freezes,
        )
        deployment = SHAPES[shape](Path(folder) / "home")
        return await run_campaign(deployment, seed=seed, jobs=options.jobs, dose=dose)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="deaths of the controller (20)")
    parser.add_argument("--runner-kills", type=int, default=10, help="deaths of runners (10)")
    parser.add_argument("--freezes", type=int, default=1, help="standstills of each, a shape (1)")
    parser.add_argument("--jobs", type=int, default=20, help="videos under way at a time (20)")
    parser.add_argument("--shape", choices=[*SHAPES, "both"], default="both")
    parser.add_argument("--seed", type=int, help="chosen and told, where it is not given")
    parser.add_argument("--dir", type=Path, help="where the deployments live meanwhile")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
