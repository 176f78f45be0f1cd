"""The busiest stretch of a video, found with work that does not grow with its length."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from remote_runner.errors import InputError
from remote_runner.protocol import Reason
from remote_runner.video.moments import (
    STILL,
    Reader,
    Stop,
    detail_of,
    liveliness,
    thumbnail,
)
from remote_runner.video.source import time_base_of

#: A video is looked at frame by frame as long as it has no more of them, and of pixels in all.
_FEW_FRAMES, _FEW_PIXELS = 1500, 1.2e9
#: A longer one at so many places, until the time is up: pictures of 8K take a while each.
_PLACES, _LONGEST_S = 24, 6.0
#: Where much is equal, a stretch that begins with a key frame is better: its packets can be taken.
_KEY_BONUS = 1.25
_WINDOWS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a video."""

    start_s: float
    """In the file's own time."""
    since_first_s: float
    """Since the first frame."""
    is_all: bool = False
    """Whether there is nothing else."""


def find_stretch(path: Path, seconds: float, should_stop: Stop = lambda: False) -> Stretch:
    """So many seconds with much detail and much motion, all of them before the end.

    Raises :class:`~remote_runner.errors.RunnerError` or
    :class:`~remote_runner.errors.Cancelled`.
    """
    with Reader(path, should_stop) as reader:
        first = next(reader.frames(reader.start_s), None)
        if first is None:
            raise InputError(Reason.CORRUPT, "no frame could be decoded")
        first_s = first.time or 0.0
        length_s = _length(reader)
        if length_s <= seconds:
            # where a container does not tell its length, the beginning has to do
            return Stretch(start_s=first_s, since_first_s=0.0, is_all=length_s > 0)
        rate = float(reader.stream.average_rate or 25)
        frames = length_s * rate
        if frames <= _FEW_FRAMES and frames * first.width * first.height <= _FEW_PIXELS:
            start_s = _busiest_of_all(reader, seconds, 0.5 / rate)
        else:
            start_s = _busiest_of_some(reader, length_s, seconds)
        start_s = max(first_s, start_s)
        return Stretch(start_s=start_s, since_first_s=start_s - first_s)


def _length(reader: Reader) -> float:
    """Of the video itself where that is told, in seconds; 0 where nothing is."""
    if reader.stream.duration:
        return float(reader.stream.duration * time_base_of(reader.stream))
    return reader.duration_s


def _busiest_of_all(reader: Reader, seconds: float, half_s: float) -> float:
    """Every frame is looked at."""
    times, keys, details, motions = [], [], [], []
    before: Tensor | None = None
    for frame in reader.frames(reader.start_s):
        luma = thumbnail(frame, reader)
        times.append(frame.time or 0.0)
        keys.append(frame.key_frame)
        details.append(detail_of(luma))
        motions.append(0.0 if before is None else float((luma - before).abs().mean()))
        before = luma
    end_s = times[-1] + 2 * half_s
    step = max(1, len(times) // _WINDOWS)
    found = [(0.0, 0.0, times[0])]
    for begin, at_s in enumerate(times):
        if at_s + seconds > end_s + half_s or (begin % step and not keys[begin]):
            continue
        end = max(begin + 1, int(np.searchsorted(times, at_s + seconds - half_s)))
        score = float(np.mean(details[begin:end])) * (_steady(motions[begin + 1 : end]) + STILL)
        found.append((score * (_KEY_BONUS if keys[begin] else 1.0), -at_s, at_s))
    return max(found)[2]


def _steady(motions: list[float]) -> float:
    """Mean motion without the largest ones, which cuts make."""
    cuts = 1 + len(motions) // 20
    return float(np.mean(sorted(motions)[:-cuts])) if len(motions) > cuts else 0.0


def _busiest_of_some(reader: Reader, length_s: float, seconds: float) -> float:
    """A moment is looked at behind key frames all over the video, far apart ones first."""
    latest_s = reader.start_s + length_s - seconds
    places = [reader.start_s + (length_s - seconds) * share for share in _spread(_PLACES)]
    ends_s = time.monotonic() + _LONGEST_S
    found = []
    for place in places:
        score, at_s = liveliness(reader, place)
        found.append((score, min(at_s, latest_s)))
        if time.monotonic() > ends_s:
            break
    return max(found)[1]


def _spread(count: int) -> list[float]:
    """Shares of a whole in such an order that the first few are spread over all of it: the
    fractional parts of multiples of the golden ratio."""
    return [(0.5 + n * 0.618_033_988_75) % 1.0 for n in range(count)]
