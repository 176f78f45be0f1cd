"""One segment of the new video: encoded by an encoder of its own into a file of its own.

A segment begins with a picture that stands for itself and refers to nothing outside, so that it
can be joined with others whoever encoded them. It is kept as NUT, which holds any codec, keeps the
time base exactly, and can be played. NUT has no negative times: a segment that would need them is
written later than it is shown, by as much as its first frame tells.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import av.error
from av.codec.context import Flags
from av.packet import Packet
from av.video.stream import VideoStream

from remote_runner.errors import MachineError, RunnerError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video.containers import discard
from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.frames import ready
from remote_runner.video.render import Timed

#: Frames that an encoder may put between two in the order of decoding (ITU-T H.264, A.3.1).
REORDERED = 16

#: x264's code for AVX-512 reads memory that was never set while it weighs macroblocks (mbtree):
#: two runs on equal frames gave different bits. With its code for AVX2 they never did.
_SAME_BITS = "asm=AVX2"


def configure_closed(stream: VideoStream, plan: EncoderPlan) -> None:
    """Set up an encoder whose groups of pictures are closed, and whose headers tell nothing of
    the machine, so that those of two machines are the same."""
    options = dict(plan.options)
    if plan.encoder == "libx264" and _has_avx512():
        options["x264-params"] = ":".join(filter(None, (options.get("x264-params"), _SAME_BITS)))
    if plan.encoder == "libx265":
        options["x265-params"] = ":".join(
            filter(None, (options.get("x265-params"), "open-gop=0", "info=0"))
        )
    configure(stream, replace(plan, options=options))
    context = stream.codec_context
    context.flags = context.flags | Flags.closed_gop


@functools.cache
def _has_avx512() -> bool:
    """proc_cpuinfo(5); other systems than Linux are taken to have none."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and " avx512" in cpuinfo.read_text(errors="replace")


def digest(extradata: bytes | None) -> str:
    """Hash of an encoder's parameter sets."""
    return hashlib.sha256(extradata or b"").hexdigest()


def reorder_depth(times: Iterable[int]) -> int:
    """By how many places packets come late at most, from their times in the order of decoding."""
    decoded = list(times)
    rank = {at: place for place, at in enumerate(sorted(decoded))}
    return max((place - rank[at] for place, at in enumerate(decoded)), default=0)


class SegmentWriter:
    """Encodes frames into one file; use in one thread.

    Frames come in order through :meth:`write`; :meth:`finish` completes the file, :meth:`abandon`
    removes it. Failures are :class:`RunnerError`.
    """

    def __init__(self, path: Path, plan: EncoderPlan) -> None:
        self._path = path
        self._plan = plan
        self.shown: list[int] = []
        """Times of the frames, in order."""
        self._packets: list[int] = []
        self._container = av.open(f"file:{path}", "w", format="nut")
        try:
            added = self._container.add_stream(
                plan.encoder, rate=plan.rate, time_base=plan.time_base
            )
            self._video = cast(VideoStream, added)
            configure_closed(self._video, plan)
            # a tag of MP4 has no place here
            self._video.codec_context.codec_tag = "\0\0\0\0"
            if plan.on_card:
                # it opens with the first frame, which tells it where on the card they lie
                self._video.codec_context.pix_fmt = "cuda"
            else:
                self._container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            self.abandon()
            raise failure(error, "starting a segment") from None

    @property
    def extradata_sha256(self) -> str:
        return digest(self._video.codec_context.extradata)

    @property
    def depth(self) -> int:
        """See :func:`reorder_depth`."""
        return reorder_depth(self._packets)

    def write(self, timed: Timed) -> None:
        """Encode the next frame."""
        frame = ready(timed.frame)
        frame.pts, frame.time_base = timed.at, self._plan.time_base
        frame.pict_type = 0  # a decoded frame would force its own type on the encoder
        self.shown.append(timed.at)
        try:
            packets = self._video.encode(frame)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.MemoryError):
                raise MachineError(Reason.OUT_OF_MEMORY, "no memory left while encoding") from None
            raise MachineError(Reason.ENCODER_FAILED, f"{self._plan.encoder}: {error}") from None
        self._mux(packets, "writing a segment")

    def finish(self) -> None:
        """Drain the encoder and close the file."""
        try:
            packets = self._video.encode(None)
        except (av.error.FFmpegError, ValueError) as error:
            raise MachineError(Reason.ENCODER_FAILED, f"{self._plan.encoder}: {error}") from None
        self._mux(packets, "finishing a segment")
        try:
            self._container.close()
        except (av.error.FFmpegError, ValueError) as error:
            raise failure(error, "finishing a segment") from None
        if sorted(self._packets) != self.shown or self._packets[0] != self.shown[0]:
            raise MachineError(
                Reason.ENCODER_FAILED,
                f"{self._plan.encoder} gave {len(self._packets)} packets for "
                f"{len(self.shown)} frames, or other times",
            )

    def abandon(self) -> None:
        """Close and remove the file, whatever state it is in."""
        discard(self._container)
        self._path.unlink(missing_ok=True)

    def _mux(self, packets: list[Packet[VideoStream]], doing: str) -> None:
        try:
            for packet in packets:
                if packet.pts is None:
                    raise MachineError(
                        Reason.ENCODER_FAILED, f"{self._plan.encoder} gave a packet without a time"
                    )
                # The joined file gets decoding times of its own; these only have to be in order.
                place = len(self._packets)
                late = place - REORDERED
                dts = self.shown[late] if late >= 0 else self.shown[0] + late
                self._packets.append(packet.pts)
                shift = max(0, REORDERED - self.shown[0])
                packet.dts, packet.pts = dts + shift, packet.pts + shift
                self._container.mux_one(packet)
        except (av.error.FFmpegError, ValueError) as error:
            raise failure(error, doing) from None


def failure(error: Exception, doing: str) -> RunnerError:
    """What FFmpeg could not do, under the reason that it has."""
    if isinstance(error, OSError):
        return from_os_error(error, doing)
    if isinstance(error, av.error.MemoryError):
        return MachineError(Reason.OUT_OF_MEMORY, f"no memory left while {doing}")
    return MachineError(Reason.ENCODER_FAILED, f"{doing}: {error}")
