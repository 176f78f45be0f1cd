from unittest.mock import patch

import pytest

from controller.clock import FOLLOWED_S, SLEW, SteadyClock, wall_of
from controller.errors import StorageError
from controller.labels import Label
from controller.records import Actor, Limit
from controller.states import JobState, MachineState
from remote_runner.protocol import Grant, Phase, Reason, from_json
from tests.controller.conftest import House, video
from tests.controller.standins import RentedProvider

HOUR_S = 3600.0


class Times:
    """The two clocks of a computer."""

    def __init__(self):
        self.wall = 1_800_000_000.0
        self.steady = 50.0

    def pass_by(self, seconds):
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def times():
    return Times()


@pytest.fixture
def clock(times):
    return SteadyClock(lambda: times.wall, lambda: times.steady)


def test_it_is_the_wall_clock_as_long_as_nobody_sets_that(times, clock):
    for seconds in (0.0, 0.2, 7.0, 86400.0):
        times.pass_by(seconds)
        assert clock() == pytest.approx(times.wall)


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_is_followed_evenly(times, clock, caplog, jump_s):
    before = clock()
    times.wall += jump_s
    assert clock() == before
    for _ in range(60):
        times.pass_by(1.0)
        clock()
    passed = clock() - before
    assert passed == pytest.approx(60 * (1 + (SLEW if jump_s > 0 else -SLEW)))
    for _ in range(300):
        times.pass_by(60.0)
        clock()
    assert clock() == pytest.approx(times.wall)
    assert [each.message for each in caplog.records] == [
        f"The computer's clock was set by {jump_s:+.0f} s"
    ]


def test_it_never_goes_back(times, clock):
    seen = [clock()]
    times.wall -= HOUR_S
    for _ in range(1000):
        times.pass_by(0.5)
        seen.append(clock())
    assert seen == sorted(seen)


def test_a_computer_that_stood_still_is_late_at_once(times, clock):
    clock()
    times.wall += FOLLOWED_S + 60
    assert clock() == pytest.approx(times.wall)


def test_signatures_are_made_by_the_wall_clock(times, clock):
    times.wall += HOUR_S
    assert wall_of(clock)() == times.wall
    plain = times.pass_by
    assert wall_of(plain) == plain


# --- deadlines that machines hold against their own clocks -------------------------------------


class SetClock(SteadyClock):
    """A steady clock, and the hand that turns the computer's own."""

    def __init__(self):
        self.times = Times()
        super().__init__(lambda: self.times.wall, lambda: self.times.steady)

    @property
    def now(self):
        return self()

    def advance(self, seconds):
        self.times.pass_by(seconds)

    def set(self, seconds):
        self()
        self.times.wall += seconds


@pytest.fixture
def set_house(tmp_path):
    house = House(tmp_path / "data", SetClock(), RentedProvider())
    yield house
    house.store.close()


async def look_at(house, job):
    return await house.controller._samples._judge.look(house.job(job))


def read_grant(house, job):
    return from_json(Grant, (house.settings.storage_dir / f"jobs/{job.id}/1/grant").read_bytes())


@pytest.mark.parametrize("jump_s", [FOLLOWED_S - 60, HOUR_S, 0.0, -HOUR_S, 60 - FOLLOWED_S])
async def test_a_machine_lives_as_long_as_is_paid_for_whichever_clock_is_right(set_house, jump_s):
    house, clock = set_house, set_house.clock
    house.change(job_timeout_s=600)
    job = await house.queued()
    lifetime_s = house.context.quotes.lifetime_s(house.job(job))
    clock.set(jump_s)
    await house.tick()
    machine = house.machine()
    paid_s = (machine.reserved_usd - machine.traffic_usd) / machine.usd_per_hour * 3600
    for right in (clock(), clock.times.wall):
        # a job takes what it is given: by neither clock is its time over when it begins
        assert machine.expires_at - right >= lifetime_s - 1
        assert machine.expires_at - right <= paid_s + 1
        grant = read_grant(house, job)
        assert grant.deadline_at - right >= 600
    assert Label.parse(machine.label).expires_at == int(machine.expires_at)
    assert paid_s == pytest.approx(lifetime_s + abs(jump_s), abs=2)


@pytest.mark.parametrize("jump_s", [HOUR_S, 90.0, 0.0, -HOUR_S])
async def test_what_is_quoted_is_what_is_reserved_and_what_the_offer_has_to_last(
    set_house, jump_s
):
    house, clock = set_house, set_house.clock
    house.change(job_timeout_s=600)
    job = await house.queued()
    clock.set(jump_s)
    quotes = house.context.quotes
    look = await look_at(house, job)
    assert look.terms.over == frozenset()
    await house.tick()
    machine = house.machine()
    assert machine.reserved_usd <= look.terms.most_usd
    longest_s = machine.expires_at - min(clock(), clock.times.wall)
    assert quotes.wish(house.job(job)).need.min_duration_s >= longest_s - 1


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_a_job_that_does_not_fit_by_the_other_clock_is_not_said_to_fit(set_house, jump_s):
    house, clock = set_house, set_house.clock
    house.change(job_timeout_s=600)
    draft = await house.draft()
    look = await look_at(house, draft)
    house.change(job_budget=look.terms.most_usd * 1.2)
    assert (await look_at(house, draft)).terms.over == frozenset()
    clock.set(jump_s)
    look = await look_at(house, draft)
    assert look.terms.over == {Limit.JOB_BUDGET}


@pytest.mark.parametrize("jump_s", [HOUR_S, 0.0, -HOUR_S])
async def test_a_job_on_a_warm_machine_is_held_against_all_that_it_may_cost(set_house, jump_s):
    house, clock = set_house, set_house.clock
    house.change(job_timeout_s=1800)
    first = await house.queued("first.mp4")
    await house.tick()
    machine = house.machine()
    house.store.machines.change(machine, expires_at=clock() + 4 * HOUR_S)
    house.runner.heartbeat(machine, phase=Phase.FINISHED)
    house.runner.finish(machine, video(width=640, height=360))
    await house.tick(10)
    assert house.job(first).state is JobState.DONE
    clock.set(jump_s)
    second = await house.queued("second.mp4")
    most_usd = house.context.quotes.most_usd(house.job(second), house.machine())
    await house.tick()
    (attempt,) = house.store.attempts.of_job(second.id)
    assert attempt.machine == machine.id
    longest_s = attempt.deadline_at - min(clock(), clock.times.wall)
    assert most_usd >= machine.usd_per_hour * (longest_s - 2) / 3600 + attempt.traffic_usd


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_what_a_machine_has_left_is_judged_by_the_clock_that_says_less(set_house, jump_s):
    house, clock = set_house, set_house.clock
    first = await house.queued("first.mp4")
    await house.tick()
    machine = house.machine()
    assert house.context.quotes.suits(house.job(first), machine)
    left_s = machine.expires_at - clock()
    clock.advance(left_s - HOUR_S - 1800)
    assert house.context.quotes.suits(house.job(first), machine)
    clock.set(jump_s)
    assert house.context.quotes.suits(house.job(first), machine) == (jump_s < 0)


# --- what was noted by a clock that was ahead ---------------------------------------------------


@pytest.fixture
def ahead_house(set_house):
    """By its clock it is hours later than it is; the computer's own is right again at once."""
    set_house.clock.set(2 * FOLLOWED_S)
    set_house.clock.advance(1)
    return set_house


def set_right(house):
    house.clock.set(-2 * FOLLOWED_S)
    house.clock.advance(1)


async def test_a_cancel_by_a_clock_that_was_ahead_ends_the_machine_at_once(ahead_house):
    house = ahead_house
    job = await house.queued()
    await house.tick()
    house.controller.cancel(job.id, by=Actor(7))
    set_right(house)
    await house.tick()
    assert house.job(job).state is JobState.CANCELLED
    assert house.machine().retire_requested_at is not None


async def test_an_end_by_a_clock_that_was_ahead_makes_no_machine_cheaper_than_nothing(ahead_house):
    house = ahead_house
    job = await house.queued()
    await house.tick()
    machine = house.machine()
    set_right(house)
    house.controller.cancel(job.id, by=Actor(7))
    for _ in range(20):
        await house.tick(20)
    assert house.store.machines.get(machine.id).state is MachineState.GONE
    assert house.store.machines.committed_usd(0) >= 0


async def test_idleness_noted_by_a_clock_that_was_ahead_begins_anew(ahead_house):
    house = ahead_house
    await house.queued()
    await house.tick()
    machine = house.machine()
    house.runner.fail(machine, Reason.CORRUPT)
    await house.tick()
    assert house.machine().state is MachineState.READY
    set_right(house)
    await house.tick()
    await house.tick(house.settings.idle_s + 1)
    assert house.machine().retire_requested_at is not None


async def test_a_result_that_could_not_be_looked_at_by_a_clock_that_was_ahead_is_soon_again(
    ahead_house,
):
    house = ahead_house
    job = await house.queued()
    await house.tick()
    with patch.object(house.storage, "copy", side_effect=StorageError("no answer")):
        house.runner.finish(house.machine(), video(width=640, height=360))
        await house.tick()
    assert house.job(job).state is JobState.RUNNING
    set_right(house)
    await house.tick()
    assert house.job(job).state is JobState.DONE


async def test_an_answer_of_the_market_by_a_clock_that_was_ahead_does_for_nothing_later(
    ahead_house,
):
    house = ahead_house
    job = await house.draft()
    await house.context.quotes.market(job)
    house.clock.advance(1)
    before = len(house.provider.searches)
    await house.context.quotes.market(job)
    assert len(house.provider.searches) == before
    set_right(house)
    await house.context.quotes.market(job)
    assert len(house.provider.searches) == before + 1


async def test_a_listing_by_a_clock_that_was_ahead_is_not_the_newest_for_hours(ahead_house):
    house = ahead_house
    await house.reap.tick()
    assert house.reap.knows
    set_right(house)
    assert not house.reap.knows
    await house.reap.tick()
    assert house.reap.knows
