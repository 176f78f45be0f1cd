"""How fast the interpolation network makes new frames."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from remote_runner.models.ifnet_layout import V4_25
from remote_runner.models.load import load_interpolator
from tests.runner.models.published import draw_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of frames that follow each other, one new one between each two."""

    pairs: int
    fps: float
    """New frames a second: the median over the turns."""
    memory: int
    """Most bytes allocated on a card; 0 on a processor."""


def time_between(
    device: torch.device, height: int, width: int, *, pairs: int = 50, turns: int = 5
) -> Figures:
    """RIFE 4.25 with random weights. What it knows of a frame it may keep for the next pair."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rife.pth"
        torch.save(draw_state(V4_25.shapes()), path)
        interpolator = load_interpolator(str(path), device, allow_paths=True)
    generator = torch.Generator().manual_seed(0)
    frames = [torch.rand(1, 3, height, width, generator=generator).to(device) for _ in range(4)]
    cuda = device.type == "cuda"
    seconds = []
    with torch.inference_mode():
        for turn in range(turns + 1):
            started = time.perf_counter()
            for pair in range(pairs):
                interpolator.between(frames[pair % 4], frames[(pair + 1) % 4])(0.5)
            if cuda:
                torch.cuda.synchronize(device)
            if turn:  # the first one warms up
                seconds.append(time.perf_counter() - started)
    return Figures(
        pairs=pairs,
        fps=pairs / statistics.median(seconds),
        memory=torch.cuda.max_memory_allocated(device) if cuda else 0,
    )
