# ruff: noqa: T201
"""What the controller needs for many machines at once: a part of `make bench`.

Runs the real controller on one core in a process of its own, against the stand-ins for Vast.ai (at
its real rate limits) and the bucket in others, with one running job on each machine. Measures it
from outside once a second; then cancels all jobs and waits until no machine is left. Prints a
table with the limits; exit code 1 if one is broken. The other processes take the other cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.load_figures import (
    Line,
    Sample,
    after_warm_up,
    growth_mb,
    mean_cpu,
    print_table,
    worst_cpu,
)
from tests.benchmarks.load_stage import Stage, cores, open_stage, tell

CPU_PERCENT, RSS_MB, GROWTH_MB = 60.0, 300.0, 5.0
LIST_INTERVAL_S = 1.0
ENDED_S = 300.0
#: A machine whose sign of life is this old has been looked past: it beats every 5 s, and the
#: controller rests for 10 s between two looks.
UNSEEN_S = 30.0
_START_S = 180.0
_END_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All that was measured; times in seconds."""

    jobs: int
    start_s: float
    start_cpu: float
    """Percent, from the start of the process until all jobs were seen to run."""
    samples: list[Sample]
    running: float
    """Jobs that ran at the end of the samples."""
    asked_a_second: float
    refused: float
    """Requests to the bucket."""
    bucket_cpu: float
    ending: list[Sample]
    destroyed_s: float
    """From the cancels until no instance was left."""
    cancelled: float
    gone: float
    longest_end_s: float
    vast: dict[str, Any]
    late: dict[str, dict[str, float]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--idle", type=float, default=120.0, help="NOXFVR_IDLE_S")
    parser.add_argument("--profile", type=Path, help="where cProfile's figures go; slows it down")
    parser.add_argument(
        "--no-limits", action="store_true", help="on what depends on how busy this computer is"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="noxfvr-load-") as folder:
        path, profile = Path(folder), options.profile
        with open_stage(path, options.jobs, idle_s=options.idle, profile=profile) as stage:
            run = _measure(stage, options.jobs, 60 * options.minutes)
        warnings = _warnings(path / "controller.log")
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{options.jobs} jobs, {options.minutes:g} min, {len(cores())} cores, load {load}")
    kept = print_table(_lines(run, strict=not options.no_limits))
    print(f"{len(warnings)} warnings in the controller's log", *warnings[:10], sep="\n  ")
    return 0 if kept else 1


def _measure(stage: Stage, jobs: int, seconds: float) -> Run:
    first, start_s = _wait_until_running(stage, jobs)
    stage.order("phase run")
    bucket = psutil.Process(stage.bucket.pid)
    bucket.cpu_percent()
    before = tell(stage.bucket)
    samples = [first, *_watch(stage, seconds)]
    bucket_cpu, after = bucket.cpu_percent(), tell(stage.bucket)
    running = stage.count("attempts", "state = 'running'")
    stage.order("phase end")
    stage.order("cancel")
    destroyed_s, ending = _wait_until_ended(stage)
    return Run(
        jobs=jobs,
        start_s=start_s,
        start_cpu=100 * first.cpu_s / start_s,
        samples=samples,
        running=running,
        asked_a_second=(after["asked"] - before["asked"]) / samples[-1].at,
        refused=after["refused"],
        bucket_cpu=bucket_cpu,
        ending=ending,
        destroyed_s=destroyed_s,
        cancelled=stage.count("jobs", "state = 'cancelled'"),
        gone=stage.count("machines", "state = 'gone'"),
        longest_end_s=stage.ask("SELECT max(gone_at - retire_requested_at) FROM machines"),
        vast=tell(stage.vast),
        late=_stop(stage.controller),
    )


def _lines(run: Run, *, strict: bool) -> list[Line]:
    unseen_s = max(each.unseen_s for each in run.samples)
    return [
        *_resources(run.samples, strict=strict),
        *_lateness(run.late),
        Line(name="CPU until all jobs ran", value=run.start_cpu, unit="%"),
        Line(name="all jobs ran after", value=run.start_s, unit="s"),
        Line(name="jobs that still ran at the end", value=run.running, unit="", low=run.jobs),
        Line(name="oldest sign of life that was noted", value=unseen_s, unit="s",
             high=UNSEEN_S if strict else None),
        Line(name="requests to the bucket in a second", value=run.asked_a_second, unit=""),
        Line(name="requests that the bucket refused", value=run.refused, unit="", high=0),
        Line(name="CPU of the bucket's stand-in", value=run.bucket_cpu, unit="%"),
        *_manners(run.vast, strict=strict),
        Line(name="jobs cancelled", value=run.cancelled, unit="", low=run.jobs),
        Line(name="CPU from the cancels to the end", value=mean_cpu(run.ending), unit="%"),
        Line(name="from the cancels to the last destroyed", value=run.destroyed_s, unit="s",
             high=ENDED_S),
        Line(name="from the cancels to the last proven gone", value=run.ending[-1].at, unit="s"),
        Line(name="longest from not wanted to proven gone", value=run.longest_end_s, unit="s",
             high=ENDED_S),
        Line(name="machines proven gone", value=run.gone, unit="", low=run.jobs),
    ]  # fmt: skip


def _resources(samples: list[Sample], *, strict: bool) -> list[Line]:
    warm = after_warm_up(samples)
    cpu, rss, growth = (CPU_PERCENT, RSS_MB, GROWTH_MB) if strict else (None, None, None)
    highest = max(each.rss_mb for each in samples)
    return [
        Line(name="CPU of the controller, mean", value=mean_cpu(samples), unit="%", high=cpu),
        Line(name="CPU, worst half minute", value=worst_cpu(samples), unit="%"),
        Line(name="memory, first after warming up", value=warm[0].rss_mb, unit="MB"),
        Line(name="memory, last", value=samples[-1].rss_mb, unit="MB"),
        Line(name="memory, highest", value=highest, unit="MB", high=rss),
        Line(name="memory, growth after warming up", value=growth_mb(warm), unit="MB",
             high=growth),
    ]  # fmt: skip


def _lateness(late: dict[str, dict[str, float]]) -> list[Line]:
    return [
        Line(name=f"event loop late, {phase}, {name}", value=1000 * seconds, unit="ms")
        for phase, figures in late.items()
        for name, seconds in figures.items()
    ]


def _manners(report: dict[str, Any], *, strict: bool) -> list[Line]:
    """What the API has to bear."""
    throttled = sum(report["throttled"].values())
    destroys = sum(report["requests"].get(each, 0) for each in ("destroy", "destroy_many"))
    return [
        Line(name="list requests", value=report["requests"].get("list", 0), unit="", low=1),
        Line(name="list requests in flight at once", value=report["peak"]["list"], unit="",
             high=1),
        Line(name="closest two list requests", value=report["closest"]["list"], unit="s",
             low=LIST_INTERVAL_S if strict else None),
        Line(name="requests for logs", value=report["requests"].get("logs", 0), unit=""),
        Line(name="requests to destroy", value=destroys, unit=""),
        Line(name="requests that were throttled", value=throttled, unit="",
             high=0 if strict else None),
    ]  # fmt: skip


def _watch(stage: Stage, seconds: float) -> list[Sample]:
    """Once a second."""
    process = psutil.Process(stage.controller.pid)
    samples: list[Sample] = []
    begin = time.monotonic()
    while (at := time.monotonic() - begin) < seconds:
        time.sleep(max(0.0, min(len(samples) + 1, seconds) - at))
        samples.append(_sample(stage, process, begin))
    return samples


def _sample(stage: Stage, process: psutil.Process, begin: float) -> Sample:
    times = process.cpu_times()
    oldest = stage.ask("SELECT min(seen_at) FROM attempts WHERE state = 'running'")
    return Sample(
        at=time.monotonic() - begin,
        cpu_s=times.user + times.system,
        rss_mb=process.memory_info().rss / 1e6,
        unseen_s=time.time() - oldest,
    )


def _wait_until_running(stage: Stage, jobs: int) -> tuple[Sample, float]:
    """The first sample, and how long it took until every machine's sign of life was noted."""
    begin = time.monotonic()
    while stage.count("attempts", "state = 'running'") < jobs:
        _require_alive(stage, time.monotonic() - begin < _START_S)
        time.sleep(0.5)
    process = psutil.Process(stage.controller.pid)
    since_s = time.time() - process.create_time()
    return _sample(stage, process, time.monotonic()), since_s


def _wait_until_ended(stage: Stage) -> tuple[float, list[Sample]]:
    """Seconds until no instance is left; samples until every machine is proven gone."""
    process = psutil.Process(stage.controller.pid)
    begin, ended_s, samples = time.monotonic(), 0.0, []
    while stage.count("machines", "state != 'gone'"):
        _require_alive(stage, time.monotonic() - begin < _END_S)
        if not ended_s and not tell(stage.vast)["alive"]:
            ended_s = time.monotonic() - begin
        samples.append(_sample(stage, process, begin))
        time.sleep(1.0)
    samples.append(_sample(stage, process, begin))
    return ended_s or samples[-1].at, samples


def _require_alive(stage: Stage, in_time: bool) -> None:
    if stage.controller.poll() is not None or not in_time:
        raise RuntimeError("the controller ended, or does not come to an end")


def _stop(controller: subprocess.Popen[str]) -> dict[str, dict[str, float]]:
    """Let it end in an orderly way; what it measured itself."""
    output, _ = controller.communicate(timeout=60)
    late: dict[str, dict[str, float]] = json.loads(output.splitlines()[-1])
    return late


def _warnings(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line for line in lines if " WARNING " in line or " ERROR " in line]


if __name__ == "__main__":
    sys.exit(main())
