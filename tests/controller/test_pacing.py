import asyncio
from itertools import pairwise

import pytest

from controller.errors import RateLimited
from controller.providers.pacing import Hint, Limit, Pace
from tests.controller.vast_script import NOW, FakeTime


def pace(time, **limit):
    return Pace(Limit(**limit), clock=time.clock, sleep=time.sleep, random=lambda: 0.5)


async def times_of(pace, time, count):
    moments = []
    for _ in range(count):
        await pace.wait()
        moments.append(time.now - NOW)
    return moments


async def test_requests_are_an_interval_apart_and_the_first_waits_for_nothing():
    time = FakeTime()
    moments = await times_of(pace(time, interval_s=4.5), time, 4)
    assert moments[0] == 0
    assert min(b - a for a, b in pairwise(moments)) >= 4.5
    assert moments[-1] < 3 * 5


async def test_ten_searches_a_minute_may_come_at_once_and_no_eleventh():
    time = FakeTime()
    moments = await times_of(pace(time, interval_s=6.0, burst=10), time, 11)
    assert moments[9] == 0
    assert 60 <= moments[10] < 66


async def test_those_who_wait_at_once_are_let_through_one_by_one():
    time = FakeTime()
    route = pace(time, interval_s=1.0)
    moments = []

    async def one():
        await route.wait()
        moments.append(time.now)

    await asyncio.gather(*(one() for _ in range(5)))
    assert min(b - a for a, b in pairwise(moments)) >= 1.0


async def test_refusals_double_the_pause_and_success_narrows_the_interval_slowly():
    time = FakeTime()
    route = pace(time, interval_s=1.0)
    pauses = []
    for _ in range(5):
        route.refused(Hint())
        await route.wait()
        pauses.append(time.slept[-1])
    assert pauses == [5, 10, 20, 40, 80]
    route.refused(Hint())
    with pytest.raises(RateLimited):  # 120 s is more than a caller is kept waiting
        await route.wait()
    time.now += 120
    await route.wait()
    before = await times_of(route, time, 2)
    for _ in range(200):
        route.passed()
    after = await times_of(route, time, 3)
    assert before[1] - before[0] > 5 > 1.1 > after[2] - after[1] >= 1.0


async def test_the_pause_has_jitter_and_an_end():
    time = FakeTime()
    for random, expected in ((0.1, 96), (1.0, 150)):
        route = Pace(
            Limit(interval_s=1.0), clock=time.clock, sleep=time.sleep, random=lambda r=random: r
        )
        for _ in range(20):
            route.refused(Hint())
        with pytest.raises(RateLimited, match=f"{expected} s"):
            await route.wait()


async def test_a_threshold_becomes_the_interval():
    time = FakeTime()
    route = pace(time, interval_s=1.0)
    route.refused(Hint(interval_s=4.5))
    moments = await times_of(route, time, 3)
    assert moments[0] >= 4.5
    assert 4.5 <= moments[2] - moments[1] < 5


async def test_a_clock_that_is_set_back_does_not_stop_anything():
    time = FakeTime()
    route = pace(time, interval_s=1.0)
    await route.wait()
    route.refused(Hint(pause_s=10))
    time.now -= 7200
    moment = time.now
    await route.wait()
    await route.wait()
    assert time.now - moment < 13


async def test_an_interval_is_counted_from_the_answer_of_a_slow_request():
    time = FakeTime()
    route = pace(time, interval_s=1.0)
    await route.wait()
    time.now += 30  # its way there may have taken all of it
    route.ended()
    moment = time.now
    await route.wait()
    assert time.now - moment >= 1.0
