"""The processes that are compared, worked in turns so that a busy moment hits all alike."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.engine_networks import ROOT

REFERENCE_PYTHON = ROOT / ".venv-reference" / "bin" / "python"
REMEDY = "not installed: make .venv-reference/.ready"


@dataclass(slots=True, kw_only=True)
class Row:
    """What was measured of one engine."""

    engine: str
    problem: str = ""
    torch: str = ""
    ends: list[float] = field(default_factory=list)
    """Seconds a frame, end to end, one number a turn."""
    networks: list[float] = field(default_factory=list)
    """Seconds a frame of the network alone, one number a turn."""
    memory: int = 0
    first: float = 0.0
    """Seconds to the first frame, weights loaded on the way."""

    @property
    def end_fps(self) -> float:
        return 1 / statistics.median(self.ends)

    @property
    def network_fps(self) -> float:
        return 1 / statistics.median(self.networks)


class Failed(Exception):
    """An engine ended before its answer; what it said is on standard error."""


class Member:
    """A worker process of one engine."""

    def __init__(self, engine: str, *arguments: object) -> None:
        self.row = Row(engine=engine)
        python = REFERENCE_PYTHON if engine == "reference" else Path(sys.executable)
        environment = dict(os.environ)
        # each as its own program sets it: remote_runner.__main__ does, the others do not
        environment.pop("OMP_WAIT_POLICY", None)
        if engine == "ours":
            environment["OMP_WAIT_POLICY"] = "PASSIVE"
        self._process = subprocess.Popen(
            [python, "-m", "tests.benchmarks.engine_worker", engine, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.row.torch = self._answer()["torch"]

    def ask(self, what: str, **details: object) -> dict[str, Any]:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": what, **details}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed(self.row.engine) from None
        return self._answer()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # it ended before: `ask` told so
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise Failed(self.row.engine)
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(
    engines: list[str],
    arguments: list[object],
    folder: Path,
    *,
    size: tuple[int, int],
    turns: int,
    runs: int,
) -> tuple[list[Row], dict[str, float]]:
    """The rows of all engines on one clip, and the ceilings of the device.

    ``arguments`` are the weights, the scale, the device and the clip; ``size`` is its width and
    height, ``runs`` how often a network runs in each turn.
    """
    members: dict[str, Member] = {}
    missing = []
    ceilings: dict[str, float] = {}
    try:
        for engine in engines:
            if engine == "reference" and not REFERENCE_PYTHON.exists():
                missing.append(Row(engine=engine, problem=REMEDY))
            else:
                members[engine] = Member(engine, *arguments, folder / f"{engine}.mp4")
        for member in members.values():
            member.row.first = member.ask("run")["first"]
        for turn in range(turns):
            crew = list(members.values())
            for member in crew if turn % 2 else reversed(crew):
                _take_turn(member, size, runs)
            # the best of all turns: a ceiling that a busy moment lowers is none
            for name, value in members["ours"].ask("ceilings").items():
                ceilings[name] = max(value, ceilings.get(name, 0.0))
        for member in members.values():
            member.row.memory = member.ask("memory")["bytes"]
    finally:
        for member in members.values():
            member.close()
    return [*(member.row for member in members.values()), *missing], ceilings


def _take_turn(member: Member, size: tuple[int, int], runs: int) -> None:
    answer = member.ask("run")
    member.row.ends.append(answer["seconds"] / answer["frames"])
    times = member.ask("network", width=size[0], height=size[1], runs=runs)["seconds"]
    member.row.networks.append(statistics.median(times))
