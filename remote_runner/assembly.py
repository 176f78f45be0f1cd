"""What turns pictures into frames on a device, put together to fit into its memory."""

from __future__ import annotations

import os

import torch

from remote_runner.memory import Admission, Workload, admit, reset_peak
from remote_runner.models.base import Interpolator, Upscaler
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Decoder
from remote_runner.video.encode import EncoderPlan, output_format, written_signal
from remote_runner.video.enlarge import Enlarger, passes, upscales_first
from remote_runner.video.frames import CudaFrames, FrameMaker, HostFrames
from remote_runner.video.geometry import Geometry
from remote_runner.video.nvenc import plan_hardware_encoder, relieve
from remote_runner.video.render import Renderer


def fastest_encoder(
    plan: EncoderPlan, device: torch.device, upscaler: Upscaler | None, preset: str | None
) -> EncoderPlan:
    """The card's own encoder where it has one; a quick preset where a card would have to wait for
    the processor and nobody asked for a ``preset``."""
    on_card = plan_hardware_encoder(plan, device, preset)
    if on_card is not None:
        return on_card
    if device.type != "cuda" or preset is not None:
        return plan
    macs = upscaler.macs_per_pixel if upscaler is not None else 0
    return relieve(plan, macs, len(os.sched_getaffinity(0)))


def build_renderer(
    *,
    decoder: Decoder,
    geometry: Geometry,
    encoder: EncoderPlan,
    device: torch.device,
    upscaler: Upscaler | None,
    interpolator: Interpolator | None,
) -> tuple[Renderer, Admission]:
    """The renderer, whose network works in as many bands as the free memory asks for."""
    upscale_first = _upscales_first(upscaler, interpolator, geometry)
    reset_peak(device)
    admission = admit(
        Workload(
            geometry=geometry,
            sample_bytes=1 if decoder.signal.bits == 8 else 2,
            upscaler=upscaler,
            passes=passes(geometry, upscaler.scale) if upscaler is not None else 0,
            interpolates=interpolator is not None,
            upscale_first=upscale_first,
            device=device,
        )
    )
    colours = Colours(decoder.signal, device)
    enlarger = None
    if upscaler is not None:
        enlarger = Enlarger(upscaler, geometry, bands=admission.bands)
    renderer = Renderer(
        signal=decoder.signal,
        orientation=decoder.orientation,
        geometry=geometry,
        enlarger=enlarger,
        interpolator=interpolator,
        upscale_first=upscale_first,
        output_format=output_format(decoder.signal, encoder.codec),
        colours=colours,
        frames=_frame_maker(decoder, geometry, encoder, colours),
    )
    return renderer, admission


def _frame_maker(
    decoder: Decoder, geometry: Geometry, encoder: EncoderPlan, colours: Colours
) -> FrameMaker:
    written = written_signal(decoder.signal, encoder.codec)
    into = colours if written == decoder.signal else Colours(written, colours.device)
    pix_fmt = output_format(decoder.signal, encoder.codec)
    if encoder.on_card:
        return CudaFrames(pix_fmt, into, colours.device)
    return HostFrames(geometry.outer_size, pix_fmt, into)


def _upscales_first(
    upscaler: Upscaler | None, interpolator: Interpolator | None, geometry: Geometry
) -> bool:
    if upscaler is None or interpolator is None:
        return upscaler is not None
    return upscales_first(upscaler, interpolator, geometry)
