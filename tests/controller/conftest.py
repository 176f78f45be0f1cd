import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from controller.errors import BadVideo
from controller.intake import Intake
from controller.loops.alarm import AlarmLoop
from controller.loops.context import Context
from controller.loops.place import Place
from controller.loops.prune import Prune
from controller.loops.publish import Publisher
from controller.loops.reap import Reap
from controller.loops.tail import Tail
from controller.loops.watch import Watch
from controller.mailbox import Mailbox
from controller.quotes import Quotes
from controller.records import Actor, Request
from controller.service import Controller
from controller.settings import Settings
from controller.storage.folder import FolderStorage
from controller.store import Store
from controller.vitals import Vitals
from remote_runner import transfer
from remote_runner.protocol import Facts, Reason, Task, from_json, to_json
from tests.controller.standins import RentedProvider, ScriptedProvider, ScriptedRunner

FACTS = Facts(
    container="mp4", bytes=1000, duration_s=10.0, width=320, height=180, rotation=0, sar="1:1",
    fps="24/1", vfr=False, frames=240, codec="h264", pix_fmt="yuv420p", bit_depth=8,
    matrix="bt709", range="limited", transfer="bt709", interlaced=False, audio=("aac/rus",),
    subtitles=(), chapters=0,
)  # fmt: skip


async def read_facts(source: Path | str, limits: object) -> Facts:
    # in these tests a video is a file that holds its own facts
    try:
        if isinstance(source, str):
            return from_json(Facts, await asyncio.to_thread(transfer.read, source, 1 << 20))
        return from_json(Facts, source.read_text())
    except ValueError as error:
        raise BadVideo(Reason.NOT_A_VIDEO, str(error)) from None


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class House:
    """A whole controller whose loops are ticked by hand."""

    def __init__(self, data_dir: Path, clock: Clock, provider: ScriptedProvider) -> None:
        self.clock = clock
        self.provider = provider
        self.settings = Settings(data_dir=data_dir, poll_s=1, idle_s=100, job_timeout_s=3600)
        self.open()

    def open(self) -> None:
        self.settings.data_dir.mkdir(exist_ok=True)
        storage = self.storage = self.make_storage()
        self.store = Store(self.settings.database, clock=self.clock)
        quotes = Quotes(
            store=self.store, provider=self.provider, settings=self.settings, clock=self.clock
        )
        self.context = Context(
            store=self.store, storage=storage, provider=self.provider, quotes=quotes,
            mailbox=Mailbox(storage, segment_s=self.settings.segment_s, clock=self.clock),
            settings=self.settings, clock=self.clock, vitals=Vitals(self.clock),
        )  # fmt: skip
        self.place = Place(self.context, may_rent=lambda: self.reap.knows)
        self.watch = Watch(self.context, Publisher(self.context, prober=read_facts))
        self.reap = Reap(self.context, renting=self.place.renting)
        self.tail = Tail(self.context, self.watch)
        self.prune = Prune(self.context)
        self.alarm = AlarmLoop(self.context)
        intake = Intake(
            store=self.store, storage=storage, settings=self.settings, clock=self.clock,
            prober=read_facts,
        )  # fmt: skip
        self.controller = Controller(
            store=self.store, storage=storage, settings=self.settings, intake=intake,
            quotes=quotes, provider=self.provider, clock=self.clock, wake=lambda: None,
            vitals=self.context.vitals,
        )  # fmt: skip
        self.runner = ScriptedRunner(self.settings.storage_dir, self.clock)

    def make_storage(self):
        return FolderStorage(self.settings.storage_dir, reserve_bytes=0)

    def change(self, **settings) -> None:
        """Start again with other settings."""
        self.settings = dataclasses.replace(self.settings, **settings)
        self.restart()

    def restart(self) -> None:
        """As after kill -9: the rows and the storage are all that is left."""
        self.store.close()
        self.open()

    async def tick(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        await self.reap.tick()
        await self.tail.tick()
        await self.watch.tick()
        await self.watch.settle()
        await self.place.tick()

    async def draft(self, name: str = "clip.mp4", *, owner: int = 7, task: Task | None = None):
        key = f"tg:1:{name}"
        return await self.controller.accept_upload(
            Request(key=key, owner=owner, chat=1),
            name=name,
            size=100,
            fetch=write_video,
            task=task,
        )

    async def queued(self, name: str = "clip.mp4", *, owner: int = 7, task: Task | None = None):
        job = await self.draft(name, owner=owner, task=task)
        return self.controller.start(job.id, by=Actor(owner))

    def job(self, job):
        return self.store.jobs.get(job.id)

    def machine(self):
        (machine,) = self.store.machines.select()
        return machine

    def kinds(self, job):
        return [event.kind for event in self.store.events.after(0, 1000) if event.job == job.id]


async def write_video(path: Path) -> None:
    path.write_text(to_json(FACTS))


def video(**changes) -> bytes:
    return json.dumps(dataclasses.asdict(dataclasses.replace(FACTS, **changes))).encode()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def provider():
    return ScriptedProvider()


@pytest.fixture
def house(tmp_path, clock, provider):
    house = House(tmp_path / "data", clock, provider)
    yield house
    house.store.close()


@pytest.fixture
def rented(tmp_path, clock):
    """A house whose machines are other people's."""
    house = House(tmp_path / "data", clock, RentedProvider())
    yield house
    house.store.close()
