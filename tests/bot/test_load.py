"""Fifty jobs in ten chats for ten minutes against a Telegram that limits."""

import asyncio
import random
from contextlib import suppress

import pytest

from bot.client import make_bot
from bot.dispatcher import build_dispatcher
from bot.texts import Texts
from controller.records import Actor, Request
from controller.states import AttemptState, JobState, Reason
from remote_runner.protocol import Facts, Outcome, Phase, Result, Status, from_json
from tests.bot.flood import FloodSession
from tests.bot.virtual_time import run_virtual
from tests.controller.conftest import House, video, write_video
from tests.controller.standins import ScriptedProvider

PRIVATE, GROUPS = tuple(range(11, 17)), (-21, -22, -23, -24)
LASTS_S = 600
TOLD_S = 5.0
MARKS = {JobState.DONE: "✅", JobState.FAILED: "❌", JobState.CANCELLED: "🚫"}


class LoopClock:
    def __init__(self, loop) -> None:
        self.loop = loop
        self.ahead = 0.0

    def __call__(self) -> float:
        return 1_800_000_000.0 + self.ahead + self.loop.time()

    def advance(self, seconds) -> None:
        self.ahead += seconds


class Load:
    """The jobs, what becomes of them, and the bot that tells it."""

    def __init__(self, loop, folder, bot_settings) -> None:
        self.loop = loop
        self.chance = random.Random(7)
        self.house = House(folder, LoopClock(loop), ScriptedProvider())
        self.house.change(max_machines=50, day_budget=100.0)
        # nothing is killed here: the disk need not be waited for
        self.house.store._db._db.execute("PRAGMA synchronous=OFF")
        self.session = FloodSession(loop)
        self.bot = make_bot(bot_settings, self.session)
        self.notifier = build_dispatcher(self.house.controller, bot_settings, Texts())["notifier"]
        self.jobs = []
        self.ended = {}
        self.ends = {}

    async def start(self) -> None:
        for chat in (*PRIVATE, *GROUPS):
            for number in range(5):
                self.jobs.append(await self._start_one(chat, f"v{abs(chat)}x{number}.mp4"))
        while len(self.house.store.machines.select()) < len(self.jobs):
            await self.house.tick(0.01)
        running = [self.house.job(job) for job in self.jobs]
        assert all(job.state is JobState.RUNNING for job in running)
        for job in running:
            # a whole group, a whole private chat and pairs end at the same moment
            together = {GROUPS[0]: 400.0, PRIVATE[0]: 450.0}
            at = together.get(job.chat) or 10 * round(self.chance.uniform(12, 59))
            self.ends[job.id] = (at, self.chance.choice(tuple(MARKS)))

    async def run(self) -> None:
        for chat in (PRIVATE[1], GROUPS[1], GROUPS[2]):
            self.session.planned[chat] = [(100, 17), (250, 30), (500, 8)]
        work = [
            self.notifier.run(self.bot), self._work(),
            *(self._talk(chat) for chat in (*PRIVATE[:2], *GROUPS)),
        ]  # fmt: skip
        tasks = [asyncio.ensure_future(each) for each in work]
        await asyncio.sleep(LASTS_S + 40)
        for task in tasks:
            assert not task.done() or task.exception() is None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _start_one(self, chat, name):
        job = await self.house.controller.accept_upload(
            Request(key=f"tg:{chat}:{name}", owner=abs(chat), chat=chat, language="en"),
            name=name, size=100, fetch=write_video,
        )  # fmt: skip
        return self.house.controller.start(job.id, by=Actor(abs(chat)))

    async def _work(self) -> None:
        """Every two seconds all machines report; some jobs end."""
        while self.loop.time() < LASTS_S:
            await asyncio.sleep(2)
            with self.house.store.transaction():
                for job in self.jobs:
                    end_at, how = self.ends[job.id]
                    if job.id in self.ended:
                        continue
                    if self.loop.time() >= end_at:
                        self._end(job, how)
                    else:
                        self._report(job, self.loop.time() / end_at)

    async def _talk(self, chat) -> None:
        """Answers of handlers, which share the chat's room."""
        while True:
            await asyncio.sleep(self.chance.uniform(8, 25))
            await self.bot.send_message(chat, f"answer {self.loop.time():.0f}")

    def _report(self, job, share) -> None:
        attempts, clock = self.house.store.attempts, self.house.clock
        attempt = attempts.of_job(job.id)[-1]
        phase = Phase.FETCHING if share < 0.05 else Phase.PROCESSING
        status = Status(
            sequence=1, heartbeat_at=clock(), phase=phase, done=int(240 * share), total=240,
            fps=12.0, eta_s=100 * (1 - share),
        )  # fmt: skip
        if attempt.state is AttemptState.ASSIGNED:
            attempts.move(attempt, AttemptState.RUNNING, started_at=clock(), seen_at=clock())
            self.house.store.jobs.record(job.id, "started")
        else:
            attempts.change(attempt, status=status, seen_at=clock())

    def _end(self, job, how) -> None:
        jobs, now = self.house.store.jobs, self.house.clock()
        job, values = jobs.get(job.id), {}
        if how is JobState.DONE:
            output = video(width=640, height=360)
            key = f"output/{job.id}.mp4"
            path = self.house.settings.storage_dir / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(output)
            result = Result(
                job=job.id, attempt=1, outcome=Outcome.DONE, facts=from_json(Facts, output),
                bytes=len(output), extension="mp4",
            )  # fmt: skip
            values = {"output_key": key, "output_bytes": len(output), "result": result}
            values["output_sha256"] = "0" * 64
        else:
            values = {"reason": Reason.SILENT if how is JobState.FAILED else Reason.USER}
        assert jobs.move(job, how, event=str(how), ended_at=now, **values)
        self.ended[job.id] = (self.loop.time(), how)

    def find_told(self, job):
        """When somebody could read first that the job has ended."""
        _, how = self.ended[job.id]
        return next(
            (
                at
                for at, chat, text in self.session.told
                if chat == job.chat and job.source_name in text and MARKS[how] in text
            ),
            None,
        )

    def find_thaw(self, job):
        """The end of the job, or of the freezes that it fell into."""
        at = self.ended[job.id][0]
        for start, end in self.session.frozen[job.chat]:
            if start <= at + TOLD_S and at < end:
                at = end
        return at


@pytest.mark.slow
def test_fifty_jobs_in_ten_chats_are_told_within_the_limits(tmp_path, bot_settings):
    async def play(loop):
        load = Load(loop, tmp_path / "data", bot_settings)
        try:
            await load.start()
            await load.run()
        finally:
            load.house.store.close()
        return load

    load = run_virtual(play)
    assert load.session.breaches == []
    assert len(load.ended) == 50
    late = {
        job.source_name: load.find_told(job)
        for job in load.jobs
        if (load.find_told(job) or 1e9) > load.find_thaw(job) + TOLD_S
    }
    assert late == {}
    for chat in GROUPS:
        calls = load.session.calls[chat]
        busiest = max(sum(at <= other < at + 60 for other in calls) for at in calls)
        assert busiest <= 20, chat
    # it was no silence that kept the limits: groups were edited all the time
    assert min(len(load.session.calls[chat]) for chat in GROUPS) > 40
    assert all(len(load.session.frozen[chat]) == 3 for chat in (PRIVATE[1], *GROUPS[1:3]))
    assert load.notifier.counters.too_many == 9
