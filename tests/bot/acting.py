"""What happens to jobs in scenes: started, on a machine, done, failed."""

from controller.providers.base import InstanceStatus
from controller.states import JobState
from remote_runner.protocol import Facts, from_json
from remote_runner.protocol import Reason as RunnerReason
from tests.bot.stage import USER
from tests.controller.conftest import video

OUTPUT = video(width=640, height=360)


async def start(tapper, user=USER, **video_of):
    job = await tapper.stage.plan(user, **video_of)
    await tapper.stage.tap(job, user=user)
    return job


async def boot(tapper):
    """Give the newest job of the queue a machine that reports."""
    house = tapper.stage.house
    await house.tick()
    for machine in house.store.machines.select():
        if machine.running_at is None:
            house.provider.show(machine.instance, status=InstanceStatus.RUNNING)
            house.runner.boot(machine)
    await house.tick()
    return house.store.machines.select()[-1]


async def run(tapper, user=USER, **video_of):
    job = await start(tapper, user, **video_of)
    machine = await boot(tapper)
    tapper.stage.house.runner.heartbeat(machine, done=100)
    await tapper.stage.house.tick()
    assert tapper.stage.house.job(job).state is JobState.RUNNING
    return job


async def finish(tapper, output=OUTPUT, **changes):
    house = tapper.stage.house
    for machine in house.store.machines.select():
        if house.store.attempts.open_on(machine.id):
            facts = from_json(Facts, output)
            house.runner.finish(machine, output, facts=facts, extension="mp4", **changes)
    for _ in range(4):
        await house.tick(15)


async def fail(tapper, job):
    house = tapper.stage.house
    for _ in range(40):
        if house.job(job).state.is_terminal:
            return
        await house.tick(60)
        for machine in house.store.machines.select():
            attempt = house.store.attempts.open_on(machine.id)
            if attempt is not None:
                await boot(tapper)
                house.runner.fail(machine, RunnerReason.NOT_A_VIDEO)
    raise AssertionError(house.job(job))
