"""What can go wrong in the runner, each with the reason that it reports."""

from __future__ import annotations

import errno

from remote_runner.protocol import Reason


class RunnerError(Exception):
    """Base of everything the runner raises on purpose: a reason, and a detail for logs."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class InputError(RunnerError):
    """The file or the task is at fault."""


class MachineError(RunnerError):
    """The machine, its network or its disk is at fault."""


class Cancelled(Exception):
    """The work was asked to stop."""


def from_os_error(error: OSError, doing: str) -> MachineError:
    """A full disk under its own reason, any other failure of the system as internal."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MachineError(Reason.DISK_FULL, f"no space left while {doing}")
    return MachineError(Reason.INTERNAL, f"{doing}: {error.strerror or error}")
