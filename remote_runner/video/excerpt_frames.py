"""An excerpt of which every picture is encoded anew, without loss."""

from __future__ import annotations

import heapq
import logging
import struct
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import Cancelled, InputError
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.containers import add_copy, discard
from remote_runner.video.encode import EncoderPlan, configure, plan_lossless
from remote_runner.video.moments import Reader, Stop, as_signal
from remote_runner.video.segment import REORDERED, failure
from remote_runner.video.signal import Chroma, HdrSideData, Signal
from remote_runner.video.source import open_source, side_data, siting_of

log = logging.getLogger(__name__)

#: Decoding begins so long before: pictures may refer to more than the key frame before them.
_EARLIER_S = 1.0
#: Containers round times to milliseconds.
_EARLY_S = 0.0015
#: How far behind what is wanted packets of sound may lie in a file.
_BEHIND_S = 2.0

_FFV1 = frozenset(each.name for each in av.Codec("ffv1", "w").video_formats or ())
_RGB = "bgr0"
_UNSPECIFIED = 2


def encode_excerpt(
    source: Path, folder: Path, start_s: float, seconds: float, should_stop: Stop
) -> Path:
    """The frames from a moment on, and the packets of all sound that goes with them; an MP4.

    Without sound where MP4 does not hold a track of it. Raises
    :class:`~remote_runner.errors.RunnerError` or :class:`~remote_runner.errors.Cancelled`.
    """
    path = folder / "excerpt.mp4"
    try:
        return _encode(source, path, start_s, seconds, should_stop, with_sound=True)
    except (av.error.FFmpegError, ValueError) as error:
        log.info("the excerpt goes without sound: %s", error)
    try:
        return _encode(source, path, start_s, seconds, should_stop, with_sound=False)
    except (av.error.FFmpegError, ValueError) as error:
        raise failure(error, "cutting an excerpt") from None


def _encode(
    source: Path,
    path: Path,
    start_s: float,
    seconds: float,
    should_stop: Stop,
    *,
    with_sound: bool,
) -> Path:
    with Reader(source, should_stop) as reader, open_source(source) as beside:
        frames = _frames(reader, start_s, seconds)
        first = next(frames, None)
        if first is None or first.pts is None or first.time_base is None:
            raise InputError(Reason.CORRUPT, "there is no frame there")
        siting = siting_of(beside, cast(VideoStream, beside.streams[reader.stream.index]))
        writer = _Writer(path, first, reader, signals.of_frame(first, reader.stream, siting))
        try:
            if with_sound:
                begin = first.pts * first.time_base
                sound = _sound(beside, begin, begin + Fraction(seconds), should_stop)
                writer.put_sound(sound, begin, source)
            writer.write(first)
            for frame in frames:
                writer.write(frame)
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
    return path


def _frames(reader: Reader, start_s: float, seconds: float) -> Iterator[VideoFrame]:
    frames = reader.frames(max(reader.start_s, start_s - _EARLIER_S))
    latest: int | None = None
    for frame in _in_order(frames) if reader.format_name == "avi" else frames:
        at = frame.pts or 0
        if latest is not None and at <= latest:
            # times that begin anew or slip: the work goes on at the pace of the frames as well
            at = frame.pts = latest + max(1, frame.duration)
        latest = at
        at_s = frame.time or 0.0
        if at_s >= start_s + seconds - _EARLY_S:
            return
        if at_s >= start_s - _EARLY_S:
            yield frame


def _in_order(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """The n-th frame shown gets the n-th of the times, which AVI shuffles."""
    held: deque[VideoFrame] = deque()
    times: list[int] = []
    for frame in frames:
        held.append(frame)
        heapq.heappush(times, frame.pts or 0)
        if len(held) > REORDERED:
            yield _shown(held.popleft(), heapq.heappop(times))
    while held:
        yield _shown(held.popleft(), heapq.heappop(times))


def _shown(frame: VideoFrame, at: int) -> VideoFrame:
    frame.pts = at
    return frame


def _sound(
    container: InputContainer, begin: Fraction, end: Fraction, should_stop: Stop
) -> list[Packet[Stream]]:
    """Packets of all audio that begin in a stretch of time, in seconds."""
    streams = [each for each in container.streams.audio if each.codec_context is not None]
    if not streams:
        return []
    try:
        container.seek(max(0, int((begin - 1) * 1_000_000)))
    except av.error.FFmpegError as error:
        log.info("sound is read from the beginning: %s", error)
    found = []
    for packet in container.demux(streams):
        if should_stop():
            raise Cancelled
        if packet.size and packet.pts is not None:
            at = packet.pts * packet.time_base
            if at > end + Fraction(_BEHIND_S):
                break
            if begin <= at < end:
                found.append(packet)
    return found


class _Writer:
    """One file. Sound goes in first: it is small, and waits for the pictures in memory."""

    def __init__(self, path: Path, first: VideoFrame, reader: Reader, signal: Signal) -> None:
        self._path = path
        self._signal = signal
        self._begin = first.pts or 0
        plan = _plan(first, reader, signal)
        self._size, self._pix_fmt, self._base = (
            (plan.height, plan.width), plan.pix_fmt, plan.time_base,
        )  # fmt: skip
        self._container: OutputContainer = av.open(f"file:{path}", "w", format="mp4")
        try:
            added = self._container.add_stream(
                plan.encoder, rate=plan.rate, time_base=plan.time_base
            )
            self._video = cast(VideoStream, added)
            configure(self._video, plan)
            if matrix := side_data(first, SideDataType.DISPLAYMATRIX):
                self._video.set_display_matrix(struct.unpack("=9i", matrix))
        except BaseException:
            self.abandon()
            raise

    def put_sound(self, packets: list[Packet[Stream]], begin: Fraction, source: Path) -> None:
        """Copies of the packets, timed from ``begin`` on; before the first frame."""
        copies: dict[int, Stream] = {}
        for packet in packets:
            if packet.stream_index not in copies:
                copy = add_copy(self._container, packet.stream, "mp4", source)
                copies[packet.stream_index] = cast(Stream, copy)
        for packet in packets:
            shift = round(begin / packet.time_base)
            packet.pts = (packet.pts or 0) - shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = copies[packet.stream_index]
            self._container.mux_one(packet)

    def write(self, frame: VideoFrame) -> None:
        at, duration = (frame.pts or 0) - self._begin, frame.duration
        frame = self._converted(frame)
        frame.pts, frame.duration, frame.time_base = at, duration, self._base
        frame.pict_type = 0
        self._mux(self._video.encode(frame))

    def finish(self) -> None:
        self._mux(self._video.encode(None))
        self._container.close()

    def abandon(self) -> None:
        discard(self._container)
        self._path.unlink(missing_ok=True)

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            self._container.mux_one(packet)

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        """As the work would see it, where the samples cannot be kept as they are."""
        height, width = self._size
        if frame.format.name == self._pix_fmt and (frame.height, frame.width) == self._size:
            return frame
        if _is_rgb(frame):
            return frame.reformat(width, height, _RGB)
        levels = "JPEG" if self._signal.full_range else "MPEG"
        return as_signal(frame, self._signal).reformat(
            width, height, self._pix_fmt, src_color_range=levels, dst_color_range=levels
        )


def _plan(first: VideoFrame, reader: Reader, signal: Signal) -> EncoderPlan:
    """H.264 tells all there is to tell, of HDR and of the place of chroma too; FFV1 holds nearly
    all kinds of samples, in any size, and which frames are woven of fields."""
    rate = reader.stream.guessed_rate or reader.stream.average_rate or Fraction(25)
    base = first.time_base or 1 / rate
    sar = reader.stream.sample_aspect_ratio or Fraction(1)
    told = HdrSideData(
        mastering=side_data(first, SideDataType.MASTERING_DISPLAY_METADATA),
        light_level=side_data(first, SideDataType.CONTENT_LIGHT_LEVEL),
    )
    plan = plan_lossless(
        signal,
        (first.height, first.width),
        sar=sar,
        rate=rate,
        time_base=base,
        side_data=told,
    )
    name = first.format.name
    is_even = first.width % 2 == first.height % 2 == 0 and signal.chroma is not Chroma.GRAY
    if is_even and name == signal.pix_fmt and not first.interlaced_frame:
        return plan
    made = _is_rgb(first) and name not in _FFV1
    return EncoderPlan(
        encoder="ffv1",
        codec="ffv1",
        pix_fmt=name if name in _FFV1 else _RGB if made else signal.pix_fmt,
        width=plan.width,
        height=plan.height,
        sar=sar,
        rate=plan.rate,
        time_base=base,
        full_range=signal.full_range,
        matrix=_UNSPECIFIED if _is_rgb(first) else signal.matrix,
        primaries=signal.primaries,
        transfer=signal.transfer,
        options={"level": "3"},
    )


def _is_rgb(frame: VideoFrame) -> bool:
    """Whether samples are red, green and blue, or stand for such."""
    return frame.format.is_rgb or frame.format.name == "pal8"
