"""Brings the cards of one job on screen in every state they have; a tapper looks at each."""

from bot.cards.callbacks import NO_JOB, PagePress
from bot.cards.choices import Setting
from bot.defaults import save_task
from controller.places import frame_key
from controller.records import TERMINAL
from controller.states import JobState, Reason
from remote_runner.protocol import DENOISABLE, Mode, Task
from tests.bot.acting import boot, fail, finish, run, start
from tests.bot.stage import ADMIN, USER, make_video
from tests.controller.conftest import video
from tests.controller.standins import make_offer

SAMPLE = video(width=640, height=360, duration_s=3.0, frames=72)


async def see_welcome(tapper):
    await tapper.stage.say(text="/start")
    await tapper.look()
    await tapper.press("ln:choice=None")
    await tapper.look()
    for command in ("/settings", "/language"):
        await tapper.stage.say(text=command)
        await tapper.look()
    await tapper.press("ln:origin=set")
    await tapper.look()


async def see_defaults(tapper):
    task = Task(mode=Mode.BOTH, model=DENOISABLE, codec="hevc")
    save_task(tapper.stage.house.controller, USER, task)
    for setting in Setting:
        await tapper.stage.say(text="/settings")
        await tapper.press("g")
        await tapper.look()
        await tapper.press(PagePress(job=NO_JOB, page=setting).pack())
        await tapper.look()


async def see_draft_and_its_settings(tapper):
    job = await tapper.stage.plan()
    await tapper.look()
    task = Task(mode=Mode.BOTH, model=DENOISABLE, codec="hevc")
    tapper.stage.house.controller.set_task(job.id, by=TERMINAL, task=task)
    for page in ("options", *Setting):
        tapper.stage.notifier.turn_page(job.id, page)
        await tapper.look()


async def see_draft_that_would_ask(tapper):
    tapper.stage.house.provider.market = [make_offer(usd_per_hour=0.2)]
    await tapper.stage.plan()
    await tapper.look()


async def see_sample(tapper):
    job = await tapper.stage.plan()
    await tapper.settle()
    await tapper.press("j:act=sample")
    await tapper.look()
    await boot(tapper)
    await tapper.look()
    await finish(tapper, SAMPLE)
    assert tapper.stage.house.controller.newest_sample(job).state is JobState.DONE
    await tapper.look()


async def see_failed_sample(tapper):
    job = await tapper.stage.plan()
    await tapper.settle()
    await tapper.press("j:act=sample")
    await fail(tapper, tapper.stage.house.controller.newest_sample(job))
    await tapper.look()


async def see_hold_for_a_price(tapper):
    tapper.stage.house.provider.market = [make_offer(usd_per_hour=0.2)]
    job = await start(tapper)
    assert tapper.stage.house.job(job).held_for is Reason.NO_OFFER
    await tapper.look()
    await tapper.look(admin=True)


async def see_hold_for_a_budget(tapper):
    tapper.stage.house.change(job_budget=0.001)
    tapper.stage.build()
    for user in (USER, ADMIN):
        job = await start(tapper, user)
        assert tapper.stage.house.job(job).held_for is Reason.BUDGET
    await tapper.look()


async def see_hold_for_a_long_run(tapper):
    tapper.stage.house.change(job_timeout_s=5)
    tapper.stage.house.provider.market = [make_offer(tflops=0.1)]
    tapper.stage.build()
    job = await start(tapper)
    assert tapper.stage.house.job(job).held_for is Reason.TOO_LONG
    await tapper.look()


async def see_wait_for_a_price(tapper):
    for user in (USER, ADMIN):
        await start(tapper, user)
    tapper.stage.house.provider.market = [make_offer(usd_per_hour=0.13)]
    tapper.stage.house.clock.advance(1000)
    await tapper.stage.house.tick()
    await tapper.look()
    await tapper.press("j:act=admin")
    await tapper.look()


async def see_queue_and_run(tapper):
    job = await start(tapper)
    await tapper.look()
    tapper.stage.notifier.ask_to_confirm(job.id)
    await tapper.look()
    tapper.stage.notifier.stop_confirming(job.id)
    machine = await boot(tapper)
    await tapper.look()
    house = tapper.stage.house
    house.runner.heartbeat(machine, done=100)
    await house.tick()
    await tapper.look()
    await tapper.press("d")
    await tapper.look()
    tapper.stage.notifier.ask_to_confirm(job.id)
    await tapper.look()


async def see_picture_while_it_runs(tapper):
    job = await run(tapper)
    house = tapper.stage.house
    await house.storage.write(frame_key(job.id, 1), b"\x89PNG")
    house.runner.heartbeat(house.machine(), done=120, frame=True)
    await house.tick()
    assert house.controller.has_frame(house.job(job))
    await tapper.look()
    assert tapper.session.named("editMessageMedia")


async def see_cancelling(tapper):
    job = await run(tapper)
    tapper.stage.house.controller.cancel(job.id, by=TERMINAL)
    await tapper.look()
    tapper.stage.house.runner.cancelled(tapper.stage.house.machine())
    for _ in range(4):
        await tapper.stage.house.tick(15)
    assert tapper.stage.house.job(job).state is JobState.CANCELLED
    await tapper.look(admin=True)


async def see_failure(tapper):
    job = await run(tapper)
    await fail(tapper, job)
    assert tapper.stage.house.job(job).state is JobState.FAILED
    await tapper.look()


async def see_result(tapper):
    job = await run(tapper)
    await finish(tapper)
    assert tapper.stage.house.job(job).state is JobState.DONE
    await tapper.look()


async def see_link(tapper):
    tapper.stage.house.change(public_url="https://films.example")
    tapper.stage.build()
    await see_result(tapper)


async def see_too_large(tapper):
    tapper.stage.house.change(public_url="https://films.example")
    tapper.stage.build()
    await tapper.stage.say(video=make_video(size=30_000_000))
    await tapper.look()
