"""Takes from this process what looking into a file needs nothing of, for good.

A decoder that a hostile file has taken over finds no program to start, no socket to open, nobody
to signal and no file but the one it was given. Two features of Linux do that, seccomp and
Landlock; where a kernel lacks one of them the other holds alone, and elsewhere neither does. The
limits of :mod:`remote_runner.limits` hold everywhere. Standard library only.

Sources: ``seccomp(2)``, ``linux/filter.h``, ``linux/landlock.h``, and the kernel's tables of
system calls (``syscall_64.tbl``, ``asm-generic/unistd.h``).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

_NO_NEW_PRIVILEGES = 38
_SECCOMP_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_THREAD = 0x00010000
_X32 = 0x40000000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
#: Rights over files that each version of Landlock knows of, the lowest bits.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}

#: By machine: the number of its kind in ``linux/audit.h``, and of the call ``seccomp``.
_MACHINES = {"x86_64": (0xC000003E, 317), "aarch64": (0xC00000B7, 277)}
_SOCKETS = {
    "x86_64": (41, 42, 43, 49, 50, 53, 288),
    "aarch64": (198, 199, 200, 201, 202, 203, 242),
}
#: fork, vfork, execve, execveat, ptrace, process_vm_readv, process_vm_writev, kill, tkill,
#: io_uring_setup, bpf, perf_event_open, add_key, request_key, keyctl, unshare, setns, mount,
#: userfaultfd, open_by_handle_at, pidfd_open, pidfd_send_signal, pidfd_getfd; as far as there are.
_FORBIDDEN = {
    "x86_64": (57, 58, 59, 322, 101, 310, 311, 62, 200, 425, 321, 298, 248, 249, 250, 272, 308,
               165, 323, 304, 434, 424, 438),
    "aarch64": (221, 281, 117, 270, 271, 129, 130, 425, 280, 241, 217, 218, 219, 97, 268, 40, 282,
                265, 434, 424, 438),
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL = (
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 435, "aarch64": 435},
    {"x86_64": 234, "aarch64": 131},
)
#: What looking up a name and checking a certificate reads.
_NETWORK_FILES = ("/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve")


class Guard(StrEnum):
    """What holds from now on."""

    CALLS = "calls"
    """Nothing is started, nobody signalled, and without ``network`` no socket opened."""
    FILES = "files"
    """No file is opened but those that were named, Python's own and, with ``network``, the
    system's."""


def confine(files: Iterable[Path], *, network: bool) -> frozenset[Guard]:
    """Confine this process and all that comes from it; which guards there are here.

    Files stay open that are open. Threads that run already are only held back from calls.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _MACHINES:
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return frozenset()
    holds = set()
    if _guard_files(libc, [*files, *_pythons_own(), *_systems_own(network)]):
        holds.add(Guard.FILES)
    if _guard_calls(libc, machine, network=network):
        holds.add(Guard.CALLS)
    return frozenset(holds)


def _guard_calls(libc: ctypes.CDLL, machine: str, *, network: bool) -> bool:
    program = b"".join(_filter(machine, network=network))
    code = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    )
    _, seccomp = _MACHINES[machine]
    made: int = libc.syscall(seccomp, _SECCOMP_FILTER, _ALL_THREADS, described)
    return made == 0


def _filter(machine: str, *, network: bool) -> Iterator[bytes]:
    """Instructions over ``struct seccomp_data``: number, kind of machine, …, first argument."""
    kind, _ = _MACHINES[machine]
    refuse = _return(_REFUSE | errno.EPERM)
    yield _load(4)
    yield _skip_if_equal(kind, 1)
    yield refuse
    yield _load(0)
    if machine == "x86_64":  # the other names of the same calls
        yield _skip_if_less(_X32, 1)
        yield refuse
    for number in (*_FORBIDDEN[machine], *(() if network else _SOCKETS[machine])):
        yield _skip_unless_equal(number, 1)
        yield refuse
    # the library takes the older call then, whose flags can be seen from here
    yield _skip_unless_equal(_CLONE3[machine], 1)
    yield _return(_REFUSE | errno.ENOSYS)
    yield _skip_unless_equal(_CLONE[machine], 4)
    yield _load(16)
    yield _skip_if_set(_THREAD, 1)
    yield refuse
    yield _return(_ALLOW)
    yield _skip_unless_equal(_TGKILL[machine], 3)
    yield _load(16)
    yield _skip_if_equal(os.getpid(), 1)
    yield refuse
    yield _return(_ALLOW)


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", 0x20, 0, 0, offset)


def _return(what: int) -> bytes:
    return struct.pack("=HBBI", 0x06, 0, 0, what)


def _skip_if_equal(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x15, count, 0, value)


def _skip_unless_equal(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x15, 0, count, value)


def _skip_if_less(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x35, 0, count, value)


def _skip_if_set(bits: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x45, count, 0, bits)


def _guard_files(libc: ctypes.CDLL, readable: Iterable[Path]) -> bool:
    version: int = libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << _RIGHTS[min(version, max(_RIGHTS))]) - 1
    described = ctypes.create_string_buffer(struct.pack("=Q", handled), 8)
    rules: int = libc.syscall(_LANDLOCK_CREATE, described, 8, 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _permit(libc, rules, path)
        restricted: int = libc.syscall(_LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return restricted == 0


def _permit(libc: ctypes.CDLL, rules: int, path: Path) -> None:
    """Reading of a file, or of all below a folder; what is not there is left out."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0)
    finally:
        os.close(place)


def _pythons_own() -> Iterator[Path]:
    """Modules that are imported late: those of Python, of libraries, and ours."""
    paths = sysconfig.get_paths()
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(paths[name])
    yield Path(__file__).parent


def _systems_own(network: bool) -> Iterator[Path]:
    return map(Path, _NETWORK_FILES if network else ())
