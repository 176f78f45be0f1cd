"""A copy whose answer was lost is made later: what was published is what is found in the end."""

import asyncio
from unittest.mock import patch

import pytest
import sqlite_utils

from controller.errors import DatabaseFull, StorageError
from controller.loops import strays
from controller.migrations import migrations
from controller.states import AttemptState, JobState, Reason
from controller.store import Store
from remote_runner.protocol import to_json
from tests.controller.conftest import FACTS, video

EARLIER = video(width=640, height=360, frames=241)
PUBLISHED = video(width=640, height=360)
LONGER = video(width=640, height=360, codec="another")
LATE_S = 1800


class LateCopies:
    """A storage that answers no copy, and makes them when it is told to."""

    def __init__(self, house):
        self._house = house
        self._copy = house.storage.copy
        self.pending = []
        house.storage.copy = self._lose_the_answer

    async def _lose_the_answer(self, source, target):
        self.pending.append((source, target))
        raise StorageError("no answer in time")

    def answer(self):
        self._house.storage.copy = self._copy

    async def make(self):
        for source, target in self.pending:
            await self._copy(source, target)


async def run_attempt(house, output, **changes):
    machine = house.machine()
    house.runner.heartbeat(machine)
    house.runner.finish(machine, output, **changes)
    await house.tick()


async def publish_second(house, *, earlier=EARLIER, **changes):
    """A job that its second attempt has brought to an end, and the copies of the first one."""
    job = await house.queued()
    await house.tick()
    copies = LateCopies(house)
    await run_attempt(house, earlier, **changes)
    (first,) = house.store.attempts.of_job(job.id)
    house.clock.advance(first.deadline_at - house.clock())
    for _ in range(8):
        await house.tick(10)
    copies.answer()
    await run_attempt(house, PUBLISHED)
    first, second = house.store.attempts.of_job(job.id)
    assert (first.state, first.reason) == (AttemptState.LOST, Reason.TIMEOUT)
    assert (second.state, house.job(job).state) == (AttemptState.VERIFIED, JobState.DONE)
    return house.job(job), copies


async def prune(house):
    await house.prune.tick()
    await house.prune.settle()


async def outputs(house):
    return {
        entry.key: await house.storage.read(entry.key)
        for entry in await house.storage.entries("output/")
    }


@pytest.mark.parametrize("earlier", [EARLIER, LONGER], ids=["as long", "of another length"])
async def test_a_late_copy_of_an_earlier_attempt_does_not_replace_what_was_published(
    house, earlier
):
    job, copies = await publish_second(house, earlier=earlier)
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}
    for _ in range(2):  # it was asked for more than once
        house.clock.advance(LATE_S / 2 - 60)
        await copies.make()
        assert await outputs(house) == {job.output_key: earlier}
        await prune(house)
        assert await outputs(house) == {job.output_key: PUBLISHED}


@pytest.mark.parametrize("earlier", [EARLIER, LONGER], ids=["as long", "of another length"])
async def test_what_is_too_large_to_be_hashed_is_copied_once_more_with_the_last_look(
    house, monkeypatch, earlier
):
    monkeypatch.setattr(strays, "_READ_BYTES", 0)
    job, copies = await publish_second(house, earlier=earlier)
    house.clock.advance(LATE_S - 60)
    await copies.make()
    await prune(house)
    seen_at_once = len(earlier) != len(PUBLISHED)
    assert (await outputs(house) == {job.output_key: PUBLISHED}) == seen_at_once
    house.clock.advance(120)
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}
    assert house.store.claims.of_ended() == []


async def test_a_late_copy_under_another_name_does_not_stay_beside_the_result(house):
    job, copies = await publish_second(house, extension="mkv")
    await prune(house)
    await copies.make()
    assert len(await outputs(house)) == 2
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}


async def test_what_somebody_removed_is_not_brought_back(house):
    job, _ = await publish_second(house)
    await house.storage.delete(job.output_key)
    for _ in range(3):
        house.clock.advance(LATE_S / 2)
        await prune(house)
    assert await outputs(house) == {}
    assert house.store.claims.of_ended() == []


async def test_a_copy_that_fails_is_made_with_the_next_look(house, caplog):
    job, copies = await publish_second(house, earlier=LONGER)
    await copies.make()
    answers, house.storage.copy = house.storage.copy, copies._lose_the_answer
    house.clock.advance(LATE_S + 60)
    await prune(house)
    assert f"a late copy leaves of job {job.id} is not settled yet" in caplog.text
    house.storage.copy = answers
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}
    assert house.store.claims.of_ended() == []


async def test_an_output_is_kept_as_long_as_it_may_have_to_be_copied_again(house, monkeypatch):
    job, copies = await publish_second(house)
    house.clock.advance(3 * 86400)  # nobody was there

    async def fail(_):
        raise StorageError("no answer in time")

    with monkeypatch.context() as away:
        away.setattr(house.storage, "stat", fail)
        await prune(house)
    await copies.make()
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}
    await prune(house)
    assert await house.storage.entries(f"jobs/{job.id}/") == []


async def test_a_result_whose_attempt_was_the_only_one_is_not_looked_at_again(house):
    job = await house.queued()
    await house.tick()
    copies = LateCopies(house)
    await run_attempt(house, PUBLISHED)
    copies.answer()
    await house.tick(60)
    assert house.job(job).state is JobState.DONE
    assert house.store.claims.of_ended() == []


async def lose_first(house):
    """A job on its second attempt, and what the first one had just reported as it was given up."""
    job = await house.queued()
    await house.tick()
    house.runner.finish(house.machine(), EARLIER)
    (first,) = house.store.attempts.of_job(job.id)
    result = await house.context.mailbox.result(first)
    house.clock.advance(first.deadline_at - house.clock())
    house.watch._check_deadlines(house.job(job), first)
    for _ in range(8):
        await house.tick(10)
    assert house.job(job).attempts == 2
    return house.job(job), first, result


async def test_a_check_that_outlives_its_attempt_leaves_the_next_one_its_key(house):
    job, first, result = await lose_first(house)
    copy = house.storage.copy

    async def copy_while_an_old_check_ends(source, target):
        await copy(source, target)
        await house.watch._publisher.publish(job, first, result)

    house.storage.copy = copy_while_an_old_check_ends
    await run_attempt(house, PUBLISHED)
    assert house.job(job).state is JobState.DONE
    assert await outputs(house) == {house.job(job).output_key: PUBLISHED}


async def test_a_copy_that_ends_long_after_its_job_counts_from_then_on(house, monkeypatch):
    job, first, result = await lose_first(house)
    publisher, copy = house.watch._publisher, house.storage.copy

    async def end_last(source, target):
        house.storage.copy = copy
        await run_attempt(house, PUBLISHED)
        assert house.job(job).state is JobState.DONE
        house.clock.advance(2 * LATE_S)
        await prune(house)
        assert house.store.claims.of_ended() == []
        await copy(source, target)

    house.storage.copy = end_last
    is_wanted = publisher._is_wanted
    # it was wanted as it began
    monkeypatch.setattr(
        publisher, "_is_wanted", lambda each: house.storage.copy is end_last or is_wanted(each)
    )
    await publisher.publish(job, first, result)
    for waits_s in (60, LATE_S - 120):  # and its like may come later still
        house.clock.advance(waits_s)
        await copy(f"jobs/{job.id}/1/output", house.job(job).output_key)
        await prune(house)
        assert await outputs(house) == {house.job(job).output_key: PUBLISHED}


def test_what_an_earlier_release_has_claimed_is_claimed_still(tmp_path, clock):
    path = tmp_path / "noxfvr.db"
    db = sqlite_utils.Database(path)
    migrations.apply(db, stop_before="m015_claims")
    states = ("cancelled", "running", "queued", "done", "failed")
    for name, state in zip("abcde", states, strict=True):
        db["jobs"].insert(
            {
                "id": name, "request_key": name, "owner": 7, "language": "en", "state": state,
                "source_key": "k", "source_name": "n", "source_bytes": 1, "source_is_ours": 0,
                "task": "{}", "facts": to_json(FACTS), "created_at": 1, "deadline_at": 2,
                "started_at": 3, "ended_at": None if state in ("running", "queued") else 5,
                "output_key": "output/d.mp4" if state == "done" else None,
                "output_sha256": "0" * 64 if state == "done" else None,
                "reason": "timeout" if state == "failed" else None,
                "output_claim": None if name == "c" else f"output/{name}.mp4",
            }
        )  # fmt: skip
    db.close()
    store = Store(path, clock=clock, back_up=False)
    claims = store._db.rows("SELECT * FROM claims ORDER BY job")
    assert [tuple(each.values()) for each in claims] == [
        ("a", 0, "output/a.mp4", 5), ("b", 0, "output/b.mp4", 3), ("e", 0, "output/e.mp4", 5),
    ]  # fmt: skip
    store.close()


async def test_a_slow_copy_keeps_no_other_job_from_its_deadline(house):
    job, copies = await publish_second(house, earlier=LONGER)
    await copies.make()
    copy, is_answered = house.storage.copy, asyncio.Event()

    async def take_long(source, target):
        await is_answered.wait()
        await copy(source, target)

    house.storage.copy = take_long
    await house.prune.tick()
    other = await house.queued("other.mp4")
    house.clock.now = house.job(other).deadline_at
    await house.prune.tick()
    assert house.job(other).state is JobState.FAILED
    is_answered.set()
    await house.prune.settle()
    assert await outputs(house) == {job.output_key: PUBLISHED}


async def test_a_claim_that_is_renewed_while_it_is_settled_counts_from_then(house):
    job, copies = await publish_second(house)
    house.clock.advance(LATE_S + 60)
    (claim,) = house.store.claims.of_ended()
    stat = house.storage.stat

    async def renew(key):
        # the earlier attempt's copy ends just now, with an error
        house.store.claims.add(claim.job, claim.attempt, claim.key)
        return await stat(key)

    with patch.object(house.storage, "stat", renew):
        await prune(house)
    house.clock.advance(60)
    await copies.make()
    await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}


async def test_a_full_database_keeps_no_later_claim_from_being_settled(house):
    job, _ = await publish_second(house)
    for name in ("other.mkv", "yet_another.mkv"):
        house.store.claims.add(job.id, 1, f"output/{name}")
        await house.storage.write(f"output/{name}", b"a late copy")
    house.clock.advance(LATE_S + 60)
    with patch.object(house.store.claims, "drop", side_effect=DatabaseFull("no room")):
        await prune(house)
    assert await outputs(house) == {job.output_key: PUBLISHED}


async def test_the_looks_under_way_end_with_the_program(house):
    job, copies = await publish_second(house, earlier=LONGER)
    await copies.make()
    house.storage.copy = lambda *_: asyncio.Event().wait()
    await house.prune.tick()
    await asyncio.wait_for(house.prune.close(), 5)
    assert [claim.job for claim in house.store.claims.of_ended()] == [job.id]
