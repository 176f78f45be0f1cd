"""The card's own decoder (NVDEC), and pictures in the memory of a card.

Only formats that the card decodes, and whose standard says of every sample what it must be, so
that work can go on elsewhere: H.264, HEVC, VP9, VP8. AV1 is read by dav1d, which PyAV prefers.
FFmpeg's decoder works in the default stream of the card's primary context, which is PyTorch's
default stream too; a thread that decodes leaves that stream current.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.devices import new_stream, record_event
from remote_runner.video.layout import SURFACES, as_signed, layout_of, split_surface
from remote_runner.video.signal import Signal
from remote_runner.video.source import MAX_PIXELS, codec_name, open_source

#: What decoders of cards take at most, by codec: bits of a sample. All of it 4:2:0.
_BITS = {"h264": 8, "hevc": 10, "vp9": 8, "vp8": 8}
#: Lossless H.264, which no card decodes (NVIDIA Video Codec SDK, NVDEC support matrix). FFmpeg
#: offers it all the same, and a black first frame would not give the difference away.
_NO_CARD = "High 4:4:4 Predictive"

#: Surfaces beside those that the standard asks for: frames come out in bunches at the end.
_SPARE_SURFACES = 8

#: The pixel format of a frame that lies on a card.
_ON_CARD = "cuda"


@dataclass(frozen=True, slots=True)
class CardPlanes:
    """Planes of a picture on a card, perhaps still on their way there."""

    tensors: list[Tensor]
    there: torch.cuda.Event

    def take(self) -> list[Tensor]:
        """The planes, for use in the current stream: it waits, the thread does not."""
        stream = torch.cuda.current_stream(self.tensors[0].device)
        stream.wait_event(self.there)
        for tensor in self.tensors:
            tensor.record_stream(stream)
        return self.tensors


class Uploader:
    """Takes frames that the processor decoded to a card, through pinned memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = new_stream(device)

    def take(self, frame: VideoFrame) -> CardPlanes:
        """Begin to copy a planar frame."""
        layout = layout_of(frame.format.name, frame.width, frame.height)
        host = torch.empty(layout.bytes, dtype=torch.uint8, pin_memory=True)
        for target, plane in zip(layout.planes(host), frame.planes, strict=True):
            target.copy_(as_signed(from_dlpack(plane)))
        with torch.cuda.stream(self._stream):
            block = host.to(self._device, non_blocking=True)
        return CardPlanes(layout.planes(block), record_event(self._stream))


def copy_out(frame: VideoFrame, device: torch.device) -> CardPlanes:
    """Copy a decoder's surface at once: there are few of them, and it overwrites them."""
    stream = torch.cuda.default_stream(device)
    with torch.cuda.stream(stream):
        return CardPlanes(split_surface(frame), record_event(stream))


def is_on_card(frame: VideoFrame) -> bool:
    """Whether a decoder left the frame on a card."""
    return frame.format.name == _ON_CARD


def is_surface_of(frame: VideoFrame, pix_fmt: str) -> bool:
    """Whether a frame lies on a card and has the samples of a planar format."""
    surface = frame.sw_format if is_on_card(frame) else None
    return surface is not None and surface.name == SURFACES.get(pix_fmt)


def is_decodable(stream: VideoStream, first: VideoFrame, signal: Signal) -> bool:
    """Whether a card's decoder is worth a try, from what the processor's made of the first frame.

    Sides must be even: PyAV gives out half of the rows and columns of chroma, rounded down.
    """
    plain = first.format.name.replace("yuvj", "yuv")
    return (
        plain == signal.pix_fmt
        and plain in SURFACES
        and signal.bits <= _BITS.get(codec_name(stream), 0)
        and stream.profile != _NO_CARD
        and first.width % 2 == 0
        and first.height % 2 == 0
    )


def open_on_card(path: Path, device: torch.device) -> InputContainer:
    """A file whose frames are decoded on the card where that is possible; to be called in a thread
    where PyTorch was at work on it."""
    with torch.cuda.device(device):
        return open_source(path, hwaccel=_accelerator(device))


def bound_card_decoder(stream: VideoStream) -> None:
    """Settings of a decoder on the card: threads of the processor are of no use to it."""
    context = stream.codec_context
    context.options = {
        "max_pixels": str(MAX_PIXELS * 2),
        "extra_hw_frames": str(_SPARE_SURFACES),
    }
    context.thread_count = 1


def differs(on_card: VideoFrame | None, decoded: VideoFrame) -> str | None:
    """What tells a card's frame from the processor's; None where all samples are the same."""
    if on_card is None or not is_on_card(on_card):
        return "the card left the decoding to the processor"
    if not is_surface_of(on_card, decoded.format.name.replace("yuvj", "yuv")):
        return f"the card gives {on_card.sw_format}"
    if (on_card.width, on_card.height) != (decoded.width, decoded.height):
        return f"the card gives {on_card.width}x{on_card.height}"
    if not equal_samples(split_surface(on_card), decoded):
        return "the card gives other samples"
    return None


def equal_samples(planes: list[Tensor], decoded: VideoFrame) -> bool:
    """Whether planes on any device are those of a planar frame."""
    return all(
        torch.equal(plane.cpu(), as_signed(from_dlpack(truth)))
        for plane, truth in zip(planes, decoded.planes, strict=True)
    )


def _accelerator(device: torch.device) -> HWAccel:
    # PyTorch and FFmpeg share memory in one context. It is the primary one, but FFmpeg must not be
    # asked for that: it refuses it once PyTorch has set it up, with other flags.
    return HWAccel(
        "cuda",
        device=str(device.index or 0),
        options={"primary_ctx": "0", "current_ctx": "1"},
        allow_software_fallback=True,
        is_hw_owned=True,
    )
