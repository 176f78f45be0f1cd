"""The card's own encoder (NVENC): which settings mean the same, and whether it is there and right.

Frames stay on the card. The encoder is taken only after it encoded a picture in these very
settings whose samples came out well: some cards have none (A100, H100), others none for a codec,
and containers may hide it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import av
import av.error
import torch
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.video.encode import EncoderPlan, configure
from remote_runner.video.frames import encoder_context
from remote_runner.video.layout import (
    SURFACES,
    as_signed,
    empty_surface,
    fill_surface,
    layout_of,
    surface_frame,
)

log = logging.getLogger(__name__)

_ENCODERS = {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"}
_DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}

#: Longest side that the encoder takes, by codec (NVIDIA's support matrix).
_LONGEST = {"h264": 4096, "hevc": 8192, "av1": 8192}

#: The encoder's presets from quick (p1) to thorough (p7), by x264's names.
_PRESETS = {
    "ultrafast": "p1",
    "superfast": "p1",
    "veryfast": "p2",
    "faster": "p3",
    "fast": "p4",
    "medium": "p5",
    "slow": "p6",
    "slower": "p7",
    "veryslow": "p7",
}

#: HDR10's description of the display, which travels in words of the processor's encoders only.
_HDR_WORDS = ("master-display=", "mastering-display=", "cll=", "content-light=")

#: Mean difference of samples, of 256 levels, that a smooth picture may get by encoding.
_MEAN_ERROR = 3.0

#: Networks that cost less per pixel, in multiply-accumulates, outrun an encoder on the processor.
_LIGHT_MACS = 2_000_000
_MANY_PROCESSORS = 32


def plan_hardware_encoder(
    plan: EncoderPlan, device: torch.device, preset: str | None = None
) -> EncoderPlan | None:
    """The same with the card's encoder, where it can do that and did so just now.

    ``preset`` is x264's name for the wish. Not for lossless work, nor for HDR10 with its display's
    description, nor for chroma other than 4:2:0.
    """
    if device.type != "cuda" or (why := _out_of_reach(plan)):
        if device.type == "cuda":
            log.info("the processor encodes: %s", why)
        return None
    for candidate in candidates(plan, preset):
        why = try_on_card(candidate, device)
        if why is None:
            log.info("the card encodes: %s %s", candidate.encoder, candidate.options)
            return candidate
        log.info("%s does not work here: %s", candidate.encoder, why)
    return None


def candidates(plan: EncoderPlan, preset: str | None = None) -> Iterator[EncoderPlan]:
    """Settings to try, the best first: older cards have no B-frames in HEVC."""
    plain = {
        "preset": _PRESETS[preset or "medium"],
        "tune": "hq",
        "rc": "vbr",
        "cq": plan.options["crf"],
        "b": "0",
        "g": "250",
        "forced-idr": "1",
        "spatial-aq": "1",
        "strict_gop": "1",
    }
    for frames in ("3", "0"):
        yield replace(
            plan,
            encoder=_ENCODERS[plan.codec],
            options={**plain, "bf": frames},
            on_card=True,
        )


def relieve(plan: EncoderPlan, macs_per_pixel: int, processors: int) -> EncoderPlan:
    """The same with a preset that a card in front of it does not have to wait for as long.

    For a card without an encoder, where nobody asked for a preset. Heavy networks are slower than
    any encoder: nothing changes for them.
    """
    if macs_per_pixel > _LIGHT_MACS:
        return plan
    few = processors < _MANY_PROCESSORS
    quick, quicker = ("8", "9") if plan.codec == "av1" else ("faster", "veryfast")
    return replace(plan, options={**plan.options, "preset": quicker if few else quick})


def try_on_card(plan: EncoderPlan, device: torch.device) -> str | None:
    """Encode one picture from the card's memory and look at it: what is wrong, if anything."""
    surface = SURFACES[plan.pix_fmt]
    try:
        planes = _ramps(plan, device)
        luma, chroma = empty_surface(surface, (plan.height, plan.width), device)
        fill_surface(surface, luma, chroma, planes)
        stream, cuda_context = encoder_context(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        context = cast(VideoCodecContext, av.CodecContext.create(plan.encoder, "w"))
        configure(context, plan)
        context.pix_fmt = "cuda"
        with torch.cuda.device(device):
            frame = surface_frame(surface, luma, chroma, cuda_context)
        frame.pts, frame.time_base = 0, plan.time_base
        packets = [*context.encode(frame), *context.encode(None)]
        if unknown := sorted(context.options):
            log.warning("%s does not know %s", plan.encoder, unknown)
        return compare(plan, packets, [plane.cpu() for plane in planes])
    except (av.error.FFmpegError, ValueError, RuntimeError) as error:
        return f"{error}"


def compare(
    plan: EncoderPlan, packets: list[Packet[VideoStream]], planes: list[Tensor]
) -> str | None:
    """What is wrong with the picture in some packets, if anything, by the processor's decoder."""
    decoder = cast(VideoCodecContext, av.CodecContext.create(_DECODERS[plan.codec], "r"))
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    if len(frames) != 1:
        return f"{len(frames)} pictures came back"
    frame: VideoFrame = frames[0]
    if (frame.width, frame.height) != (plan.width, plan.height):
        return f"{frame.width}x{frame.height} came back"
    if frame.format.name.replace("yuvj", "yuv") != plan.pix_fmt:
        return f"{frame.format.name} came back"
    levels = 4 if planes[0].dtype is torch.int16 else 1
    for plane, given in zip(frame.planes, planes, strict=True):
        error = (as_signed(from_dlpack(plane)).int() - given.int()).abs().float().mean() / levels
        if not error <= _MEAN_ERROR:
            return f"samples are off by {float(error):.1f} in the mean"
    return None


def _out_of_reach(plan: EncoderPlan) -> str | None:
    if plan.pix_fmt not in SURFACES:
        return f"no surface holds {plan.pix_fmt}"
    if plan.codec == "h264" and plan.pix_fmt != "yuv420p":
        return "H.264 of cards has 8 bits"
    if max(plan.width, plan.height) > _LONGEST[plan.codec]:
        return f"{plan.width}x{plan.height} is too large"
    if plan.width % 2 or plan.height % 2:
        return f"{plan.width}x{plan.height} is odd"
    if float(plan.options["crf"]) == 0:
        return "lossless"
    if any(word in value for value in plan.options.values() for word in _HDR_WORDS):
        return "HDR10 with a description of the display"
    return None


def _ramps(plan: EncoderPlan, device: torch.device) -> list[Tensor]:
    """A smooth picture that is different in every plane and direction."""
    layout = layout_of(plan.pix_fmt, plan.width, plan.height)
    block = torch.empty(layout.bytes, dtype=torch.uint8, device=device)
    planes = layout.planes(block)
    unit = 4 if planes[0].dtype is torch.int16 else 1
    for number, plane in enumerate(planes):
        height, width = plane.shape
        across = torch.linspace(0, 1, width, device=device)
        down = torch.linspace(0, 1, height, device=device)[:, None]
        mixed = (0.3 + 0.2 * number) * across + (0.7 - 0.2 * number) * down
        plane.copy_((40 + 160 * mixed) * unit)
    return planes
