"""Opening files that strangers sent: no playlists, no second file, no decoder without bounds."""

from __future__ import annotations

import math
import re
import struct
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import InputError, MachineError, RunnerError, from_os_error
from remote_runner.protocol import Reason
from remote_runner.video.remote import RemoteFile

MIN_SIDE = 16
MAX_SIDE = 8192
MAX_PIXELS = 8192 * 4320

#: Demuxers that may touch an upload. None of them opens a second file or a URL, as playlists
#: (hls, dash, concat, imf …) and image sequences do. Audio formats are here so that a song with
#: cover art is told from a file that is no media at all.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,m4v,h264,hevc,"
    "av1,obu,ivf,mxf,nut,dv,wtv,rm,gif,yuv4mpegpipe,mp3,flac,wav,aac,aiff,w64"
)

#: A film may say that its tracks lie in other files. FFmpeg does not look there by itself; said
#: here so that no later default does. Pictures are bounded for decoders that look into the file
#: while it is opened, before a size is known.
_ALONE = {"enable_drefs": "0", "use_absolute_path": "0", "max_pixels": str(MAX_PIXELS * 2)}

#: In the brackets behind the pixel format, which tell of the order of fields too: ``top first``.
_SITING = re.compile(
    r"\([^()]*\b(left|center|topleft|top|bottomleft|bottom)\b(?! (?:coded )?first)[^()]*\)"
)
_BUFFER = 1 << 18
_LONGEST_LANGUAGE = 20
_NO_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """How a player turns the coded picture: transposed first, then mirrored."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def is_upright(self) -> bool:
        return not (self.transposed or self.flip_x or self.flip_y)

    @property
    def is_mirrored(self) -> bool:
        return self.transposed ^ self.flip_x ^ self.flip_y

    @property
    def degrees(self) -> int:
        """Counter-clockwise turn, 0, 90, 180 or 270; a mirroring is left out of it."""
        if self.transposed:
            return 90 if self.flip_y else 270
        return 180 if self.flip_y else 0


UPRIGHT = Orientation()


class Seekable(Protocol):
    """What is read of a file."""

    def read(self, size: int = -1, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def tell(self) -> int: ...


def open_source(source: Path | RemoteFile, *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a file for demuxing; the caller closes it.

    Raises :class:`InputError` when no demuxer of :data:`FORMATS` understands it.
    """
    try:
        if size_of(source) == 0:
            raise InputError(Reason.EMPTY_FILE, "the file has no bytes")
        return _open(source, hwaccel)
    except (av.error.MemoryError, MemoryError):
        raise InputError(Reason.PROBE_LIMIT, "the file asks for too much memory") from None
    except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError):
        raise InputError(Reason.NOT_A_VIDEO, "no video format was recognised") from None
    except av.error.PyAVCallbackError:
        raise MachineError(Reason.INTERNAL, "the file cannot be read") from None
    except (av.error.PermissionError, av.error.FileNotFoundError):
        if not _is_readable(source):
            raise MachineError(Reason.INTERNAL, "the file cannot be read") from None
        # -1, which some demuxers say of what they do not understand, reads as EPERM
        raise InputError(Reason.NOT_A_VIDEO, "no video format was recognised") from None
    except av.error.FFmpegError as error:
        # Demuxers return any number of the system's error codes for what they find in a file.
        raise InputError(Reason.CORRUPT, f"opening the file: {error.strerror}") from None
    except OSError as error:
        raise from_os_error(error, "opening the file") from None


def _is_readable(source: Path | RemoteFile) -> bool:
    try:
        with open_bytes(source) as file:
            return bool(file.read(1))
    except OSError:
        return False


def size_of(source: Path | RemoteFile) -> int:
    """Bytes."""
    return source.size if isinstance(source, RemoteFile) else source.stat().st_size


def open_bytes(source: Path | RemoteFile) -> AbstractContextManager[Seekable]:
    """The content, to be read in pieces."""
    return source.open() if isinstance(source, RemoteFile) else source.open("rb")


def as_runner_error(error: av.error.FFmpegError, doing: str) -> RunnerError:
    """The system's own failures under their own reasons; everything else is a corrupt file."""
    if isinstance(error, av.error.MemoryError):
        return InputError(Reason.PROBE_LIMIT, f"out of memory while {doing}")
    if isinstance(error, OSError):
        return from_os_error(error, doing)
    return InputError(Reason.CORRUPT, f"{doing}: {error.strerror or error}")


def main_video(container: InputContainer) -> VideoStream:
    """The stream that is the video: cover art and thumbnails are not."""
    videos = [stream for stream in container.streams.video if not is_still(stream)]
    if not videos:
        raise InputError(Reason.NO_VIDEO_STREAM, "the file has no video stream")
    stream = next((each for each in videos if each.disposition & Disposition.default), videos[0])
    if stream.codec_context is None:
        raise InputError(Reason.UNSUPPORTED, "there is no decoder for this video")
    return stream


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per tick; every demuxer sets it."""
    return stream.time_base or Fraction(1, 90_000)


def codec_name(stream: Stream) -> str:
    """Name of a stream's format, whatever decoder reads it."""
    context = stream.codec_context
    if context is None:
        # of a stream without a decoder not every class has a name
        return getattr(stream, "name", None) or "unknown"
    return context.codec.canonical_name


def language_of(stream: Stream) -> str:
    """The language of a stream, nothing where it is not known; whatever a file puts there, it is
    short and can be shown."""
    said = stream.metadata.get("language", "")
    language = "".join(filter(str.isprintable, said))[:_LONGEST_LANGUAGE].strip()
    return "" if language == "und" else language


def siting_of(container: InputContainer, stream: VideoStream) -> str:
    """Where chroma samples lie as the stream says it (``left``, ``center``, ``topleft`` …), or
    nothing. FFmpeg tells it in its description of the file alone, as long as it may be wordy: ask
    while no thread of its own decodes."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.VERBOSE)
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        lines = container.dumps_format().splitlines()  # type: ignore[attr-defined]
    finally:
        av.logging.set_libav_level(av.logging.INFO)
        av.logging.set_level(before)
    said = next((line for line in lines if f"Stream #0:{stream.index}" in line), "")
    found = _SITING.search(said)
    return found[1] if found else ""


def is_still(stream: Stream) -> bool:
    """Whether a stream of pictures is cover art or a set of thumbnails."""
    return bool(stream.disposition & _NO_VIDEO)


def check_size(width: int, height: int) -> None:
    """Raise :class:`InputError` unless a picture of this size can be worked on (0 = not known)."""
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputError(
            Reason.PICTURE_TOO_LARGE, f"{width}x{height} is more than {MAX_SIDE} a side or 8K"
        )
    if 0 < min(width, height) < MIN_SIDE:
        raise InputError(
            Reason.PICTURE_TOO_SMALL, f"{width}x{height} is less than {MIN_SIDE} a side"
        )


def bound_decoder(stream: VideoStream, *, threads: int = 0) -> None:
    """Keep a decoder from allocating for sizes that the stream itself claims later on."""
    context = stream.codec_context
    context.options = {"max_pixels": str(MAX_PIXELS * 2)}
    context.thread_count = threads
    context.thread_type = "AUTO"


def side_data(frame: VideoFrame, kind: SideDataType) -> bytes | None:
    """The bytes of a piece of side data of a frame, in FFmpeg's own structures."""
    # PyAV's stub describes this mapping wrongly.
    found: SideDataContainer = frame.side_data  # type: ignore[assignment]
    return bytes(found[kind]) if kind in found else None


def orientation_of(frame: VideoFrame) -> Orientation:
    """The display matrix of a frame, rounded to quarter turns.

    The matrix maps a pixel (x, y) to (a·x + c·y, b·x + d·y), y downwards, in 16.16 fixed point,
    stored as [a b u c d v x y w] (FFmpeg libavutil/display.h, ISO/IEC 14496-12 8.3.2).
    """
    matrix = side_data(frame, SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if not (math.hypot(a, b) and math.hypot(c, d)):
        return UPRIGHT
    if abs(a) >= abs(b):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transposed=True, flip_x=c < 0, flip_y=b < 0)


def _open(source: Path | RemoteFile, hwaccel: HWAccel | None) -> InputContainer:
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, **_ALONE}
    if isinstance(source, RemoteFile):
        # read by us alone: FFmpeg may open nothing
        options["protocol_whitelist"] = "none"
        return av.open(
            source.open(), "r", options=options, metadata_errors="replace", buffer_size=_BUFFER
        )
    return av.open(
        f"file:{source.absolute()}",
        "r",
        options=options,
        metadata_errors="replace",
        hwaccel=hwaccel,
    )
