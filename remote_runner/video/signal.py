"""How samples of a video become colours: matrix, range, depth and chroma layout of a stream.

Codes are those of ITU-T H.273 (ISO/IEC 23091-2), which FFmpeg uses as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


class Chroma(StrEnum):
    """Chroma subsampling."""

    C420 = "420"
    C422 = "422"
    C444 = "444"
    GRAY = "gray"


BT709, UNSPECIFIED, BT601_625, BT601_525, BT2020 = 1, 2, 5, 6, 9
_RGB = 0

_MATRIX_NAMES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
    10: "bt2020cl",
    14: "ictcp",
}

#: Kr and Kb of the matrices (ITU-T H.273 table 4).
_LUMA = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}

_TRANSFER_NAMES = {
    1: "bt709",
    2: "unknown",
    4: "gamma22",
    5: "gamma28",
    6: "bt601",
    7: "smpte240m",
    8: "linear",
    11: "xvycc",
    13: "srgb",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "pq",
    18: "hlg",
}

_PIX_FMTS = {
    (Chroma.C420, 8): "yuv420p",
    (Chroma.C422, 8): "yuv422p",
    (Chroma.C444, 8): "yuv444p",
    (Chroma.GRAY, 8): "gray",
    (Chroma.C420, 10): "yuv420p10le",
    (Chroma.C422, 10): "yuv422p10le",
    (Chroma.C444, 10): "yuv444p10le",
    (Chroma.GRAY, 10): "gray10le",
}

_FULL_RANGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The colour system of decoded frames, after :attr:`notes` were taken into account."""

    chroma: Chroma
    bits: int
    full_range: bool
    matrix: int
    """As tagged; :data:`UNSPECIFIED` stays so in the tags of the output."""
    primaries: int
    transfer: int
    used_matrix: int
    """As calculated with: an assumption where the tag says nothing."""
    pix_fmt: str
    """What frames are converted to before this package looks at their planes."""
    siting: str = ""
    """Where the stream says that chroma samples lie (``left``, ``center`` …); mostly nothing."""
    notes: tuple[str, ...] = ()

    @property
    def luma(self) -> tuple[float, float]:
        """Kr and Kb."""
        return _LUMA[self.used_matrix]

    @property
    def matrix_name(self) -> str:
        return _MATRIX_NAMES.get(self.used_matrix, str(self.used_matrix))

    @property
    def is_hdr(self) -> bool:
        return self.transfer in (16, 18)


@dataclass(frozen=True, slots=True, kw_only=True)
class HdrSideData:
    """What a stream says of the display it was graded on, in FFmpeg's own structures."""

    mastering: bytes | None = None
    light_level: bytes | None = None


def of_frame(frame: VideoFrame, stream: VideoStream, siting: str = "") -> Signal:
    """The signal of a stream, from its first frame and where that is silent from its header.

    ``siting`` is what :func:`~remote_runner.video.source.siting_of` found.
    """
    context = stream.codec_context
    matrix = _known(int(frame.colorspace), int(context.colorspace))
    full = frame.format.name.startswith("yuvj") or _FULL_RANGE in (
        int(frame.color_range),
        int(context.color_range),
    )
    chroma, bits, notes = _layout(frame.format)
    if frame.format.is_rgb or "pal8" in frame.format.name:
        matrix, full = BT709, False
    used, assumed = _usable_matrix(matrix, frame.width, frame.height)
    if matrix == _RGB:
        matrix = used  # YCbCr is never RGB: the tag is wrong
    if chroma not in (Chroma.C420, Chroma.C422) or notes:
        siting = ""
    return Signal(
        chroma=chroma,
        bits=bits,
        full_range=full,
        matrix=matrix,
        primaries=_known(int(frame.color_primaries), int(context.color_primaries)),
        transfer=_known(int(frame.color_trc), int(context.color_trc)),
        used_matrix=used,
        pix_fmt=_PIX_FMTS[chroma, bits],
        siting=siting,
        notes=(*notes, *assumed, *_siting_notes(siting)),
    )


def transfer_name(code: int) -> str:
    """A short name of a transfer characteristic."""
    return _TRANSFER_NAMES.get(code, str(code))


def matrix_name(code: int) -> str:
    """A short name of matrix coefficients."""
    return _MATRIX_NAMES.get(code, str(code))


def _known(first: int, second: int) -> int:
    return first if first not in (UNSPECIFIED, 3) else second


def _usable_matrix(matrix: int, width: int, height: int) -> tuple[int, tuple[str, ...]]:
    """What untagged video means depends on its size; 709 stands in for other families."""
    if matrix in _LUMA:
        return matrix, ()
    if matrix in (UNSPECIFIED, 3, _RGB):
        used = BT709 if height >= 720 or width >= 1280 else BT601_525
        what = "corrected" if matrix == _RGB else "assumed"
        return used, (f"matrix_{what}:{_MATRIX_NAMES[used]}",)
    return BT709, (f"matrix_treated_as_bt709:{matrix_name(matrix)}",)


def _siting_notes(siting: str) -> tuple[str, ...]:
    """Planes are read as if chroma lay at the left; a difference of half a pixel is worth a word
    only where the file says otherwise."""
    return ("siting_assumed:left",) if siting not in ("", "left") else ()


def _layout(pixels: VideoFormat) -> tuple[Chroma, int, tuple[str, ...]]:
    """Chroma and depth that the planes are read in; anything else is converted and noted."""
    name = pixels.name
    bits = 8 if max(part.bits for part in pixels.components) <= 8 else 10
    if pixels.is_rgb or name == "pal8":
        return Chroma.C420, bits, (f"converted:{name}",)
    if len([part for part in pixels.components if not part.is_alpha]) == 1:
        chroma = Chroma.GRAY
    else:
        chroma = _chroma(pixels)
    plain = _PIX_FMTS[chroma, bits]
    same = name in (plain, plain.replace("yuv", "yuvj"))
    return chroma, bits, () if same else (f"converted:{name}",)


def _chroma(pixels: VideoFormat) -> Chroma:
    """The nearest layout that is read, by the size of the chroma planes of a 64×64 picture."""
    across, down = pixels.chroma_width(64), pixels.chroma_height(64)
    if down < 64:
        return Chroma.C420
    return Chroma.C444 if across == 64 else Chroma.C422
