"""What the runs are about: rare pairs come often enough, and the counts are believed."""

import random
from collections import Counter

from tests.simulation import coverage
from tests.simulation.faults import Fault, Faults
from tests.simulation.plan import draw_plan
from tests.simulation.themes import draw_themes

RARE = (Fault.STALL, "unknown")


def test_of_twenty_thousand_runs_each_pair_is_wanted_fifty_times_and_each_move_a_hundred():
    pairs, moves = list(coverage.list_pairs()), list(coverage.list_moves())
    met, made = Counter(dict.fromkeys(pairs, 50)), Counter(dict.fromkeys(moves, 100))
    assert coverage.find_missing(met, made, 20_000) == []
    met[pairs[0]], made[moves[0]] = 49, 99
    assert len(coverage.find_missing(met, made, 20_000)) == 2


def test_what_is_not_asked_for_is_a_move_that_the_tables_have():
    assert set(coverage.UNSEEN) <= set(coverage.list_moves())


def test_every_pair_is_the_theme_of_some_runs():
    drawn = Counter(theme for seed in range(2000) for theme in draw_themes(random.Random(seed)))
    assert drawn.keys() == set(coverage.list_pairs())


def test_a_theme_comes_far_more_often_than_its_fault_otherwise_would_and_not_for_ever():
    faults = Faults(random.Random(1), 0.001, [RARE])
    assert not any(faults.hit(Fault.STALL, ("ready",)) for _ in range(50))
    hits = sum(faults.hit(Fault.STALL, ("ready", "unknown")) for _ in range(50))
    assert hits == faults.met[RARE] == 2


def test_a_calm_world_has_no_themes():
    faults = Faults(random.Random(1), 0.0, [RARE])
    assert not any(faults.hit(Fault.STALL, ("unknown",)) for _ in range(50))
    assert draw_plan(3).themes and not draw_plan(3).calm().themes
