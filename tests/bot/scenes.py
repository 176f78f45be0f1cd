"""Brings every card on screen in every state it has; a tapper looks at each."""

from bot.cards.callbacks import NO_JOB, PagePress
from bot.cards.choices import Setting
from bot.defaults import save_task
from controller.alarms import Alarm
from controller.alerts import AlertKind, Severity
from controller.places import frame_key
from controller.providers.base import InstanceStatus
from controller.records import TERMINAL, Role
from controller.states import JobState, Reason
from remote_runner.protocol import DENOISABLE, Facts, Mode, Task, from_json
from remote_runner.protocol import Reason as RunnerReason
from tests.bot.stage import ADMIN, USER, make_video
from tests.controller.conftest import video
from tests.controller.standins import make_offer

GROUP, THIRD = -1001, 77
SAMPLE = video(width=640, height=360, duration_s=3.0, frames=72)
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


async def see_menu(tapper):
    await start(tapper)
    await tapper.stage.plan(name="draft.mp4")
    await tapper.stage.say(text="/cancel")
    await tapper.look()
    await tapper.press("j:at=menu")
    await tapper.look()


async def see_group(tapper):
    stage = tapper.stage
    for number in range(9):
        content = make_video(name=f"{number}.mp4")
        await stage.say(chat=GROUP, kind="supergroup", video=content)
        stage.house.clock.advance(1)
    await tapper.look()
    for job in stage.house.controller.jobs(owner=USER):
        stage.house.controller.start(job.id, by=TERMINAL)
    await boot(tapper)
    await tapper.look()
    await tapper.press("gr:act=ask", GROUP)
    await tapper.look()


async def open_batch(tapper, count=12, user=USER, **facts):
    for number in range(count):
        content = video(bytes=1000 + number, **facts)
        await tapper.stage.house.storage.write(f"input/c1/{number}.mp4", content)
    await tapper.stage.house.storage.write("input/c1/broken.mp4", b"no video")
    await tapper.stage.say(user, text="/batch input/c1")
    await tapper.settle()


async def see_batch(tapper):
    house = tapper.stage.house
    await open_batch(tapper)
    await tapper.look()
    await tapper.press_labelled("Настройки")
    await tapper.look()
    await tapper.press_labelled("Кодек")
    await tapper.look()
    await tapper.press_labelled("Назад")
    await tapper.press_labelled("Назад")
    await tapper.press("bt:act=sample")
    await tapper.look()
    await tapper.press("bt:act=start")
    await tapper.look()
    await tapper.press("bt:act=ask")
    await tapper.look()
    await tapper.press("bt:act=no")
    for _ in range(40):
        machines = [m for m in house.store.machines.select() if house.store.attempts.open_on(m.id)]
        await boot(tapper)
        for machine in machines:
            output = OUTPUT
            house.runner.finish(machine, output, facts=from_json(Facts, output), extension="mp4")
        if all(job.state.is_terminal for job in house.controller.jobs(owner=USER)):
            break
    await tapper.look()


async def see_batch_that_is_held(tapper):
    tapper.stage.house.provider.market = [make_offer(usd_per_hour=0.2)]
    for user in (USER, ADMIN):
        await open_batch(tapper, 2, user)
        await tapper.press("bt:act=start", user)
    await tapper.look()


async def see_batch_with_a_failure(tapper):
    await open_batch(tapper, 1)
    await tapper.press("bt:act=start")
    (job,) = [each for each in tapper.stage.house.controller.jobs(owner=USER) if each.batch]
    await fail(tapper, job)
    await tapper.look()


async def see_batch_that_was_done_before(tapper):
    await open_batch(tapper, 1)
    await tapper.press("bt:act=start")
    await boot(tapper)
    await finish(tapper)
    await tapper.stage.say(text="/batch input/c1")
    await tapper.look()
    await tapper.press("bt:act=again")
    await tapper.look()


async def see_status(tapper):
    stage = tapper.stage
    for number in range(7):
        await start(tapper, USER, name=f"{number}.mp4")
    await boot(tapper)
    for user in (USER, ADMIN):
        await stage.say(user, text="/status")
        await tapper.look()
        await tapper.press("st:act=a", user)
        await tapper.look()
        await stage.say(user, text="/status")
    for sieve in ("run", "que", "hel", "fai"):
        await stage.say(ADMIN, text="/status")
        await tapper.press(f"st:sieve={sieve}", ADMIN)
        await tapper.look()
    await stage.say(ADMIN, text="/status")
    await tapper.press("st:act=w", ADMIN)
    await tapper.look()
    await stage.say(ADMIN, text="/status")
    await tapper.press("st:act=o", ADMIN)
    await tapper.look()
    await tapper.press("lo", ADMIN)
    await stage.say(chat=GROUP, kind="supergroup", text="/status")
    await tapper.look()


async def see_machines(tapper):
    await run(tapper)
    await tapper.stage.say(ADMIN, text="/machines")
    await tapper.look()
    await tapper.press("mc:act=a", ADMIN)
    await tapper.look()
    await tapper.press("mc:act=y", ADMIN)
    await tapper.look()


async def see_money_and_health(tapper):
    await run(tapper)
    for command in ("/spend", "/health"):
        await tapper.stage.say(ADMIN, text=command)
    await tapper.look()


async def see_alerts(tapper):
    """Whatever has a button of its own is wrong at once."""
    house = tapper.stage.house
    job, now = await start(tapper), house.clock()
    for kind, figures in (
        (AlertKind.DESTROY, {"count": 1}),
        (AlertKind.CREDIT, {"left_usd": 0.5}),
        (AlertKind.OVERDUE, {"count": 1, "job": job.id}),
    ):
        alarm = Alarm(
            kind=kind, severity=Severity.WARNING, since=now, figures=figures, opened_at=now,
            worse_at=now, rung_at=now, rung_severity=Severity.WARNING,
        )  # fmt: skip
        house.store.alarms.save(alarm)
    await tapper.look()


async def see_people(tapper):
    people = tapper.stage.house.controller.people
    for user in range(1000, 1010):
        people.set_role(user, Role.USER, by=TERMINAL)
    for user, role in ((THIRD, Role.USER), (78, Role.ADMIN), (79, Role.BLOCKED)):
        people.set_role(user, role, by=TERMINAL)
    await tapper.stage.say(ADMIN, text="/users")
    await tapper.look()
    for name in ("77", "78", "79"):
        await tapper.stage.say(ADMIN, text="/users")
        if name != "78":
            await tapper.press("us:act=l", ADMIN)
        await tapper.press_labelled(name, ADMIN)
        await tapper.look()
    await tapper.stage.say(ADMIN, text="/users")
    await tapper.press("us:act=l", ADMIN)
    await tapper.press_labelled("77", ADMIN)
    await tapper.press("us:act=ar", ADMIN)
    await tapper.look()
    await tapper.stage.say(ADMIN, text="/users")
    await tapper.press("us:act=iu", ADMIN)
    await tapper.look()


async def see_queue(tapper):
    for number in range(7):
        await start(tapper, USER, name=f"{number}.mp4")
    await tapper.stage.say(ADMIN, text="/queue")
    await tapper.look()
    await tapper.press("qu:act=p", ADMIN)
    await tapper.look()
    await tapper.stage.say(ADMIN, text="/drain")
    await tapper.look()
    await tapper.press("qu:act=x", ADMIN)
    await tapper.look()
