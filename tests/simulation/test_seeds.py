"""Runs of the whole deployment, each from a seed; ``make sim SEEDS=A:B`` runs any others."""

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import Total
from tests.simulation.plan import draw_plan
from tests.simulation.world import run_seed

CHUNK = 10
#: In one of them another process holds the data for a while.
SAME = (7, 18, 110)
QUICK, MORE = range(0, 300), range(300, 2000)


def run_chunk(first: int) -> None:
    total = Total(None)
    for seed in range(first, first + CHUNK):
        total.add(run_seed(draw_plan(seed)))
    told = [f"{seed}: {line}" for seed, lines in total.failed.items() for line in lines]
    assert not told, "\n".join(["python -m tests.simulation --story SEED", *told])


@pytest.mark.parametrize("first", QUICK[::CHUNK])
def test_nothing_leaks_and_nothing_is_lost(first):
    run_chunk(first)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", MORE[::CHUNK])
def test_nothing_leaks_and_nothing_is_lost_in_many_more(first):
    run_chunk(first)


def test_without_faults_everything_that_was_started_is_done():
    done = 0
    for seed in range(4):
        outcome = run_seed(draw_plan(seed).calm())
        assert not outcome.broken, outcome.broken
        assert not outcome.counts["jobs failed"]
        done += outcome.counts["jobs done"]
    assert done > 3


def test_a_seed_is_the_same_story_each_time():
    plan = draw_plan(7)
    first, second = run_seed(plan, tells=True), run_seed(plan, tells=True)
    assert len(first.story) > 100
    assert first.story == second.story
    assert first.digest == second.digest


def test_a_seed_is_the_same_story_in_every_process():
    """Not where the folder of a run is, nor in which order a set is gone through."""
    told = [tell_digests(hash_seed) for hash_seed in ("1", "2")]
    assert told[0] == told[1]
    assert told[0].endswith("True\n")


def tell_digests(hash_seed: str) -> str:
    script = f"""
from tests.simulation.plan import draw_plan
from tests.simulation.world import run_seed
outcomes = [run_seed(draw_plan(seed), tells=True) for seed in {SAME}]
print(*(each.digest for each in outcomes))
print(any("AlreadyRunning" in line for each in outcomes for line in each.story))
"""
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return told.stdout


def test_another_seed_is_another_story():
    assert run_seed(draw_plan(7)).digest != run_seed(draw_plan(8)).digest


def test_the_runs_go_where_it_is_interesting():
    """Holds, batches, kills, retries, and creates that nobody answers."""
    total = Total(None)
    for seed in range(429, 439):
        total.add(run_seed(draw_plan(seed)))
    assert not total.failed
    assert total.counts["kills"] > 3
    assert total.counts["folder"] + total.counts["album"] > 0
    assert total.moves["jobs", "draft", "held"] > 0
    assert total.moves["jobs", "running", "queued"] > 3
    assert total.moves["machines", "renting", "unknown"] > 0
    assert total.moves["jobs", "running", "done"] > 10
