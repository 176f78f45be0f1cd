"""Rows as frozen records: what the store returns and the front ends show."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from controller.outlook import DaySpend as DaySpend  # noqa: PLC0414 - front ends know records
from controller.outlook import Limit as Limit  # noqa: PLC0414 - front ends know records
from controller.outlook import PlanQuote as PlanQuote  # noqa: PLC0414 - front ends know records
from controller.outlook import UserSpend as UserSpend  # noqa: PLC0414 - front ends know records
from controller.states import AnyReason, AttemptState, JobState, MachineState, parse_reason
from remote_runner.protocol import Boot, Facts, Phase, Result, Status, Task, from_json

Row = Mapping[str, Any]

#: Names of files that are taken for videos when a folder is listed; the content decides later.
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
    | {".wmv", ".flv", ".3gp", ".ogv"}
)


class _Record:
    """Builds a frozen dataclass from a row; ``_read`` converts the columns that need it."""

    # a row is read hundreds of times a second: dataclasses.fields() looks at every field first
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{name: cls._read(name, row[name]) for name in cls.__dataclass_fields__})

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        return value


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a Telegram user id, or 0 for the terminal."""

    user: int
    admin: bool = False


TERMINAL = Actor(0, admin=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Where a job comes from. The same ``key`` again finds the same job."""

    key: str
    owner: int
    chat: int | None = None
    language: str = "en"
    reply_to: int | None = None
    """The chat message that asked."""
    batch: str | None = None
    """The batch that it comes in with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(_Record):
    """One video that somebody wants processed."""

    id: str
    """ULID; its last six characters name the result."""
    request_key: str
    """What the front end knows the request by; unique, so that a repeat finds the same job."""
    owner: int
    """Telegram user id, or 0 for the terminal."""
    chat: int | None
    reply_to: int | None
    language: str
    state: JobState
    version: int
    task: Task
    source_key: str
    """Where the input is in storage."""
    source_name: str
    """The name the user knows it by: untrusted text, never a path."""
    source_bytes: int
    source_is_ours: bool
    """True for an upload, which is pruned; false for what the user put in storage."""
    source_etag: str = ""
    """What storage calls this content: a changed input has another one."""
    facts: Facts
    created_at: float
    deadline_at: float
    """When a draft, a hold, the queue or the run is given up."""
    started_at: float | None
    """When the user pressed Start."""
    ended_at: float | None
    cancel_requested_at: float | None
    not_before: float
    """A retry waits until then."""
    attempts: int
    reason: AnyReason | None
    detail: str
    output_key: str | None
    output_bytes: int | None
    output_sha256: str | None
    sha256_by: str | None
    """Who computed the hash: ``controller`` or ``runner``."""
    result: Result | None
    cost_usd: float
    waits_for: AnyReason | None = None
    """Why a queued job gets no machine, where that is not just its turn."""
    waits_detail: str = ""
    predecessor: str | None = None
    """The job that came to nothing and that this one repeats: it goes on behind its segments."""
    batch: str | None = None
    """The batch that it came in with: they share a card."""
    sample_of: str | None = None
    """The draft whose busiest seconds this job is."""
    priority: int = 0
    """The queue takes higher ones first, else in the order in which they were started."""
    held_for: AnyReason | None = None
    """What a held job waits for a yes to: price, budget or time."""
    held_data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What would be agreed to: ``usd_per_hour``, ``usd``, ``seconds``, ``gpu``, if asked."""
    approved_usd_per_hour: float | None = None
    """A cap for this job alone, in the place of the deployment's."""
    approved_usd: float | None = None
    """What this job may cost in all, in the place of its and the day's budget."""
    approved_s: float | None = None
    """How long one attempt may run, in the place of the deployment's limit."""
    approved_by: int | None = None
    """Who said yes, or no."""

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if value is None:
            return None
        match name:
            case "state":
                return JobState(value)
            case "task":
                return from_json(Task, value)
            case "facts":
                return from_json(Facts, value)
            case "result":
                return from_json(Result, value)
            case "reason" | "waits_for" | "held_for":
                return parse_reason(value)
            case "held_data":
                return json.loads(value)
            case "source_is_ours":
                return bool(value)
        return value

    @property
    def short_id(self) -> str:
        """The last six characters, lower case: what people and file names use."""
        return self.id[-6:].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(_Record):
    """One run of a job on a machine. Its number is the fence: an older one cannot publish."""

    job: str
    number: int
    machine: str
    state: AttemptState
    version: int
    assigned_at: float
    started_at: float | None
    """First heartbeat for this attempt, by the controller's clock."""
    seen_at: float | None
    """When its status last changed, by the controller's clock."""
    ended_at: float | None
    deadline_at: float
    status: Status | None
    reason: AnyReason | None
    detail: str
    traffic_usd: float = 0.0
    """What moving its input and result costs, and the image where it came first."""
    warnings: tuple[str, ...] = ()
    """Lines of its log that speak of errors; for people, they decide nothing."""

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if value is None:
            return None
        match name:
            case "state":
                return AttemptState(value)
            case "status":
                return from_json(Status, value)
            case "reason":
                return parse_reason(value)
            case "warnings":
                return tuple(json.loads(value))
        return value

    @property
    def phase(self) -> Phase:
        return self.status.phase if self.status else Phase.STARTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(_Record):
    """A key that an attempt has copied its result to, or may have, or may still."""

    job: str
    attempt: int
    """0: not known, from before each attempt had its own."""
    key: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine(_Record):
    """One rented machine, or one local process."""

    id: str
    label: str
    provider: str
    state: MachineState
    version: int
    instance: str | None
    """The provider's id, unknown until the create call is answered."""
    name: str
    """What people call it: the GPU's or CPU's name."""
    host: str = ""
    """The physical machine, as the provider numbers it: what bans are kept by."""
    usd_per_hour: float
    disk_gb: float = 0.0
    gpu_ram_gb: float | None = None
    """Memory of its card; None where it is not known."""
    usd_per_gb_down: float = 0.0
    usd_per_gb_up: float = 0.0
    traffic_usd: float = 0.0
    """Traffic so far, by the sizes of what was moved: the image, inputs and results."""
    reserved_usd: float
    created_at: float
    expires_at: float
    """When it ends by itself."""
    status: str | None = None
    """What the last listing said of it, an ``InstanceStatus``."""
    status_detail: str = ""
    status_at: float | None = None
    """When that changed last."""
    running_at: float | None = None
    """When it was first seen running."""
    boot: Boot | None = None
    booted_at: float | None
    idle_since: float | None
    retire_requested_at: float | None
    retire_reason: str
    absent_since: float | None
    """Since when complete listings do not show it."""
    absences: int
    """How many complete listings in a row did not show it."""
    destroyed_at: float | None
    """When a destroy call was answered with "gone"."""
    gone_at: float | None
    orders_sequence: int
    disowned_at: float | None = None
    """When it was given up to another deployment, whose name it bears; nothing proves it gone."""

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if name == "boot":
            return from_json(Boot, value) if value else None
        return MachineState(value) if name == "state" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(_Record):
    """One thing that happened to a job: the outbox that front ends read with a cursor."""

    id: int
    at: float
    job: str
    kind: str
    """``drafted``, ``held``, ``queued``, ``assigned``, ``started``, ``phase``, ``retrying``,
    ``cancelling``, ``done``, ``failed``, ``cancelled``, ``waiting``, ``approved``, ``declined``
    (beside ``cancelled``), ``moved`` (in the queue)."""
    data: Mapping[str, Any]

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        return json.loads(value) if name == "data" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(_Record):
    """Several videos that came in together and share one card."""

    id: str
    """ULID."""
    request_key: str
    owner: int
    chat: int | None
    reply_to: int | None
    language: str
    name: str
    """What it was asked for by: ``input/c1``, or nothing for an album."""
    created_at: float
    refused: tuple[tuple[str, str], ...] = ()
    """Files that did not become jobs: name, and the code of the error."""
    expected: int = 0
    """How many files are known to belong to it, while they come in."""
    taken_at: float | None = None
    """When all of them had come in."""

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if name == "refused":
            return tuple((str(each[0]), str(each[1])) for each in json.loads(value))
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Card(_Record):
    """One message in a chat that is edited as what it shows goes on."""

    subject: str
    """What it shows: the id of a job, ``batch:<id>``, ``group:<chat>``, or
    ``ask:<job>:<admin>``."""
    chat: int
    message: int | None
    """None until it was sent."""
    shown: str
    """Fingerprint of the content last shown: the same content is not sent again."""
    finished: bool
    """The terminal content is shown and the result delivered."""
    delivering_at: float | None
    """Set before a result is sent: found set after a restart, the send is repeated."""

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        return bool(value) if name == "finished" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Update(_Record):
    """One update of the chat platform, kept before it is confirmed to the platform."""

    id: int
    received_at: float
    body: str
    tries: int
    handled_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job is expected to take."""

    seconds: float
    usd: float
    frames_out: int
    width: int
    height: int
    measured: bool
    """True where it rests on earlier runs on this kind of machine, false where on a formula."""
    reckoned: bool = False
    """True where a model's cost is not known, and that of the heaviest was taken."""


class Role(StrEnum):
    """What somebody who was let in may do."""

    ADMIN = "admin"
    USER = "user"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(_Record):
    """Somebody who was let in, or shut out, in the chat."""

    user: int
    role: Role
    name: str
    """As they call themselves: untrusted text."""
    day_budget: float | None
    """What their jobs may cost a day, UTC, without asking; None sets no limit."""
    invited_by: int | None
    added_at: float

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        return Role(value) if name == "role" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(_Record):
    """Something of the whole deployment that somebody has set."""

    name: str
    value: str
    by: int
    at: float
