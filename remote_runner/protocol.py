"""What controller and runner say to each other: documents in a mailbox in storage.

Every document is a frozen dataclass that travels as JSON and has one writer. The controller
writes :class:`Orders` (polled by the runner) and, per attempt, a :class:`Grant` (read once); the
runner writes :class:`Status` again and again and :class:`Result` last. Unknown keys are ignored,
so that an older reader understands a newer writer of the same :data:`VERSION`; another version is
a :class:`ProtocolError`. Documents with URLs have no ``repr``: presigned URLs are secrets.

Standard library only. Times are UTC epoch seconds (``…_at``) or seconds (``…_s``), sizes bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from remote_runner.codes import NOTES, Reason
from remote_runner.documents import VERSION, ProtocolError, from_json, to_json
from remote_runner.task import (
    CODECS,
    CONTAINERS,
    DENOISABLE,
    INTERPOLATORS,
    MODELS,
    NAMED_SIZES,
    PRESETS,
    SAME_FPS,
    Fit,
    Mode,
    Task,
    parse_fps,
    parse_size,
)

__all__ = [
    "CODECS",
    "CONTAINERS",
    "DENOISABLE",
    "GREETING",
    "INTERPOLATORS",
    "MARKER",
    "MODELS",
    "NAMED_SIZES",
    "NOTES",
    "PART_BYTES",
    "PRESETS",
    "SAME_FPS",
    "VERSION",
    "Boot",
    "BootPhase",
    "Check",
    "Facts",
    "FinishedSegment",
    "Fit",
    "Grant",
    "Mode",
    "Orders",
    "Outcome",
    "Phase",
    "ProtocolError",
    "Reason",
    "Result",
    "SegmentUrls",
    "Status",
    "Task",
    "from_json",
    "parse_fps",
    "parse_size",
    "to_json",
]

#: Printed by the runner once per job, after its result is uploaded. A hint, never a decision.
MARKER = "VASTAI_PIPELINE_COMPLETED_SUCCESSFULLY"
#: Parts of an object but the last are at least so large: S3 and B2 refuse less than 5 MiB.
PART_BYTES = 8 << 20
GREETING = "=== Remote Runner Starting ==="


class Phase(StrEnum):
    """Where a runner is with its attempt, in this order; ``idle`` between jobs."""

    STARTING = "starting"
    FETCHING = "fetching"
    PROCESSING = "processing"
    VERIFYING = "verifying"
    UPLOADING = "uploading"
    FINISHED = "finished"
    IDLE = "idle"


class BootPhase(StrEnum):
    """Where a rented machine is before its runner lives, in this order."""

    ARMED = "armed"
    """The watchdog runs: at its deadline the machine ends by itself."""
    CHECKING = "checking"
    """The driver answers, the card is one that the software knows."""
    INSTALLING = "installing"
    TESTING = "testing"
    """A kernel runs on the real card."""
    STARTING = "starting"
    """The runner begins to follow its orders."""
    FAILED = "failed"


class Outcome(StrEnum):
    """How an attempt ended on the machine."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


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
    """One entry a stream that holds anything: codec, and language where known, as ``aac/rus``."""
    subtitles: tuple[str, ...]
    chapters: int
    notes: tuple[str, ...] = ()
    """What was assumed or is unusual, one code each, e.g. ``matrix_assumed:bt601``."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SegmentUrls:
    """Where one finished segment of the new video goes: its content, then its manifest."""

    content_url: str
    manifest_url: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FinishedSegment:
    """A segment that an earlier attempt left behind, for reading."""

    number: int
    content_url: str
    manifest_url: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
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
    output_parts: tuple[str, ...] = ()
    """Where storage takes a large object in parts: one URL a part, in order. The runner cuts the
    output into at most so many parts of one size, at least :data:`PART_BYTES`; the controller puts
    them together. Empty: the whole goes to ``output_url``."""
    result_seen_url: str = ""
    """For reading what lies at ``result_url``, which a URL for writing may not: a machine that was
    restarted finds out that an attempt is finished. Empty: ``result_url`` can be read."""
    segment_s: float = 20.0
    """Length of a segment of the new video, in seconds of the source."""
    segments: tuple[SegmentUrls, ...] = ()
    """Where the n-th segment goes as soon as it is finished. Beyond the last: nowhere."""
    finished: tuple[FinishedSegment, ...] = ()
    """What earlier attempts finished; the attempt goes on behind it."""
    clip_url: str = ""
    """Where a side-by-side clip of the busiest moment (MP4) goes; empty: none is wanted."""
    preview_url: str = ""
    """Where a playable preview of the first segment (MP4) goes while the work goes on."""
    frame_url: str = ""
    """Where a before/after picture (PNG) from the first segment goes while the work goes on."""
    sample_s: float = 0.0
    """Above 0: only the busiest so many seconds of the source are wanted, to look at."""
    source_id: str = ""
    """What storage calls this content: a machine that has it keeps it for the next attempt at it.
    Empty: it is not kept."""
    weights: dict[str, str] = field(default_factory=dict)
    """URLs by file name of published weights (a mirror), or by an object key that the task names:
    asked before the place of publication."""
    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """How far a rented machine came before its runner lives. Written by the machine only."""

    phase: BootPhase
    key: bool = True
    """Whether the machine holds a key with which it can end itself."""
    reason: Reason | None = None
    detail: str = ""
    device: str = ""
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
    segments: int = 0
    """Segments of the new video that are finished, those of earlier attempts included."""
    preview: bool = False
    """Whether the preview lies at its URL."""
    frame: bool = False
    """Whether the picture from the first segment lies at its URL."""
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
    resumed_frames: int = 0
    """Output frames that earlier attempts had finished."""
    clip_bytes: int = 0
    """Size of the side-by-side clip; 0 where there is none."""
    peak_memory: int | None = None
    """Most memory in use on the card, bytes."""
    timings: dict[str, float] = field(default_factory=dict)
    """Seconds per phase. ``processing`` is what all frames of the video would take at the speed
    that was reached: without the warm-up, and as if no earlier attempt had finished any."""
    version: int = VERSION
