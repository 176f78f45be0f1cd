"""``python -m tests.simulation A:B``: many runs, what broke in them, and what they covered."""

import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from tests.simulation import coverage, crashes
from tests.simulation.plan import draw_plan
from tests.simulation.world import Outcome, run_seed

#: From so many runs on, what was not covered is a failure.
_ENOUGH = 20_000
_SHOWN = 6
_PROGRESS_S = 20.0


@click.command()
@click.argument("seeds", default="0:200")
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
@click.option("--rate", type=click.FloatRange(0, 1), help="Of every fault, not the seed's own.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures.")
@click.option("--story", type=int, metavar="SEED", help="Tell this one run, line by line.")
@click.option("--pairs", metavar="A:B", help="Scenes instead, in which the program dies twice.")
@click.option("--no-coverage", is_flag=True, help="Do not show what was covered.")
def main(
    seeds: str,
    workers: int,
    rate: float | None,
    json_file: Path | None,
    story: int | None,
    pairs: str | None,
    *,
    no_coverage: bool,
) -> None:
    """Run SEEDS, as A:B, or one; exit 1 if any promise was broken."""
    if story is not None:
        outcome = run_seed(draw_plan(story, rate), tells=True)
        click.echo("\n".join([*outcome.story, "", *outcome.broken, str(dict(outcome.counts))]))
        sys.exit(1 if outcome.broken else 0)
    if pairs is not None:
        sys.exit(1 if die_twice(_read_range(pairs), workers) else 0)
    numbers = _read_range(seeds)
    total = Total(rate)
    for outcome in run_many(numbers, workers, rate):
        total.add(outcome)
    click.echo(total.describe())
    missing = [] if no_coverage else total.show_coverage()
    if json_file:
        json_file.write_text(json.dumps(total.as_json(), indent=1))
    is_thin = bool(missing) and total.runs >= _ENOUGH
    sys.exit(1 if total.failed or is_thin else 0)


def die_twice(seeds: range, workers: int) -> int:
    """Pairs of deaths, and how many of them broke something."""
    began_at, failed, died_twice = time.monotonic(), 0, 0
    second_at: set[str] = set()
    for seed, found in crashes.examine_pairs(seeds, workers):
        failed += bool(found.broken)
        died_twice += len(found.died_at) == 2
        second_at.update(found.died_at[1:])
        if found.broken:
            lines = [f"  {each}" for each in found.broken[:_SHOWN]]
            click.echo("\n".join([f"pair {seed}:", *lines]))
    speed = len(seeds) / (time.monotonic() - began_at)
    click.echo(
        f"{len(seeds)} pairs of deaths, {speed:.2f} a second: {died_twice} died twice, the second "
        f"time at {len(second_at)} points; {failed} broken"
    )
    return failed


def run_many(
    seeds: range, workers: int, rate: float | None = None
) -> Iterator[Outcome | tuple[int, str]]:
    """Outcomes as they come; of a run that could not be ended its seed and why."""
    if workers == 1:
        yield from map(_run, ((seed, rate) for seed in seeds))
        return
    # each worker has loaded everything when it begins, and shares nothing afterwards
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, _spare_garbage, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_run, ((seed, rate) for seed in seeds), chunksize=2)


def _spare_garbage() -> None:
    """What is kept from one run to the next is not looked through for garbage again, and a run
    only behind its end."""
    gc.disable()
    gc.collect()
    gc.freeze()


def _read_range(text: str) -> range:
    first, _, last = text.partition(":")
    return range(int(first), int(last) if last else int(first) + 1)


def _run(task: tuple[int, float | None]) -> Outcome | tuple[int, str]:
    seed, rate = task
    try:
        return run_seed(draw_plan(seed, rate))
    except Exception as error:  # a run that fails is a finding like any other
        return seed, f"the run itself failed: {error!r}"
    finally:
        _spare_garbage()


class Total:
    """What many runs came to."""

    def __init__(self, rate: float | None) -> None:
        self.runs = 0
        self.virtual_s = 0.0
        self.failed: dict[int, list[str]] = {}
        self.hits: Counter = Counter()
        self.met: Counter = Counter()
        self.moves: Counter = Counter()
        self.counts: Counter = Counter()
        self._rate = rate
        self._began_at = self._told_at = time.monotonic()

    def add(self, outcome: Outcome | tuple[int, str]) -> None:
        self.runs += 1
        if isinstance(outcome, Outcome):
            self.virtual_s += outcome.virtual_s
            self.hits.update(outcome.hits)
            self.met.update(outcome.met)
            self.moves.update(outcome.moves)
            self.counts.update(outcome.counts)
            seed, broken = outcome.seed, outcome.broken
        else:
            seed, broken = outcome[0], [outcome[1]]
        if broken:
            self.failed[seed] = broken
            click.echo(self._show(seed, broken))
        if time.monotonic() - self._told_at > _PROGRESS_S:
            self._told_at = time.monotonic()
            click.echo(
                f"… {self.runs} runs, {len(self.failed)} broken, {self._speed():.2f} a second"
            )

    def describe(self) -> str:
        kept = (
            f"{self.runs} runs, {self.virtual_s / 3600:.0f} hours of the world, "
            f"{self._speed():.2f} a second"
        )
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        faults = sum(self.hits.values())
        return f"{kept}\n{done}\nfaults {faults}\n{len(self.failed)} broken"

    def show_coverage(self) -> list[str]:
        """Print what is missing; the same as lines."""
        missing = coverage.find_missing(self.met, self.moves, self.runs)
        for line in missing:
            click.echo(f"not covered: {line}")
        pairs, moves = coverage.count_covered(self.met, self.moves)
        click.echo(f"covered: {pairs} pairs of fault and state, {moves} moves")
        return missing

    def as_json(self) -> dict:
        return {
            "runs": self.runs,
            "virtual_hours": self.virtual_s / 3600,
            "seconds": time.monotonic() - self._began_at,
            "broken": self.failed,
            "counts": dict(self.counts),
            "moves": {" ".join(each): count for each, count in self.moves.items()},
            "hits": {str(fault): n for fault, n in sorted(self.hits.items())},
            "met": {f"{fault} {state}": n for (fault, state), n in sorted(self.met.items())},
        }

    def _speed(self) -> float:
        return self.runs / (time.monotonic() - self._began_at)

    def _show(self, seed: int, broken: list[str]) -> str:
        rate = "" if self._rate is None else f" --rate {self._rate}"
        lines = [f"  {line[:400]}" for line in broken[:_SHOWN]]
        return "\n".join([f"seed {seed}: python -m tests.simulation --story {seed}{rate}", *lines])


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # sets of texts have one order in all processes
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    main()
