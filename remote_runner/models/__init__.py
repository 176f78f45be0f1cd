"""Networks and interpolators: what they are called, where they come from, how they are run."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """What runs an upscaling network."""

    TORCH = "torch"
    """Our own modules."""
    REALESRGAN = "realesrgan"
    """The ``realesrgan`` package, as its own video script uses it: to compare with."""
