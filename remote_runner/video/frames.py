"""Frames for the encoder: on the processor, or copied from the card, or left on it.

RGB never leaves the card: what is copied are the planes that the encoder takes. The thread that
runs the networks waits for none of it; the encoder's thread waits, when it asks for the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import torch
from av.video.frame import CudaContext, VideoFrame
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from remote_runner.devices import new_stream, record_event
from remote_runner.video.colour import Colours
from remote_runner.video.decode import Picture
from remote_runner.video.layout import (
    SURFACES,
    empty_surface,
    fill_surface,
    layout_of,
    raise_bits,
    surface_frame,
)

#: A frame, or what waits for its copy and then gives it.
Promised: TypeAlias = VideoFrame | Callable[[], VideoFrame]


def ready(frame: Promised) -> VideoFrame:
    """The frame itself; waits in the thread that asks."""
    return frame if isinstance(frame, VideoFrame) else frame()


class FrameMaker(Protocol):
    """Makes frames of one size and format."""

    def make(self, outer: Tensor) -> Promised:
        """RGB 3×H×W of the outer size, on the device → a frame."""

    def pass_on(self, picture: Picture) -> Promised:
        """A frame with the samples of a decoded picture, which has the encoder's format."""


class HostFrames:
    """Frames in the memory of the processor, in any planar format."""

    def __init__(self, size: tuple[int, int], pix_fmt: str, colours: Colours) -> None:
        """``size`` is width and height of the coded picture."""
        self._size = size
        self._format = pix_fmt
        self._colours = colours
        self._layout = layout_of(pix_fmt, *size)
        self._fetcher: Fetcher | None = None

    def make(self, outer: Tensor) -> Promised:
        if outer.device.type == "cpu":
            frame = VideoFrame(*self._size, self._format)
            self._colours.to_planes(outer, [from_dlpack(plane) for plane in frame.planes])
            return frame
        block = torch.empty(self._layout.bytes, dtype=torch.uint8, device=outer.device)
        self._colours.to_planes(outer, self._layout.planes(block))
        return self._fetch(block)

    def pass_on(self, picture: Picture) -> Promised:
        if picture.frame is not None:
            return picture.frame
        planes = picture.planes()
        block = torch.empty(self._layout.bytes, dtype=torch.uint8, device=planes[0].device)
        for target, plane in zip(self._layout.planes(block), planes, strict=True):
            target.copy_(plane)
        return self._fetch(block)

    def _fetch(self, block: Tensor) -> Promised:
        if self._fetcher is None:
            self._fetcher = Fetcher(block.device)
        wait = self._fetcher.fetch(block)
        return Once(lambda: self._layout.frame(wait(), self._format))


class Fetcher:
    """Copies blocks of bytes from a card, in a stream of its own."""

    def __init__(self, device: torch.device) -> None:
        self._stream = new_stream(device) if device.type == "cuda" else None

    def fetch(self, block: Tensor) -> Callable[[], Tensor]:
        """Begin to copy; the function waits for the end. The block must not be written to.

        PyTorch keeps a pool of pinned memory: a place is taken again once its tensor is gone.
        """
        if self._stream is None:
            return lambda: block
        host = torch.empty(block.shape, dtype=block.dtype, pin_memory=True)
        self._stream.wait_stream(torch.cuda.current_stream(block.device))
        with torch.cuda.stream(self._stream):
            host.copy_(block, non_blocking=True)
        block.record_stream(self._stream)
        # while a thread waits, its processor is the encoder's
        copied = record_event(self._stream, sleeping=True)

        def wait() -> Tensor:
            copied.synchronize()
            return host

        return wait


class CudaFrames:
    """Frames that stay on the card, for its own encoder: 4:2:0 in 8 or 10 bits."""

    def __init__(self, pix_fmt: str, colours: Colours, device: torch.device) -> None:
        """``pix_fmt`` is one of the keys of :data:`SURFACES`."""
        self._surface = SURFACES[pix_fmt]
        self._colours = colours
        self._device = device
        self._stream, self._context = encoder_context(device)

    def make(self, outer: Tensor) -> Promised:
        luma, chroma = empty_surface(self._surface, _size(outer), self._device)
        self._colours.to_planes(outer, [luma, chroma[..., 0], chroma[..., 1]])
        raise_bits(self._surface, luma, chroma)
        return self._promise(luma, chroma)

    def pass_on(self, picture: Picture) -> Promised:
        planes = picture.planes()
        luma, chroma = empty_surface(self._surface, _size(planes[0]), self._device)
        fill_surface(self._surface, luma, chroma, planes)
        return self._promise(luma, chroma)

    def _promise(self, luma: Tensor, chroma: Tensor) -> Promised:
        made = record_event(torch.cuda.current_stream(self._device))

        def give() -> VideoFrame:
            # What the encoder does comes after this in its stream; nobody waits.
            self._stream.wait_event(made)
            for plane in (luma, chroma):
                plane.record_stream(self._stream)
            with torch.cuda.device(self._device):
                return surface_frame(self._surface, luma, chroma, self._context)

        return Once(give)


def encoder_context(device: torch.device) -> tuple[torch.cuda.Stream, CudaContext]:
    """The stream that the card's encoder reads frames in, and what tells FFmpeg of it.

    PyAV takes a stream of one's own for the first card alone. FFmpeg refuses the primary context
    once PyTorch has set it up (other flags), but takes it as the one that is current in the thread
    where it first makes a frame: here, where PyTorch was at work. Raises
    :class:`av.error.FFmpegError` where FFmpeg does not take it.
    """
    index = device.index or 0
    stream = torch.cuda.default_stream(device) if index else new_stream(device)
    context = CudaContext(
        device_id=index,
        primary_ctx=False,
        current_ctx=True,
        cuda_stream=None if index else stream.cuda_stream,
    )
    with torch.cuda.device(device):
        surface_frame("nv12", *empty_surface("nv12", (16, 16), device), context)
    return stream, context


class Once:
    """Asks once and remembers: a frame may be shown several times."""

    def __init__(self, give: Callable[[], VideoFrame]) -> None:
        self._give: Callable[[], VideoFrame] | None = give
        self._frame: VideoFrame | None = None

    def __call__(self) -> VideoFrame:
        if self._give is not None:
            # what it holds is not needed any more
            self._frame, self._give = self._give(), None
        assert self._frame is not None  # noqa: S101 - for the type checker
        return self._frame


def _size(plane: Tensor) -> tuple[int, int]:
    return plane.shape[-2], plane.shape[-1]
