"""What a user wants done to a video: a part of the protocol. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

#: Models that can be asked for by name; the runner's catalog has the same.
MODELS = ("auto", "starter", "realesr-animevideov3", "realesr-general-x4v3")


class Mode(StrEnum):
    """What is done to the video."""

    UPSCALE = "upscale"
    INTERP = "interp"
    BOTH = "both"

    @property
    def upscales(self) -> bool:
        return self is not Mode.INTERP

    @property
    def interpolates(self) -> bool:
        return self is not Mode.UPSCALE


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the user wants done, the whole of it; :meth:`problems` checks it."""

    mode: Mode = Mode.UPSCALE
    scale: int = 2
    """Enlargement, 2 or 4; ignored where ``size`` is set or the mode does not upscale."""
    size: str | None = None
    """Exact output size as ``WIDTHxHEIGHT`` in pixels; the picture is fitted with borders."""
    factor: int = 2
    """Output frames per source frame; ignored where ``fps`` is set or nothing is interpolated."""
    fps: str | None = None
    """Target frames per second as a decimal or a fraction: ``60``, ``59.94``, ``24000/1001``."""
    model: str = "auto"
    """Name in the runner's catalog; ``auto`` lets the runner choose."""
    codec: str = "auto"
    """``h264`` or ``hevc``; ``auto`` is H.264 where its limits allow."""
    crf: int | None = None
    """Constant rate factor of the encoder, 0 (best) to 51; none is the codec's default here."""
    preset: str | None = None
    """Speed preset of the encoder, ``ultrafast`` … ``veryslow``; none is ``medium``."""

    def problems(self) -> list[str]:
        """What is wrong with this task, in English for logs; empty when it can be carried out."""
        found = []
        if self.mode.upscales and self.size is None and self.scale not in (2, 4):
            found.append(f"scale must be 2 or 4, not {self.scale}")
        if self.size is not None:
            try:
                parse_size(self.size)
            except ValueError as error:
                found.append(str(error))
        if self.fps is not None:
            try:
                parse_fps(self.fps)
            except ValueError as error:
                found.append(str(error))
        if self.mode.interpolates and self.fps is None and not 2 <= self.factor <= 8:
            found.append(f"factor must be 2 to 8, not {self.factor}")
        if self.codec not in ("auto", "h264", "hevc"):
            found.append(f"codec must be h264 or hevc, not {self.codec}")
        if self.crf is not None and not 0 <= self.crf <= 51:
            found.append(f"crf must be 0 to 51, not {self.crf}")
        if self.preset is not None and self.preset not in PRESETS:
            found.append(f"preset must be one of {', '.join(PRESETS)}, not {self.preset}")
        return found

    def what(self, source_fps: Fraction) -> str:
        """What was done, as result names say it: ``x2``, ``1080p``, ``60fps``, ``x2_60fps``."""
        parts = []
        if self.mode.upscales:
            parts.append(f"x{self.scale}" if self.size is None else _size_name(self.size))
        if self.mode.interpolates:
            parts.append(f"{float(self.target_fps(source_fps)):.4g}fps")
        return "_".join(parts)

    def target_fps(self, source_fps: Fraction) -> Fraction:
        """Frames per second of the output, on average where the source's rate varies."""
        if not self.mode.interpolates:
            return source_fps
        return source_fps * self.factor if self.fps is None else parse_fps(self.fps)

    def target_size(self, width: int, height: int) -> tuple[int, int]:
        """Output size in pixels of a ``width`` × ``height`` source, before rounding to even."""
        if not self.mode.upscales:
            return width, height
        return (
            (width * self.scale, height * self.scale)
            if self.size is None
            else parse_size(self.size)
        )


PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip


def parse_size(text: str) -> tuple[int, int]:
    """``"1920x1080"`` → ``(1920, 1080)``: even, 16 to 8192, else :class:`ValueError`."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"size must look like 1920x1080, not {text!r}")
    size = int(width), int(height)
    if any(side < 16 or side > 8192 or side % 2 for side in size):
        raise ValueError(f"both sides of a size must be even, 16 to 8192, not {text}")
    return size


#: Decimal names of the NTSC rates and what they stand for (SMPTE ST 12-1: nominal × 1000/1001).
_NTSC = {
    "23.976": Fraction(24000, 1001),
    "23.98": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "47.952": Fraction(48000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}


def parse_fps(text: str) -> Fraction:
    """``"60"``, ``"59.94"``, ``"24000/1001"`` → an exact rate, 1 to 240; else ValueError."""
    try:
        rate = _NTSC[text] if text in _NTSC else Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"fps must look like 60, 59.94 or 24000/1001, not {text!r}") from None
    if not 1 <= rate <= 240:
        raise ValueError(f"fps must be 1 to 240, not {text}")
    if rate.denominator > 1001:
        raise ValueError(f"fps must be a rate that players know, not {text}")
    return rate


def _size_name(size: str) -> str:
    width, height = parse_size(size)
    usual = {(1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)}
    return f"{height}p" if (width, height) in usual else f"{width}x{height}"
