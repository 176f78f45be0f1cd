"""Small MP4 files for a quick look: H.264 that plays everywhere, no larger than was said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.codec.context import Flags
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.video.containers import discard
from remote_runner.video.segment import failure

_BT709, _LIMITED = 1, 1
#: Of the bytes that are allowed, what the video's own buffer model may use.
_SHARE = 0.85


class SmallVideo:
    """Encodes frames, yuv420p in BT.709, into a file; use in one thread.

    :meth:`finish` completes it, :meth:`abandon` removes it. Failures are
    :class:`~remote_runner.errors.RunnerError`.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        rate: Fraction,
        time_base: Fraction,
        seconds: float,
        max_bytes: int,
        sar: Fraction = Fraction(1),
    ) -> None:
        """``seconds`` is the most that will be written."""
        self._path = path
        self._base = time_base
        # A buffer of one second is filled at this rate: in all, seconds + 1 of it at most.
        ceiling = max(100_000, int(max_bytes * 8 * _SHARE / (seconds + 1)))
        options = {"movflags": "+faststart"}
        self._container = av.open(f"file:{path}", "w", format="mp4", options=options)
        try:
            self._video = self._container.add_stream(
                "libx264", rate=rate.limit_denominator(100_000), time_base=time_base
            )
            context = self._video.codec_context
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.sample_aspect_ratio = sar
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED
            context.flags = context.flags | Flags.closed_gop
            context.options = {
                "crf": "20",
                "preset": "veryfast",
                "maxrate": str(ceiling),
                "bufsize": str(ceiling),
            }
            self._container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            self.abandon()
            raise failure(error, "starting a small video") from None

    def write(self, frame: VideoFrame, at: int) -> None:
        """The next frame, shown at a time in ticks."""
        frame.pts, frame.time_base, frame.pict_type = at, self._base, 0
        try:
            self._mux(self._video.encode(frame))
        except (av.error.FFmpegError, ValueError) as error:
            raise failure(error, "encoding a small video") from None

    def finish(self) -> None:
        """Drain the encoder and close the file."""
        try:
            self._mux(self._video.encode(None))
            self._container.close()
        except (av.error.FFmpegError, ValueError) as error:
            raise failure(error, "finishing a small video") from None

    def abandon(self) -> None:
        """Close and remove the file, whatever state it is in."""
        discard(self._container)
        self._path.unlink(missing_ok=True)

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            self._container.mux_one(packet)
