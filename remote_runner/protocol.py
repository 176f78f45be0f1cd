"""What controller and runner say to each other: documents in a mailbox in storage.

Every document is a frozen dataclass that travels as JSON and has one writer. The controller
writes :class:`Orders` (polled by the runner) and, per attempt, a :class:`Grant` (read once); the
runner writes :class:`Status` again and again and :class:`Result` last. Unknown keys are ignored,
so that an older reader understands a newer writer of the same :data:`VERSION`; another version is
a :class:`ProtocolError`.

Standard library only. Times are UTC epoch seconds (``…_at``) or seconds (``…_s``), sizes bytes.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any, TypeVar

VERSION = 1

#: Printed by the runner once per job, after its result is uploaded. A hint, never a decision.
MARKER = "VASTAI_PIPELINE_COMPLETED_SUCCESSFULLY"
GREETING = "=== Remote Runner Starting ==="


class ProtocolError(ValueError):
    """A document that is not what it should be: no JSON, a wrong type, key or version."""


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


class Phase(StrEnum):
    """Where a runner is with its attempt, in this order; ``idle`` between jobs."""

    STARTING = "starting"
    FETCHING = "fetching"
    PROCESSING = "processing"
    VERIFYING = "verifying"
    UPLOADING = "uploading"
    FINISHED = "finished"
    IDLE = "idle"


class Outcome(StrEnum):
    """How an attempt ended on the machine."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why the runner refused or failed. Every value has a text in every language of the bot."""

    # the input is at fault: no other machine would do better
    EMPTY_FILE = "empty_file"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    PICTURE_TOO_SMALL = "picture_too_small"
    PICTURE_TOO_LARGE = "picture_too_large"
    FILE_TOO_LARGE = "file_too_large"
    VIDEO_TOO_LONG = "video_too_long"
    UNSUPPORTED = "unsupported"
    PROBE_LIMIT = "probe_limit"
    BAD_TASK = "bad_task"
    NOTHING_TO_DO = "nothing_to_do"
    # the machine is at fault: another one may do better
    DISK_FULL = "disk_full"
    OUT_OF_MEMORY = "out_of_memory"
    NO_DEVICE = "no_device"
    MODEL_UNAVAILABLE = "model_unavailable"
    ENCODER_FAILED = "encoder_failed"
    TRANSFER_FAILED = "transfer_failed"
    GATE_FAILED = "gate_failed"
    DEADLINE = "deadline"
    INTERNAL = "internal"

    @property
    def is_input_fault(self) -> bool:
        return self not in _MACHINE_FAULTS


_MACHINE_FAULTS = frozenset(
    {
        Reason.DISK_FULL,
        Reason.OUT_OF_MEMORY,
        Reason.NO_DEVICE,
        Reason.MODEL_UNAVAILABLE,
        Reason.ENCODER_FAILED,
        Reason.TRANSFER_FAILED,
        Reason.GATE_FAILED,
        Reason.DEADLINE,
        Reason.INTERNAL,
    }
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a file holds, as ``remote_runner probe`` finds it."""

    container: str
    bytes: int
    duration_s: float
    """End of the last video packet minus start of the first, counted from the packets."""
    width: int
    height: int
    """Picture size as shown, in pixels: after rotation, before the sample aspect ratio."""
    rotation: int
    """Degrees counter-clockwise, one of 0, 90, 180, 270, by which the player turns the picture."""
    sar: str
    """Sample aspect ratio, ``1:1`` for square pixels."""
    fps: str
    """Average frame rate as an exact fraction, ``24000/1001``."""
    vfr: bool
    """Whether the time between frames varies by more than a rounding of the time base."""
    frames: int
    """Video frames counted from the packets."""
    codec: str
    pix_fmt: str
    bit_depth: int
    matrix: str
    range: str
    transfer: str
    interlaced: bool
    audio: tuple[str, ...]
    """One entry a stream: codec, and language where known, as ``aac/rus``."""
    subtitles: tuple[str, ...]
    chapters: int
    notes: tuple[str, ...] = ()
    """What was assumed or is unusual, one code each, e.g. ``matrix_assumed:bt601``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a machine is to do now. Written by the controller only, polled by the runner."""

    machine: str
    sequence: int
    """Grows with every change, so that a stale copy is told from a new one."""
    deadline_at: float
    """When the machine ends by itself, whatever happens. Never moves."""
    idle_s: float
    """How long the machine waits for a next job before it ends by itself."""
    status_url: str
    """Where a runner without a job puts its :class:`Status`."""
    job: str | None = None
    attempt: int | None = None
    grant_url: str | None = None
    cancel: bool = False
    """Stop the current attempt, report it as cancelled, then wait for the next orders."""
    stop: bool = False
    """Finish nothing, end the process."""
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One attempt: the job and every URL that it may touch."""

    job: str
    attempt: int
    task: Task
    source_url: str
    source_name: str
    source_bytes: int
    output_url: str
    picture_url: str
    """Where a before/after picture (PNG) goes."""
    status_url: str
    log_url: str
    result_url: str
    deadline_at: float
    device: str = "auto"
    """``auto``, ``cuda`` or ``cpu``."""
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A sign of life. Overwritten every few seconds."""

    sequence: int
    heartbeat_at: float
    phase: Phase
    job: str | None = None
    attempt: int | None = None
    done: int = 0
    """Output frames finished in this phase."""
    total: int = 0
    fps: float = 0.0
    """Output frames per second, over the last few seconds."""
    eta_s: float | None = None
    device: str = ""
    vram_free: int | None = None
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the gate before "done"."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt ended. Written once, last; after it the machine forgets the attempt."""

    job: str
    attempt: int
    outcome: Outcome
    reason: Reason | None = None
    detail: str = ""
    """For people and logs, in English; never the whole of what the user is told."""
    sha256: str | None = None
    bytes: int = 0
    extension: str = ""
    """Container of the output, ``mp4`` or ``mkv``: it may differ from the input's."""
    facts: Facts | None = None
    """The output, probed on the machine."""
    checks: tuple[Check, ...] = ()
    kept: tuple[str, ...] = ()
    """Streams carried over, ``audio:aac/rus``."""
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was assumed or converted, one code each."""
    model: str = ""
    device: str = ""
    fps: float = 0.0
    """Output frames per second over the whole of the processing phase."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds per phase."""
    version: int = VERSION


Document = TypeVar("Document", Task, Facts, Orders, Grant, Status, Check, Result)


def to_json(document: Task | Facts | Orders | Grant | Status | Check | Result) -> str:
    """A document as one line of JSON."""
    return json.dumps(dataclasses.asdict(document), ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[Document], text: str | bytes) -> Document:
    """Read a document; :class:`ProtocolError` says what is wrong with it."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{kind.__name__}: no JSON: {error}") from None
    return typing.cast(Document, _build(kind, raw, kind.__name__))


def _build(kind: type[Any], raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise ProtocolError(f"{where}: an object is expected, not {type(raw).__name__}")
    if raw.get("version", VERSION) != VERSION:
        raise ProtocolError(f"{where}: version {raw['version']} is not {VERSION}")
    hints = typing.get_type_hints(kind)
    values = {}
    for item in dataclasses.fields(kind):
        if item.name in raw:
            values[item.name] = _convert(hints[item.name], raw[item.name], f"{where}.{item.name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise ProtocolError(f"{where}: {item.name} is missing")
    return kind(**values)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
        return _convert(hint, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), "a list", value, where)
        return tuple(_convert(typing.get_args(hint)[0], each, where) for each in value)
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, where)
        return {
            key: _convert(typing.get_args(hint)[1], each, where) for key, each in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type[Any], hint), value, where)
    if issubclass(hint, StrEnum):
        _expect(isinstance(value, str) and value in set(hint), f"a {hint.__name__}", value, where)
        return hint(value)
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _expect(number and abs(value) < 1e18, "a number", value, where)
        return float(value)
    _expect(type(value) is hint, hint.__name__, value, where)
    return value


def _expect(holds: bool, what: str, value: Any, where: str) -> None:
    if not holds:
        raise ProtocolError(f"{where}: {what} is expected, not {str(value)[:60]!r}")
