import itertools
import subprocess
import sys

import pytest
from sqlite_utils.utils import sqlite3

from controller.capabilities import Upload, UploadState
from controller.errors import DatabaseError
from controller.records import Card
from controller.states import (
    ATTEMPT_MOVES,
    JOB_MOVES,
    MACHINE_MOVES,
    AttemptState,
    JobState,
    MachineState,
)
from controller.store import Store
from controller.store.database import check_sqlite


@pytest.fixture
def store(tmp_path, clock):
    store = Store(tmp_path / "noxfvr.db", clock=clock)
    yield store
    store.close()


async def test_a_move_that_somebody_else_made_first_changes_nothing(house):
    job = await house.draft()
    assert house.store.jobs.move(job, JobState.QUEUED, event="queued", started_at=1.0)
    assert house.store.jobs.move(job, JobState.QUEUED, event="queued", started_at=2.0) is None
    assert house.kinds(job) == ["drafted", "queued"]
    assert house.job(job).started_at == 1.0


async def test_illegal_moves_of_jobs_are_refused(house):
    job = await house.draft()
    for to in set(JobState) - JOB_MOVES[JobState.DRAFT]:
        with pytest.raises(ValueError, match="never moves"):
            house.store.jobs.move(job, to, event="x")


async def test_the_database_itself_refuses_done_without_an_object(house):
    job = await house.queued()
    await house.tick()
    with pytest.raises(sqlite3.IntegrityError):
        house.store.jobs.move(house.job(job), JobState.DONE, event="done", ended_at=1.0)
    assert house.job(job).state is JobState.RUNNING
    assert "done" not in house.kinds(job)


async def test_the_database_itself_refuses_gone_without_proof(house):
    await house.queued()
    await house.tick()
    machine = house.store.machines.move(house.machine(), MachineState.RETIRING)
    with pytest.raises(sqlite3.IntegrityError):
        house.store.machines.move(machine, MachineState.GONE, gone_at=1.0)


@pytest.mark.parametrize(
    ("states", "moves"),
    [(JobState, JOB_MOVES), (AttemptState, ATTEMPT_MOVES), (MachineState, MACHINE_MOVES)],
)
def test_terminal_states_have_no_way_out_and_all_others_have_one(states, moves):
    assert set(moves) == set(states)
    for state in states:
        terminal = (
            not state.is_live and state is MachineState.GONE
            if states is MachineState
            else (state.is_terminal)
        )
        assert bool(moves[state]) != terminal


def test_a_failed_transaction_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.transaction():
        store.preferences.set(1, "language", "ru")
        raise RuntimeError
    assert store.preferences.get(1, "language") is None


def test_listeners_are_called_after_a_commit_and_not_after_a_rollback(store):
    calls = []
    store.on_commit(lambda: calls.append(1))
    store.preferences.set(1, "a", "b")
    with pytest.raises(RuntimeError), store.transaction():
        raise RuntimeError
    assert calls == [1]


def test_a_second_connection_sees_commits_and_keeps_the_deployment(store, tmp_path, clock):
    other = Store(tmp_path / "noxfvr.db", clock=clock)
    store.preferences.set(1, "a", "b")
    assert other.preferences.get(1, "a") == "b"
    assert other.deployment == store.deployment
    other.close()


def test_updates_are_kept_once_and_in_order(store):
    assert store.inbox.offset() is None
    store.inbox.add([(5, "five"), (6, "six")])
    store.inbox.add([(6, "again"), (7, "seven")])
    assert [update.body for update in store.inbox.pending(10)] == ["five", "six", "seven"]
    assert store.inbox.offset() == 8
    assert store.inbox.count_try(5) == 1
    store.inbox.set_handled(5)
    assert [update.id for update in store.inbox.pending(10)] == [6, 7]


def test_the_offset_outlives_the_updates_and_follows_the_last_batch(store, clock):
    store.inbox.add([(5, "five"), (6, "six")])
    store.inbox.set_handled(5)
    store.inbox.set_handled(6)
    clock.advance(10)
    assert store.inbox.forget(clock()) == 2
    assert store.inbox.offset() == 7
    store.inbox.add([(3, "a server that counts from elsewhere")])
    assert store.inbox.offset() == 4
    store.inbox.add([])
    clock.advance(7 * 86400)
    assert store.inbox.offset() is None


def test_an_orderly_stop_gives_a_try_back(store):
    store.inbox.add([(5, "five")])
    store.inbox.count_try(5)
    store.inbox.give_try_back(5)
    assert store.inbox.count_try(5) == 1


def test_cursors_only_move_forward(store):
    store.events.move_cursor("chat:1", 5)
    store.events.move_cursor("chat:1", 3)
    assert store.events.cursor("chat:1") == 5


async def test_a_card_is_one_per_job(house):
    job = await house.draft()
    card = Card(subject=job.id, chat=1, message=None, shown="", finished=False, delivering_at=None)
    house.store.cards.save(card)
    house.store.cards.save(
        Card(subject=job.id, chat=1, message=9, shown="x", finished=True, delivering_at=1.0)
    )
    assert house.store.cards.select(finished=False) == []
    assert house.store.cards.get(job.id).message == 9


async def test_money_of_an_unproven_end_stays_reserved_and_grows(house):
    await house.queued()
    await house.tick()
    reserved = house.machine().reserved_usd
    assert house.store.machines.committed_usd(0) == pytest.approx(reserved)
    house.clock.advance(10 * 3600)
    assert house.store.machines.committed_usd(0) == pytest.approx(0.05 * 10, rel=0.01)


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2), (3, 44, 5), (3, 50, 6), (3, 45, 0)])
def test_an_sqlite_that_loses_commits_is_refused(version):
    with pytest.raises(DatabaseError, match="pysqlite3"):
        check_sqlite(version)


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 53, 4), (3, 44, 6), (3, 50, 7)])
def test_an_sqlite_with_the_fix_is_taken(version):
    check_sqlite(version)


def test_processes_that_start_at_once_share_a_new_database(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from controller.store import Store\n"
        "print(Store(Path(sys.argv[1]), clock=time.time).deployment)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "noxfvr.db")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = {process.communicate(timeout=60)[0] for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert len(told) == 1


def test_a_file_that_is_no_database_is_a_typed_error(tmp_path, clock):
    path = tmp_path / "noxfvr.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseError, match="cannot be opened"):
        Store(path, clock=clock)


def test_the_database_is_readable_by_its_owner_only(store, tmp_path):
    files = list(tmp_path.glob("noxfvr.db*"))
    assert len(files) > 1
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []


async def test_a_job_is_found_by_the_end_of_its_id_in_any_case(house):
    job = await house.draft()
    for text in (job.id, job.short_id, job.short_id.upper()):
        assert [each.id for each in house.store.jobs.by_suffix(text)] == [job.id]


def test_every_pair_of_states_is_either_a_move_or_refused():
    pairs = itertools.product(JobState, JobState)
    legal = [(a, b) for a, b in pairs if b in JOB_MOVES[a]]
    assert (JobState.RUNNING, JobState.QUEUED) in legal
    assert all(a is not b for a, b in legal)


def test_an_upload_page_goes_with_its_group_to_the_new_chat(house):
    house.store.uploads.add(
        Upload(
            id="u", code_hash="h", request_key="k", owner=7, chat=-5, reply_to=3, language="ru",
            state=UploadState.OPEN, name="", bytes=0, modified=0, part_bytes=0, key="",
            storage_id="", job=None, error="", created_at=0.0, expires_at=1.0,
        )
    )  # fmt: skip
    house.controller.move_chat(-5, -100)
    moved = house.store.uploads.get("u")
    assert (moved.chat, moved.reply_to) == (-100, None)
