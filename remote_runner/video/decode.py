"""Decoding: pictures with their times, one after another, as :mod:`.colour` can read them."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av.error
import torch
from av.container import InputContainer
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.errors import Cancelled, InputError, MachineError, RunnerError
from remote_runner.protocol import Reason
from remote_runner.video import hardware
from remote_runner.video import signal as signals
from remote_runner.video.colour import small_luma
from remote_runner.video.hardware import CardPlanes, Uploader
from remote_runner.video.seeking import find_entry
from remote_runner.video.signal import HdrSideData, Signal
from remote_runner.video.source import (
    Orientation,
    as_runner_error,
    bound_decoder,
    main_video,
    open_source,
    orientation_of,
    side_data,
    siting_of,
    time_base_of,
)

log = logging.getLogger(__name__)

#: Packets that may fail to decode: this share of the file, and always these few.
BAD_SHARE = 0.01
BAD_FEW = 2


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame in the signal's ``pix_fmt``."""

    frame: VideoFrame | None
    """None where the card decoded it."""
    at: int
    """Presentation time in ticks of the decoder's time base."""
    duration: int
    """Ticks, 0 where the file does not say."""
    repeats: bool = False
    """Whether the samples are those of the picture given out before it, bit by bit."""
    card: CardPlanes | None = None
    """The samples on the card that the work is done on."""
    thumbnail: Tensor | None = None

    def planes(self) -> list[Tensor]:
        """Views of the samples, H×W integers each; valid as long as they are held, and for use in
        the current stream."""
        if self.card is not None:
            return self.card.take()
        return self._on_host()

    def small(self, signal: Signal) -> Tensor:
        """Thumbnail of the luma, on the processor."""
        if self.thumbnail is not None:
            return self.thumbnail
        return small_luma(self._on_host()[0], signal)

    def equals(self, other: Picture) -> bool:
        """Whether the samples are the same, bit by bit. For the thread that decodes: it waits."""
        if self.frame is None or other.frame is None:
            pairs = zip(self.planes(), other.planes(), strict=True)
        else:
            pairs = zip(self._on_host(), other._on_host(), strict=True)
        return all(torch.equal(mine, theirs) for mine, theirs in pairs)

    def _on_host(self) -> list[Tensor]:
        assert self.frame is not None  # noqa: S101 - for the type checker
        return [from_dlpack(plane) for plane in self.frame.planes]


#: Frames that H.264 and HEVC may put between decoding and showing (ITU-T H.264, A.3.1).
_REORDERED = 16


class Decoder:
    """Reads the pictures of one file, in order; iterate over it once, in one thread.

    What the first frame tells (:attr:`signal`, :attr:`orientation`, size) is known from the start.
    Raises :class:`InputError` when nothing, or too little, can be decoded.
    """

    def __init__(
        self,
        path: Path,
        *,
        packets: int,
        interlaced: bool = False,
        parity: str = "",
        device: torch.device | None = None,
    ) -> None:
        """``parity`` (``tff``, ``bff``) is for interlaced frames that do not say so themselves;
        ``device`` is where pictures are to be worked on: a card decodes them itself if it can
        do that exactly."""
        self._path = path
        self._parity = parity
        self._device = device if device is not None and device.type == "cuda" else None
        self._uploader = Uploader(self._device) if self._device is not None else None
        self.on_card = False
        self._from: int | None = None
        self._sought = False
        #: Asked while what is not wanted is skipped: there can be much of it.
        self.should_stop: Callable[[], bool] = lambda: False
        self._container = open_source(path)
        try:
            self._stream = main_video(self._container)
            bound_decoder(self._stream)
            self.time_base = time_base_of(self._stream)
            # before anything is decoded: FFmpeg is wordy meanwhile, and its threads would wait for
            # the interpreter's lock to say what they find, while we wait for them
            siting = siting_of(self._container, self._stream)
            self._allowed = max(BAD_FEW, int(packets * BAD_SHARE))
            self.bad_packets = 0
            self.notes: set[str] = set()
            self._raw = self._decode()
            self._first = next(self._raw, None)
            if self._first is None:
                raise InputError(Reason.CORRUPT, "no frame could be decoded")
        except BaseException:
            self._container.close()
            raise
        self._describe(self._first, siting, interlaced)
        if self._device is not None and not interlaced:
            self._try_card(self._first, self._device)

    def _describe(self, first: VideoFrame, siting: str, interlaced: bool) -> None:
        self.signal: Signal = signals.of_frame(first, self._stream, siting)
        self.orientation: Orientation = orientation_of(first)
        self.width, self.height = first.width, first.height
        self.start: int = _ticks(first, self.time_base) or 0
        self.side_data = HdrSideData(
            mastering=side_data(first, SideDataType.MASTERING_DISPLAY_METADATA),
            light_level=side_data(first, SideDataType.CONTENT_LIGHT_LEVEL),
        )
        self.has_captions = side_data(first, SideDataType.A53_CC) is not None
        self.notes.update(self.signal.notes)
        self._graph = self._deinterlacer() if interlaced else None
        if interlaced:
            self.notes.add("deinterlaced")

    def close(self) -> None:
        self._container.close()

    def skip_to(self, at: int, *, seek: bool) -> None:
        """Give out the pictures from this time on alone; before the first was asked for.

        With ``seek``, decoding begins near it where the file allows that.
        """
        self._from = at
        if not seek or self._graph is not None:
            return
        entry = find_entry(self._path, at, self.should_stop)
        if entry is None:
            return
        try:
            self._container.seek(entry, stream=self._stream)
        except av.error.FFmpegError as error:
            raise as_runner_error(error, "seeking") from None
        self._raw, self._first, self._sought = self._decode(), None, True

    def __iter__(self) -> Iterator[Picture]:
        before: Picture | None = None
        for picture in self._all():
            if self._from is None or picture.at >= self._from:
                self._sought = False
                settled = self._settle(picture)
                before = replace(settled, repeats=before is not None and settled.equals(before))
                yield before
            elif self.should_stop():
                raise Cancelled

    def _settle(self, picture: Picture) -> Picture:
        """Bring a picture to the device. All that is asked of it there is worked out here, in the
        thread that decodes: the one that runs the networks must wait for nothing."""
        frame, device = picture.frame, self._device
        if frame is None or device is None or self._uploader is None:
            return picture
        if not hardware.is_on_card(frame):
            return replace(picture, card=self._uploader.take(frame))
        card = hardware.copy_out(frame, device)
        small = small_luma(card.tensors[0], self.signal).cpu()
        return replace(picture, frame=None, card=card, thumbnail=small)

    def _all(self) -> Iterator[Picture]:
        latest: Picture | None = None
        for frame, told in self._timed():
            at = told
            if latest and (at is None or at <= latest.at):
                self.notes.add("timestamps_repaired")
                # a slip of one frame gets half a step, so that the next good time takes over
                # again; times that start anew go on at the pace of the frames
                slipped = at is not None and latest.at - at < 2 * latest.duration
                at = latest.at + max(1, latest.duration // (2 if slipped else 1))
            duration = round(frame.duration * (frame.time_base or 0) / self.time_base)
            latest = Picture(frame, at or 0, duration)
            yield latest

    def _timed(self) -> Iterator[tuple[VideoFrame, int | None]]:
        """Frames with their times in ticks.

        AVI has no presentation times: FFmpeg counts packets in the order of decoding, so that the
        times of B-frames come shuffled. The n-th frame shown gets the n-th of the times then.
        """
        if self._container.format.name != "avi":
            for frame in self._progressive():
                yield frame, _ticks(frame, self.time_base)
            return
        held: deque[VideoFrame] = deque()
        times: list[int] = []
        for frame in self._progressive():
            held.append(frame)
            at = _ticks(frame, self.time_base)
            if at is not None:
                heapq.heappush(times, at)
            if len(held) > _REORDERED:
                yield held.popleft(), heapq.heappop(times) if times else None
        while held:
            yield held.popleft(), heapq.heappop(times) if times else None

    def _progressive(self) -> Iterator[VideoFrame]:
        """Frames through the deinterlacer, where there is one."""
        for frame in self._plain():
            if self._graph is None:
                yield frame
                continue
            self._graph.vpush(frame)
            yield from _drain(self._graph)
        if self._graph is not None:
            self._graph.vpush(None)
            yield from _drain(self._graph)

    def _plain(self) -> Iterator[VideoFrame]:
        """Frames of one size and one of the known layouts."""
        if self._first is not None:
            first, self._first = self._first, None
            yield self._converted(first)
        for frame in self._raw:
            yield self._converted(frame)

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        same_size = (frame.width, frame.height) == (self.width, self.height)
        name = frame.format.name
        if same_size and hardware.is_surface_of(frame, self.signal.pix_fmt):
            return frame
        if same_size and name.replace("yuvj", "yuv") == self.signal.pix_fmt:
            return frame
        if not same_size:
            self.notes.add("size_changes")
        at, duration, base = frame.pts, frame.duration, frame.time_base
        # swscale must not touch the levels of YCbCr; from RGB it makes what the signal says.
        made = "rgb" in name or frame.format.is_rgb or name == "pal8"
        levels = "JPEG" if self.signal.full_range else "MPEG"
        frame = frame.reformat(
            width=self.width,
            height=self.height,
            format=self.signal.pix_fmt,
            dst_colorspace="ITU709" if made else None,
            src_color_range=None if made else levels,
            dst_color_range=levels,
            interpolation="BICUBIC",
        )
        frame.pts, frame.duration = at, duration
        if base:
            frame.time_base = base
        return frame

    def _decode(self) -> Iterator[VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError as error:
                    self._count_bad(str(error.strerror))
                    continue
                for frame in frames:
                    if frame.is_corrupt:
                        self._count_bad("damaged frame")
                    yield frame
        except av.error.FFmpegError as error:
            if self.on_card:
                # not the file's fault: the processor's decoder read its beginning
                raise MachineError(Reason.NO_DEVICE, f"decoding on the card: {error}") from None
            raise as_runner_error(error, "decoding") from None

    def _try_card(self, first: VideoFrame, device: torch.device) -> None:
        """Let the card decode if its first frame is the same; otherwise all stays as it is."""
        if self._container.format.name == "avi" or not hardware.is_decodable(
            self._stream, first, self.signal
        ):
            return
        before = self._container, self._stream, self._raw, self.bad_packets
        opened: InputContainer | None = None
        try:
            opened = self._container = hardware.open_on_card(self._path, device)
            self._stream = main_video(opened)
            hardware.bound_card_decoder(self._stream)
            self._raw = self._decode()
            self._first = next(self._raw, None)
            why = hardware.differs(self._first, first)
        except (av.error.FFmpegError, RunnerError, RuntimeError, ValueError) as error:
            why = f"{error}"
        if why is None:
            before[0].close()
            self.on_card = True
            log.info("the card decodes")
            return
        log.info("the processor decodes: %s", why)
        self._container, self._stream, self._raw, self.bad_packets = before
        self._first = first
        if opened is not None:
            opened.close()

    def _count_bad(self, what: str) -> None:
        if self._sought:
            return  # what a picture refers to may lie before the key frame
        self.bad_packets += 1
        log.warning("packet %d could not be decoded well: %s", self.bad_packets, what)
        if self.bad_packets > self._allowed:
            raise InputError(
                Reason.CORRUPT, f"more than {self._allowed} packets are damaged: {what}"
            )

    def _deinterlacer(self) -> Graph:
        """bwdif on the frames that are flagged as interlaced, or on all where the parity had to be
        found out; one frame out for one frame in."""
        graph = Graph()
        source = graph.add(
            "buffer",
            video_size=f"{self.width}x{self.height}",
            pix_fmt=self.signal.pix_fmt,
            time_base=str(self.time_base),
            pixel_aspect="1/1",
            range="full" if self.signal.full_range else "limited",
        )
        parity, deint = self._parity or "auto", "all" if self._parity else "interlaced"
        bwdif = graph.add("bwdif", f"mode=send_frame:parity={parity}:deint={deint}")
        sink = graph.add("buffersink")
        graph.link_nodes(source, bwdif, sink).configure()
        return graph


def _drain(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _ticks(frame: VideoFrame, base: Fraction) -> int | None:
    at = frame.pts if frame.pts is not None else frame.dts
    if at is None or frame.time_base is None:
        return None
    return round(at * frame.time_base / base)


def orient(picture: Tensor, orientation: Orientation) -> Tensor:
    """Turn a picture, …×H×W, as a player would."""
    if orientation.transposed:
        picture = picture.transpose(-2, -1)
    axes = [axis for axis, flip in ((-1, orientation.flip_x), (-2, orientation.flip_y)) if flip]
    return picture.flip(axes) if axes else picture.contiguous()
