"""Where tensors live: a graphics card or the processor, never the one for the other silently."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

import torch

from remote_runner.errors import MachineError
from remote_runner.protocol import Reason

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

#: What CUDA and cuDNN say of a card that they have no kernels for.
_UNSUPPORTED = ("no kernel image", "arch_mismatch")


def choose_device(wish: str) -> torch.device:
    """``cuda`` (or ``cuda:1``) or nothing, ``cpu``, or with ``auto`` whichever is there; a card
    always with its number.

    A card is tried with a small kernel. Raises :class:`MachineError` with ``no_device``, or with
    ``device_unsupported`` where PyTorch has no kernels for the card.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
        if device.type not in ("cpu", "cuda"):
            raise MachineError(Reason.NO_DEVICE, f"{wish} is not a device that is supported")
        if device.type != "cuda":
            return device
        if device.index is None:
            # not everything in PyTorch takes a card without a number
            device = torch.device("cuda", 0)
        _try_card(device)
    except RuntimeError as error:
        raise _refuse_device(wish, error) from None
    return device


def prove_device(wish: str, min_memory: int = 0) -> str:
    """Calculate on the device what networks calculate; its name if the results are right.

    A card works in half precision, as networks do there. ``min_memory`` is the least memory of a
    card in bytes, all of it; it says nothing of the processor. Raises :class:`MachineError` with
    ``no_device``, ``device_unsupported`` or ``device_too_small``.
    """
    device = choose_device(wish)
    try:
        if device.type == "cuda":
            _require_memory(device, min_memory)
        wrong = _wrong_results(device, torch.half if device.type == "cuda" else torch.float)
    except RuntimeError as error:
        raise _refuse_device(wish, error) from None
    name = describe_device(device)
    if wrong:
        raise MachineError(Reason.NO_DEVICE, f"{name} calculates wrong: {', '.join(wrong)}")
    return name


def describe_device(device: torch.device) -> str:
    """``cpu`` or the name of the card."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a card; none for the processor."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def tune_card(device: torch.device) -> None:
    """Settings for networks that see pictures of few sizes, and for exact colours.

    cuDNN tries its algorithms once for each shape. Products and convolutions of float32 keep all
    their bits: TF32 would cost colours two of ten. Networks calculate in float16 anyway.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let this thread work on a card in a stream of its own, beside the decoder's and copies.

    What the default stream had to do before comes first. Does nothing on the processor.
    """
    if device.type != "cuda":
        yield
        return
    stream = new_stream(device)
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield


def new_stream(device: torch.device, *, urgent: bool = False) -> torch.cuda.Stream:
    """A stream of a card. PyTorch has 32 of either kind and begins anew behind the last one: an
    ``urgent`` stream is none of the others."""
    stream: torch.cuda.Stream = torch.cuda.Stream(  # type: ignore[no-untyped-call]
        device, priority=-1 if urgent else 0
    )
    return stream


def record_event(stream: torch.cuda.Stream, *, sleeping: bool = False) -> torch.cuda.Event:
    """When all that a stream has to do now is done; ``sleeping`` is how threads wait for it."""
    event = torch.cuda.Event(blocking=sleeping)  # type: ignore[no-untyped-call]
    event.record(stream)
    return event


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


def _require_memory(device: torch.device, min_memory: int) -> None:
    total = torch.cuda.get_device_properties(device).total_memory
    if total < min_memory:
        raise MachineError(
            Reason.DEVICE_TOO_SMALL, f"{total} bytes of memory, {min_memory} are needed"
        )


def _wrong_results(device: torch.device, dtype: torch.dtype) -> list[str]:
    """Which kernels differ from the processor's double precision by more than a rounding."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) - 0.5).to(dtype)

    kernels: list[tuple[str, Kernel, torch.Tensor, torch.Tensor]] = [
        ("convolution", torch.conv2d, draw(1, 16, 64, 64), draw(16, 16, 3, 3)),
        ("matrix product", torch.matmul, draw(256, 256), draw(256, 256)),
    ]
    wrong = []
    for name, kernel, left, right in kernels:
        truth = kernel(left.double(), right.double())
        result = kernel(left.to(device), right.to(device)).cpu().double()
        # a NaN is no match either
        if not (result - truth).abs().max() <= 0.01 * truth.abs().max():
            wrong.append(name)
    return wrong


def _refuse_device(wish: str, error: RuntimeError) -> MachineError:
    text = str(error)
    unsupported = any(words in text.lower() for words in _UNSUPPORTED)
    reason = Reason.DEVICE_UNSUPPORTED if unsupported else Reason.NO_DEVICE
    return MachineError(reason, f"{wish}: {(text.splitlines() or [''])[0]}")
