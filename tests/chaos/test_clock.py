"""The computer's clock is set while the controller runs: an hour forward, an hour back."""

import time
from pathlib import Path

import pytest

from controller.states import MachineState
from tests.chaos.deployment import LocalDeployment
from tests.chaos.steps import begin, enter, expect_done, expect_rest, wait_for_work
from tests.lacking import leave_out

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
HOUR_S = 3600


@pytest.fixture
async def settable(tmp_path):
    """A deployment, and a function that sets its controller's clock so many seconds off."""
    if LIBRARY is None:
        leave_out("there is no libfaketime (Debian: faketime)")
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    env = {
        "LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NOXFVR_IDLE_S": "15",
    }  # fmt: skip

    def set_clock(seconds):
        partial = tmp_path / "partial"
        partial.write_text(f"{seconds:+d}\n")
        partial.replace(offset)

    async with LocalDeployment(tmp_path / "home", **env) as deployment:
        yield deployment, set_clock


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
async def test_a_clock_that_jumps_costs_no_machine_and_no_attempt(
    settable, clip, long_clip, jump_s
):
    deployment, set_clock = settable
    chat = await enter(deployment)
    sent = await begin(chat, long_clip)
    await wait_for_work(deployment)
    set_clock(jump_s)
    await expect_done(deployment, chat, sent)
    # the same machine goes on with what comes next, and is given back when it should be
    await expect_done(deployment, chat, await begin(chat, clip))
    machines = deployment.store.machines.select(tuple(MachineState))
    assert deployment.log().count("Created instance") == len(machines) == 1
    assert abs(machines[0].expires_at - time.time()) < 3 * HOUR_S
    await expect_rest(deployment)
