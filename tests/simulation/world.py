"""One run: a deployment, people and everything outside, in virtual time, all from one seed."""

import asyncio
import inspect
import random
import tempfile
import zlib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from unittest.mock import patch

from sqlite_utils.utils import sqlite3

from bot.screen.pace import Pace
from controller import bootstrap
from controller.settings import Settings
from remote_runner.protocol import from_json
from tests.simulation.computer import Computer
from tests.simulation.database import Disk, simulated_databases
from tests.simulation.deployment import Deployment
from tests.simulation.faults import Fault, Faults
from tests.simulation.house import (
    SECRETS,
    START,
    Clock,
    lay_out,
    make_bot_settings,
    make_settings,
    seeded_chance,
)
from tests.simulation.invariants import Invariants
from tests.simulation.leaks import Leaks
from tests.simulation.loop import SimLoop
from tests.simulation.outside.machines import SimMachines
from tests.simulation.outside.storage import SimObjects
from tests.simulation.outside.telegram import SimTelegram
from tests.simulation.outside.vast import SimVast
from tests.simulation.people import People
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.verdict import Verdict
from tests.simulation.watching import Watching

#: Calm: so long people still answer, then what waits for a yes gets a no.
_CALM_S = 900.0
_LONGEST_CALM_S = 6 * 3600.0
_CALM_STEP_S = 10.0


class Signatures:
    """The inspecting of handlers, which each life does anew and is the same each time."""

    def __init__(self) -> None:
        self._known: dict[object, inspect.Signature] = {}

    def __getattr__(self, name):
        return getattr(inspect, name)

    def signature(self, callback) -> inspect.Signature:
        """That of functions by their code, of methods, and of objects that can be called."""
        function = getattr(callback, "__func__", callback)
        key = getattr(
            function, "__code__", function if inspect.isclass(function) else type(function)
        )
        if key not in self._known:
            self._known[key] = inspect.signature(callback)
        return self._known[key]


#: What the program does often or anew in each life, and no outcome depends on.
_INSTEAD = (
    ("controller.memory._OTHERS_S", 5.0),
    ("controller.supervisor._LAG_S", 60.0),
    ("controller.records.from_json", lru_cache(4096)(from_json)),
    ("controller.store.journal._find_loss", lambda journal: None),
    ("aiogram.dispatcher.event.handler.inspect", Signatures()),
)
#: A create may be carried out so long after nobody waits for it any more.
_ON_ITS_WAY_S = 180.0
#: From the last expiry: what is promised, behind what a host may be away for.
_DEAD_S, _DEAD_STEP_S = 600.0 + 900.0, 60.0
#: Packing it takes longer than most lives.
_build_bundle = cache(bootstrap.build_bundle)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    seed: int
    broken: list[str]
    hits: Counter = field(default_factory=Counter)
    """Faults, each once."""
    met: Counter = field(default_factory=Counter)
    """The same, once for each state that they met."""
    moves: Counter = field(default_factory=Counter)
    counts: Counter = field(default_factory=Counter)
    virtual_s: float = 0.0
    story: list[str] = field(default_factory=list)
    digest: int = 0
    """The same for the same run."""


class World:
    """:meth:`live` a while, :meth:`calm_down`, then look at :meth:`broken`."""

    def __init__(
        self, plan: Plan, folder: Path, loop: SimLoop, clock: Clock, *, tells: bool = False
    ) -> None:
        self.plan, self.loop, self.clock = plan, loop, clock
        self.rng = random.Random(f"world {plan.seed}")
        self.faults = Faults(random.Random(f"faults {plan.seed}"), plan.rate, plan.themes)
        self.story: list[str] = []
        self._digest = 0
        self._tells = self.keeps_traces = tells
        self.watching = Watching(self.tell)
        self.disk = Disk(self.now)
        self.disk.on_change = self.watching.note
        self.vast = SimVast(self.faults, self.now, spawn=loop.spawn)
        self.objects = SimObjects(self.faults, self.now)
        self.telegram = SimTelegram(self.faults, self.now, folder / "telegram")
        self.machines = SimMachines(
            self.faults, self.vast, self.objects, self.now, spawn=loop.spawn
        )
        self.vast.states = self.watching.machines
        self.objects.states = self.watching.attempts
        self.telegram.states = self.watching.jobs
        settings = make_settings(plan, folder)
        lay_out(settings)
        self.deployment = Deployment(
            folder, settings, make_bot_settings(),
            loop=loop, faults=self.faults, clock=self.clock, disk=self.disk, vast=self.vast,
            objects=self.objects, telegram=self.telegram, tell=self.tell,
        )  # fmt: skip
        self.deployment.at_point = self._at_point
        self.deployment.pace = Pace(steps=((60, plan.edits_s),), slowest_s=max(15, plan.edits_s))
        self.people = People(self)
        self.invariants = Invariants(self)
        self.leaks = Leaks(self, SECRETS)
        self._reader: sqlite3.Connection | None = None
        self.computer = Computer(self)

    def now(self) -> float:
        """The true time."""
        return START + self.loop.time()

    def tell(self, line: str) -> None:
        told = f"{self.loop.time():8.1f} {line}"
        self._digest = zlib.crc32(told.encode(), self._digest)
        if self._tells:
            self.story.append(told)

    @property
    def settings(self) -> Settings:
        return self.deployment.settings

    async def live(self, seconds: float) -> None:
        """With faults, and people who want things."""
        self.deployment.start()
        ends_at = self.loop.time() + seconds
        while self.loop.time() < ends_at:
            await asyncio.sleep(self.plan.step_s)
            self.computer.happen()
            self.people.act(self.plan.step_s)
            self.invariants.check()

    async def calm_down(self) -> None:
        """No more faults and no more wishes: everything has to come to rest."""
        self._end_faults()
        self.leaks.look_at_database()
        self.invariants.begin_calm()
        if self.plan.ends_dead:
            await self._end_dead()
            return
        ends_at = self.loop.time() + _LONGEST_CALM_S
        answers_until = self.loop.time() + _CALM_S / 3
        while self.loop.time() < ends_at and not self.invariants.is_quiet():
            if self.invariants.broken:
                return  # it is no use to wait for the rest
            await asyncio.sleep(_CALM_STEP_S)
            if self.loop.time() < answers_until:
                self.people.answer()
            else:
                self.people.close()
            self.invariants.check()
        self.invariants.check_quiet()
        await self._grow_old()

    async def run(self) -> "Outcome":
        """All of it."""
        await self.live(self.plan.live_s)
        await self.calm_down()
        await self.deployment.stop()
        outcome = self.outcome()
        self.close_reader()
        return outcome

    def broken(self) -> list[str]:
        """Promises that were not kept, each once, with its number."""
        self.leaks.look_at_database()
        Verdict(self).find()
        return list(dict.fromkeys([*self.watching.broken, *self.invariants.broken]))

    def outcome(self) -> Outcome:
        counts = Counter(
            lives=self.deployment.lives,
            kills=self.deployment.kills,
            commits=self.disk.commits,
            instances=len(self.vast.instances),
            sends=len(self.telegram.sends),
            resumed=self.invariants.segments.resumed,
            started_again=self.vast.started_again,
            judged=self.invariants.holdings.judged,
            left_to_the_provider=self.invariants.holdings.left,
        ) + self.people.counts  # fmt: skip
        counts.update(f"jobs {state}" for state in self.watching.states["jobs"].values())
        return Outcome(
            seed=self.plan.seed, broken=self.broken(), hits=self.faults.hits,
            met=self.faults.met,
            moves=self.watching.moves, counts=counts, virtual_s=self.loop.time(),
            story=self.story, digest=self._digest,
        )  # fmt: skip

    def rows(self, sql: str, *values: object) -> list[dict]:
        """What the database says, read beside the program."""
        if self._reader is None:
            self._reader = sqlite3.connect(self.settings.database)
            self._reader.row_factory = sqlite3.Row
        return [dict(row) for row in self._reader.execute(sql, values)]

    def close_reader(self) -> None:
        """Before the file is replaced."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # --- what happens to the computer ----------------------------------------------------------

    def _at_point(self, process: Process, name: str) -> None:
        if self.plan.crashes and self.faults.hit(
            Fault.CRASH, self.states(), weight=self.plan.crashes
        ):
            self.tell(f"killed at {name}")
            process.die()

    def states(self) -> list[str]:
        return [*self.watching.jobs(), *self.watching.machines()]

    def _end_faults(self) -> None:
        self.tell("calm")
        self.faults.rate = 0.0
        self.clock.offset_s = 0.0
        self.disk.fault = None

    async def _end_dead(self) -> None:
        """Nobody is there any more: what is rented has to end by itself."""
        self.tell("dead for good")
        await self.deployment.stop()
        began_at = self.now()
        while self.now() < began_at + _ON_ITS_WAY_S or self.now() < (
            max([began_at, *self.invariants.holdings.expiries()]) + _DEAD_S
        ):
            await asyncio.sleep(_DEAD_STEP_S)
            self.invariants.holdings.check_dead()

    async def _grow_old(self) -> None:
        """Days pass: what was kept for a while goes."""
        self.tell("days pass")
        for _ in range(3):
            self.loop.stall(25 * 3600.0)
            await asyncio.sleep(200)
        self.invariants.check()


def run_seed(plan: Plan, *, tells: bool = False, make: type[World] = World) -> Outcome:
    """A whole run on a folder of its own, in memory where there is such a place."""
    shm = Path("/dev/shm")
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="nox", dir=shm if shm.is_dir() else None)
            )
        )
        loop = SimLoop(random.Random(f"loop {plan.seed}") if plan.shuffles else None)
        clock = Clock(loop)
        stack.enter_context(seeded_chance(plan.seed, clock))
        world = make(plan, folder, loop, clock, tells=tells)
        stack.enter_context(simulated_databases(world.disk))
        stack.enter_context(patch.object(bootstrap, "build_bundle", _build_bundle))
        for name, value in _INSTEAD:
            stack.enter_context(patch(name, value))
        stack.enter_context(world.invariants.surprises.listening())
        stack.enter_context(world.leaks.listening())
        loop.set_exception_handler(world.invariants.note_loop_error)
        return loop.run_to_end(world.run())
