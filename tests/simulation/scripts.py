"""What the scenes are about: together they come to every point that there is.

A script says what people do, and waits for what comes of it, however often the program dies.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from controller.places import job_prefix
from controller.queue import DRAINED, PAUSED
from controller.states import GIVEN_BACK
from tests.simulation.copies import find_bad_copies, has_copy_since
from tests.simulation.faults import Fault
from tests.simulation.people import ADMIN, ANN, BOB
from tests.simulation.scenes import Scene

_GUEST = 10
_DEAR_USD = 0.2


async def get_result(scene: Scene) -> None:
    """A video, from the plan to the chat; its machine waits for another, and ends."""
    scene.send(ANN, "a.mp4")
    await scene.press(ANN, "j:start")
    await scene.reaches("a.mp4", "done")


async def cancel(scene: Scene) -> None:
    """Plans that are dropped, and starts that are taken back: booting, waiting and at work."""
    scene.send(BOB, "c.mp4")
    await scene.press(BOB, "j:start")
    await scene.until("a boot", lambda: "booting" in scene.watching.machines())
    await scene.press(BOB, "j:ask")
    await scene.press(BOB, "j:yes")
    scene.send(ANN, "d.mp4")
    await scene.press(ANN, "j:ask")
    await scene.reaches("d.mp4", "cancelled")
    scene.send(ANN, "a.mp4", 300.0)
    await scene.press(ANN, "j:start", "a.mp4")
    scene.send(BOB, "b.mp4")
    await scene.press(BOB, "j:start", "b.mp4")
    await scene.press(BOB, "j:ask", "b.mp4")
    await scene.press(BOB, "j:yes", "b.mp4")
    await scene.until("work", lambda: "running" in scene.watching.attempts())
    await scene.press(ANN, "j:ask", "a.mp4")
    await scene.press(ANN, "j:yes", "a.mp4")
    await scene.reaches("a.mp4", "cancelled")


async def hold(scene: Scene) -> None:
    """What is too dear waits for an admin: one is let go on, one is not."""
    scene.send(ANN, "a.mp4")
    await scene.press(ANN, "j:start")
    await scene.reaches("a.mp4", "held")
    await scene.press(ADMIN, "j:ok")
    scene.send(BOB, "b.mp4")
    await scene.press(BOB, "j:start")
    await scene.reaches("b.mp4", "held")
    await scene.press(ADMIN, "j:deny")
    await scene.reaches("b.mp4", "cancelled")
    await scene.reaches("a.mp4", "done")


async def look_at_sample(scene: Scene) -> None:
    """A sample first, then the whole, on the machine that is warm."""
    scene.send(ANN, "a.mp4", 24.0)
    await scene.press(ANN, "j:sample")
    is_sampled = "SELECT 1 FROM jobs WHERE sample_of AND state = 'done'"
    await scene.until("a sample", lambda: scene.rows(is_sampled))
    await scene.press(ANN, "j:start")
    await scene.reaches("a.mp4", "done")


async def do_batch(scene: Scene) -> None:
    """All videos of a folder, one after another on one machine."""
    scene.telegram.send_text(ANN, ANN, "/batch input/c1")
    await scene.press(ANN, "bt:start")
    await scene.reaches("three.mp4", "done")


async def fail(scene: Scene) -> None:
    """Its source is gone: the second attempt fails as well; it is back, and all is done again."""
    key = "input/films/long walk.mp4"
    scene.telegram.send_text(ANN, ANN, key)
    await scene.press(ANN, "j:start")
    await scene.reaches("long walk.mp4", "running")
    kept = scene.objects.objects.pop(key)
    await scene.reaches("long walk.mp4", "failed")
    scene.objects.objects[key] = kept
    await scene.press(ANN, "j:retry")
    await scene.reaches("long walk.mp4", "done")


async def forget(scene: Scene) -> None:
    """A result and a plan that nobody starts: both are old one day."""
    scene.send(ANN, "a.mp4")
    await scene.press(ANN, "j:start")
    scene.send(ANN, "b.mp4")
    await scene.reaches("a.mp4", "done")


async def agree_to_a_price(scene: Scene) -> None:
    """Nothing is to be had for the money: it waits, until an admin takes what there is."""
    scene.telegram.send_text(ADMIN, ADMIN, "/queue")
    await scene.insist(ADMIN, "qu:p", lambda: scene.is_switched(PAUSED))
    scene.send(ADMIN, "a.mp4")
    await scene.press(ADMIN, "j:start")
    await scene.reaches("a.mp4", "queued")
    market = scene.vast.market
    draw = market.new_offer
    market.new_offer = lambda: draw() | {"dph_base": _DEAR_USD, "dph_total": _DEAR_USD}
    market.offers = [market.new_offer() for _ in market.offers]
    await scene.insist(ADMIN, "qu:r", lambda: not scene.is_switched(PAUSED))
    await scene.press(ADMIN, "t:")
    await scene.reaches("a.mp4", "done")


async def keep_the_queue(scene: Scene) -> None:
    """An admin holds everything, lets the second go first, gives its machine back, and drains."""
    scene.telegram.send_text(ADMIN, ADMIN, "/queue")
    await scene.insist(ADMIN, "qu:p", lambda: scene.is_switched(PAUSED))
    for user, name in ((ANN, "a.mp4"), (BOB, "b.mp4")):
        scene.send(user, name)
        await scene.press(user, "j:start", name)
        await scene.reaches(name, "queued")
    scene.telegram.send_text(ADMIN, ADMIN, "/queue")
    is_first = "SELECT 1 FROM jobs WHERE source_name = 'b.mp4' AND priority > 0"
    await scene.insist(ADMIN, "qu:f", lambda: scene.rows(is_first), name="b.mp4")
    await scene.insist(ADMIN, "qu:r", lambda: not scene.is_switched(PAUSED))
    await scene.reaches("b.mp4", "running", "done")
    scene.telegram.send_text(ADMIN, ADMIN, "/machines")
    await scene.insist(ADMIN, "mc:a", lambda: scene.find_button(ADMIN, "mc:y"))
    given = f"SELECT 1 FROM machines WHERE retire_reason = '{GIVEN_BACK}'"
    await scene.insist(ADMIN, "mc:y", lambda: scene.rows(given))
    await scene.reaches("b.mp4", "done")
    await scene.reaches("a.mp4", "done")
    scene.telegram.send_text(ADMIN, ADMIN, "/drain")
    await scene.insist(ADMIN, "qu:x", lambda: scene.is_switched(DRAINED))
    await scene.until("no machine", lambda: scene.watching.machines() == ("none",))
    scene.telegram.send_text(ADMIN, ADMIN, "/drain off")
    await scene.until("no drain", lambda: not scene.is_switched(DRAINED))


async def let_people_in(scene: Scene) -> None:
    """An admin invites somebody, who sends a video; then they may spend less, and are let go."""
    scene.telegram.send_text(ADMIN, ADMIN, "/users")
    await scene.insist(ADMIN, "us:iu", lambda: scene.find_text(ADMIN, "?start="))
    scene.telegram.enter(_GUEST, "Gus", language="en")
    code = scene.find_text(ADMIN, "?start=").partition("?start=")[2].split()[0]
    scene.telegram.send_text(_GUEST, _GUEST, f"/start {code}")
    is_in = "SELECT 1 FROM members WHERE user = ? AND role = ?"
    await scene.until("a guest", lambda: scene.rows(is_in, _GUEST, "user"))
    scene.send(_GUEST, "a.mp4")
    await scene.press(_GUEST, "j:start")
    await scene.reaches("a.mp4", "done")
    scene.telegram.send_text(ADMIN, ADMIN, "/users")
    member = f"SELECT role FROM members WHERE user = {_GUEST}"
    for deed, holds in (
        ("s", lambda: scene.find_button(ADMIN, f"us:d:{_GUEST}")),
        ("d", lambda: scene.rows("SELECT 1 FROM members WHERE day_budget")),
        ("ma", lambda: scene.rows(f"{member} AND role = 'admin'")),
        ("mu", lambda: scene.rows(f"{member} AND role = 'user'")),
        ("b", lambda: scene.rows(f"{member} AND role = 'blocked'")),
        ("ar", lambda: scene.find_button(ADMIN, f"us:r:{_GUEST}")),
        ("r", lambda: not scene.rows(member)),
    ):
        await scene.insist(ADMIN, f"us:{deed}:{_GUEST}", holds)


async def decide_on_batches(scene: Scene) -> None:
    """A folder that is too dear is let go on, and taken back at work; another is not let."""
    scene.telegram.send_text(ANN, ANN, "/batch input/c1")
    await scene.press(ANN, "bt:start")
    await scene.reaches("three.mp4", "held")
    await scene.press(ADMIN, "bt:ok")
    await scene.until("work", lambda: "running" in scene.watching.attempts())
    await scene.press(ANN, "bt:ask")
    await scene.press(ANN, "bt:yes")
    await scene.reaches("three.mp4", "cancelled", "done")
    scene.telegram.send_text(BOB, BOB, "/batch input/films")
    await scene.press(BOB, "bt:start")
    await scene.reaches("long walk.mp4", "held")
    await scene.press(ADMIN, "bt:deny")
    await scene.reaches("long walk.mp4", "cancelled")


async def copy_late(scene: Scene) -> None:
    """Copies that nobody hears of, and that are made later: of a job that is taken back
    meanwhile, and of one whose attempt comes to nothing."""
    scene.loses["before storage copy_object"] = Fault.STORAGE_IN_FLIGHT
    is_claimed = "SELECT 1 FROM claims JOIN jobs ON jobs.id = job WHERE source_name = ?"
    scene.send(ANN, "a.mp4")
    await scene.press(ANN, "j:start")
    await scene.until("a copy", lambda: scene.rows(is_claimed, "a.mp4"))
    await scene.press(ANN, "j:ask", "a.mp4")
    await scene.press(ANN, "j:yes", "a.mp4")
    await scene.reaches("a.mp4", "cancelled")
    scene.send(BOB, "b.mp4")
    await scene.press(BOB, "j:start", "b.mp4")
    await scene.until("another copy", lambda: scene.rows(is_claimed, "b.mp4"))
    (job,) = scene.rows("SELECT id FROM jobs WHERE source_name = 'b.mp4'")
    scene.objects.objects.pop(f"{job_prefix(job['id'])}1/output", None)
    second = "SELECT 1 FROM attempts WHERE job = ? AND number = 2"
    await scene.until("a second attempt", lambda: scene.rows(second, job["id"]))
    scene.loses.clear()
    await scene.reaches("b.mp4", "done")


async def work_here(scene: Scene) -> None:
    """This computer is the machine: one video is taken back at work, and the next is done."""
    scene.send(ANN, "a.mp4", 300.0)
    await scene.press(ANN, "j:start")
    await scene.until("work", lambda: "running" in scene.watching.attempts())
    await scene.press(ANN, "j:ask")
    await scene.press(ANN, "j:yes")
    await scene.reaches("a.mp4", "cancelled")
    scene.send(BOB, "b.mp4")
    await scene.press(BOB, "j:start")
    await scene.reaches("b.mp4", "done")


async def back_up(scene: Scene) -> None:
    """The database is copied, and once more when something has changed."""
    folder = scene.settings.backups_dir
    for name in ("a.mp4", "b.mp4"):
        sent_at = scene.now()
        scene.send(ANN, name)
        await scene.press(ANN, "j:start", name)
        await scene.reaches(name, "done")
        await scene.until(f"a copy with {name}", lambda at=sent_at: has_copy_since(folder, at))
    for name in find_bad_copies(folder):
        scene.invariants.note(10, f"{name} is not whole")


SCENES: dict[str, tuple[Callable[[Scene], Awaitable[None]], dict[str, Any]]] = {
    "result": (get_result, {"with_webhook": True}),
    "cancel": (cancel, {"settings": {"max_machines": 1}}),
    "hold": (hold, {"settings": {"max_price": 0.02}}),
    "sample": (look_at_sample, {}),
    "batch": (do_batch, {"settings": {"max_machines": 1}}),
    "fail": (fail, {}),
    "forget": (forget, {"ages": True}),
    "price": (agree_to_a_price, {}),
    "queue": (keep_the_queue, {"settings": {"max_machines": 1}}),
    "people": (let_people_in, {}),
    "folders": (decide_on_batches, {"settings": {"max_price": 0.02, "max_machines": 1}}),
    "late copy": (copy_late, {"settings": {"max_machines": 1}, "ages": True}),
    "backup": (back_up, {"settings": {"backup_s": 60.0}}),
    "local": (work_here, {"settings": {"provider": "local"}}),
}
