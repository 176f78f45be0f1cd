"""A full or read-only disk: nothing new is begun, nothing is lost, and it mends itself."""

import contextlib
import os
from pathlib import Path

import pytest

from controller.errors import DatabaseDamaged, DatabaseFull
from controller.labels import Label
from controller.loops.webhook import Webhook
from controller.providers.base import Instance
from controller.states import JobState, MachineState
from controller.store import Store
from controller.store.snapshots import connect
from remote_runner.protocol import Phase
from tests.controller.conftest import video

OUTPUT = video(width=640, height=360)


def connection(store):
    return store._db._db


@contextlib.contextmanager
def no_room(house):
    """Every write to the database fails, as on a full disk; reading goes on."""
    connection(house.store).execute("PRAGMA query_only=ON")
    try:
        yield
    finally:
        connection(house.store).execute("PRAGMA query_only=OFF")


@contextlib.contextmanager
def held(house):
    """Another program is in the middle of a transaction, and stays there."""
    connection(house.store).execute("PRAGMA busy_timeout=1")
    with connect(house.settings.database) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def pass_over(house, seconds=1.0):
    """A tick of the loops as the supervisor does it: none ends the others."""
    house.clock.advance(seconds)
    refused = []
    for loop in (house.reap, house.tail, house.watch, house.place, house.prune):
        try:
            await loop.tick()
        except DatabaseFull:
            refused.append(loop)
        if loop is house.watch:
            await house.watch.settle()
    return refused


def test_a_full_database_is_a_typed_error_and_loses_nothing(tmp_path, clock):
    store = Store(tmp_path / "noxfvr.db", clock=clock)
    db = connection(store)
    store.preferences.set(1, "language", "ru")
    pages = next(iter(db.query("PRAGMA page_count")))["page_count"]
    db.execute(f"PRAGMA max_page_count={pages + 2}")
    written = 0
    with pytest.raises(DatabaseFull, match="database or disk is full"):
        for written in range(1000):
            with store.transaction():
                store.preferences.set(2, f"one {written}", "x" * 1000)
                store.preferences.set(2, f"two {written}", "x" * 1000)
    # what was committed is there, of the last transaction nothing
    assert store.preferences.get(1, "language") == "ru"
    assert store.preferences.get(2, f"one {written}") is None
    assert written == 0 or store.preferences.get(2, f"two {written - 1}")
    db.execute("PRAGMA max_page_count=1000000")
    store.preferences.set(2, "one", "x" * 1000)
    assert store.damage is None
    store.close()


def test_a_full_disk_is_a_typed_error_and_the_rest_is_whole(small_disk, clock):
    store = Store(small_disk / "noxfvr.db", clock=clock)
    store.preferences.set(1, "language", "ru")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(DatabaseFull):
        for number in range(1000):
            store.preferences.set(2, str(number), "x" * 4000)
    assert store.preferences.get(1, "language") == "ru"
    filler.unlink()
    store.preferences.set(2, "again", "x" * 4000)
    assert store.preferences.get(2, "again")
    store.close()


def test_a_database_that_somebody_holds_takes_nothing_and_that_is_a_typed_error(house):
    with held(house):
        with pytest.raises(DatabaseFull, match="locked"):
            house.store.preferences.set(1, "language", "ru")
        assert house.store.preferences.get(1, "language") is None
    house.store.preferences.set(1, "language", "ru")


@contextlib.contextmanager
def lame(path, mode):
    """A file that this process has open can be used in one way only: the other is an I/O error."""
    spoilt = [
        int(each.name)
        for each in Path("/proc/self/fd").iterdir()
        if each.is_symlink() and each.readlink() == path
    ]
    assert spoilt
    kept = {number: os.dup(number) for number in spoilt}
    other = os.open(path, mode)
    try:
        for number in spoilt:
            os.dup2(other, number)
        yield
    finally:
        for number, whole in kept.items():
            os.dup2(whole, number)
            os.close(whole)
        os.close(other)


def test_what_cannot_be_read_is_not_told_of_as_what_cannot_be_written(house):
    store, database = house.store, house.settings.database
    for user in range(200):
        store.preferences.set(user, "language", "x" * 1000)
    connection(store).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection(store).execute("PRAGMA shrink_memory").fetchall()
    with (
        lame(database, os.O_WRONLY),
        pytest.raises(DatabaseFull, match="can be read from"),
    ):
        store.preferences.get(150, "language")
    journal = database.with_name("noxfvr.db-wal")
    with (
        lame(journal, os.O_RDONLY),
        pytest.raises(DatabaseFull, match="can be written to"),
    ):
        store.preferences.set(1, "language", "ru")
    store.preferences.set(1, "language", "ru")
    assert store.preferences.get(150, "language") == "x" * 1000
    assert store.damage is None


def test_what_a_rule_refuses_is_still_what_it_was(house):
    # an error of the caller, not of the disk
    with pytest.raises(Exception, match="CHECK constraint") as caught:
        house.store._db.run("INSERT INTO offsets VALUES (2, 1, 1)")
    assert not isinstance(caught.value, (DatabaseFull, DatabaseDamaged))


# --- loops -------------------------------------------------------------------------------------


async def test_nothing_is_rented_and_the_queue_goes_on_later(rented):
    job = await rented.queued()
    with no_room(rented):
        for _ in range(5):
            await pass_over(rented, 10)
        assert rented.provider.launches == []
    await rented.tick(10)
    assert len(rented.provider.launches) == 1
    assert rented.job(job).state is JobState.RUNNING


async def idle_machine(house):
    await house.queued()
    await house.tick()
    house.runner.heartbeat(house.machine())
    await house.tick()
    house.runner.finish(house.machine(), OUTPUT)
    await house.tick(31)
    assert house.machine().state is MachineState.READY


async def test_an_idle_machine_is_given_back_though_that_cannot_be_written_down(rented):
    await idle_machine(rented)
    with no_room(rented):
        for _ in range(8):
            await pass_over(rented, 30)
        assert rented.provider.alive == {}
    for _ in range(8):
        await rented.tick(30)
    assert rented.store.machines.select() == []


async def test_an_end_that_was_begun_is_carried_out(rented):
    await idle_machine(rented)
    rented.store.machines.request_retire(rented.machine().id, "idle")
    with no_room(rented):
        await pass_over(rented)
        assert rented.provider.alive == {}


async def test_a_machine_at_work_is_left_to_it_until_its_own_deadline(rented):
    await rented.queued()
    await rented.tick()
    machine = rented.machine()
    rented.runner.heartbeat(machine)
    await rented.tick()
    with no_room(rented):
        await pass_over(rented, 60)
        assert len(rented.provider.alive) == 1
        rented.clock.now = machine.expires_at
        await pass_over(rented)
        assert rented.provider.alive == {}


async def test_a_stranger_under_our_name_is_ended(rented):
    label = Label(
        rented.store.deployment, "01M0000000000000000000000A", int(rented.clock()) + 9999
    )
    rented.provider.alive["s"] = Instance(id="s", label=str(label))
    with no_room(rented):
        await pass_over(rented)
    assert rented.provider.alive == {}


async def test_a_result_that_comes_meanwhile_is_published_once_there_is_room(rented):
    job = await rented.queued()
    await rented.tick()
    rented.runner.heartbeat(rented.machine())
    await rented.tick()
    with no_room(rented):
        for _ in range(3):
            await pass_over(rented, 100)
            rented.runner.heartbeat(rented.machine())
        rented.runner.finish(rented.machine(), OUTPUT)
        rented.runner.heartbeat(rented.machine(), phase=Phase.FINISHED)
        # far longer than the silence that a machine is given up for
        for _ in range(10):
            await pass_over(rented, 60)
    for _ in range(5):
        await rented.tick(31)
    job = rented.job(job)
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    assert rented.kinds(job).count("done") == 1


async def test_a_machine_that_was_created_as_the_disk_filled_up_is_found_again(rented):
    await rented.queued()
    create = rented.provider.create

    async def fill(offer, launch):
        instance = await create(offer, launch)
        connection(rented.store).execute("PRAGMA query_only=ON")
        return instance

    rented.provider.create = fill
    await pass_over(rented)
    await pass_over(rented)
    connection(rented.store).execute("PRAGMA query_only=OFF")
    rented.provider.create = create
    (instance,) = rented.provider.alive
    for _ in range(3):
        await rented.tick(10)
    assert rented.machine().instance == instance
    assert len(rented.provider.launches) == 1


async def test_what_takes_room_goes_though_a_deadline_cannot_be_noted(house):
    await house.draft("expired.mp4")
    house.clock.advance(2 * 86400)
    log = house.settings.logs_dir / "old.log"
    log.parent.mkdir()
    log.write_text("a log of a machine")
    old = house.clock() - 30 * 86400
    os.utime(log, (old, old))
    with no_room(house):
        await house.prune.tick()
        assert not log.exists()
        assert house.store.jobs.select()[0].state is JobState.DRAFT
    await house.prune.tick()
    assert house.store.jobs.select()[0].state is JobState.CANCELLED


async def test_the_webhook_is_not_told_the_same_again_and_again(house):
    posted = []

    async def post(url, body, headers):
        posted.append(headers["X-Noxfvr-Event"])
        return 200

    house.change(webhook_url="https://hook.example", webhook_secret="s" * 20)
    webhook = Webhook(
        store=house.store, storage=house.storage, settings=house.settings, clock=house.clock,
        post=post,
    )  # fmt: skip
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), OUTPUT)
    await house.tick()
    assert house.job(job).state is JobState.DONE
    house.store.events.move_cursor("webhook", house.store.events.newest() - 1)
    with no_room(house):
        for _ in range(5):
            house.clock.advance(60)
            with pytest.raises(DatabaseFull):
                await webhook.tick()
    assert await webhook.tick() == 0
    assert len(posted) == 1
    assert house.store.events.cursor("webhook") == house.store.events.newest()
