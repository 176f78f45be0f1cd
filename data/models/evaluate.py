"""Judge what is shipped: ``python data/models/evaluate.py`` prints the tables, exit 1 on a miss.

Upscaling: pictures that the starter model never saw (see ``images.py``), halved, enlarged again
and compared with the original, beside Lanczos (a = 3) and bicubic (a = -0.5) of Pillow.
Interpolation: the clips of ``clips.py``; the middle of three frames is dropped and made again from
its neighbours, beside blending them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import clips
import images
import numpy as np
import torch
from images import Picture
from PIL import Image
from scoring import psnr, ssim
from torch import Tensor

from remote_runner.models.base import Upscaler
from remote_runner.models.flow import FlowInterpolator
from remote_runner.models.load import load_upscaler

LEAST_GAIN_DB = 0.7
LEAST_FPS = 4.0
LEAST_FLOW_GAIN_DB = 2.0
LARGEST_FLOW_LOSS_DB = 0.3
#: The rim left out of a comparison, in pixels of the large picture: the usual scale.
SHAVE = 2

Enlarge = Callable[[Picture], Picture]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One picture: Y-PSNR in dB and SSIM by method."""

    name: str
    group: str
    psnr: dict[str, float]
    ssim: dict[str, float]


def main() -> int:
    options = _parse()
    torch.set_num_threads(options.threads)
    model = load_upscaler(str(options.weights or "starter"), torch.device("cpu"), allow_paths=True)
    misses = judge_upscaler(model) + judge_speed(model) + judge_interpolation()
    for miss in misses:
        print(f"MISSED: {miss}")
    print("all requirements are met" if not misses else f"{len(misses)} requirement(s) missed")
    return 1 if misses else 0


def judge_upscaler(model: Upscaler) -> list[str]:
    """Print the table of upscaling; what was missed."""
    methods = {
        "starter": lambda picture: enlarge(model, picture),
        "lanczos": lambda picture: _resample(picture, Image.Resampling.LANCZOS),
        "bicubic": lambda picture: _resample(picture, Image.Resampling.BICUBIC),
    }
    print(f"\nUpscaling x2, Y-PSNR in dB (SSIM): {' | '.join(methods)} | gain over lanczos")
    scores = [_score(name, group, picture, methods) for name, group, picture in held_out()]
    misses = []
    for group in dict.fromkeys(score.group for score in scores):
        rows = [score for score in scores if score.group == group]
        for row in rows:
            print(_line(row))
        mean = _mean(rows, group)
        print(_line(mean))
        gain = mean.psnr["starter"] - mean.psnr["lanczos"]
        if gain < LEAST_GAIN_DB:
            misses.append(f"{group}: {gain:.2f} dB over lanczos, {LEAST_GAIN_DB} wanted")
    return misses


def held_out() -> list[tuple[str, str, Picture]]:
    """Name, group and picture of everything that upscaling is judged on."""
    found = [
        (name, "photographs", images.read_photograph(name)) for name in images.HELD_OUT_PHOTOGRAPHS
    ]
    found += [(name, "line art", images.read_photograph(name)) for name in images.HELD_OUT_ART]
    for kind in ("cartoon", "ink", "text"):
        for seed in images.HELD_OUT_SEEDS[:3]:
            picture = images.draw(kind, seed, height=270, width=480)
            found.append((f"{kind} {seed}", "line art", picture))
    return found


def enlarge(model: Upscaler, picture: Picture) -> Picture:
    """Through the model, 8 bit to 8 bit."""
    return to_picture(model(to_frame(picture)))


def judge_speed(model: Upscaler) -> list[str]:
    """Print the speed on 320×180; what was missed."""
    frame = torch.rand(1, 3, 180, 320)
    for _ in range(3):
        model(frame)
    times = []
    for _ in range(20):
        started_at = time.perf_counter()
        model(frame)
        times.append(time.perf_counter() - started_at)
    fps = 1 / float(np.median(times))
    print(
        f"\nspeed: {fps:.1f} frames/s at 320x180 to 640x360, {torch.get_num_threads()} threads, "
        f"median of {len(times)}"
    )
    return [] if fps >= LEAST_FPS else [f"speed: {fps:.1f} frames/s, {LEAST_FPS} wanted"]


def judge_interpolation() -> list[str]:
    """Print the table of interpolation; what was missed."""
    print("\nInterpolation, dropped middle frame, Y-PSNR in dB: dis | blending | gain")
    interpolator = FlowInterpolator()
    gains, misses = [], []
    for name, clip in clips.CLIPS.items():
        found, blended = score_clip(interpolator, clip)
        gains.append(found - blended)
        print(f"  {name:<22} {found:6.2f} | {blended:6.2f} | {gains[-1]:+6.2f}")
        if gains[-1] < -LARGEST_FLOW_LOSS_DB:
            misses.append(f"{name}: {gains[-1]:+.2f} dB against blending")
    print(f"  {'mean':<22} {'':>6}   {'':>6}   {np.mean(gains):+6.2f}   least {min(gains):+.2f}")
    if np.mean(gains) < LEAST_FLOW_GAIN_DB:
        misses.append(f"interpolation: {np.mean(gains):+.2f} dB, {LEAST_FLOW_GAIN_DB} wanted")
    return misses


def score_clip(interpolator: FlowInterpolator, clip: clips.Clip) -> tuple[float, float]:
    """Mean Y-PSNR of the interpolator and of blending over the triplets of a clip."""
    found, blended = [], []
    for before, between, after in clips.TRIPLETS:
        first, second, wanted = to_frame(clip(before)), to_frame(clip(after)), clip(between)
        found.append(psnr(to_picture(interpolator.between(first, second)(0.5)), wanted))
        blended.append(psnr(to_picture((first + second) / 2), wanted))
    return float(np.mean(found)), float(np.mean(blended))


def to_frame(picture: Picture) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def to_picture(frame: Tensor) -> Picture:
    return (frame[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def _score(name: str, group: str, picture: Picture, methods: dict[str, Enlarge]) -> Score:
    small = images.halve(picture)
    large = {method: enlarged(small) for method, enlarged in methods.items()}
    return Score(
        name=name,
        group=group,
        psnr={method: psnr(found, picture, shave=SHAVE) for method, found in large.items()},
        ssim={method: ssim(found, picture, shave=SHAVE) for method, found in large.items()},
    )


def _mean(rows: list[Score], group: str) -> Score:
    return Score(
        name=f"mean of {group}",
        group=group,
        psnr={key: float(np.mean([row.psnr[key] for row in rows])) for key in rows[0].psnr},
        ssim={key: float(np.mean([row.ssim[key] for row in rows])) for key in rows[0].ssim},
    )


def _line(score: Score) -> str:
    cells = [f"{score.psnr[key]:6.2f} ({score.ssim[key]:.4f})" for key in score.psnr]
    gain = score.psnr["starter"] - score.psnr["lanczos"]
    return f"  {score.name:<22} {' | '.join(cells)} | {gain:+.2f}"


def _resample(picture: Picture, kernel: Image.Resampling) -> Picture:
    height, width = picture.shape[:2]
    return np.asarray(Image.fromarray(picture).resize((2 * width, 2 * height), kernel))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Judge the starter model and the interpolation.")
    parser.add_argument("--weights", type=Path, help="judge this .pth instead of the shipped one")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
