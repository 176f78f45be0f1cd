# ruff: noqa: T201
"""Our engine beside plain PyTorch and the realesrgan package, on one clip in one run.

Prints a table for every model. ``end to end`` is from a file to a file, all with libx264 at CRF 18
and preset medium; ours includes the check of what it wrote. ``network`` is the network alone.
``of matmul`` is the share of the operations a second that a large matrix product in the same
number format reaches, ``of copy`` the share of the bytes a second that a large copy moves if every
convolution read its input once and wrote its output once. ``first frame`` counts from a started
process to the first enlarged frame, the weights loaded on the way. The engines take turns; figures
are medians.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import tempfile
from pathlib import Path

import av
import torch

from remote_runner.devices import choose_device, describe_device
from remote_runner.errors import MachineError
from remote_runner.models.state import read_state
from tests.benchmarks import engine_networks as networks
from tests.benchmarks.engine_between import time_between
from tests.benchmarks.engine_clip import make_clip
from tests.benchmarks.engine_crew import Failed, Row, measure
from tests.benchmarks.engine_networks import Model
from tests.benchmarks.engine_subjects import SUBJECTS
from tests.benchmarks.engine_table import Demand, compute_share, draw_table, ratios

#: What is demanded on two cores, as ratios to the reference.
NETWORK_LIMIT, END_LIMIT = 1.0, 1.3
#: What is demanded on a card: share of the matrix product, ratio to the reference end to end.
SHARES = {"realesr-general-x4v3": 0.40, "RealESRGAN_x4plus": 0.40}
ENDS = {"realesr-animevideov3": 5.0}
#: New frames a second at 720p, the network alone.
RIFE, BETWEEN = "rife-4.25", 400.0

#: What is measured, and the size and the number of the frames.
CPU_MODELS = ((networks.STARTER, (640, 360), 8), (networks.ANIME, (480, 270), 4))
CUDA_MODELS = (
    (networks.ANIME, (1280, 720), 120),
    (networks.GENERAL, (1280, 720), 60),
    (networks.X4PLUS, (1280, 720), 12),
)


def main() -> int:
    options = _parse()
    try:
        device = choose_device(options.device)
    except MachineError as error:
        print(error.detail, file=sys.stderr)
        return 2
    cuda = device.type == "cuda"
    _introduce(device)
    demands: list[Demand] = []
    unable = False
    for model, usual, frames in CUDA_MODELS if cuda else CPU_MODELS:
        if options.models and model.name not in options.models:
            continue
        try:
            made = _compare(
                model, options.frames or frames, options.size or usual, device, options
            )
        except (Failed, ImportError) as error:
            print(f"{model.name}: {error}", file=sys.stderr)
            unable = True
            continue
        unable |= not made
        demands += made
    if cuda and (not options.models or RIFE in options.models):
        demands.append(_measure_between(device, options))
    if not options.check:
        return 0
    return 2 if unable else 0 if all(demand.met for demand in demands) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--models", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the clip")
    parser.add_argument("--frames", type=int, help="of the clip")
    parser.add_argument("--turns", type=int, default=3, help="of each engine (3)")
    parser.add_argument("--short", action="store_true", help="a small clip, one turn less")
    parser.add_argument(
        "--check", action="store_true", help="exit code 1 where a demand is missed"
    )
    parser.add_argument("--limit-network", type=float, default=NETWORK_LIMIT)
    parser.add_argument("--limit-end", type=float, default=END_LIMIT)
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    width, height = text.split("x")
    return int(width), int(height)


def _introduce(device: torch.device) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{today}, {_processor()}, {torch.get_num_threads()} threads, {describe_device(device)}")
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, av {av.__version__}, "
        f"FFmpeg {av.ffmpeg_version_info}"
    )


def _processor() -> str:
    """The processor's name as Linux tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _compare(
    model: Model,
    frames: int,
    size: tuple[int, int],
    device: torch.device,
    options: argparse.Namespace,
) -> list[Demand]:
    """Measure and print one table; what is demanded of it, nothing without the reference."""
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    turns = options.turns
    if options.short:
        frames, turns = max(2, frames // 2), max(1, turns - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, origin = model.weights(folder)
        clip = make_clip(folder / "clip.mp4", size, frames)
        rows, ceilings = measure(
            [*SUBJECTS],
            [weights, model.scale, device, clip],
            folder,
            size=size,
            turns=turns,
            runs=3,
        )
        cost = networks.count_cost(read_state(weights), size[1], size[0])
    width, height = size
    print(
        f"\n{model.name} ×{model.scale}, {origin}; {frames} frames of {width}x{height}, "
        f"{turns} turns, {str(dtype).removeprefix('torch.')}\n"
        f"{cost.flop / 1e9:.0f} GFLOP a frame; matrix product {ceilings['flop_s'] / 1e9:.0f} "
        f"GFLOP/s, copy {ceilings['bytes_s'] / 1e9:.1f} GB/s"
    )
    print(draw_table(rows, cost, dtype.itemsize, ceilings))
    for row in rows:
        if row.torch not in ("", torch.__version__):
            print(f"{row.engine} ran with torch {row.torch}")
    return _judge(model, rows, compute_share(rows[0], cost, ceilings), device, options)


def _judge(
    model: Model, rows: list[Row], share: float, device: torch.device, options: argparse.Namespace
) -> list[Demand]:
    """Print how we compare, and what is demanded; nothing without the reference."""
    compared = ratios(rows)
    if compared is None:
        return []
    end, network = compared
    print(f"{end:.2f} × the reference end to end, {network:.2f} × for the network")
    if device.type == "cuda":
        demands = _demand_of_card(model, end, share)
    else:
        demands = [
            Demand(what="network / reference", figure=network, least=options.limit_network),
            Demand(what="end to end / reference", figure=end, least=options.limit_end),
        ]
    for demand in demands:
        print(demand)
    return demands


def _measure_between(device: torch.device, options: argparse.Namespace) -> Demand:
    """Measure and print the interpolator, which the reference has none of."""
    width, height = options.size or (1280, 720)
    figures = time_between(device, height, width)
    print(f"\n{RIFE}, random weights, {width}x{height}, {figures.pairs} pairs")
    print(
        f"{figures.fps:.1f} new frames a second, the network alone; "
        f"peak memory {figures.memory / 1e6:.0f} MB"
    )
    demand = Demand(what="new frames a second", figure=figures.fps, least=BETWEEN)
    print(demand)
    return demand


def _demand_of_card(model: Model, end: float, share: float) -> list[Demand]:
    demands = []
    if model.name in SHARES:
        demands.append(Demand(what="share of matmul", figure=share, least=SHARES[model.name]))
    if model.name in ENDS:
        least = ENDS[model.name]
        demands.append(Demand(what="end to end / reference", figure=end, least=least))
    return demands


if __name__ == "__main__":
    sys.exit(main())
