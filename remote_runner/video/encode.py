"""The encoder: which one, with what settings, and whether it works on this machine at all."""

from __future__ import annotations

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
from remote_runner.video.geometry import Geometry
from remote_runner.video.signal import Chroma, HdrSideData, Signal

#: Longest side that players decode: H.264 level 5.2, HEVC level 6.2.
H264_SIDE = 4096
HEVC_SIDE = 8192

_DEFAULT_CRF = {"h264": 18, "hevc": 20}
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_UNSPECIFIED = 2

#: x265 gives decoding times from memory it never set when a video ends before its first frames
#: were reordered: with one or two frames in all (seen with x265 4.2).
_REORDERED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderPlan:
    """Everything that an encoder is opened with."""

    encoder: str
    codec: str
    """``h264`` or ``hevc``."""
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


def output_format(signal: Signal) -> str:
    """The pixel format that is encoded: the source's own, but 4:2:0 for grey: players lack it."""
    if signal.chroma is not Chroma.GRAY:
        return signal.pix_fmt
    return "yuv420p" if signal.bits == 8 else "yuv420p10le"


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

    ``auto`` is H.264 for 8 bit up to 4096 pixels a side, else HEVC: few players decode H.264 in
    10 bit. Raises :class:`InputError` when an outright wish cannot be met.
    """
    longest = max(geometry.outer_size)
    codec = task.codec
    if codec == "auto":
        codec = "h264" if signal.bits == 8 and longest <= H264_SIDE else "hevc"
    if longest > (H264_SIDE if codec == "h264" else HEVC_SIDE):
        raise InputError(Reason.BAD_TASK, f"{codec} cannot hold {longest} pixels a side")
    options = {
        "crf": str(_DEFAULT_CRF[codec] if task.crf is None else task.crf),
        "preset": task.preset or "medium",
    }
    if codec == "hevc":
        options["x265-params"] = _x265_params(frames, side_data)
    return EncoderPlan(
        encoder=_ENCODERS[codec],
        codec=codec,
        pix_fmt=output_format(signal),
        width=geometry.outer_width,
        height=geometry.outer_height,
        sar=geometry.sar,
        rate=rate.limit_denominator(100_000),
        time_base=time_base,
        full_range=signal.full_range,
        matrix=signal.used_matrix if signal.matrix == _UNSPECIFIED else signal.matrix,
        primaries=signal.primaries,
        transfer=signal.transfer,
        options=options,
    )


def configure(target: VideoStream | VideoCodecContext, plan: EncoderPlan) -> None:
    """Set up an encoder that was not opened yet."""
    context = target.codec_context if isinstance(target, VideoStream) else target
    context.width, context.height = plan.width, plan.height
    context.pix_fmt = plan.pix_fmt
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


def try_encoder(plan: EncoderPlan) -> None:
    """Encode one frame to see that the encoder takes these settings here.

    Raises :class:`MachineError` with ``encoder_failed`` otherwise.
    """
    quick = replace(plan, options={**plan.options, "preset": "ultrafast"})
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


def _x265_params(frames: int, side_data: HdrSideData) -> str:
    params = ["log-level=error", *_hdr_params(side_data.mastering, side_data.light_level)]
    if frames < _REORDERED:
        params.append("bframes=0")
    return ":".join(params)


def _hdr_params(mastering: bytes | None, light_level: bytes | None) -> list[str]:
    """x265's words for the mastering display (SMPTE ST 2086) and light levels (CTA-861.3).

    The bytes are FFmpeg's AVMasteringDisplayMetadata (R, G, B primaries, white point, luminance,
    as 32-bit fractions, then two flags) and AVContentLightMetadata (two 32-bit integers). x265
    counts chromaticity in 0.00002 and luminance in 0.0001 cd/m².
    """
    params = ["repeat-headers=1", "hdr10-opt=1"] if mastering or light_level else []
    if mastering and len(mastering) >= 88:
        parts = struct.unpack("=20i2i", mastering[:88])
        if parts[20] and parts[21]:
            value = [_scaled(parts[i], parts[i + 1], 50_000) for i in range(0, 16, 2)]
            rx, ry, gx, gy, bx, by, wx, wy = value
            low, high = (_scaled(parts[i], parts[i + 1], 10_000) for i in (16, 18))
            params.append(
                f"master-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({high},{low})"
            )
    if light_level and len(light_level) >= 8:
        most, average = struct.unpack("=2I", light_level[:8])
        params.append(f"max-cll={most},{average}")
    return params


def _scaled(numerator: int, denominator: int, unit: int) -> int:
    return round(numerator * unit / denominator) if denominator else 0
