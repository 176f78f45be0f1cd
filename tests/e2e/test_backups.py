"""Backups and restoring with real processes: killed, damaged, and beside a live controller."""

import asyncio
import random
import subprocess
import sys
import time

import pytest

from controller.backups import Why, back_up, find_backups, last_restoration
from controller.labels import Label
from controller.records import TERMINAL
from controller.settings import load_settings
from controller.store import Store
from controller.store.snapshots import connect, find_damage
from controller.wiring import open_controller
from tests.e2e.rented import Rented
from tests.e2e.story import ROOT, Story
from tests.e2e.test_rented import fill
from tests.e2e.test_story import run_noxfvr
from tests.standins.vast import make_offer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PAGE = 4096
BACKING_UP = """
import sys, time
from pathlib import Path
from controller.backups import back_up
database = Path(sys.argv[1])
print("ready", flush=True)
while True:
    back_up(database, database.parent / "backups", why="schedule", clock=time.time)
"""
RESTORING = """
import itertools, sys, time
from pathlib import Path
from controller.backups import restore
database = Path(sys.argv[1])
print("ready", flush=True)
for backup in itertools.cycle(map(Path, sys.argv[2:])):
    done = restore(backup, database, keep_deployment=True, clock=time.time)
    (database.parent / done.set_aside).unlink()
    print("ready", flush=True)
"""


def fill_database(database, name, size):
    database.parent.mkdir(exist_ok=True)
    store = Store(database, clock=time.time)
    with store.transaction():
        for user in range(size):
            store.preferences.set(user, "name", name + "x" * 2000)
    store.close()


def name_in(database):
    store = Store(database, clock=time.time)
    found = {store.preferences.get(user, "name").rstrip("x") for user in range(200)}
    told = last_restoration(store)
    store.close()
    (name,) = found
    return name, told


def kill_at_random(script, *arguments, rng, most_s, rounds=1):
    """After so many lines that say that it is ready, and a while."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    for _ in range(rounds):
        assert process.stdout.readline() == "ready\n"
    time.sleep(rng.uniform(0, most_s))
    assert process.poll() is None
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_backup_that_is_killed_is_none_and_all_that_are_finished_are_whole(tmp_path):
    rng = random.Random(1)
    database = tmp_path / "noxfvr.db"
    fill_database(database, "one", 5000)
    halves = 0
    for _ in range(6):
        kill_at_random(BACKING_UP, database, rng=rng, most_s=0.3)
        halves += len(list((tmp_path / "backups").glob("*.partial")))
        for path in (tmp_path / "backups").glob("*.partial*"):
            path.unlink()
    assert halves
    for backup in find_backups(tmp_path / "backups"):
        assert find_damage(backup.path, thorough=True) is None
        assert name_in(backup.path)[0] == "one"
    assert find_damage(database, thorough=True) is None


def test_a_restoration_that_is_killed_leaves_the_old_or_the_new_database_whole(tmp_path):
    rng = random.Random(2)
    made = []
    for name in ("one", "two"):
        fill_database(tmp_path / name / "noxfvr.db", name, 2000)
        made.append(back_up(
            tmp_path / name / "noxfvr.db", tmp_path / "backups", why="schedule", clock=time.time
        ))  # fmt: skip
    database = tmp_path / "data" / "noxfvr.db"
    fill_database(database, "one", 2000)
    seen = []
    for number in range(8):
        kill_at_random(RESTORING, database, *made, rng=rng, most_s=0.15, rounds=1 + number % 3)
        assert find_damage(database, thorough=True) is None
        seen.append(name_in(database)[0])
    assert set(seen) == {"one", "two"}


def all_but_the_first_page(db):
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    return PAGE, (pages - 1) * PAGE


def one_page(db):
    """Of a table that nothing reads or writes while the program runs."""
    sql = "SELECT rootpage FROM sqlite_schema WHERE name = '_sqlite_migrations'"
    (number,) = db.execute(sql).fetchone()
    return (number - 1) * PAGE, PAGE


@pytest.mark.parametrize("damaged", [all_but_the_first_page, one_page])
async def test_a_bot_whose_database_is_damaged_ends_and_comes_back_with_the_newest_backup(
    tmp_path, damaged
):
    async with Story(tmp_path, NOXFVR_BACKUP_S="1") as story:
        chat = (await story.driver.person(100, "Ann", language_code="en")).chat
        await chat.send_text("/start")
        await chat.wait_for("video", timeout_s=30)
        await wait_for(lambda: find_backups(story.settings.backups_dir))
        before = find_backups(story.settings.backups_dir)[-1]
        running = await run_noxfvr(story, "restore", before.path.name, "--yes")
        assert running.returncode == 1
        assert "another process" in running.stderr

        with connect(story.settings.database) as db:
            # what is in the journal would hide the file
            await wait_for(
                lambda: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
            )
            start, size = damaged(db)
        with story.settings.database.open("r+b") as file:
            file.seek(start)
            file.write(random.Random(3).randbytes(size))
        async with asyncio.timeout(60):
            assert await story._bot.wait() == 1
        assert "the next start restores the newest backup" in story.log().splitlines()[-1]

        count = len(await chat.messages())
        await chat.send_text("/start")
        await story.start_bot()
        await chat.wait_until(lambda ms: len([m for m in ms if m.from_bot]) > count - 1, 30)
        assert "is restored from noxfvr-" in story.log()
        await chat.wait_for("its file was damaged and was taken from a backup", timeout_s=30)
        await story.stop_bot()
        name, told = await asyncio.to_thread(read_name, story.settings.database)
        assert (told.why, told.deployment, told.was_deployment) == (Why.DAMAGED, name, name)


def read_name(database):
    store = Store(database, clock=time.time)
    try:
        return store.deployment, last_restoration(store)
    finally:
        store.close()


async def wait_for(holds, timeout_s=30):
    for _ in range(int(timeout_s / 0.1)):
        if found := holds():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not seen in {timeout_s} s")


async def test_the_command_lists_asks_refuses_and_says_what_follows(tmp_path):
    story = Story(tmp_path)
    database, folder = story.settings.database, story.settings.backups_dir
    nothing = await run_noxfvr(story, "restore")
    assert (nothing.returncode, "There is no backup" in nothing.stdout) == (0, True)
    fill_database(database, "one", 200)
    old = read_name(database)[0]
    backup = back_up(database, folder, why="schedule", clock=time.time)
    fill_database(database, "two", 200)
    bad = backup.with_name("bad.db")
    bad.write_bytes(b"no database")

    listed = await run_noxfvr(story, "restore", "--list")
    assert listed.returncode == 0
    assert f"{backup.name}  " in listed.stdout
    assert f"deployment {old}, 0 jobs, 0 machines open" in listed.stdout
    for arguments, code in (
        (("none.db", "--yes"), 2), ((backup.name,), 2), (("bad.db", "--yes"), 1),
    ):  # fmt: skip
        refused = await run_noxfvr(story, "restore", *arguments)
        assert refused.returncode == code, refused.stderr
        assert len(refused.stderr.strip().splitlines()) <= 3
        assert "Traceback" not in refused.stderr
    assert name_in(database)[0] == "two"

    done = await run_noxfvr(story, "restore", backup.name, "--yes")
    assert done.returncode == 0, done.stderr
    name, told = name_in(database)
    assert name == "one"
    assert told.deployment != old
    for words in (told.deployment, f"noxfvr reap --deployment {old}", told.set_aside):
        assert words in done.stdout
    again = await run_noxfvr(story, "restore", str(backup), "--yes", "--keep-deployment")
    assert f"still {old}" in again.stdout
    assert name_in(database)[1].deployment == old


async def test_beside_a_live_controller_nobody_ends_what_is_not_its_own(tmp_path):
    offers = [make_offer(dph_base=0.05), make_offer(dph_base=0.06)]
    async with Rented(tmp_path, offers=offers, runs=False) as world:
        fill(world, "a.mp4")
        live = await world.start("batch", "input/c1", NOXFVR_MAX_MACHINES="1")
        await world.until(lambda: len(world.vast.alive()) == 1)
        (theirs,) = world.vast.alive()
        backup = back_up(
            world.data / "noxfvr.db", tmp_path / "kept", why="schedule", clock=time.time
        )
        other = {"NOXFVR_DATA_DIR": str(tmp_path / "other"), "NOXFVR_MAX_MACHINES": "1"}
        code, output, errors = await world.noxfvr("restore", str(backup), "--yes", **other)
        assert code == 0, output + errors
        settings = load_settings({**world.env, **other})
        async with open_controller(settings, must_own=True) as controller:
            await world.until(lambda: len(world.vast.alive()) == 2)
            labels = [Label.parse(each.label) for each in world.vast.creates]
            assert labels[0].deployment != labels[1].deployment
            await asyncio.sleep(3)  # several listings of both
            assert len(world.vast.alive()) == 2
            (job,) = controller.jobs(active=True)
            controller.cancel(job.id, by=TERMINAL)
            await world.until(lambda: world.vast.alive() == [theirs])
        await asyncio.sleep(2)
        assert world.vast.alive() == [theirs]
        assert live.returncode is None
        live.kill()
        await live.communicate()
