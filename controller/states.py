"""The states of jobs, attempts and machines, and the one table of legal transitions.

A request ("cancel this") is a column; a state is a fact. State says where something is,
:class:`Reason` says why it ended: whether to retry is a total function of the reason.
"""

from __future__ import annotations

from enum import StrEnum

from remote_runner.protocol import Reason as RunnerReason


class JobState(StrEnum):
    """What the user wants, as far as it got."""

    DRAFT = "draft"  #: a plan card that nobody has started
    HELD = "held"  #: waits for somebody's yes: price or budget
    QUEUED = "queued"  #: accepted, waits for a machine
    RUNNING = "running"  #: an attempt is on a machine
    DONE = "done"  #: the result is published
    FAILED = "failed"  #: given up, the reason is recorded
    CANCELLED = "cancelled"  #: the user, or a deadline of a draft or hold, said no

    @property
    def is_terminal(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class AttemptState(StrEnum):
    """One run of a job on a machine."""

    ASSIGNED = "assigned"  #: its machine is known, it has not been seen to start
    RUNNING = "running"  #: the runner has reported it
    VERIFIED = "verified"  #: its result was published
    FAILED = "failed"  #: the runner reported a failure, or its result did not hold
    LOST = "lost"  #: machine or runner went silent or away
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self not in (AttemptState.ASSIGNED, AttemptState.RUNNING)


class MachineState(StrEnum):
    """Something that may cost money until it is proven gone."""

    RENTING = "renting"  #: committed, the create call is on its way
    UNKNOWN = "unknown"  #: the create call got no clear answer
    BOOTING = "booting"  #: exists, its runner has not reported
    READY = "ready"  #: its runner waits for a job
    BUSY = "busy"  #: it holds an attempt
    RETIRING = "retiring"  #: to be destroyed, until that is proven
    GONE = "gone"  #: proven absent

    @property
    def is_live(self) -> bool:
        return self not in (MachineState.RETIRING, MachineState.GONE)


class Reason(StrEnum):
    """Why an attempt or a job ended, beyond what a runner reports itself."""

    USER = "user"  #: cancelled by its owner or an admin
    DECLINED = "declined"  #: an admin said no to its price or budget
    EXPIRED = "expired"  #: a draft, hold or queue outlived its deadline
    TOO_LONG = "too_long"  #: the quote is longer than one attempt may run
    TIMEOUT = "timeout"  #: one attempt ran longer than allowed
    SILENT = "silent"  #: no heartbeat
    PULL_TIMEOUT = "pull_timeout"  #: the container image did not come
    HOST_FAILED = "host_failed"  #: the host cannot start the container
    IMAGE_FAILED = "image_failed"  #: the container image does not start
    NOT_ARMED = "not_armed"  #: the machine did not say that its watchdog runs
    NO_SELF_END = "no_self_end"  #: the machine cannot end itself
    OVERPRICED = "overpriced"  #: it costs more than what was agreed to
    BOOT_TIMEOUT = "boot_timeout"  #: no first heartbeat
    NO_FRAMES = "no_frames"  #: alive, and not one frame finished
    STOPPED = "stopped"  #: stopped from outside: outbid, no credit, taken back
    MACHINE_GONE = "machine_gone"  #: the machine or its runner ended unasked
    RESTORED = "restored"  #: a restored database gave its machine up to another deployment
    RENT_FAILED = "rent_failed"  #: no machine could be had
    NO_OFFER = "no_offer"  #: nothing to rent fits
    NO_CREDIT = "no_credit"  #: the rental account is empty
    REFUSED = "refused"  #: the provider refuses the key, the image or the request
    BAD_RESULT = "bad_result"  #: what was uploaded is not what was reported
    SOURCE_GONE = "source_gone"  #: the input is no longer in storage
    STORAGE_FULL = "storage_full"  #: no space for the input or the result
    BUDGET = "budget"  #: would exceed a money cap


AnyReason = Reason | RunnerReason

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.DRAFT: frozenset({JobState.HELD, JobState.QUEUED, JobState.CANCELLED}),
    JobState.HELD: frozenset({JobState.DRAFT, JobState.QUEUED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

_ATTEMPT_ENDS = frozenset({AttemptState.FAILED, AttemptState.LOST, AttemptState.CANCELLED})

ATTEMPT_MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.ASSIGNED: _ATTEMPT_ENDS | {AttemptState.RUNNING, AttemptState.VERIFIED},
    AttemptState.RUNNING: _ATTEMPT_ENDS | {AttemptState.VERIFIED},
    AttemptState.VERIFIED: frozenset(),
    AttemptState.FAILED: frozenset(),
    AttemptState.LOST: frozenset(),
    AttemptState.CANCELLED: frozenset(),
}

MACHINE_MOVES: dict[MachineState, frozenset[MachineState]] = {
    MachineState.RENTING: frozenset(
        {MachineState.BOOTING, MachineState.UNKNOWN, MachineState.RETIRING}
    ),
    MachineState.UNKNOWN: frozenset({MachineState.BOOTING, MachineState.RETIRING}),
    MachineState.BOOTING: frozenset(
        {MachineState.READY, MachineState.BUSY, MachineState.RETIRING}
    ),
    MachineState.READY: frozenset({MachineState.BUSY, MachineState.RETIRING}),
    MachineState.BUSY: frozenset({MachineState.READY, MachineState.RETIRING}),
    MachineState.RETIRING: frozenset({MachineState.GONE}),
    MachineState.GONE: frozenset(),
}


def parse_reason(text: str) -> AnyReason:
    """A stored reason as the enum it came from; :class:`ValueError` for a foreign one."""
    return Reason(text) if text in set(Reason) else RunnerReason(text)


#: Why a machine ends that an admin gave back: what it works on is not waited for.
GIVEN_BACK = "given_back"

#: Attempts that a job gets, the first one included.
MAX_ATTEMPTS = 3

#: Another machine may do better after these.
RETRYABLE: frozenset[AnyReason] = frozenset(
    {
        Reason.TIMEOUT,
        Reason.SILENT,
        Reason.PULL_TIMEOUT,
        Reason.HOST_FAILED,
        Reason.IMAGE_FAILED,
        Reason.NOT_ARMED,
        Reason.NO_SELF_END,
        Reason.OVERPRICED,
        Reason.BOOT_TIMEOUT,
        Reason.NO_FRAMES,
        Reason.STOPPED,
        Reason.MACHINE_GONE,
        Reason.BAD_RESULT,
        Reason.RESTORED,
        Reason.RENT_FAILED,
        *(each for each in RunnerReason if not each.is_input_fault),
    }
)
