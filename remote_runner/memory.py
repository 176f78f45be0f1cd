"""How much memory the work on a video needs, how much there is, and what is done about it.

The estimate counts tensors by formulas: pictures that wait, what is kept of the last few of them,
and the greatest of the steps that one picture goes through. Where that does not fit, the network
works in bands; where it was wrong and memory runs out, on more bands (:mod:`.video.enlarge`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from remote_runner.errors import MachineError
from remote_runner.models.base import Upscaler
from remote_runner.protocol import Reason
from remote_runner.video.geometry import Geometry

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The share of free memory that work may count on.
SHARE = 0.9

#: Fewest rows of a picture that are worth a band of their own.
FEWEST_ROWS = 16

#: Pictures and frames between the threads: two queues, and what either side holds.
_PICTURES = 9
_FRAMES = 6

#: Frames that an encoder holds: references and what it looks ahead; on a card only the former.
_ENCODER_FRAMES = {"cpu": 64, "cuda": 16}

_RGB = 3 * torch.float32.itemsize

#: Bytes per pixel while planes become RGB, and RGB planes: temporaries of :mod:`.video.colour`.
_TO_RGB = 26
_TO_PLANES = 16

#: Bytes per pixel of an interpolator at work, the most that the networks of RIFE take, which
#: calculate in float32 on the processor and mostly in float16 on a card; what it
#: keeps of two pictures and of its sampling grid; and of a pair while frames are made from it.
BETWEEN = {"cpu": 312, "cuda": 231}
_BETWEEN_KEPT = 64
_BETWEEN_PAIR = 56

#: Libraries' own buffers: what convolutions ask for to work fast, and strips of a network's tail.
_WORKSPACE = 384 << 20

#: What is said, in lower case, where memory runs out outside of PyTorch's allocator of a card.
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "error: out of memory",
    "status_alloc_failed",
)

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What decides how much memory a video needs."""

    geometry: Geometry
    sample_bytes: int
    """Of the source and the output, one luma sample."""
    upscaler: Upscaler | None
    passes: int
    """Runs of the upscaler for one picture."""
    interpolates: bool
    upscale_first: bool
    device: torch.device

    def bytes(self, bands: int) -> int:
        """Peak with the network working on so many bands, weights left out."""
        return self.waiting + self.working(bands)

    @property
    def waiting(self) -> int:
        """Pictures and frames between the threads and in the encoder."""
        source, _, outer = self._pixels()
        held = _FRAMES + _ENCODER_FRAMES[self.device.type]
        # 4:2:0 has half as many samples of chroma as of luma; other layouts are rarer and larger
        return (_PICTURES * source + held * outer) * self.sample_bytes * 3 // 2

    def working(self, bands: int) -> int:
        """The greatest step that a picture goes through, with what is kept meanwhile."""
        source, inner, outer = self._pixels()
        enlarged = inner if self.upscaler is not None else 0
        ending = _TO_PLANES * outer + (_RGB * outer if inner != outer else 0)
        run = self._enlarging(bands)
        if not self.interpolates:
            kept = _RGB * (2 * source + enlarged)
            return kept + max(_TO_RGB * source, run, _RGB * enlarged + ending)
        if self.upscale_first:
            kept = 3 * _RGB * (source + 2 * inner)
            before = kept - 2 * _RGB * inner + run
            between = kept + (_BETWEEN_KEPT + BETWEEN[self.device.type]) * inner
            return max(before, between, kept + (_BETWEEN_KEPT + _RGB) * inner + ending)
        kept = 6 * _RGB * source + 2 * _RGB * enlarged + _BETWEEN_KEPT * source
        after = (_BETWEEN_PAIR + _RGB) * source
        return kept + max(
            BETWEEN[self.device.type] * source, after + run, after + _RGB * enlarged + ending
        )

    def _enlarging(self, bands: int) -> int:
        """Peak on the way from RGB to enlarged RGB, the former left out."""
        if self.upscaler is None:
            return 0
        steps = []
        width, height = self.geometry.width, self.geometry.height
        for number in range(self.passes):
            given = _RGB * width * height if number else 0
            steps.append(given + run_bytes(self.upscaler, width, height, bands))
            width, height = width * self.upscaler.scale, height * self.upscaler.scale
        if (width, height) != self.geometry.inner_size:
            # along one side first
            across = self.geometry.inner_width * height
            steps.append(_RGB * (width * height + across + math.prod(self.geometry.inner_size)))
        return max(steps, default=0)

    def _pixels(self) -> tuple[int, int, int]:
        """Of the source, of the enlarged and of the coded picture."""
        geometry = self.geometry
        sizes = (geometry.width, geometry.height), geometry.inner_size, geometry.outer_size
        source, inner, outer = (math.prod(size) for size in sizes)
        return source, inner, outer


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What work was let in with."""

    bands: int
    bytes: int
    """Estimated peak, what was taken before included."""


def run_bytes(upscaler: Upscaler, width: int, height: int, bands: int) -> int:
    """Peak of one run of a network on a picture, its input left out, its output included."""
    rows = height
    if bands > 1:
        # a band may begin and end at multiples alone
        seen = upscaler.receptive_radius + upscaler.alignment
        rows = min(height, math.ceil(height / bands) + 2 * seen)
    item, grown = upscaler.dtype.itemsize, upscaler.scale**2
    pixels = width * rows
    at_work = max(pixels * upscaler.bytes_per_pixel, upscaler.tail_bytes(pixels))
    # the network's own output and the clamped one
    done = pixels * 2 * 3 * item * grown
    whole = width * height * (_RGB * grown if bands > 1 or item < 4 else 0)
    given = width * height * 3 * item if item < 4 else 0
    # a graph has inputs and results of its own
    own = pixels * 3 * item * (1 + grown) if upscaler.device.type == "cuda" else 0
    return given + whole + own + max(at_work, done)


def admit(work: Workload) -> Admission:
    """The fewest bands whose estimate fits in free memory; most there can be where none does.

    Nothing is refused here: an estimate may be too high, and what runs out is caught later.
    """
    taken = allocated(work.device)
    free = free_memory(work.device)
    bands, smallest = 1, max(1, work.geometry.height // FEWEST_ROWS)
    while True:
        needed = work.bytes(bands) + _WORKSPACE
        if free is None or needed <= free * SHARE or bands * 2 > smallest:
            break
        bands *= 2
    if free is not None and needed > free * SHARE:
        log.warning("%d MiB are free, %d MiB may be needed", free >> 20, needed >> 20)
    elif bands > 1:
        log.info("%d MiB are free: pictures are worked on in %d bands", (free or 0) >> 20, bands)
    return Admission(bands=bands, bytes=taken + needed)


def allocated(device: torch.device) -> int:
    """Bytes of tensors on a card; 0 for the processor, where nobody counts."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def free_memory(device: torch.device) -> int | None:
    """Bytes that work may still take; None where the system does not tell."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    found = [each for each in (_available(_MEMINFO), _left_in_group(_CGROUP)) if each is not None]
    return min(found, default=None)


def peak_memory(device: torch.device) -> int | None:
    """Most bytes of tensors on a card since :func:`reset_peak`; None for the processor."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def reset_peak(device: torch.device) -> None:
    """Begin to look for the peak."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch or the system had no memory left."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # Neither the allocator of the processor nor CUDA's libraries have an exception of their own.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)


def try_twice(work: Callable[[], T], device: torch.device) -> T:
    """Do something once more, after unused memory was given back, if memory ran out.

    Raises :class:`MachineError` with ``out_of_memory`` if it runs out again.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.warning("out of memory, once more: %s", str(error).partition("\n")[0])
    # outside of the handler, whose traceback holds tensors
    give_back(device)
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise MachineError(Reason.OUT_OF_MEMORY, "a picture does not fit in memory") from error


def give_back(device: torch.device) -> None:
    """Give memory that PyTorch keeps for later back to the card."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _available(meminfo: Path) -> int | None:
    """MemAvailable of proc(5)."""
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _left_in_group(group: Path) -> int | None:
    """What a container's limit leaves; files that the kernel keeps do not count against it."""
    limit, used = group / "memory.max", group / "memory.current"
    if not limit.is_file() or not used.is_file():
        return None
    most = limit.read_text("ascii").strip()
    if most == "max":
        return None
    kept = 0
    for line in (group / "memory.stat").read_text("ascii").splitlines():
        if line.startswith("inactive_file "):
            kept = int(line.split()[1])
    return max(0, int(most) - int(used.read_text("ascii")) + kept)
