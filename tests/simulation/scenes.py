"""Scripted runs in which nothing goes wrong but that the program dies, where it is told to.

A point is a moment before or after a commit or a call to the outside, named by that and by the
production code that is at it. The scripts are in :mod:`tests.simulation.scripts`.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

from tests.simulation.faults import Fault
from tests.simulation.process import Process
from tests.simulation.world import Outcome, World

#: What code calls to get at the outside or the database: not who calls it.
_THROUGH = (
    "controller.providers.", "controller.storage.", "controller.store", "controller.mailbox",
    "controller.grants", "controller.mirror", "controller.redaction", "bot.client",
    "bot.screen.traffic", "bot.middlewares",
)  # fmt: skip
_PROGRAM = ("controller.", "bot.")
_STEP_S = 5.0
_PATIENCE_S = 1500.0
_INSISTS, _PRESSED_S = 5, 60.0


class Fate(StrEnum):
    """What becomes of the call at which the program dies, or of the first one of its next life."""

    CLEAN = auto()
    REQUEST_LOST = auto()
    ANSWER_LOST = auto()
    IN_FLIGHT = auto()


#: Whichever point it is that comes.
ANY = ""


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A scene has been at a point so often before, since its beginning or the death before."""

    scene: str
    point: str
    time: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """The program dies there."""

    spot: Spot
    fate: Fate

    def __str__(self) -> str:
        spot = self.spot
        if spot.point == ANY:
            return f"{spot.scene}: point {spot.time + 1} after that, {self.fate}"
        again = f" (time {spot.time + 1})" if spot.time else ""
        return f"{spot.scene}: {spot.point}{again}, {self.fate}"


class Scene(World):
    """A world with a script in the place of chance; it dies where it is told."""

    script: Callable[["Scene"], Awaitable[None]]
    ages = False
    """Whether days pass at the end."""
    deaths: tuple[Death, ...] = ()
    surveys = True
    """Whether points are looked at behind the last death as well, which takes its time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.died_at: list[str] = []
        """The points of its deaths."""
        self.passed: Counter[str] = Counter()
        """How often it was at each point, since the last death where there was one."""
        self.loses: dict[str, Fault] = {}
        """What becomes of all calls at such a point, whoever makes them."""
        self._wound: int | None = None
        """Which fate the next call has."""

    async def run(self) -> Outcome:
        self.deployment.start()
        await type(self).script(self)
        await self.calm_down()
        await self.deployment.stop()
        outcome = self.outcome()
        self.close_reader()
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
        what = f"a button {data} of {user} {name}".strip()
        if await self.until(what, lambda: self.find_button(user, data, name)):
            message, whole = self.find_button(user, data, name)
            self.telegram.press(user, user, message, whole)
            await asyncio.sleep(_STEP_S)

    async def insist(
        self, user: int, data: str, holds: Callable[[], object], name: str = ""
    ) -> None:
        """Press until it has come about. A page that was sent while the program died is none that
        it knows: it says so, and opens another."""
        for _ in range(_INSISTS):
            await self.press(user, data, name)
            ends_at = self.loop.time() + _PRESSED_S
            while self.loop.time() < ends_at and not holds():
                await asyncio.sleep(_STEP_S)
                self.invariants.check()
            if holds():
                return
        self.invariants.note(10, f"nothing came of a button {data} of {user}")

    def find_button(self, user: int, data: str, name: str = "") -> tuple[int, str] | None:
        """The newest one whose data begin so: its message, and all of its data."""
        job = self._newest(name)["id"]
        if name and not job:
            return None
        for message in reversed(self.telegram.messages(user)):
            for each in self.telegram.buttons(message):
                if each.startswith(data) and job in each:
                    return message.id, each
        return None

    def is_switched(self, name: str) -> bool:
        """Whether the queue is paused, or drained."""
        return bool(self.rows("SELECT 1 FROM switches WHERE name = ?", name))

    def find_text(self, user: int, part: str) -> str:
        """The newest message to somebody that has this in it; empty where there is none."""
        shown = (message.text or "" for message in reversed(self.telegram.messages(user)))
        return next((text for text in shown if part in text), "")

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
        left = self.deaths[len(self.died_at) :]
        if left or self.surveys:
            point = f"{name} @ {_find_caller()}"
            if left and self._is_there(left[0].spot, point):
                self._die(process, point, left[0], call)
            self.passed[point] += 1
        if name in self.loses:
            self.faults.forced.append(self.loses[name])

    def _is_there(self, spot: Spot, point: str) -> bool:
        if spot.point == ANY:
            return self.passed.total() == spot.time
        return spot.point == point and self.passed[point] == spot.time

    def _die(self, process: Process, point: str, death: Death, call: Any) -> None:
        self.tell(f"killed: {death}")
        self.died_at.append(point)
        self.passed.clear()
        effect = call[0] if call else None
        if death.fate is not Fate.CLEAN:
            if effect is None:
                self._wound = list(Fate).index(death.fate) - 1
            elif death.fate is Fate.ANSWER_LOST:
                self.loop.spawn(process._later(effect, 0.0))
            elif death.fate is Fate.IN_FLIGHT:
                self.loop.spawn(process._later(effect, self.faults.after(60, 119)))
            else:
                self._wound = 0
        process.die()


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
