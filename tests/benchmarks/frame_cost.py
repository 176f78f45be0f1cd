# ruff: noqa: T201
"""What the pipeline costs around a network: `make bench`.

Runs, in turns and in one process, our pipeline with a network that does nothing (decode, colour,
encode, mux, audio copied; without the final check) and the least that could be done: a loop that
decodes, enlarges with swscale and encodes with the same settings. Both repeat pixels, so that the
encoder gets the same pictures to work on. Prints both and the ratio of their medians; exit code 1
if it is above 1.3.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import torch

from remote_runner.devices import choose_device
from remote_runner.errors import MachineError
from remote_runner.models.base import identity_upscaler
from remote_runner.pipeline import write_video
from remote_runner.plan import Equipment, plan_work
from remote_runner.protocol import Task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
LIMIT = 1.3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", type=Path, default=next(SAMPLES.glob("*.m*"), None))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--limit", type=float, default=LIMIT, help="exit code 1 above this ratio")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    if options.clip is None:
        print("no sample in data/samples", file=sys.stderr)
        return 2
    try:
        device = choose_device(options.device)
    except MachineError as error:
        print(error.detail, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = _measure(options.clip, Path(folder), options.pairs, device)
    ratio = statistics.median(ours) / statistics.median(bare)
    for name, times in (("pipeline", ours), ("bare loop", bare)):
        shown = " ".join(f"{each * 1000:.0f}" for each in times)
        print(f"{name:<10} median {statistics.median(times) * 1000:6.0f} ms   ({shown})")
    print(
        f"ratio of medians {ratio:.2f}, limit {options.limit}, "
        f"torch {torch.__version__}, av {av.__version__}"
    )
    return 0 if ratio <= options.limit else 1


def _measure(
    clip: Path, folder: Path, pairs: int, device: torch.device
) -> tuple[list[float], list[float]]:
    ours, bare = [], []
    for turn in range(pairs + 1):
        # The order alternates, so that neither always runs on the warmer machine.
        runs = [(_pipeline, ours), (_bare_loop, bare)]
        for run, times in runs if turn % 2 else reversed(runs):
            started = time.perf_counter()
            run(clip, folder / "out.mp4", device)
            if turn:  # the first round warms up
                times.append(time.perf_counter() - started)
    return ours, bare


def _pipeline(clip: Path, output: Path, device: torch.device) -> None:
    equipment = Equipment(device=str(device), upscaler=identity_upscaler(2, device))
    plan = plan_work(clip, Task(scale=2), equipment, "mp4")
    write_video(plan, output)
    plan.close()


def _bare_loop(clip: Path, output: Path, _: torch.device) -> None:
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        old = source.streams.video[0]
        old.thread_type = "AUTO"
        options = {"crf": "18", "preset": "medium"}
        new = target.add_stream("libx264", rate=old.average_rate, options=options)
        new.width, new.height, new.pix_fmt = old.width * 2, old.height * 2, "yuv420p"
        new.codec_context.time_base = old.time_base or Fraction(1, 90_000)
        for frame in source.decode(old):
            large = frame.reformat(new.width, new.height, "yuv420p", interpolation="POINT")
            large.pict_type = 0
            target.mux(new.encode(large))
        target.mux(new.encode(None))


if __name__ == "__main__":
    sys.exit(main())
