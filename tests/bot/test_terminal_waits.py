import io

from bot.terminal.batch import Batch
from bot.terminal.console import PlainReporter
from bot.terminal.overview import show_status
from bot.terminal.sources import find_sources
from controller.records import Actor
from controller.states import JobState
from remote_runner.protocol import Task
from tests.bot.director import told
from tests.controller.conftest import video
from tests.controller.standins import make_offer

ADMIN, OWNER = Actor(1, admin=True), Actor(7)


async def follow(house, batch):
    """One turn of following, without the wait."""
    await house.tick()
    for event in house.controller.events_after(batch._cursor):
        batch._cursor = event.id
        await batch._tell(event)
    await batch._look()


async def test_a_paused_queue_is_told_of_once_and_waited_for(house, texts):
    output = io.StringIO()
    await house.storage.write("input/a.mp4", video())
    batch = Batch(house.controller, PlainReporter(output), texts["en"])
    (source,) = (await find_sources(house.controller, "input/a.mp4")).sources
    batch.add_job(source, await source.accept(house.controller, "k", "en", Task()))
    house.controller.queue.pause(by=ADMIN)
    batch.start()
    for _ in range(3):
        await follow(house, batch)
    assert told(output.getvalue()) == [
        ("WARN", "The queue is paused: it waits until an admin resumes it in the chat")
    ]
    assert house.job(batch.items[0].job).state is JobState.QUEUED
    house.controller.queue.resume(by=ADMIN)
    await follow(house, batch)
    assert house.job(batch.items[0].job).state is JobState.RUNNING
    house.controller.queue.pause(by=ADMIN)
    await follow(house, batch)  # nothing waits for it any more
    assert [tag for tag, _ in told(output.getvalue())].count("WARN") == 1


async def test_the_status_says_what_a_held_job_waits_for(rented, texts, capsys):
    rented.provider.market = [make_offer(usd_per_hour=0.1304)]
    job = await rented.draft()
    await rented.controller.request_start(job.id, by=OWNER)
    await show_status(rented.controller, texts["en"], as_json=False)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{job.short_id}  held ")
    assert "(RTX 3060 @ $0.131/hr, $0.19 at most)" in line
