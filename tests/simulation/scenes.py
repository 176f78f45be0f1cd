"""Scripted runs in which nothing goes wrong but that the program dies, where it is told to.

A point is a moment before or after a commit or a call to the outside, named by that and by the
production code that is at it. The scenes pass all of them.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from tests.simulation.people import ADMIN, ANN, BOB
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.world import Outcome, World, run_seed

#: What code calls to get at the outside or the database: not who calls it.
_THROUGH = (
    "controller.providers.", "controller.storage.", "controller.store", "controller.mailbox",
    "controller.grants", "controller.mirror", "controller.redaction", "bot.client",
    "bot.screen.traffic", "bot.middlewares",
)  # fmt: skip
_PROGRAM = ("controller.", "bot.")
_STEP_S = 5.0
_PATIENCE_S = 1500.0


class Fate(StrEnum):
    """What becomes of the call at which the program dies, or of the first one of its next life."""

    CLEAN = auto()
    REQUEST_LOST = auto()
    ANSWER_LOST = auto()
    IN_FLIGHT = auto()


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """The ``time``-th time that a scene comes to a point."""

    scene: str
    point: str
    time: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """The program dies there."""

    spot: Spot
    fate: Fate

    def __str__(self) -> str:
        again = f" (time {self.spot.time + 1})" if self.spot.time else ""
        return f"{self.spot.scene}: {self.spot.point}{again}, {self.fate}"


class Scene(World):
    """A world with a script in the place of chance; it dies where it is told."""

    script: Callable[["Scene"], Awaitable[None]]
    ages = False
    """Whether days pass at the end."""
    deaths: tuple[Death, ...] = ()
    passed: Counter[str]
    """How often each point was come to, up to the last death."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.died = 0
        self._wound: int | None = None
        """Which fate the next call has."""

    async def run(self) -> Outcome:
        self.deployment.start()
        await type(self).script(self)
        await self.calm_down()
        await self.deployment.stop()
        outcome = self.outcome()
        self.close_reader()
        outcome.counts["died"] = self.died
        return outcome

    async def _grow_old(self) -> None:
        if self.ages:
            await super()._grow_old()

    def broken(self) -> list[str]:
        found = super().broken()
        # plans that nobody starts wait for a day
        return found if self.ages else [each for each in found if "is draft for" not in each]

    # --- what a script is made of --------------------------------------------------------------

    async def until(self, what: str, holds: Callable[[], object]) -> bool:
        """Wait for something, though not for ever; whether it came about. If not, the story is
        another one than its script tells, and that is a finding."""
        ends_at = self.loop.time() + _PATIENCE_S
        while not holds() and self.loop.time() < ends_at:
            await asyncio.sleep(_STEP_S)
            self.invariants.check()
        if not holds():
            self.invariants.note(10, f"the scene has waited for {what} in vain")
            return False
        return True

    async def press(self, user: int, data: str, name: str = "") -> None:
        """Press the newest button whose data begin so, as soon as there is one; with ``name`` one
        of the job for that video, as an older card may still show what it was."""

        def look() -> tuple[int, str] | None:
            job = self._newest(name)["id"]
            if name and not job:
                return None
            for message in reversed(self.telegram.messages(user)):
                for each in self.telegram.buttons(message):
                    if each.startswith(data) and job in each:
                        return message.id, each
            return None

        if await self.until(f"a button {data} of {user} {name}".strip(), look):
            message, whole = look()
            self.telegram.press(user, user, message, whole)
            await asyncio.sleep(_STEP_S)

    def state_of(self, name: str) -> str:
        """Of the newest job for a video of this name."""
        return self._newest(name)["state"]

    def _newest(self, name: str) -> dict[str, str]:
        sql = "SELECT id, state FROM jobs WHERE source_name = ? ORDER BY id DESC LIMIT 1"
        return next(iter(self.rows(sql, name)), {"id": "", "state": ""})

    async def reaches(self, name: str, *states: str) -> None:
        wanted = f"{name} to be {' or '.join(states)}"
        await self.until(wanted, lambda: self.state_of(name) in states)

    def send(self, user: int, name: str, seconds: float = 12.0) -> None:
        self.telegram.send_video(user, user, self.people.film(seconds), name=name)

    # --- dying ---------------------------------------------------------------------------------

    def _at_point(self, process: Process, name: str) -> None:
        call = process.next_call
        if self._wound is not None and call is not None:
            self.faults.forced.append(call[1][self._wound])
            self._wound = None
        if self.died == len(self.deaths) and self.deaths:
            return
        point = f"{name} @ {_find_caller()}"
        time = self.passed[point]
        self.passed[point] += 1
        if self.deaths and self._is_next(point, time):
            self._die(process, self.deaths[self.died].fate, call)

    def _is_next(self, point: str, time: int) -> bool:
        spot = self.deaths[self.died].spot
        return spot.point == point and (self.died > 0 or time >= spot.time)

    def _die(self, process: Process, fate: Fate, call: Any) -> None:
        self.tell(f"killed: {self.deaths[self.died]}")
        self.died += 1
        effect = call[0] if call else None
        if fate is not Fate.CLEAN:
            if effect is None:
                self._wound = list(Fate).index(fate) - 1
            elif fate is Fate.ANSWER_LOST:
                self.loop.spawn(process._later(effect, 0.0))
            elif fate is Fate.IN_FLIGHT:
                self.loop.spawn(process._later(effect, self.faults.after(60, 119)))
            else:
                self._wound = 0
        process.die()


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


SCENES: dict[str, tuple[Callable[[Scene], Awaitable[None]], dict[str, Any]]] = {
    "result": (get_result, {"with_webhook": True}),
    "cancel": (cancel, {"settings": {"max_machines": 1}}),
    "hold": (hold, {"settings": {"max_price": 0.02}}),
    "sample": (look_at_sample, {}),
    "batch": (do_batch, {"settings": {"max_machines": 1}}),
    "fail": (fail, {}),
    "forget": (forget, {"ages": True}),
}


def play(
    scene: str, deaths: tuple[Death, ...] = (), *, tells: bool = False
) -> tuple[Outcome, Counter[str]]:
    """A run of one scene in which the program dies so often, one death after another; what it
    came to, and the points that it passed."""
    script, shape = SCENES[scene]
    shape = dict(shape)
    settings = {"idle_s": 20.0, **shape.pop("settings", {})}
    attributes = {"script": script, "deaths": deaths, "ages": shape.pop("ages", False)}
    made = type("Scene", (Scene,), attributes | {"passed": Counter()})
    plan = Plan(seed=1, rate=0.0, shuffles=False, settings=settings, **shape)
    return run_seed(plan, tells=tells, make=made), made.passed


def _find_caller() -> str:
    """The nearest code of the program that is about something, with its class."""
    frame, nearest = sys._getframe(2), ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_PROGRAM):
            name = frame.f_code.co_qualname.replace(".<locals>", "")
            if not module.startswith(_THROUGH):
                return name
            nearest = nearest or name
        frame = frame.f_back
    return nearest or "nobody"
