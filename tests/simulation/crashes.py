"""Every moment at which the program can die, one by one, and two by two.

Calm runs of the scenes find the points; then a scene is run again for each of its points, and the
program dies there, with every fate of the call, and so where it comes to it a second and a third
time. A point that several scenes pass is taken in the shortest of them.

Points that only a life passes which has something to mend are found by runs with one death, and
the program dies there as well.
"""

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from tests.simulation.playing import play
from tests.simulation.scenes import ANY, Death, Fate, Spot
from tests.simulation.scripts import SCENES

#: The first and the second time are two transactions of one function, or two rows; what comes
#: again after that is a loop.
_TIMES = 3
#: Where a death leaves most to mend: renting, copying a result, and publishing it.
_WOUNDS = (
    "after commit @ Place._rent_for",
    "before vast PUT asks/N @ Rent.create",
    "after vast PUT asks/N @ Rent.create",
    "before storage copy_object @ Publisher._copy",
    "after storage copy_object @ Publisher._copy",
    "before commit @ Publisher._commit",
    "after commit @ Publisher._commit",
)
#: Who looks at what is, and mends it; at so many of their points it dies again.
_MENDERS, _MENDED = ("Reap.", "Place.", "Rent.", "Watch.", "Publisher."), 12
#: Of pairs every other second death is among so many points after the first.
_SOON = 60


@dataclass(slots=True)
class Survey:
    """What the calm runs found."""

    spots: list[Spot] = field(default_factory=list)
    """Each point, so often as it was passed, up to a few times."""
    passed: dict[str, Counter[str]] = field(default_factory=dict)
    """By scene."""
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Examined:
    """What does not hold after some deaths, each line with how to see it again."""

    broken: list[str]
    died_at: list[str]


@cache
def survey() -> Survey:
    """Every point there is, in the scene where its test takes the shortest."""
    result, lengths = Survey(), {}
    for scene in SCENES:
        calm = play(scene)
        result.broken += [f"{scene}: {line}" for line in calm.outcome.broken]
        result.passed[scene], lengths[scene] = calm.passed, calm.passed.total()
    best: dict[str, str] = {}
    for scene in sorted(SCENES, key=lengths.__getitem__):
        for point in result.passed[scene]:
            best.setdefault(point, scene)
    result.spots = sorted(
        spot
        for point, scene in best.items()
        for spot in _spots(scene, point, result.passed[scene])
    )
    return result


def all_deaths() -> list[Death]:
    """Every point with every fate, in an order that spreads the scenes."""
    return [
        Death(spot, fate) for fate in Fate for spot in survey().spots if _has(spot.point, fate)
    ]


@cache
def all_recoveries() -> list[tuple[Death, Death]]:
    """Deaths after deaths: at each point that no calm run passes, and at those that the loops
    which mend come to first."""
    known = {spot.point for spot in survey().spots}
    found = []
    for wound in all_deaths():
        if wound.spot.point not in _WOUNDS or wound.spot.time:
            continue
        scene = wound.spot.scene
        passed = play(scene, (wound,)).passed
        new = [point for point in passed if point not in known]
        known.update(new)
        found += [
            (wound, Death(spot, fate))
            for point in new
            for spot in _spots(scene, point, passed)
            for fate in Fate
            if _has(point, fate)
        ]
        if wound.fate in (Fate.CLEAN, Fate.ANSWER_LOST):
            mending = [each for each in passed if each.rpartition("@ ")[2].startswith(_MENDERS)]
            found += [
                (wound, Death(Spot(scene, point), Fate.CLEAN)) for point in mending[:_MENDED]
            ]
    return found


def draw_pair(seed: int) -> tuple[Death, Death]:
    """Two deaths in one scene, the second at any point that is passed after the first."""
    rng = random.Random(f"pair {seed}")
    scene = rng.choice(list(SCENES))
    passed = survey().passed[scene]
    point = rng.choice(sorted(passed))
    first = Death(Spot(scene, point, rng.randrange(passed[point])), rng.choice(list(Fate)))
    left = play(scene, (first,)).passed.total()
    if rng.random() < 0.5:
        left = min(left, _SOON)
    return first, Death(Spot(scene, ANY, rng.randrange(left)), rng.choice(list(Fate)))


def examine(*deaths: Death) -> Examined:
    """Let the program die so."""
    played = play(deaths[0].spot.scene, deaths, surveys=False)
    broken = list(played.outcome.broken)
    if len(played.died_at) < len(deaths):
        broken.append(f"10: the program came to {len(played.died_at)} of {len(deaths)} deaths")
    told = " then ".join(map(str, deaths))
    return Examined([f"{told}: {line}" for line in broken], played.died_at)


def examine_pairs(seeds: range, workers: int) -> Iterator[tuple[int, Examined]]:
    """Seeds of pairs as they come, each with what came of it."""
    survey()  # every worker has it then
    context = multiprocessing.get_context("fork")
    with context.Pool(workers, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_examine_pair, seeds, chunksize=2)


def _examine_pair(seed: int) -> tuple[int, Examined]:
    try:
        return seed, examine(*draw_pair(seed))
    except Exception as error:  # a run that fails is a finding like any other
        return seed, Examined([f"the run itself failed: {error!r}"], [])


def _spots(scene: str, point: str, passed: Counter[str]) -> list[Spot]:
    return [Spot(scene, point, time) for time in range(min(_TIMES, passed[point]))]


def _has(point: str, fate: Fate) -> bool:
    """After a call there is nothing left that could become of it."""
    return fate is Fate.CLEAN or point.startswith("before ") or "commit" in point
