"""What a task takes, from the facts of its video: pictures, operations of networks, memory.

Operations are multiply-accumulates of convolutions, counted from the layers of the published
networks (Real-ESRGAN, Practical-RIFE). Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from remote_runner.protocol import Facts, Task

SAMPLE_S = 3.0
"""How long a sample is, seconds of the source; the whole of a video that is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upscaler:
    macs: int
    """Per input pixel."""
    scale: int
    bytes: int
    """Activations per input pixel in half precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interpolator:
    macs: int
    """Per pixel of a new frame."""
    head: int = 0
    """Per pixel of a frame that new ones are made from."""
    alignment: int = 1
    """Sides are padded to a multiple of this."""


#: SRVGGNetCompact: 9·(3·64 + n·64² + 64·3·s²) operations; two layers of 64 planes in memory.
#: RRDBNet: the buffer of a dense block, its shortcuts and results are 384 planes.
_UPSCALERS = {
    "starter": _Upscaler(macs=78_048, scale=2, bytes=262),
    "realesr-animevideov3": _Upscaler(macs=619_200, scale=4, bytes=262),
    "realesr-general-x4v3": _Upscaler(macs=1_209_024, scale=4, bytes=262),
    "RealESRGAN_x4plus": _Upscaler(macs=17_926_848, scale=4, bytes=774),
    "RealESRGAN_x4plus_anime_6B": _Upscaler(macs=5_706_432, scale=4, bytes=774),
    "RealESRGAN_x2plus": _Upscaler(macs=4_483_008, scale=2, bytes=198),
}
_INTERPOLATORS = {
    # optical flow on a processor, in terms of a network's operations
    "flow": _Interpolator(macs=20_000),
    "rife-4.6": _Interpolator(macs=41_946, alignment=32),
    "rife-4.25": _Interpolator(macs=19_186, head=1_516, alignment=64),
    "rife-4.26": _Interpolator(macs=19_186, head=1_516, alignment=64),
}
#: What the runner takes for ``auto``, by whether it computes on a card.
_AUTO_UPSCALER = {True: "realesr-general-x4v3", False: "starter"}
_AUTO_INTERPOLATOR = {True: "rife-4.25", False: "flow"}
_HEAVIEST_UPSCALER = max(_UPSCALERS.values(), key=lambda each: each.macs)
_HEAVIEST_INTERPOLATOR = max(_INTERPOLATORS.values(), key=lambda each: each.macs)

#: The driver, its libraries and the decoder's surfaces.
_BASE_GB = 2.0
_LEAST_GB = 4.0
#: Frames of the output's size on their way, each 3 planes of half precision, and their YUV.
_OUTPUT_BYTES = 64
#: Of RIFE, per pixel: features, and flow and both warped frames in single precision.
_BETWEEN_BYTES = 400
#: Work space of convolutions and what the allocator cannot use.
_SLACK = 1.3
#: A picture that takes more is worked on in bands.
_MOST_NETWORK_GB = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Multiply-accumulates of a whole video."""

    enlarging: float
    between: float

    @property
    def total(self) -> float:
        return self.enlarging + self.between


def output_size(facts: Facts, task: Task) -> tuple[int, int]:
    """Width and height in pixels, before rounding to even."""
    return task.target_size(facts.width, facts.height, _aspect(facts))


def output_frames(facts: Facts, task: Task) -> int:
    """Frames of the output, on average where the source's rate varies; as the runner counts."""
    if not task.mode.interpolates:
        return facts.frames
    if task.fps is None:
        return facts.frames * task.factor
    return max(1, round(facts.duration_s * task.target_fps(Fraction(facts.fps))))


def count_operations(facts: Facts, task: Task, device: str) -> Operations:
    """``device`` is ``cuda`` or ``cpu``. The runner interpolates before or after it enlarges,
    whichever is less work."""
    pixels = facts.width * facts.height
    out_width, out_height = output_size(facts, task)
    frames = output_frames(facts, task)
    enlarging = _enlarging_macs(facts, task, device) * pixels
    first = Operations(
        enlarging=frames * enlarging,
        between=_between_macs(facts, task, device, facts.width, facts.height),
    )
    last = Operations(
        enlarging=facts.frames * enlarging,
        between=_between_macs(facts, task, device, out_width, out_height),
    )
    return min(first, last, key=lambda each: each.total)


def memory_gb(facts: Facts, task: Task) -> float:
    """Memory that a card should have, GB: never less than a whole picture takes, unless that is
    so much that bands are cheaper to rent."""
    out_width, out_height = output_size(facts, task)
    network = 0.0
    if task.mode.upscales:
        network = facts.width * facts.height * _upscaler(task, "cuda").bytes
    if task.mode.interpolates:
        # upscaled before, it would be of the output's size
        network = max(network, facts.width * facts.height * _BETWEEN_BYTES)
    frames = out_width * out_height * _OUTPUT_BYTES
    needed = _SLACK * (min(network, _MOST_NETWORK_GB * 1e9) + frames) / 1e9
    return max(_LEAST_GB, _BASE_GB + needed)


def is_reckoned(task: Task) -> bool:
    """Whether a network's cost is not known, so that the heaviest of the catalog was assumed."""
    up = task.mode.upscales and task.model not in ("auto", *_UPSCALERS)
    between = task.mode.interpolates and task.interpolator not in ("auto", *_INTERPOLATORS)
    return up or between


def _enlarging_macs(facts: Facts, task: Task, device: str) -> float:
    """Per source pixel: the network runs until the picture is large enough, twice at most."""
    if not task.mode.upscales:
        return 0.0
    upscaler = _upscaler(task, device)
    width, height = output_size(facts, task)
    wanted = max(Fraction(width, facts.width), Fraction(height, facts.height))
    if wanted <= 1:
        return 0.0 if (width, height) != (facts.width, facts.height) else float(upscaler.macs)
    return float(upscaler.macs * (1 if wanted <= upscaler.scale else 1 + upscaler.scale**2))


def _between_macs(facts: Facts, task: Task, device: str, width: int, height: int) -> float:
    if not task.mode.interpolates:
        return 0.0
    name = task.interpolator
    if name == "auto":
        name = _AUTO_INTERPOLATOR[device == "cuda"]
    interpolator = _INTERPOLATORS.get(name, _HEAVIEST_INTERPOLATOR)
    pixels = math.prod(_align(side, interpolator.alignment) for side in (width, height))
    new = output_frames(facts, task)
    if task.fps is None:
        new -= facts.frames  # those of the source stay where they are
    return float(pixels * (new * interpolator.macs + facts.frames * interpolator.head))


def _upscaler(task: Task, device: str) -> _Upscaler:
    name = _AUTO_UPSCALER[device == "cuda"] if task.model == "auto" else task.model
    return _UPSCALERS.get(name, _HEAVIEST_UPSCALER)


def _align(side: int, to: int) -> int:
    return math.ceil(side / to) * to


def _aspect(facts: Facts) -> Fraction:
    width, _, height = facts.sar.partition(":")
    known = width.isdecimal() and height.isdecimal() and int(width) and int(height)
    return Fraction(int(width), int(height)) if known else Fraction(1)
