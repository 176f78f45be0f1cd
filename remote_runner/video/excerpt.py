"""A part of a video as a file of its own, with the same pictures, sound and times.

Its packets are taken as they are where it begins with a key frame and ends with a picture that
nothing behind it is needed for. Else its pictures are encoded anew without loss.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from av.video.frame import VideoFrame

from remote_runner.errors import InputError, MachineError, RunnerError
from remote_runner.protocol import Reason
from remote_runner.video import signal as signals
from remote_runner.video.containers import family_of
from remote_runner.video.decode import Picture
from remote_runner.video.excerpt_frames import encode_excerpt
from remote_runner.video.excerpt_packets import Unsuitable, copy_excerpt
from remote_runner.video.moments import Reader, Stop, as_signal
from remote_runner.video.probe import probe
from remote_runner.video.source import main_video, open_source, orientation_of, siting_of
from remote_runner.video.stretch import Stretch, find_stretch

log = logging.getLogger(__name__)

#: Frames of a copy that are compared with those of the source.
_COMPARED = 3
#: Times that were seconds in between may be so much off.
_EARLY_S = 0.0005
#: What an output of a QuickTime file is.
_LIKE = {"mov": "mp4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Where the part lies."""

    path: Path
    """The source itself where it is no longer than was wanted."""
    start_s: float
    """Since the first frame of the source."""
    container: str
    """What a result of the source itself would be in, as far as it holds all streams."""


def cut_excerpt(
    source: Path, folder: Path, seconds: float, should_stop: Stop = lambda: False
) -> Excerpt:
    """The busiest seconds of a video, with the sound that goes with them; other streams stay out.

    Raises :class:`~remote_runner.errors.RunnerError` or
    :class:`~remote_runner.errors.Cancelled`.
    """
    stretch = _find(source, seconds, should_stop)
    with open_source(source) as container:
        family = family_of(container)
    family = _LIKE.get(family, family)
    if stretch.is_all:
        return Excerpt(path=source, start_s=0.0, container=family)
    path = _cut(source, folder, stretch, seconds, should_stop)
    return Excerpt(path=path, start_s=stretch.since_first_s, container=family)


def _find(source: Path, seconds: float, should_stop: Stop) -> Stretch:
    try:
        stretch = find_stretch(source, seconds, should_stop)
    except InputError:
        probe(source, should_stop=should_stop)  # which knows better what is wrong with a file
        raise
    if stretch.is_all:
        # what a container says of its length may be a guess
        facts = probe(source, should_stop=should_stop)
        frame_s = facts.duration_s / facts.frames
        return replace(stretch, is_all=facts.duration_s <= seconds + frame_s)
    return stretch


def _cut(source: Path, folder: Path, stretch: Stretch, seconds: float, should_stop: Stop) -> Path:
    try:
        path = copy_excerpt(source, folder, stretch.start_s, seconds, should_stop)
        _compare(source, path, stretch.start_s, should_stop)
    except (Unsuitable, RunnerError) as error:
        if isinstance(error, MachineError) and error.reason is Reason.DISK_FULL:
            raise
        log.info("the excerpt is encoded anew: %s", error)
    else:
        return path
    return encode_excerpt(source, folder, stretch.start_s, seconds, should_stop)


def _compare(source: Path, path: Path, start_s: float, should_stop: Stop) -> None:
    """Raise :class:`Unsuitable` where a copy shows or says something else than its source."""
    with Reader(source, should_stop) as old, Reader(path, should_stop) as new:
        frames = new.frames(new.start_s)
        reached = (each for each in old.frames(start_s + _EARLY_S) if _begins(each, start_s))
        for before in islice(reached, _COMPARED):
            after = next(frames, None)
            if after is None or after.is_corrupt:
                raise Unsuitable("it cannot be entered there")
            alike = (
                signals.of_frame(before, old.stream) == signals.of_frame(after, new.stream)
                and orientation_of(before) == orientation_of(after)
                and old.stream.sample_aspect_ratio == new.stream.sample_aspect_ratio
                and before.interlaced_frame == after.interlaced_frame
            )
            if not alike:
                raise Unsuitable("the copy says something else")
            if not _as_seen(before, old).equals(_as_seen(after, new)):
                raise Unsuitable("the copy shows something else")
    with open_source(source) as a, open_source(path) as b:
        if siting_of(a, main_video(a)) != siting_of(b, main_video(b)):
            raise Unsuitable("the copy says something else of its chroma")


def _begins(frame: VideoFrame, start_s: float) -> bool:
    return (frame.time or 0.0) >= start_s - _EARLY_S


def _as_seen(frame: VideoFrame, reader: Reader) -> Picture:
    """The samples that the work would see."""
    return Picture(as_signal(frame, signals.of_frame(frame, reader.stream)), 0, 0)
