"""The encoder: which one, with what settings, and whether it works on this machine at all."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast

import av
import av.error
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Reason, Task
from remote_runner.video.geometry import Geometry, asks_for_av1
from remote_runner.video.layout import SURFACES
from remote_runner.video.signal import Chroma, HdrSideData, Signal

#: Longest side that players decode: H.264 level 5.2, HEVC level 6.2, AV1 level 6.3.
LONGEST = {"h264": 4096, "hevc": 8192, "av1": 8192}

_DEFAULT_CRF = {"h264": 18, "hevc": 20, "av1": 30}
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
#: x265 writes beyond its memory where the picture is 48 pixels wide or less (seen with 4.2).
_NARROWEST = {"h264": 2, "hevc": 64, "av1": 2}
#: SVT-AV1 counts its presets from 0 (slow) to 13. It warns of visible faults from 10 on.
_SVT_PRESETS = {
    "ultrafast": 9,
    "superfast": 9,
    "veryfast": 9,
    "faster": 8,
    "fast": 8,
    "medium": 7,
    "slow": 6,
    "slower": 4,
    "veryslow": 2,
}
_SVT_QUICKEST = "11"
_UNSPECIFIED = 2
#: Where chroma lies, by its code (ITU-T H.264 E.2.1); at the left where nothing is said.
_SITINGS = {"center": 1, "topleft": 2, "top": 3, "bottomleft": 4, "bottom": 5}

#: x265 gives decoding times from memory it never set when a video ends before its first frames
#: were reordered: with one or two frames in all (seen with x265 4.2).
_REORDERED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPlan:
    """Everything that an encoder is opened with."""

    encoder: str
    codec: str
    """``h264``, ``hevc`` or ``av1``."""
    pix_fmt: str
    width: int
    height: int
    sar: Fraction
    rate: Fraction
    """Average frames per second: a hint for rate control, no clock."""
    time_base: Fraction
    full_range: bool
    matrix: int
    primaries: int
    transfer: int
    options: dict[str, str]
    on_card: bool = False
    """Whether frames come as surfaces on a card."""


def output_format(signal: Signal, codec: str = "") -> str:
    """The pixel format that is encoded: the source's own, but 4:2:0 for grey, which players lack,
    and for AV1, of which they lack every other."""
    if signal.chroma is not Chroma.GRAY and codec != "av1":
        return signal.pix_fmt
    return "yuv420p" if signal.bits == 8 else "yuv420p10le"


def written_signal(signal: Signal, codec: str) -> Signal:
    """The signal of what is encoded: grey keeps its own, its chroma planes are left neutral."""
    pix_fmt = output_format(signal, codec)
    if pix_fmt == signal.pix_fmt or signal.chroma is Chroma.GRAY:
        return signal
    return replace(signal, chroma=Chroma.C420, pix_fmt=pix_fmt)


def choose_codec(task: Task, signal: Signal, width: int, height: int) -> str:
    """``auto`` is AV1 in WebM, which takes nothing else that is made here; else H.264 for 8 bit up
    to 4096 pixels a side, and HEVC beyond: few players decode H.264 in 10 bit."""
    if task.codec != "auto":
        return task.codec
    if asks_for_av1(task):
        return "av1"
    fits_h264 = max(width, height) <= LONGEST["h264"]
    is_plain = signal.bits == 8 or width < _NARROWEST["hevc"]
    return "h264" if fits_h264 and is_plain else "hevc"


def plan_encoder(
    task: Task,
    signal: Signal,
    geometry: Geometry,
    *,
    rate: Fraction,
    time_base: Fraction,
    frames: int,
    side_data: HdrSideData,
) -> EncoderPlan:
    """Choose and configure the encoder for a task.

    Raises :class:`InputError` when an outright wish cannot be met.
    """
    width, height = geometry.outer_size
    codec = choose_codec(task, signal, width, height)
    if max(width, height) > LONGEST[codec] or width < _NARROWEST[codec]:
        raise InputError(Reason.BAD_TASK, f"{codec} cannot hold {width}x{height} pixels")
    return EncoderPlan(
        encoder=_ENCODERS[codec],
        codec=codec,
        pix_fmt=output_format(signal, codec),
        width=width,
        height=height,
        sar=geometry.sar,
        rate=rate.limit_denominator(100_000),
        time_base=time_base,
        full_range=signal.full_range,
        matrix=signal.used_matrix if signal.matrix == _UNSPECIFIED else signal.matrix,
        primaries=signal.primaries,
        transfer=signal.transfer,
        options=_options(task, codec, frames, signal, side_data),
    )


def plan_lossless(
    signal: Signal,
    size: tuple[int, int],
    *,
    sar: Fraction,
    rate: Fraction,
    time_base: Fraction,
    side_data: HdrSideData,
) -> EncoderPlan:
    """H.264 of exactly the same samples, quickly; ``size`` is (height, width), even with 4:2:0."""
    task = Task(codec="h264", crf=0, preset="ultrafast")
    return EncoderPlan(
        encoder=_ENCODERS["h264"],
        codec="h264",
        pix_fmt=signal.pix_fmt,
        width=size[1],
        height=size[0],
        sar=sar,
        rate=rate.limit_denominator(100_000),
        time_base=time_base,
        full_range=signal.full_range,
        matrix=signal.matrix,
        primaries=signal.primaries,
        transfer=signal.transfer,
        options=_options(task, "h264", 0, signal, side_data),
    )


def configure(target: VideoStream | VideoCodecContext, plan: EncoderPlan) -> None:
    """Set up an encoder that was not opened yet."""
    context = target.codec_context if isinstance(target, VideoStream) else target
    context.width, context.height = plan.width, plan.height
    # what cards encode has its chroma in one plane
    context.pix_fmt = SURFACES[plan.pix_fmt] if plan.on_card else plan.pix_fmt
    context.sample_aspect_ratio = plan.sar
    context.time_base = plan.time_base
    context.framerate = plan.rate
    context.color_range = 2 if plan.full_range else 1
    context.colorspace = plan.matrix
    context.color_primaries = plan.primaries
    context.color_trc = plan.transfer
    context.options = plan.options
    if plan.codec == "hevc":
        context.codec_tag = "hvc1"
    if plan.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors alone


def hurried(plan: EncoderPlan) -> EncoderPlan:
    """The same with the quickest preset, to try things out."""
    quick = _SVT_QUICKEST if plan.codec == "av1" else "ultrafast"
    return replace(plan, options={**plan.options, "preset": quick})


def try_encoder(plan: EncoderPlan) -> None:
    """Encode one frame to see that the encoder takes these settings here.

    Raises :class:`MachineError` with ``encoder_failed`` otherwise.
    """
    quick = hurried(plan)
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(quick.encoder, "w"))
        configure(context, quick)
        frame = VideoFrame(quick.width, quick.height, quick.pix_fmt)
        for plane in frame.planes:
            # Whatever lay in memory may be more than ten bits, which x264 aborts on.
            plane.update(bytes(plane.buffer_size))
        frame.pts = 0
        frame.time_base = quick.time_base
        if not [*context.encode(frame), *context.encode(None)]:
            raise MachineError(Reason.ENCODER_FAILED, f"{plan.encoder} gave no packet")
    except (av.error.FFmpegError, ValueError) as error:
        raise MachineError(
            Reason.ENCODER_FAILED, f"{plan.encoder} refuses {plan.width}x{plan.height}: {error}"
        ) from None


def _options(
    task: Task, codec: str, frames: int, signal: Signal, side_data: HdrSideData
) -> dict[str, str]:
    options = {
        "crf": str(_DEFAULT_CRF[codec] if task.crf is None else task.crf),
        "preset": task.preset or "medium",
    }
    if codec == "hevc":
        options["x265-params"] = _x265_params(task, frames, signal, side_data)
    if codec == "h264" and (params := _x264_params(task, signal, side_data)):
        options["x264-params"] = params
    if codec == "av1":
        options["preset"] = str(_SVT_PRESETS[options["preset"]])
        options["svtav1-params"] = _svt_params(signal, side_data)
    return options


def _x264_params(task: Task, signal: Signal, side_data: HdrSideData) -> str:
    params = _display_params(side_data, "mastering-display", "cll")
    if signal.siting in _SITINGS:
        params.append(f"chromaloc={_SITINGS[signal.siting]}")
    if task.crf == 0 and signal.bits > 8:
        params.append("qp=0")  # in 8 bit, that is what it means anyway
    return ":".join(params)


def _x265_params(task: Task, frames: int, signal: Signal, side_data: HdrSideData) -> str:
    params = ["log-level=error", *_hdr_params(side_data)]
    if frames < _REORDERED:
        params.append("bframes=0")
    if signal.siting in _SITINGS:
        params.append(f"chromaloc={_SITINGS[signal.siting]}")
    if task.crf == 0:
        params.append("lossless=1")  # as it is with x264 in 8 bit
    return ":".join(params)


def _svt_params(signal: Signal, side_data: HdrSideData) -> str:
    """SVT-AV1's own words: key frames that close what is before them, and HDR10 in real numbers
    (chromaticities, cd/m²)."""
    params = ["irefresh-type=2"]
    if signal.siting in ("left", "topleft"):
        params.append(f"chroma-sample-position={signal.siting}")
    if mastering := _mastering(side_data.mastering):
        rx, ry, gx, gy, bx, by, wx, wy, low, high = (f"{float(each):.5f}" for each in mastering)
        params.append(
            f"mastering-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
        )
    if light_level := _light_level(side_data.light_level):
        params.append(f"content-light={light_level[0]},{light_level[1]}")
    return ":".join(params)


def _hdr_params(side_data: HdrSideData) -> list[str]:
    told = side_data.mastering or side_data.light_level
    params = ["repeat-headers=1", "hdr10-opt=1"] if told else []
    return [*params, *_display_params(side_data, "master-display", "max-cll")]


def _display_params(side_data: HdrSideData, display_word: str, light_word: str) -> list[str]:
    """x264's or x265's words for the mastering display and light levels: both count chromaticity
    in 0.00002 and luminance in 0.0001 cd/m²."""
    params = []
    if display := _mastering(side_data.mastering):
        rx, ry, gx, gy, bx, by, wx, wy = (round(each * 50_000) for each in display[:8])
        low, high = (round(each * 10_000) for each in display[8:])
        params.append(
            f"{display_word}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
        )
    if light := _light_level(side_data.light_level):
        params.append(f"{light_word}={light[0]},{light[1]}")
    return params


def _mastering(data: bytes | None) -> list[Fraction] | None:
    """The mastering display (SMPTE ST 2086): x and y of red, green, blue and white, then least
    and most luminance in cd/m².

    The bytes are FFmpeg's AVMasteringDisplayMetadata: ten 32-bit fractions, then two flags.
    """
    if data is None or len(data) < 88:
        return None
    parts = struct.unpack("=20i2i", data[:88])
    if not (parts[20] and parts[21] and all(parts[1:20:2])):
        return None
    return [Fraction(parts[i], parts[i + 1]) for i in range(0, 20, 2)]


def _light_level(data: bytes | None) -> tuple[int, int] | None:
    """Most and average light (CTA-861.3), from FFmpeg's AVContentLightMetadata."""
    return struct.unpack("=2I", data[:8]) if data and len(data) >= 8 else None
