import os

import pytest

from controller.states import JobState
from tests.simulation.world import World


def seeds() -> range:
    first, _, last = os.environ.get("SEEDS", "0:40").partition(":")
    return range(int(first), int(last))


@pytest.mark.parametrize("seed", seeds())
async def test_nothing_leaks_and_nothing_is_lost(seed, tmp_path):
    world = World(seed, tmp_path / "data")
    await world.live(60)
    await world.calm_down()
    broken = world.broken()
    world.house.store.close()
    assert not broken, "\n".join([f"seed {seed}", *broken, *world.story[-60:]])


async def test_a_seed_replays_its_story(tmp_path):
    stories = []
    for run in ("a", "b"):
        world = World(7, tmp_path / run)
        await world.live(60)
        stories.append([line.split(maxsplit=2)[-1] for line in world.story])
        world.house.store.close()
    assert stories[0] == stories[1]


async def test_attempts_do_go_on_behind_what_others_left(tmp_path):
    resumed = 0
    for seed in range(8):
        world = World(seed, tmp_path / str(seed))
        await world.live(60)
        resumed += world.segments.resumed
        world.house.store.close()
    assert resumed > 3


async def test_people_are_asked_and_say_yes(tmp_path):
    asked = agreed = 0
    for seed in range(1, 33, 4):
        world = World(seed, tmp_path / str(seed))
        await world.live(60)
        asked += world.money.asked
        agreed += world.money.agreed
        world.house.store.close()
    assert asked > 5
    assert agreed > 5


async def test_samples_are_made_and_their_drafts_started(tmp_path):
    made = started = 0
    for seed in range(0, 12, 3):
        world = World(seed, tmp_path / str(seed))
        await world.live(60)
        jobs = [world.house.job(each) for each in world.jobs]
        done = {each.sample_of for each in jobs if each.sample_of and each.state is JobState.DONE}
        made += len(done)
        started += sum(each.id in done and each.started_at is not None for each in jobs)
        world.house.store.close()
    assert made > 3
    assert started > 0
