"""What is committed, when, and against whom it is guarded: on the database file itself."""

import pytest
from sqlite_utils.utils import sqlite3

from controller.loops.context import end_attempt
from controller.states import AttemptState, JobState, MachineState, Reason
from remote_runner.protocol import Phase


def look(house):
    """Another connection, which sees what is committed and waits for nobody."""
    connection = sqlite3.connect(house.settings.database, timeout=0)
    connection.row_factory = sqlite3.Row
    return connection


def committed(house, table):
    other = look(house)
    try:
        return [dict(row) for row in other.execute(f"SELECT * FROM {table}")]
    finally:
        other.close()


def refuse_events(house):
    house.store._db.run(
        """CREATE TRIGGER no_events BEFORE INSERT ON events
           BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"""
    )


def test_a_commit_outlives_a_loss_of_power(house):
    pragmas = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1}  # 2 is FULL
    for name, value in pragmas.items():
        assert house.store._db.one(f"PRAGMA {name}")[name] == value


def test_a_transaction_keeps_other_writers_out_from_its_first_moment(house):
    other = look(house)
    with house.store.transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


async def test_a_move_and_the_event_that_tells_of_it_are_there_together_or_not_at_all(house):
    job = await house.draft()
    refuse_events(house)
    with pytest.raises(sqlite3.IntegrityError):
        house.store.jobs.move(job, JobState.QUEUED, event="queued", started_at=1.0)
    with pytest.raises(sqlite3.IntegrityError):
        house.store.jobs.change(job, event="drafted", priority=3)
    (row,) = committed(house, "jobs")
    assert (row["state"], row["priority"]) == ("draft", 0)


async def test_a_new_job_and_the_event_that_tells_of_it_are_there_together_or_not_at_all(house):
    refuse_events(house)
    with pytest.raises(sqlite3.IntegrityError):
        await house.draft()
    assert committed(house, "jobs") == []


async def test_all_that_an_end_means_is_there_together_or_not_at_all(house):
    job = await house.queued()
    await house.tick()
    (attempt,) = house.store.attempts.of_job(job.id)
    refuse_events(house)
    with pytest.raises(sqlite3.IntegrityError):
        end_attempt(house.context, attempt, AttemptState.LOST, Reason.SILENT, "no word")
    (row,) = committed(house, "jobs")
    assert (row["state"], row["cost_usd"]) == ("running", 0)
    assert [row["state"] for row in committed(house, "attempts")] == ["assigned"]
    assert committed(house, "bans") == []


async def test_machine_label_and_money_are_on_the_disk_before_the_create_call(rented):
    seen = []
    create = rented.provider.create

    async def look_then_create(offer, launch):
        seen.extend(committed(rented, "machines"))
        assert [row["machine"] for row in committed(rented, "attempts")] == [launch.machine]
        return await create(offer, launch)

    rented.provider.create = look_then_create
    await rented.queued()
    await rented.tick()
    (row,) = seen
    assert (row["state"], row["label"]) == ("renting", rented.provider.launches[0].label)
    lifetime_s = row["expires_at"] - row["created_at"]
    assert row["reserved_usd"] >= row["usd_per_hour"] * lifetime_s / 3600 + row["traffic_usd"]


async def test_a_machine_that_has_changed_since_it_was_read_is_not_written_over(house):
    await house.queued()
    await house.tick()
    before = house.machine()
    house.store.machines.request_retire(before.id, "first")
    assert house.store.machines.change(before, absences=9) is None
    assert house.store.machines.move(before, MachineState.RETIRING) is None
    after = house.machine()
    assert (after.absences, after.retire_reason) == (0, "first")


async def test_an_attempt_ends_once_whoever_read_it_before(house):
    job = await house.queued()
    await house.tick()
    (before,) = house.store.attempts.of_job(job.id)
    house.runner.heartbeat(house.machine(), phase=Phase.PROCESSING)
    await house.tick()
    ended = {"ended_at": 1.0, "reason": Reason.SILENT}
    assert house.store.attempts.move(before, AttemptState.LOST, **ended) is None
    (running,) = house.store.attempts.of_job(job.id)
    assert house.store.attempts.move(running, AttemptState.LOST, **ended)
    assert house.store.attempts.move(running, AttemptState.FAILED, ended_at=2.0) is None
    (lost,) = house.store.attempts.of_job(job.id)
    assert (lost.state, lost.ended_at, lost.reason) == (AttemptState.LOST, 1.0, Reason.SILENT)


def test_an_update_that_was_handled_and_comes_again_stays_handled(house):
    house.store.inbox.add([(5, "five")])
    house.store.inbox.set_handled(5)
    house.store.inbox.add([(5, "five"), (6, "six")])
    assert [update.id for update in house.store.inbox.pending(10)] == [6]
