"""How near an output, made as small as its source again, is to the source.

PSNR and SSIM are FFmpeg's own filters, on luma, frame by frame; SSIM there is the mean over 8×8
blocks every 4 pixels (vf_ssim.c). VMAF is measured where FFmpeg was built with libvmaf.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av.error
from av.filter import filters_available
from av.video.frame import VideoFrame

from remote_runner.errors import Cancelled, InputError, MachineError
from remote_runner.protocol import Facts, Reason
from remote_runner.video.comparison import Comparison, build_comparison
from remote_runner.video.decode import Decoder, Picture
from remote_runner.video.fields import parity_of
from remote_runner.video.moments import busiest_frame
from remote_runner.video.placement import find_placement
from remote_runner.video.probe import probe

#: What identical frames count as, dB.
BEST_PSNR = 100.0

#: Containers round times to a millisecond; frames further apart show different moments.
_SAME_S = 0.0015


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure over a video."""

    mean: float
    """Of PSNR: that of the mean squared error."""
    worst: float
    worst_at_s: float
    """When the worst frame is shown, seconds after the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Of all frames of the source that the output shows at their times."""

    frames: int
    unmatched: int
    """Frames of the source at whose time the output begins none: on a grid most are so."""
    psnr: Metric
    """dB."""
    ssim: Metric
    vmaf: Metric | None
    """None where FFmpeg has not got it."""


@dataclass(slots=True)
class _Series:
    """Per frame; times in seconds after the first."""

    times: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)


def measure_quality(
    source: Path, output: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> Quality:
    """Compare luma of the output, averaged down to the source's size, with the source's.

    Frames are matched by the time since the first; those of an interlaced source are deinterlaced
    as for the work, for which it is probed. Memory does not grow but by a few numbers a
    frame. Raises :class:`~remote_runner.errors.RunnerError` or
    :class:`~remote_runner.errors.Cancelled`.
    """
    series = _Series()
    with ExitStack() as stack:
        facts = probe(source, should_stop=should_stop)
        old = stack.enter_context(_decoder(source, facts))
        new = stack.enter_context(_decoder(output))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = folder / "vmaf.json" if "libvmaf" in filters_available else None
        comparison = _compare(source, output, old, new, log)
        missed = 0
        for matched in _matches(old, new, should_stop):
            if matched is None:
                missed += 1
                continue
            at_s, before, after = matched
            series.times.append(at_s)
            _take(series, comparison.push(_frame(before), _frame(after)))
        _take(series, comparison.finish())
        if not series.psnr or len(series.psnr) != len(series.times):
            raise InputError(Reason.CORRUPT, "no frames of both files are shown at the same time")
        vmaf = _read_vmaf(log, series.times) if log is not None else None
    return Quality(
        frames=len(series.times),
        unmatched=missed,
        psnr=_psnr(series),
        ssim=_metric(series.ssim, series.times),
        vmaf=vmaf,
    )


@contextmanager
def _decoder(path: Path, facts: Facts | None = None) -> Iterator[Decoder]:
    decoder = Decoder(
        path,
        packets=1_000_000_000,  # what is damaged was judged elsewhere
        interlaced=facts is not None and facts.interlaced,
        parity=parity_of(facts.notes) if facts else "",
    )
    try:
        yield decoder
    finally:
        decoder.close()


def _compare(
    source: Path, output: Path, old: Decoder, new: Decoder, log: Path | None
) -> Comparison:
    before, after = busiest_frame(source), busiest_frame(output)
    shape = before.rgb.shape[-1] * float(before.sar) / before.rgb.shape[-2]
    placement = find_placement(shape, after.rgb, float(after.sar))
    try:
        return build_comparison(old, new, placement, log)
    except (av.error.FFmpegError, ValueError) as error:
        raise MachineError(Reason.INTERNAL, f"comparing pictures: {error}") from None


def _matches(
    old: Decoder, new: Decoder, should_stop: Callable[[], bool]
) -> Iterator[tuple[float, Picture, Picture] | None]:
    """Frames of both shown at the same time since the first; none for one that has no fellow."""
    mine, theirs = _since_first(old), _since_first(new)
    ahead = next(theirs, None)
    for at_s, picture in mine:
        while ahead is not None and ahead[0] < at_s - _SAME_S:
            if should_stop():
                raise Cancelled
            ahead = next(theirs, None)
        if should_stop():
            raise Cancelled
        fits = ahead is not None and ahead[0] <= at_s + _SAME_S
        yield (at_s, picture, ahead[1]) if fits and ahead is not None else None


def _since_first(decoder: Decoder) -> Iterator[tuple[float, Picture]]:
    first: int | None = None
    for picture in decoder:
        first = picture.at if first is None else first
        yield float((picture.at - first) * decoder.time_base), picture


def _frame(picture: Picture) -> VideoFrame:
    if picture.frame is None:
        raise MachineError(Reason.INTERNAL, "a picture lies on a card")
    return picture.frame


def _take(series: _Series, frames: Iterator[VideoFrame]) -> None:
    for frame in frames:
        series.psnr.append(float(frame.metadata["lavfi.psnr.psnr.y"]))
        series.ssim.append(float(frame.metadata["lavfi.ssim.Y"]))


def _psnr(series: _Series) -> Metric:
    errors = [10 ** (-each / 10) for each in series.psnr]
    mean = sum(errors) / len(errors)
    capped = _metric([min(BEST_PSNR, each) for each in series.psnr], series.times)
    whole = min(BEST_PSNR, -10 * math.log10(mean)) if mean > 0 else BEST_PSNR
    return Metric(mean=whole, worst=capped.worst, worst_at_s=capped.worst_at_s)


def _metric(values: list[float], times: list[float]) -> Metric:
    worst = min(range(len(values)), key=values.__getitem__)
    return Metric(mean=sum(values) / len(values), worst=values[worst], worst_at_s=times[worst])


def _read_vmaf(log: Path, times: list[float]) -> Metric:
    """The filter's own report in JSON (libvmaf, output.c)."""
    frames = json.loads(log.read_text())["frames"]
    return _metric([float(each["metrics"]["vmaf"]) for each in frames], times)
