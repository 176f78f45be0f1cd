"""What one pass over all packets of a file counts: frames, their times, and where they end."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from remote_runner.errors import Cancelled, InputError
from remote_runner.protocol import Reason
from remote_runner.video.source import as_runner_error, is_still, time_base_of
from remote_runner.video.timing import USUAL_RATES

#: Matroska, WebM and FLV count milliseconds, and so do many files that were made of such.
ROUNDING_S = Fraction(1, 1000)
#: Rates closer than this are one rate: 24 and 24000/1001 are 0.001 apart.
_SAME_RATE = Fraction(1, 5000)
_SLIP_S = Fraction(1, 10)


@dataclass(slots=True)
class Census:
    """What one pass over all packets counted; times of the video in its own time base."""

    times: array[int] = field(default_factory=lambda: array("q"))
    longest: int = 0
    last_duration: int = 0
    guessed: int = 0
    end_s: float = 0.0
    ends_corrupt: bool = False
    slip: int = 1
    """Times that go back by less are slips; those that go back by more start anew."""
    decoded: int | None = None
    """When the last packet is decoded, as in ``times``."""
    seen: set[int] = field(default_factory=set)
    """Indices of the streams that hold anything: recorders leave empty ones."""


def count_packets(
    container: InputContainer,
    stream: VideoStream,
    longest_s: float,
    most: int,
    should_stop: Callable[[], bool],
) -> Census:
    """One pass over the packets of all streams; the times are those of one of them.

    Raises :class:`InputError` for a file that breaks off, and as soon as the video is longer or
    has more frames.
    """
    census = Census(slip=max(1, round(_SLIP_S / time_base_of(stream))))
    try:
        for packet in container.demux():
            if should_stop():
                raise Cancelled
            if packet.size == 0 or packet.is_discard or is_still(packet.stream):
                continue
            census.ends_corrupt = packet.is_corrupt
            census.seen.add(packet.stream_index)
            _note_end(census, packet)
            if packet.stream_index == stream.index:
                _note_time(census, packet)
                if _duration(census, stream) > longest_s:
                    raise InputError(Reason.VIDEO_TOO_LONG, f"more than {longest_s:.0f} s")
                if len(census.times) > most:
                    raise InputError(Reason.VIDEO_TOO_LONG, f"more than {most} frames")
    except av.error.EOFError:
        raise InputError(Reason.TRUNCATED, "the file ends inside a packet") from None
    except av.error.FFmpegError as error:
        raise as_runner_error(error, "reading packets") from None
    if not census.times:
        raise InputError(Reason.NO_VIDEO_STREAM, "the video stream has no packets")
    return census


def span_of(census: Census) -> int:
    """End of the last frame minus start of the first, in ticks."""
    first = min(census.times)
    return census.longest - first + (census.last_duration or _usual_step(census))


def rate_of(census: Census, stream: VideoStream) -> tuple[Fraction, bool]:
    """The exact rate of a file with constant steps, else the average and that it varies.

    Containers tell rates as rounded durations: what is told is taken for the usual rate next to
    it, and what is neither usual nor simple only where nothing better fits.
    """
    base = time_base_of(stream)
    span_s = span_of(census) * base
    average = len(census.times) / span_s if span_s else Fraction(25)
    told = [
        _usual(rate)
        for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate)
        if rate
    ]
    near = [rate for rate in USUAL_RATES if abs(rate / average - 1) < 0.002]
    simple = [_mean_rate(census, base).limit_denominator(limit) for limit in (1, 10, 1001)]
    plain: list[Fraction] = []
    odd: list[Fraction] = []
    ordered = sorted(census.times)
    for rate in told:
        (plain if rate in USUAL_RATES or rate.denominator <= 10 else odd).append(rate)
    for rate in (*plain, *near, *odd, *simple):
        if rate > 0 and _fits(ordered, rate, base, Fraction(1)):
            return rate, False
    for rate in (*plain, *near):
        if _fits(ordered, rate, base, ROUNDING_S / base):
            return rate, False
    return _usual(max(Fraction(1, 1001), average.limit_denominator(1001))), True


def _usual(rate: Fraction) -> Fraction:
    """The usual rate that is the same but for rounding, or the rate itself."""
    return next((each for each in USUAL_RATES if abs(rate / each - 1) < _SAME_RATE), rate)


def _mean_rate(census: Census, base: Fraction) -> Fraction:
    """Frames per second from the first frame to the last."""
    span = census.longest - min(census.times)
    return (len(census.times) - 1) / (span * base) if span > 0 else Fraction(0)


def _note_end(census: Census, packet: Packet[Stream]) -> None:
    at = packet.pts if packet.pts is not None else packet.dts
    if at is not None and packet.time_base:
        end = float((at + (packet.duration or 0)) * packet.time_base)
        census.end_s = max(census.end_s, end)


def _note_time(census: Census, packet: Packet[Stream]) -> None:
    told = packet.pts if packet.pts is not None else packet.dts
    if told is None:
        at = census.times[-1] + max(1, packet.duration or 0) if census.times else 0
        census.guessed += 1
    else:
        at = told + _later(census, packet)
    if not census.times or at >= census.longest:
        census.longest, census.last_duration = at, packet.duration or 0
    census.times.append(at)


def _later(census: Census, packet: Packet[Stream]) -> int:
    """How much later a packet is than told. Recordings that were put one behind the other begin
    anew: they are shown one after another, at the pace of their frames, as the decoder does it."""
    if packet.dts is None:
        return 0
    if census.decoded is None:
        census.decoded = packet.dts
    step = max(1, packet.duration or 0)
    back = census.decoded - packet.dts
    later = back + step if back >= max(2 * step, census.slip) else 0
    census.decoded = max(census.decoded, packet.dts + later)
    return later


def _duration(census: Census, stream: VideoStream) -> float:
    return float((census.longest + census.last_duration - census.times[0]) * time_base_of(stream))


def _usual_step(census: Census) -> int:
    steps = _steps(census)
    return steps[len(steps) // 2] if steps else 1


def _steps(census: Census) -> list[int]:
    ordered = sorted(census.times)
    return sorted(b - a for a, b in pairwise(ordered))


def _fits(ordered: list[int], rate: Fraction, time_base: Fraction, rounding: Fraction) -> bool:
    """Whether every frame lies as near to its place on an even grid as times are that were rounded
    to so many ticks; a quarter of the step is the most."""
    step = 1 / (rate * time_base)
    num, den = step.numerator, step.denominator
    away = min(rounding, step / 4) * den
    return all(
        abs((at - ordered[0]) * den - place * num) <= away for place, at in enumerate(ordered)
    )
