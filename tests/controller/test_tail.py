import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import machine_logs
from controller.foreign import LONGEST
from controller.loops import tail
from controller.machine_logs import clean, new_lines, speaks_of_trouble
from controller.providers.base import InstanceStatus
from controller.records import TERMINAL
from remote_runner.protocol import MARKER


def numbered(first, last):
    return [f"line {n}" for n in range(first, last)]


@pytest.fixture
async def placed(rented):
    """A house with one job on a machine that runs; the machine's instance id."""
    job = await rented.queued()
    await rented.tick()
    instance = rented.machine().instance
    rented.provider.show(instance, status=InstanceStatus.RUNNING)
    await rented.tick()
    return rented, job, instance


async def shown(house, job):
    return await house.controller.logs(job.id, by=TERMINAL)


async def test_lines_come_once_also_after_five_hundred(placed):
    house, _job, instance = placed
    for end in (3, 3, 400, 499, 500, 501, 800, 1100):
        house.provider.printed[instance] = numbered(0, end)
        await house.tick(10)
    path = house.settings.logs_dir / f"{house.machine().id}.log"
    assert path.read_text().splitlines() == numbered(0, 1100)


async def test_a_log_without_end_fills_no_disk_and_its_newest_lines_stay(placed, monkeypatch):
    monkeypatch.setattr(machine_logs, "_LARGEST_FILE", 1_000_000)
    house, job, instance = placed
    path = house.settings.logs_dir / f"{house.machine().id}.log"
    largest = 0
    for start in range(0, 12 * machine_logs.TAIL, machine_logs.TAIL):
        lines = [f"{n} {'x' * LONGEST}" for n in range(start, start + machine_logs.TAIL)]
        house.provider.printed[instance] = lines
        await house.tick(2)
        largest = max(largest, path.stat().st_size)
    assert path.stat().st_size < largest
    # what is there, and one look more
    assert largest <= machine_logs._LARGEST_FILE + machine_logs.TAIL * (LONGEST + 1)
    assert [line[:10] for line in await shown(house, job)] == [line[:10] for line in lines]


async def test_a_log_that_starts_anew_or_was_cut_loses_nothing(placed):
    house, job, instance = placed
    for lines in (numbered(0, 5), numbered(100, 103), numbered(102, 110)):
        house.provider.printed[instance] = lines
        await house.tick(10)
    assert await shown(house, job) == [*numbered(0, 5), *numbered(100, 110)]


async def test_a_restart_of_the_controller_neither_loses_nor_doubles(placed):
    house, job, instance = placed
    house.provider.printed[instance] = numbered(0, 600)
    await house.tick(10)
    house.restart()
    house.provider.printed[instance] = numbered(0, 620)
    await house.tick(10)
    assert (await shown(house, job))[-30:] == numbered(590, 620)
    path = house.settings.logs_dir / f"{house.machine().id}.log"
    assert path.read_text().splitlines() == [*numbered(100, 620)]


async def test_trouble_is_kept_with_the_attempt_and_decides_nothing(placed):
    house, job, instance = placed
    house.provider.printed[instance] = [
        "fine", "ERROR: Pipeline failed with exit code 1", "FAILED", "java.lang.Exception",
    ]  # fmt: skip
    await house.tick(10)
    (attempt,) = house.store.attempts.of_job(job.id)
    assert attempt.warnings == (
        "ERROR: Pipeline failed with exit code 1", "FAILED", "java.lang.Exception",
    )  # fmt: skip
    assert not attempt.state.is_terminal
    assert len(house.provider.alive) == 1


async def test_a_marker_with_a_foreign_address_publishes_nothing(placed):
    house, job, instance = placed
    house.provider.printed[instance] = [f"{MARKER} https://evil.example/output/x.mp4"]
    for _ in range(3):
        await house.tick(10)
    assert house.job(job).output_key is None
    assert await shown(house, job) == [f"{MARKER} (address left out)"]


async def test_a_dead_log_is_no_reason_for_anything(placed):
    house, job, instance = placed
    house.provider.log_faults.extend(["dead"] * 5)
    for _ in range(5):
        await house.tick(10)
    assert len(house.provider.alive) == 1
    house.provider.printed[instance] = ["at last"]
    await house.tick(10)
    assert await shown(house, job) == ["at last"]


async def test_secrets_of_the_account_are_never_kept(placed):
    house, job, instance = placed
    secret = "K004abcdefghijklmnop"
    house.context = dataclasses.replace(
        house.context, settings=dataclasses.replace(house.settings, secrets=(secret,))
    )
    house.tail._context = house.context
    house.provider.printed[instance] = [f"key {secret} and \x1b[2J"]
    await house.tick(10)
    assert await shown(house, job) == ["key *** and  [2J"]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 30), st.integers(1, 10))
def test_a_longer_tail_only_ever_adds_its_end(lines, seen, window):
    before = lines[:seen][-window:]
    now = lines[max(0, seen - window) :]
    added = new_lines(before, now)
    assert now[len(now) - len(added) :] == added


async def test_a_line_that_was_there_at_the_last_look_is_not_cleaned_once_more(
    placed, monkeypatch
):
    house, job, instance = placed
    cleaned = []
    monkeypatch.setattr(tail, "clean", lambda line, _: cleaned.append(line) or line)
    for last in (100, 110, 110):
        house.provider.printed[instance] = numbered(0, last)
        await house.tail.tick()
    assert sorted(cleaned) == sorted(numbered(0, 110))
    assert await shown(house, job) == numbered(0, 110)


def test_what_looks_like_trouble():
    assert speaks_of_trouble("[ERROR] x") and speaks_of_trouble("ValueException")
    assert not speaks_of_trouble("0 errors, all fine")
    assert clean("a\tb\x00c", ()) == "a b c"
