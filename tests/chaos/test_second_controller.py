"""A stale owner: a controller that stands still keeps its data directory to itself."""

import pytest

from tests.chaos.steps import begin, enter, expect_done, expect_rest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_nobody_runs_beside_a_controller_that_lives_or_stands_still(local, clip):
    chat = await enter(local)
    await expect_done(local, chat, await begin(chat, clip))
    assert_refused(await local.try_second())
    async with local.frozen():
        assert_refused(await local.try_second())
    await expect_done(local, chat, await begin(chat, clip))
    await expect_rest(local)


def assert_refused(outcome):
    code, output = outcome
    assert code == 1
    (line,) = output.strip().splitlines()
    assert "another process works on" in line
