"""What is around the controller under load: a process for Vast.ai, one for the bucket.

``python -m tests.benchmarks.load_world vast|bucket`` reads its orders as one line of JSON from
standard input and answers with one; then it answers every further line with a report, and ends
when its standard input does. The bucket's process holds the runners of all machines as well. They
write behind the gate, straight into moto: their requests are no load of the controller, and are
not to slow the gate down.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from moto.s3.models import s3_backends

from controller.places import job_prefix, machine_prefix
from remote_runner.orders import HTTPS_POLL_S
from remote_runner.protocol import (
    Boot,
    BootPhase,
    Orders,
    Outcome,
    Phase,
    Result,
    Status,
    from_json,
    to_json,
)
from remote_runner.report import HTTPS_BEAT_S
from tests.standins.b2 import B2Standin
from tests.standins.vast import VastStandin, make_body, make_offer

FPS = 12.0
TOTAL_FRAMES = 14_400
_ACCOUNT = "123456789012"
#: Versions of an object that stay, so that a read that is under way finds what it began with.
_VERSIONS = 8
_PRINT_S = 10.0
_STEP_S = 0.25


async def serve_vast(plan: dict[str, Any]) -> None:
    """The account with one instance for each label, whose logs grow by a line a second."""
    offers = {label: make_offer() for label in plan["labels"]}
    async with VastStandin(
        offers=offers.values(), account_key=plan["key"], time_scale=1.0, runs=False, credit=1e6
    ) as standin:
        rented = {
            label: standin.rent(offer["id"], make_body(label=label)).id
            for label, offer in offers.items()
        }
        _answer({"url": standin.url, "instances": rented})
        await _until_ended(_print_logs(standin), standin.report)


async def serve_bucket(plan: dict[str, Any]) -> None:
    """The bucket, and a runner on each machine."""
    async with B2Standin(bucket="videos") as b2:
        fleet = Fleet(b2.bucket, plan["machines"])
        _answer(b2.settings)
        await _until_ended(
            fleet.run(),
            lambda: {"asked": sum(b2.requests.values()), "refused": sum(b2.refusals.values())},
        )


@dataclass(slots=True, kw_only=True)
class Runner:
    """What one machine remembers."""

    machine: str
    sequence: int = 0
    done: int = 0
    finished: tuple[str, int] | None = None


class Fleet:
    """The runners of all machines: each looks at its orders and tells its status every 5 s."""

    def __init__(self, bucket: str, machines: list[str]) -> None:
        self._bucket = bucket
        self._backend = s3_backends[_ACCOUNT]["aws"]
        self._runners = [Runner(machine=machine) for machine in machines]
        for machine in machines:
            boot = Boot(phase=BootPhase.STARTING, device="RTX 3060")
            self._put(f"{machine_prefix(machine)}boot", to_json(boot))

    async def run(self) -> None:
        """Until cancelled; the beats of the machines are spread evenly over their interval."""
        beat_s = max(HTTPS_BEAT_S, HTTPS_POLL_S)
        turns = max(1, round(beat_s / _STEP_S))
        turn, due = 0, time.monotonic()
        while True:
            for runner in self._runners[turn % turns :: turns]:
                self._step(runner)
            turn, due = turn + 1, due + _STEP_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _step(self, runner: Runner) -> None:
        data = self._get(f"{machine_prefix(runner.machine)}orders")
        orders = from_json(Orders, data) if data else None
        if orders is None or orders.stop:
            return
        work = (orders.job, orders.attempt)
        if orders.job is None or orders.attempt is None or work == runner.finished:
            self._tell(runner, Phase.IDLE)
        elif orders.cancel:
            self._stop_work(runner, orders.job, orders.attempt)
        else:
            runner.done = min(TOTAL_FRAMES - 1, runner.done + round(FPS * HTTPS_BEAT_S))
            self._tell(runner, Phase.PROCESSING, orders.job, orders.attempt)

    def _stop_work(self, runner: Runner, job: str, attempt: int) -> None:
        """Status first, result last."""
        self._tell(runner, Phase.FINISHED, job, attempt)
        result = Result(job=job, attempt=attempt, outcome=Outcome.CANCELLED, device="RTX 3060")
        self._put(f"{job_prefix(job)}{attempt}/result", to_json(result))
        runner.finished = (job, attempt)

    def _tell(
        self, runner: Runner, phase: Phase, job: str | None = None, attempt: int | None = None
    ) -> None:
        runner.sequence += 1
        status = Status(
            sequence=runner.sequence, heartbeat_at=time.time(), phase=phase, job=job,
            attempt=attempt, done=runner.done if job else 0, total=TOTAL_FRAMES if job else 0,
            fps=FPS, eta_s=(TOTAL_FRAMES - runner.done) / FPS, device="RTX 3060",
            vram_free=9_000_000_000,
        )  # fmt: skip
        folder = f"{job_prefix(job)}{attempt}/" if job else machine_prefix(runner.machine)
        self._put(f"{folder}status", to_json(status))

    def _put(self, key: str, document: str) -> None:
        self._backend.put_object(self._bucket, key, document.encode(), disable_notification=True)
        keys = self._backend.get_bucket(self._bucket).keys
        kept = keys.getlist(key)
        if len(kept) > 2 * _VERSIONS:
            keys.setlist(key, kept[-_VERSIONS:])

    def _get(self, key: str) -> bytes | None:
        found = self._backend.get_object(self._bucket, key)
        return found.value if found else None


async def _print_logs(standin: VastStandin) -> None:
    """Every instance prints a line of progress a second; written for ten at once."""
    turns = max(1, round(_PRINT_S / _STEP_S))
    turn, seconds = 0, 0
    while True:
        for instance in standin.alive()[turn % turns :: turns]:
            instance.say("".join(_progress(seconds + each) for each in range(int(_PRINT_S))))
        turn += 1
        seconds += int(_PRINT_S) if turn % turns == 0 else 0
        await asyncio.sleep(_STEP_S)


def _progress(second: int) -> str:
    done = int(second * FPS)
    left_s = max(0, TOTAL_FRAMES - done) / FPS
    percent = done * 100 // TOTAL_FRAMES
    return f"[PROGRESS] {percent}% | {FPS} fps | ETA {left_s // 60:.0f}:{left_s % 60:02.0f}\n"


async def _until_ended(
    work: Coroutine[Any, Any, None], report: Callable[[], dict[str, Any]]
) -> None:
    """Work until the other side closes our standard input, and report at each of its lines.

    A failure of the work ends it sooner.
    """
    tasks = [asyncio.create_task(work), asyncio.create_task(_obey(report))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[0].cancel()
    for task in done:
        task.result()


async def _obey(report: Callable[[], dict[str, Any]]) -> None:
    while await asyncio.to_thread(sys.stdin.readline):
        _answer(report())


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    serve = {"vast": serve_vast, "bucket": serve_bucket}[sys.argv[1]]
    asyncio.run(serve(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
