"""Where tensors live: a graphics card or the processor, never the one for the other silently."""

from __future__ import annotations

import ctypes

import torch

from remote_runner.errors import MachineError
from remote_runner.protocol import Reason


def choose_device(wish: str) -> torch.device:
    """``cuda`` (or ``cuda:1``) or nothing, ``cpu``, or with ``auto`` whichever is there.

    A card is tried with a small kernel. Raises :class:`MachineError` with ``no_device``.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
        if device.type not in ("cpu", "cuda"):
            raise MachineError(Reason.NO_DEVICE, f"{wish} is not a device that is supported")
        if device.type == "cuda":
            _try_card(device)
    except RuntimeError as error:
        raise MachineError(Reason.NO_DEVICE, f"{wish}: {str(error).splitlines()[0]}") from None
    return device


def describe_device(device: torch.device) -> str:
    """``cpu`` or the name of the card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a card; none for the processor."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def keep_freed_memory() -> None:
    """Make the allocator of the C library keep what is freed, for the next picture.

    By default glibc gives large blocks back to the system at once, and every new picture pays for
    each of its pages again. The peak does not grow by it: pictures have one size. Does nothing
    where the C library is another. mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-1, 256 << 20)
        mallopt(-3, 32 << 20)


def _try_card(device: torch.device) -> None:
    if not torch.cuda.is_available():
        raise MachineError(Reason.NO_DEVICE, "this machine has no CUDA device")
    ones = torch.ones(64, 64, device=device)
    if float((ones @ ones).sum()) != 64.0**3:
        raise MachineError(Reason.NO_DEVICE, f"{device} calculates wrong")
