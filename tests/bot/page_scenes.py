"""Brings cards of many jobs and the pages of commands on screen; a tapper looks at each."""

from controller.alarms import Alarm
from controller.alerts import AlertKind, Severity
from controller.records import TERMINAL, Role
from remote_runner.protocol import Facts, from_json
from tests.bot.acting import OUTPUT, boot, fail, finish, run, start
from tests.bot.stage import ADMIN, USER, make_video
from tests.controller.conftest import video
from tests.controller.standins import make_offer

GROUP, THIRD = -1001, 77


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
