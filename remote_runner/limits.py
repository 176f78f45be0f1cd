"""Limits on looking into a file that a stranger sent: on a process, for good, or on one call."""

from __future__ import annotations

import json
import os
import resource
import stat
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from remote_runner.errors import InputError
from remote_runner.protocol import Reason

CPU_S = 120.0
WALL_S = 300.0
MEMORY_BYTES = 3 << 30

T = TypeVar("T")


def restrain(
    *,
    cpu_s: float = CPU_S,
    wall_s: float = WALL_S,
    memory: int = MEMORY_BYTES,
    late: Reason = Reason.PROBE_LIMIT,
) -> None:
    """Bound memory, files, processor and wall time of this process, for good.

    Processor time counts from here: what was imported before says nothing of a file, and takes
    seconds where a computer is slow. Memory beyond the bound makes allocations fail; time beyond
    it ends the process with ``probe_limit``, for wall time ``late``, on standard output and exit
    code 1. Nothing can be written to a file, except to standard output where that is one.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_AS, memory)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_FSIZE, 1 << 20 if _writes_to_file() else 0)
    until_s = time.process_time() + cpu_s
    _lower(resource.RLIMIT_CPU, int(until_s) + 5)
    watch = threading.Thread(
        target=_watch, args=(until_s, wall_s, late), name="limits", daemon=True
    )
    watch.start()


def leave_no_core() -> None:
    """A crash of this process writes no picture of its memory to the disk: addresses that are keys
    are in there, and somebody's film."""
    _lower(resource.RLIMIT_CORE, 0)


def in_time(work: Callable[[], T], seconds: float) -> T:
    """The result of ``work``, which a hostile file may keep from ever ending.

    Raises :class:`InputError` with ``probe_limit`` when it takes longer, and whatever it raises.
    It is left to itself then, in a thread: a long call into C cannot be ended from outside.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised again in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, name="in-time", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise InputError(Reason.PROBE_LIMIT, f"looking into the file took over {seconds:.0f} s")
    return done[0]


def _lower(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (bound, bound))


def _writes_to_file() -> bool:
    return any(stat.S_ISREG(os.fstat(each.fileno()).st_mode) for each in (sys.stdout, sys.stderr))


def _watch(until_s: float, wall_s: float, late: Reason) -> NoReturn:
    """A thread and not a signal: handlers of Python wait until a long call into C returns."""
    end = time.monotonic() + wall_s
    while time.monotonic() < end and time.process_time() < until_s:
        time.sleep(0.1)
    reason = Reason.PROBE_LIMIT if time.process_time() >= until_s else late
    error = {"reason": reason, "detail": "looking into the file took too long"}
    try:
        os.write(sys.stdout.fileno(), (json.dumps({"error": error}) + "\n").encode())
    finally:  # also where nobody listens any more
        os._exit(1)
