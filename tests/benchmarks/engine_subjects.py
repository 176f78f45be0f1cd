"""The three that are compared: our engine, plain PyTorch, and the realesrgan package.

Each takes a clip to a file with the same encoder at the same settings, and tells what its network
alone needs. Weights are loaded in the first run, so that its first frame shows the whole wait.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import torch
from torch import Tensor

from remote_runner.models.load import load_upscaler
from remote_runner.models.state import read_state
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Phase, Task
from tests.benchmarks.engine_networks import build_plain
from tests.benchmarks.raw_pipes import RawReader, RawWriter, open_encoder


class Subject(ABC):
    """One engine with one model on one device."""

    def __init__(self, weights: Path, scale: int, device: torch.device) -> None:
        self.weights, self.scale, self.device = weights, scale, device
        self.helpers = 0
        """Peak memory of other processes that belong to it, in bytes."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.float16 if self.device.type == "cuda" else torch.float32

    @abstractmethod
    def convert(self, clip: Path, output: Path, seen: Callable[[], None]) -> float:
        """Enlarge a clip, calling ``seen`` for every frame; the seconds it took."""

    @abstractmethod
    def network(self) -> Callable[[Tensor], Tensor]:
        """What takes a frame, 1×3×H×W in the dtype, to the enlarged one."""

    def time_network(self, height: int, width: int, runs: int) -> list[float]:
        """Seconds of each run on one frame, after one run to warm up."""
        generator = torch.Generator().manual_seed(0)
        frame = torch.rand(1, 3, height, width, generator=generator)
        frame = frame.to(self.device, self.dtype)
        network, times = self.network(), []
        with torch.inference_mode():
            for _ in range(runs + 1):
                started = time.perf_counter()
                network(frame)
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
                times.append(time.perf_counter() - started)
        return times[1:]


class Ours(Subject):
    """The runner's own pipeline, the gate at its end included."""

    @cached_property
    def _upscaler(self):
        return load_upscaler(str(self.weights), self.device, allow_paths=True)

    def convert(self, clip: Path, output: Path, seen: Callable[[], None]) -> float:
        started = time.perf_counter()
        process(
            clip,
            output,
            Task(scale=self.scale),
            equipment=Equipment(device=str(self.device), upscaler=self._upscaler),
            progress=lambda now: seen() if now.phase is Phase.PROCESSING and now.done else None,
        )
        return time.perf_counter() - started

    def network(self) -> Callable[[Tensor], Tensor]:
        return self._upscaler


class Plain(Subject):
    """The loop that one would write first: a frame in, the network, a frame out."""

    @cached_property
    def _module(self) -> Callable[[Tensor], Tensor]:
        return build_plain(read_state(self.weights), self.device, self.dtype)

    def convert(self, clip: Path, output: Path, seen: Callable[[], None]) -> float:
        started = time.perf_counter()
        network = self.network()
        with av.open(str(clip)) as source, av.open(str(output), "w") as target:
            old = source.streams.video[0]
            old.thread_type = "AUTO"
            size = old.width * self.scale, old.height * self.scale
            new = open_encoder(target, *size, old.average_rate)
            with torch.inference_mode():
                for frame in source.decode(old):
                    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24")).to(self.device)
                    picture = pixels.permute(2, 0, 1)[None].to(self.dtype).div(255)
                    levels = network(picture)[0].mul(255).round().to(torch.uint8)
                    large = levels.permute(1, 2, 0).contiguous().cpu().numpy()
                    target.mux(new.encode(av.VideoFrame.from_ndarray(large, format="rgb24")))
                    seen()
            target.mux(new.encode(None))
        return time.perf_counter() - started

    def network(self) -> Callable[[Tensor], Tensor]:
        module = self._module
        return lambda frame: module(frame).clamp(0, 1)


class Reference(Subject):
    """RealESRGANer between a decoder and an encoder process, as its video script has it."""

    @cached_property
    def _enhancer(self) -> Any:
        from remote_runner.models.reference import build_architecture, load_enhancer

        architecture = build_architecture(read_state(self.weights))
        return load_enhancer(self.weights, architecture, self.device)

    def convert(self, clip: Path, output: Path, seen: Callable[[], None]) -> float:
        with av.open(str(clip)) as source:
            stream = source.streams.video[0]
            width, height, rate = stream.width, stream.height, stream.average_rate
        # started before the clock is, since the start of Python is not what ffmpeg would need
        reader = RawReader(clip, width, height)
        writer = RawWriter(output, width * self.scale, height * self.scale, rate)
        started = time.perf_counter()
        enhancer = self._enhancer
        reader.begin()
        while (picture := reader.read()) is not None:
            large, _ = enhancer.enhance(picture, outscale=self.scale)
            writer.write(large)
            seen()
        self.helpers = max(self.helpers, reader.close() + writer.close())
        return time.perf_counter() - started

    def network(self) -> Callable[[Tensor], Tensor]:
        return self._enhancer.model


SUBJECTS: dict[str, type[Subject]] = {"ours": Ours, "plain": Plain, "reference": Reference}
