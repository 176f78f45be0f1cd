import pytest

from controller.clock import FOLLOWED_S, SLEW, SteadyClock, wall_of

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
