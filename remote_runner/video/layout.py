"""Where samples lie: planar formats in one block of memory, and NV12 and P010, which cards use."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from av.video.format import VideoFormat
from av.video.frame import CudaContext, VideoFrame
from torch import Tensor
from torch.utils.dlpack import from_dlpack

#: Formats of the card's decoder and encoder, by the planar format with the same samples.
SURFACES = {"yuv420p": "nv12", "yuv420p10le": "p010le"}

#: Planes begin at multiples of this many bytes, as FFmpeg's own do.
_ALIGNMENT = 64

#: Rows of surfaces begin at multiples of this many bytes, as FFmpeg's own do.
_PITCH = 256

#: P010 has its ten bits at the top of sixteen.
_P010_SHIFT = 6
_TEN_BITS = 0x3FF


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The planes of a planar format in one block of memory."""

    shapes: tuple[tuple[int, int], ...]
    """Height and width in samples."""
    dtype: torch.dtype

    @property
    def offsets(self) -> tuple[int, ...]:
        """Bytes from the start of the block; the last one is its length."""
        found = [0]
        for shape in self.shapes:
            length = prod(shape) * self.dtype.itemsize
            found.append(found[-1] + -(-length // _ALIGNMENT) * _ALIGNMENT)
        return tuple(found)

    @property
    def bytes(self) -> int:
        """Length of the block."""
        return self.offsets[-1]

    def planes(self, block: Tensor) -> list[Tensor]:
        """Views H×W of a block of bytes, see :func:`as_signed`."""
        dtype = torch.int16 if self.dtype is torch.uint16 else self.dtype
        return [
            block[start : start + prod(shape) * dtype.itemsize].view(dtype).view(shape)
            for start, shape in zip(self.offsets, self.shapes, strict=False)
        ]

    def frame(self, block: Tensor, pix_fmt: str) -> VideoFrame:
        """A frame that shares the memory of a block on the processor."""
        planes = [plane.view(self.dtype) for plane in self.planes(block)]
        return VideoFrame.from_dlpack(planes, format=pix_fmt)


def layout_of(pix_fmt: str, width: int, height: int) -> Layout:
    """The layout of a planar format of one component a plane."""
    components = VideoFormat(pix_fmt, width, height).components
    wide = any(component.bits > 8 for component in components)
    return Layout(
        shapes=tuple((component.height, component.width) for component in components),
        dtype=torch.uint16 if wide else torch.uint8,
    )


def as_signed(plane: Tensor) -> Tensor:
    """Samples of two bytes as signed integers, which every kernel knows: up to 15 bits."""
    return plane.view(torch.int16) if plane.dtype is torch.uint16 else plane


def empty_surface(
    surface: str, size: tuple[int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Luma H×W and chroma H/2×W/2×2 of NV12 or P010; ``size`` is (H, W).

    Both lie in one block, chroma right behind the last row of luma: FFmpeg tells the encoder of a
    card where luma begins and how long a row is, and nothing of chroma.
    """
    height, width = size
    dtype = torch.uint8 if surface == "nv12" else torch.int16
    unit = _PITCH // dtype.itemsize
    pitch = -(-width // unit) * unit
    block = torch.empty((height + height // 2, pitch), dtype=dtype, device=device)
    chroma = block[height:].view(height // 2, pitch // 2, 2)
    return block[:height, :width], chroma[:, : width // 2]


def fill_surface(surface: str, luma: Tensor, chroma: Tensor, planes: list[Tensor]) -> None:
    """Copy three planes into what :func:`empty_surface` gave."""
    for target, plane in zip((luma, chroma[..., 0], chroma[..., 1]), planes, strict=True):
        target.copy_(plane)
    raise_bits(surface, luma, chroma)


def raise_bits(surface: str, *planes: Tensor) -> None:
    """Samples to where P010 has them, in place; NV12 stays as it is."""
    if surface != "nv12":
        for plane in planes:
            plane.bitwise_left_shift_(_P010_SHIFT)


def surface_frame(
    surface: str, luma: Tensor, chroma: Tensor, context: CudaContext | None = None
) -> VideoFrame:
    """A frame that shares the memory of what :func:`empty_surface` gave."""
    planes = [luma, chroma]
    if surface != "nv12":
        planes = [plane.view(torch.uint16) for plane in planes]
    if context is None:
        return VideoFrame.from_dlpack(planes, format=surface)
    return VideoFrame.from_dlpack(planes, format=surface, cuda_context=context)


def split_surface(frame: VideoFrame) -> list[Tensor]:
    """Copies of the samples of an NV12 or P010 frame, on the card or not, as planes Y, U and V.

    PyAV exports a surface without regard to streams, and refuses to be given one: the copies are
    made in the stream that is current, which must be the one that the decoder works in.
    """
    luma, chroma = (as_signed(from_dlpack(plane.__dlpack__())) for plane in frame.planes)
    planes = [luma.clone(), *chroma.movedim(-1, 0).clone(memory_format=torch.contiguous_format)]
    if luma.dtype is torch.int16:
        for plane in planes:
            plane.bitwise_right_shift_(_P010_SHIFT).bitwise_and_(_TEN_BITS)
    return planes
