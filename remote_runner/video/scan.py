"""One pass over a file for the gate: what its streams carry and when each frame is shown."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.frame import VideoFrame

from remote_runner.errors import Cancelled
from remote_runner.protocol import Facts
from remote_runner.video.decode import Decoder
from remote_runner.video.payload import Print
from remote_runner.video.source import (
    as_runner_error,
    bound_decoder,
    codec_name,
    is_still,
    main_video,
    open_source,
    time_base_of,
)
from remote_runner.video.texts import READ, read_text

Seconds = npt.NDArray[np.float64]


_TAG = re.compile(r"<[^<>]*>")


@dataclass(slots=True)
class Words:
    """What a stream of text subtitles says, whatever format says it."""

    times: array[float] = field(default_factory=lambda: array("d"))
    """When each text appears, seconds."""
    _hash: object = field(default_factory=hashlib.sha256)

    def add(self, codec: str, packet: Packet[Stream]) -> None:
        """Take in one more packet; empty ones say nothing."""
        words = _TAG.sub("", read_text(codec, bytes(packet))).split()
        if words and packet.pts is not None:
            self.times.append(float(packet.pts * packet.time_base))
            self._hash.update("\0".join(words).encode() + b"\n")  # type: ignore[attr-defined]

    @property
    def sha256(self) -> str:
        return str(self._hash.hexdigest())  # type: ignore[attr-defined]


@dataclass(slots=True)
class Scan:
    """What one pass over a file found."""

    time_base: Fraction
    """Of the video."""
    times: array[int] = field(default_factory=lambda: array("q"))
    """When frames are shown, in ticks: of the packets, or of the frames where it was decoded."""
    timeless: int = 0
    """Frames without a time."""
    backwards: int = 0
    """Frames that are not later than the one before; known where it was decoded."""
    damaged: int = 0
    start: int | None = None
    """Least time of a packet of the video."""
    prints: dict[int, Print] = field(default_factory=dict)
    """Audio and subtitles, by index."""
    words: dict[int, Words] = field(default_factory=dict)
    """Subtitles that are text, by index."""
    pictures: list[str] = field(default_factory=list)
    """Hashes of covers and attachments."""
    chapters: list[tuple[float, str]] = field(default_factory=list)
    """Start in seconds, and title."""

    @property
    def start_s(self) -> float:
        return float((self.start or 0) * self.time_base)

    def since_first(self) -> Seconds:
        """Times in ascending order, seconds since the first."""
        ticks = np.sort(np.asarray(self.times, np.int64))
        since = ticks - ticks[:1]
        return since.astype(np.float64) * float(self.time_base)


def scan_file(
    path: Path,
    *,
    decodes: bool,
    kept: tuple[int, ...] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Read a file once; ``kept`` are the indices of the streams that matter beside the video.

    Memory: eight bytes a packet. Raises :class:`~remote_runner.errors.InputError` when it cannot
    be read, and :class:`Cancelled`.
    """
    with open_source(path) as container:
        video = main_video(container)
        bound_decoder(video)
        scan = Scan(time_base_of(video))
        wanted = {video.index}
        for stream in container.streams:
            if stream.index == video.index or (kept is not None and stream.index not in kept):
                continue
            if isinstance(stream, AttachmentStream):
                scan.pictures.append(hashlib.sha256(stream.data or b"").hexdigest())
            elif is_still(stream):
                wanted.add(stream.index)
            elif stream.type in ("audio", "subtitle"):
                scan.prints[stream.index] = Print(codec_name(stream), stream.type)
                if codec_name(stream) in READ:
                    scan.words[stream.index] = Words()
                wanted.add(stream.index)
        scan.chapters = [
            (float(each["start"] * (each["time_base"] or 0)), each["metadata"].get("title", ""))
            for each in container.chapters()
        ]
        try:
            _read(container, scan, video.index, wanted, should_stop, decodes=decodes)
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "reading packets") from None
    return scan


def scan_decoded(path: Path, facts: Facts, should_stop: Callable[[], bool]) -> tuple[Scan, int]:
    """The frames that can be had of a video, with times as they are worked with, and the end of
    the last one in ticks; its other streams are left out."""
    decoder = Decoder(path, packets=facts.frames)
    try:
        scan, until = Scan(decoder.time_base), 0
        for picture in decoder:
            if should_stop():
                raise Cancelled
            step = picture.at - scan.times[-1] if scan.times else 1
            scan.times.append(picture.at)
            until = picture.at + (picture.duration or step)
        scan.start, scan.damaged = scan.times[0], decoder.bad_packets
    finally:
        decoder.close()
    return scan, until


def _read(
    container: InputContainer,
    scan: Scan,
    video: int,
    wanted: set[int],
    should_stop: Callable[[], bool],
    *,
    decodes: bool,
) -> None:
    for packet in container.demux([container.streams[index] for index in sorted(wanted)]):
        if should_stop():
            raise Cancelled
        if packet.stream_index == video:
            _note(packet, scan, decodes=decodes)
        elif packet.size and packet.stream_index in scan.prints:
            stream = scan.prints[packet.stream_index]
            stream.add(packet)
            if packet.stream_index in scan.words:
                scan.words[packet.stream_index].add(stream.codec, packet)
        elif packet.size:
            scan.pictures.append(hashlib.sha256(bytes(packet)).hexdigest())


def _note(packet: Packet[Stream], scan: Scan, *, decodes: bool) -> None:
    at = packet.pts if packet.pts is not None else packet.dts
    if packet.size and not packet.is_discard:
        if at is not None:
            scan.start = at if scan.start is None else min(at, scan.start)
        if not decodes:
            _add(scan, at)
    if decodes:
        _decode(packet, scan)


def _decode(packet: Packet[Stream], scan: Scan) -> None:
    try:
        frames = packet.decode()
    except av.error.InvalidDataError:
        scan.damaged += 1
        return
    for frame in frames:
        if not isinstance(frame, VideoFrame):
            continue
        scan.damaged += frame.is_corrupt
        at = frame.pts
        scan.backwards += at is None or (len(scan.times) > 0 and at <= scan.times[-1])
        _add(scan, at)


def _add(scan: Scan, at: int | None) -> None:
    if at is None:
        scan.timeless += 1
    else:
        scan.times.append(at)
