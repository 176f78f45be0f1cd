"""Train ``starter-x2.pth``, the upscaler that is shipped: ``python data/models/train_starter.py``.

Data: see ``images.py``. A picture is halved by antialiased bicubic and rounded to 8 bit. Three
patches in four stay like that; the fourth is also JPEG-compressed (quality 70 to 95, 4:2:0) before
it is enlarged, so that the network does not sharpen the blocks of ordinary video. The target is
always the clean picture. No noise, no blur.

The seed is fixed and the number of steps is fixed; the weights repeat exactly on the same kind of
processor with the same number of threads, and nearly so elsewhere.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import images
import numpy as np
import torch
from images import Picture
from torch import Tensor

from remote_runner.models.srvgg import SRVGGNetCompact, Structure

STRUCTURE = Structure(num_feat=32, num_conv=8, scale=2)
SEED = 20_250_101
BATCH = 16
PATCH = 48
"""Side of a low-resolution training patch, in pixels."""
DRAWN_EACH = 60
"""Training pictures of each drawn kind."""
PEAK_RATE = 2e-3
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def main() -> None:
    options = _parse()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    pairs, odds = collect()
    network = train(rng, pairs, odds, options.steps)
    save(network, options.out)
    print(f"wrote {options.out}")


def collect() -> tuple[list[tuple[Picture, Picture]], np.ndarray]:
    """Pairs of a picture and its half, and how often each is drawn from: photographs by their
    area and half of the total, the drawn kinds share the other half."""
    photographs = []
    for name in images.TRAINING_PHOTOGRAPHS:
        picture = images.read_photograph(name)
        photographs.append(picture)
        for factor in (0.75, 0.5):
            height, width = (int(side * factor) // 2 * 2 for side in picture.shape[:2])
            photographs.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
    drawn = [
        images.draw(kind, images.TRAINING_SEEDS[index])
        for kind in images.KINDS
        for index in range(DRAWN_EACH)
    ]
    areas = np.array([min(p.shape[0] * p.shape[1], 300_000) for p in photographs], float)
    odds = np.concatenate([areas / areas.sum(), np.full(len(drawn), 1 / len(drawn))]) / 2
    return [(p, images.halve(p)) for p in photographs + drawn], odds


def train(
    rng: np.random.Generator, pairs: list[tuple[Picture, Picture]], odds: np.ndarray, steps: int
) -> SRVGGNetCompact:
    """Adam under a one-cycle schedule on a smooth L1 (Charbonnier) loss, mostly on luma."""
    network = SRVGGNetCompact(STRUCTURE).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.05, final_div_factor=1000
    )
    started_at, running = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        small, large = _batch(rng, pairs, odds)
        loss = _loss(network(small), large)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        running = loss.item() if step == 1 else 0.99 * running + 0.01 * loss.item()
        if step % 100 == 0:
            rate = step / (time.monotonic() - started_at)
            print(f"step {step}/{steps}  loss {running:.5f}  {rate:.1f}/s", flush=True)
    return network.eval()


def save(network: SRVGGNetCompact, path: Path) -> None:
    """Weights rounded to float16 under ``params``: half the size, no visible change."""
    state = {key: value.detach().to(torch.float16) for key, value in network.state_dict().items()}
    state = {key: value.contiguous() for key, value in state.items()}
    torch.save({"params": state}, path)


def _batch(
    rng: np.random.Generator, pairs: list[tuple[Picture, Picture]], odds: np.ndarray
) -> tuple[Tensor, Tensor]:
    smalls, larges = [], []
    for index in rng.choice(len(pairs), BATCH, p=odds):
        large, small = pairs[index]
        top = int(rng.integers(0, small.shape[0] - PATCH + 1))
        left = int(rng.integers(0, small.shape[1] - PATCH + 1))
        small = small[top : top + PATCH, left : left + PATCH]
        large = large[2 * top : 2 * (top + PATCH), 2 * left : 2 * (left + PATCH)]
        if rng.random() < 0.25:
            small = _compress(small, quality=int(rng.integers(70, 96)))
        turns, mirrored, order = rng.integers(0, 4), rng.random() < 0.5, rng.permutation(3)
        smalls.append(_turn(small, turns, mirrored, order))
        larges.append(_turn(large, turns, mirrored, order))
    return _tensor(smalls), _tensor(larges)


def _compress(picture: Picture, *, quality: int) -> Picture:
    _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def _turn(picture: Picture, turns: int, mirrored: bool, order: np.ndarray) -> Picture:
    picture = np.rot90(picture, turns)[..., order]
    return picture[:, ::-1] if mirrored else picture


def _tensor(pictures: list[Picture]) -> Tensor:
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div_(255)
    return stacked.contiguous(memory_format=torch.channels_last)


def _loss(found: Tensor, wanted: Tensor) -> Tensor:
    difference = found - wanted
    luma = (difference * LUMA).sum(1)
    return (luma.square() + 1e-6).sqrt().mean() + 0.3 * (difference.square() + 1e-6).sqrt().mean()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("starter-x2.pth"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
