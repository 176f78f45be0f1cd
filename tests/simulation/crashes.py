"""Every moment at which the program can die, one by one, and two by two.

Calm runs of the scenes find the points; then a scene is run again for each of its points, and the
program dies there, with every fate of the call, and so where it comes to it a second and a third
time. A point that several scenes pass is taken in the shortest of them.
"""

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tests.simulation.scenes import SCENES, Death, Fate, Spot, play

#: The first and the second time are two transactions of one function, or two rows; what comes
#: again after that is a loop.
_TIMES = 3


@dataclass(slots=True)
class Survey:
    """What the calm runs found."""

    spots: list[Spot] = field(default_factory=list)
    """Each point, so often as it was passed, up to a few times."""
    passed: dict[str, Counter[str]] = field(default_factory=dict)
    """By scene."""
    broken: list[str] = field(default_factory=list)


@cache
def survey() -> Survey:
    """Every point there is, in the scene where its test takes the shortest."""
    result, lengths = Survey(), {}
    for scene in SCENES:
        outcome, passed = play(scene)
        result.broken += [f"{scene}: {line}" for line in outcome.broken]
        result.passed[scene], lengths[scene] = passed, outcome.virtual_s
    best: dict[str, str] = {}
    for scene in sorted(SCENES, key=lengths.__getitem__):
        for point in result.passed[scene]:
            best.setdefault(point, scene)
    result.spots = sorted(
        Spot(scene, point, time)
        for point, scene in best.items()
        for time in range(min(_TIMES, result.passed[scene][point]))
    )
    return result


def all_deaths() -> list[Death]:
    """Every point with every fate, in an order that spreads the scenes."""
    return [
        Death(spot, fate) for fate in Fate for spot in survey().spots if _has(spot.point, fate)
    ]


def _has(point: str, fate: Fate) -> bool:
    """After a call there is nothing left that could become of it."""
    return fate is Fate.CLEAN or point.startswith("before ") or "commit" in point


def draw_pair(seed: int) -> tuple[Death, Death]:
    """Two deaths in one scene, the second at any point of the lives after the first."""
    rng = random.Random(f"pair {seed}")
    scene = rng.choice(list(SCENES))
    passed = survey().passed[scene]
    points = sorted(passed)
    first, second = rng.choice(points), rng.choice(points)
    return (
        Death(Spot(scene, first, rng.randrange(passed[first])), rng.choice(list(Fate))),
        Death(Spot(scene, second), rng.choice(list(Fate))),
    )


def examine(*deaths: Death) -> list[str]:
    """What does not hold after these deaths, each line with how to see it again."""
    outcome, _ = play(deaths[0].spot.scene, deaths)
    broken = list(outcome.broken)
    if not outcome.counts["died"]:
        broken.append("10: the program never came to it")
    told = " then ".join(map(str, deaths))
    return [f"{told}: {line}" for line in broken]


def examine_pairs(seeds: range, workers: int) -> Iterator[tuple[int, list[str]]]:
    """Seeds of pairs as they come, each with what does not hold after it."""
    survey()  # every worker has it then
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_examine_pair, seeds, chunksize=2)


def _examine_pair(seed: int) -> tuple[int, list[str]]:
    try:
        return seed, examine(*draw_pair(seed))
    except Exception as error:  # a run that fails is a finding like any other
        return seed, [f"the run itself failed: {error!r}"]
