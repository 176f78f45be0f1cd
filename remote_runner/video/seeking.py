"""Where decoding can begin in the middle of a file, so that it gives the same pictures."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import av.error

from remote_runner.errors import Cancelled
from remote_runner.video.source import as_runner_error, main_video, open_source

#: Demuxers that keep an index of key frames and the times of all packets.
_INDEXED = {"mov", "matroska"}


def find_entry(path: Path, at: int, should_stop: Callable[[], bool] = lambda: False) -> int | None:
    """Time of the second key frame before a picture, in ticks; None where only a decoder that
    starts at the beginning is sure to agree.

    That takes packets which all have a time of their own, shown without exception. With one key
    frame to spare, pictures that refer to what lies before a key frame are not among those wanted.
    Reads the whole file; raises :class:`Cancelled` when asked to stop.
    """
    with open_source(path) as container:
        if not _INDEXED & set(container.format.name.split(",")):
            return None
        video = main_video(container)
        times, keys = array("q"), array("q")
        try:
            for packet in container.demux(video):
                if should_stop():
                    raise Cancelled
                if packet.size == 0:
                    continue
                if packet.pts is None or packet.is_discard or packet.is_corrupt:
                    return None
                times.append(packet.pts)
                if packet.is_keyframe and packet.pts < at:
                    keys.append(packet.pts)
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "reading packets") from None
    if len(set(times)) != len(times) or len(keys) < 2:
        return None
    return sorted(keys)[-2]
