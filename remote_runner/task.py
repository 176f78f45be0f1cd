"""What a user wants done to a video: a part of the protocol. Standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

#: Upscalers that can be asked for by name; the runner's catalog has the same.
MODELS = (
    "auto", "starter", "realesr-animevideov3", "realesr-general-x4v3",
    "RealESRGAN_x4plus", "RealESRGAN_x4plus_anime_6B", "RealESRGAN_x2plus",
)  # fmt: skip
#: Interpolators that can be asked for by name.
INTERPOLATORS = ("auto", "flow", "rife-4.6", "rife-4.25", "rife-4.26")
CODECS = ("auto", "h264", "hevc", "av1")
CONTAINERS = ("auto", "mp4", "mov", "mkv", "webm")
#: The one model whose strength can be set, by mixing it with a twin that keeps noise.
DENOISABLE = "realesr-general-x4v3"


class Fit(StrEnum):
    """What happens to a picture that is not of the shape that was asked for."""

    LETTERBOX = "letterbox"
    """All of it is shown, in black borders."""
    CROP = "crop"
    """The frame is filled, what does not fit is cut off evenly."""


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
    """Output size: ``WIDTHxHEIGHT`` in pixels exactly, or a name of :data:`NAMED_SIZES`, the
    largest picture of the source's own shape in that box, turned for an upright one."""
    fit: Fit = Fit.LETTERBOX
    """For an exact size; a named one has the picture's own shape."""
    factor: int = 2
    """Output frames per source frame; ignored where ``fps`` is set or nothing is interpolated."""
    fps: str | None = None
    """Target frames per second as a decimal or a fraction: ``60``, ``59.94``, ``24000/1001``; or
    ``same``, the source's average rate as a constant one."""
    model: str = "auto"
    """The upscaler: a name in the runner's catalog, or a weight file as a path, an object key or
    a URL that ends in ``#sha256=<hexadecimal>``; ``auto`` lets the runner choose."""
    interpolator: str = "auto"
    """Makes the frames between frames; given as ``model`` is."""
    denoise: float | None = None
    """Strength of :data:`DENOISABLE`, 0 keeps noise, 1 (as none) removes it."""
    container: str = "auto"
    """``mp4``, ``mov``, ``mkv`` or ``webm``; ``auto`` keeps the source's family."""
    codec: str = "auto"
    """``h264``, ``hevc`` or ``av1``; ``auto`` is H.264 where its limits allow."""
    crf: int | None = None
    """Constant rate factor of the encoder, 0 (best) to 51, for AV1 to 63; none is the codec's
    default here."""
    preset: str | None = None
    """Speed preset of the encoder, ``ultrafast`` … ``veryslow``; none is ``medium``."""

    def problems(self) -> list[str]:
        """What is wrong with this task, in English for logs; empty when it can be carried out."""
        found = [*self._media_problems(), *self._encoder_problems()]
        if self.mode.upscales and self.size is None and self.scale not in (2, 4):
            found.append(f"scale must be 2 or 4, not {self.scale}")
        if self.mode.interpolates and self.fps is None and not 2 <= self.factor <= 8:
            found.append(f"factor must be 2 to 8, not {self.factor}")
        if self.denoise is not None:
            if not 0 <= self.denoise <= 1:
                found.append(f"denoise must be 0 to 1, not {self.denoise:g}")
            if self.model != DENOISABLE:
                found.append(f"denoise is for the model {DENOISABLE} alone")
        return found

    def _media_problems(self) -> list[str]:
        found = []
        wishes: tuple[tuple[str | None, Callable[[str], object]], ...] = (
            (self.size, parse_size),
            (self.fps, _parse_rate),
        )
        for value, parse in wishes:
            try:
                if value is not None:
                    parse(value)
            except ValueError as error:
                found.append(str(error))
        return found

    def _encoder_problems(self) -> list[str]:
        found = [
            f"{name} must be one of {', '.join(known)}, not {value}"
            for name, value, known in (
                ("container", self.container, CONTAINERS),
                ("codec", self.codec, CODECS),
                ("preset", self.preset or "medium", PRESETS),
            )
            if value not in known
        ]
        if self.container == "webm" and self.codec not in ("auto", "av1"):
            found.append(f"webm holds av1, not {self.codec}")
        worst = 63 if self.codec == "av1" or self.container == "webm" else 51
        if self.crf is not None and not 0 <= self.crf <= worst:
            found.append(f"crf must be 0 to {worst}, not {self.crf}")
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
        if not self.mode.interpolates or self.fps == SAME_FPS:
            return source_fps
        return source_fps * self.factor if self.fps is None else parse_fps(self.fps)

    def target_size(self, width: int, height: int, sar: Fraction = Fraction(1)) -> tuple[int, int]:
        """Output size in pixels of a ``width`` × ``height`` source, before rounding to even.

        ``sar`` is the width of one source pixel by its height; it counts for a named size.
        """
        if not self.mode.upscales:
            return width, height
        if self.size is None:
            return width * self.scale, height * self.scale
        if self.size.lower() not in NAMED_SIZES:
            return parse_size(self.size)
        long, short = NAMED_SIZES[self.size.lower()]
        shape = Fraction(width, height) * sar
        box = (long, short) if shape >= 1 else (short, long)
        return min(box[0], round(box[1] * shape)), min(box[1], round(box[0] / shape))


PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
)  # fmt: skip

#: Boxes by the name that people know them by: longer side, shorter side.
NAMED_SIZES = {
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "2160p": (3840, 2160),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
}
#: Keeps the source's average rate and makes it a constant one.
SAME_FPS = "same"


def parse_size(text: str) -> tuple[int, int]:
    """``"1920x1080"`` → ``(1920, 1080)``: even, 16 to 8192; a name → its box lying down.

    Anything else is a :class:`ValueError`.
    """
    if text.lower() in NAMED_SIZES:
        return NAMED_SIZES[text.lower()]
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(
            f"size must look like 1920x1080 or be one of {', '.join(NAMED_SIZES)}, not {text!r}"
        )
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
        raise ValueError(
            f"fps must look like 60, 59.94 or 24000/1001, or be {SAME_FPS}, not {text!r}"
        ) from None
    if not 1 <= rate <= 240:
        raise ValueError(f"fps must be 1 to 240, not {text}")
    if rate.denominator > 1001:
        raise ValueError(f"fps must be a rate that players know, not {text}")
    return rate


def _parse_rate(text: str) -> Fraction | None:
    return None if text == SAME_FPS else parse_fps(text)


def _size_name(size: str) -> str:
    if size.lower() in NAMED_SIZES:
        return size.lower()
    width, height = parse_size(size)
    usual = {box: name for name, box in NAMED_SIZES.items() if name.endswith("p")}
    return usual.get((width, height), f"{width}x{height}")
