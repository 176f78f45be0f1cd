"""One engine in a process of its own, so that its memory is its own and any interpreter will do.

Reads orders from standard input, a JSON object a line, and answers each with one: ``{"run": …}``
takes the clip to a file, ``{"network": …}`` times the network, ``{"ceilings": …}`` the device.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.engine_subjects import SUBJECTS, Subject
from tests.benchmarks.raw_pipes import peak_memory


class Stage:
    """Carries out the orders."""

    def __init__(self, subject: Subject, clip: Path, output: Path) -> None:
        self._subject = subject
        self._clip, self._output = clip, output

    def run(self) -> dict[str, Any]:
        """The clip to a file: frames, seconds, and seconds until the first frame was made."""
        moments: list[float] = []
        started = time.perf_counter()
        seconds = self._subject.convert(
            self._clip, self._output, lambda: moments.append(time.perf_counter())
        )
        return {"seconds": seconds, "frames": len(moments), "first": moments[0] - started}

    def network(self, height: int, width: int, runs: int) -> dict[str, Any]:
        return {"seconds": self._subject.time_network(height, width, runs)}

    def memory(self) -> dict[str, Any]:
        """Peak bytes: resident, of all processes of this engine, or allocated on a card."""
        if self._subject.device.type == "cuda":
            return {"bytes": torch.cuda.max_memory_allocated(self._subject.device)}
        return {"bytes": peak_memory() + self._subject.helpers}

    def ceilings(self) -> dict[str, Any]:
        return measure_ceilings(self._subject.device, self._subject.dtype)


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Operations a second of a large matrix product, bytes a second of a large copy."""
    side, size = (8192, 1 << 30) if device.type == "cuda" else (2048, 1 << 26)
    left = torch.rand(side, side, device=device).to(dtype)
    made = torch.empty_like(left)
    old = torch.ones(size // dtype.itemsize, device=device, dtype=dtype)
    new = torch.empty_like(old)
    with torch.inference_mode():
        product = _fastest(lambda: torch.mm(left, left, out=made), device)
        copy = _fastest(lambda: new.copy_(old), device)
    return {"flop_s": 2 * side**3 / product, "bytes_s": 2 * size / copy}


def _fastest(work, device: torch.device, runs: int = 8) -> float:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=SUBJECTS)
    parser.add_argument("weights", type=Path)
    parser.add_argument("scale", type=int)
    parser.add_argument("device")
    parser.add_argument("clip", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    # what libraries print must not come between the answers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    subject = SUBJECTS[options.engine](
        options.weights, options.scale, torch.device(options.device)
    )
    stage = Stage(subject, options.clip, options.output)
    print(json.dumps({"torch": torch.__version__}), file=answers)
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(stage, order.pop("do"))(**order)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
