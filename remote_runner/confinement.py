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

from remote_runner.calls import MACHINES, REFUSED, REFUSED_ALONE, number_of

_NO_NEW_PRIVILEGES = 38
_SECCOMP_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_THREAD = 0x00010000
_X32 = 0x40000000
#: Of the machine's kind in ``linux/audit.h``.
_KINDS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Internet protocols, and the kernel's list of routes, which looking up a name asks for.
_FAMILIES = (2, 10, 16)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
#: F_SETOWN, F_SETSIG, F_SETOWN_EX: whom the kernel signals for us, and by which signal.
_SIGNALLING = (8, 10, 15)
#: FIOSETOWN, SIOCSPGRP, which do the same; TIOCSTI, TIOCLINUX, which type into a terminal;
#: FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, which change what is only open for reading.
_CONTROLS = (0x8901, 0x8902, 0x5412, 0x541C, 0x40086602, 0x401C5820)

_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
#: Rights over files that each version of Landlock knows of, the lowest bits.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
#: What looking up a name and checking a certificate reads. Not all of ``/etc``: secrets are there.
_NETWORK_FILES = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/protocols", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf", "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted", "/etc/crypto-policies", "/usr", "/lib", "/lib64",
    "/run/systemd/resolve",
)  # fmt: skip


class Guard(StrEnum):
    """What holds from now on."""

    CALLS = "calls"
    """Nothing is started, nobody signalled, nothing written, and no socket opened: with
    ``network`` none but to ask by an internet protocol."""
    FILES = "files"
    """No file is opened but those that were named, Python's own and, with ``network``, the
    system's."""


def confine(files: Iterable[Path], *, network: bool) -> frozenset[Guard]:
    """Confine this process and all that comes from it; which guards there are here.

    Files stay open that are open. Be the only thread: Landlock does not hold one that runs
    already, and whoever has one thread has all, so that ``FILES`` is not told then.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in MACHINES:
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    is_alone = _count_threads() == 1
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return frozenset()
    holds = set()
    if _guard_files(libc, machine, [*files, *_pythons_own(), *_systems_own(network)]) and is_alone:
        holds.add(Guard.FILES)
    if _guard_calls(libc, machine, network=network):
        holds.add(Guard.CALLS)
    return frozenset(holds)


def _count_threads() -> int:
    """Those of libraries too; 0 where that cannot be seen."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 0


def _guard_calls(libc: ctypes.CDLL, machine: str, *, network: bool) -> bool:
    program = b"".join(_filter(machine, network=network))
    code = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    )
    made: int = libc.syscall(
        number_of("seccomp", machine), _SECCOMP_FILTER, _ALL_THREADS, described
    )
    return made == 0


def _filter(machine: str, *, network: bool) -> Iterator[bytes]:
    """Instructions over ``struct seccomp_data``: number, kind of machine, …, arguments."""
    yield _load(4)
    yield _skip_if_equal(_KINDS[machine], 1)
    yield _REFUSAL
    yield _load(0)
    if machine == "x86_64":  # the other names of the same calls
        yield _skip_if_less(_X32, 1)
        yield _REFUSAL
    for name in (*REFUSED, *(() if network else REFUSED_ALONE)):
        yield from _judge(machine, name, _REFUSAL)
    # the library takes the older calls then, whose flags can be seen from here
    for name in ("clone3", "openat2"):
        yield from _judge(machine, name, _return(_REFUSE | errno.ENOSYS))
    yield from _judge(machine, "clone", *_require_any(0, _THREAD))
    yield from _judge(machine, "open", *_require_none(1, _WRITING))
    yield from _judge(machine, "openat", *_require_none(2, _WRITING))
    yield from _judge(machine, "tgkill", *_require_one_of(0, (os.getpid(),)))
    yield from _judge(machine, "prlimit64", *_require_one_of(0, (0,)))
    yield from _judge(machine, "socket", *_require_one_of(0, _FAMILIES))
    yield from _judge(machine, "fcntl", *_require_other_than(1, _SIGNALLING))
    yield from _judge(machine, "ioctl", *_require_other_than(1, _CONTROLS))
    yield _return(_ALLOW)


def _judge(machine: str, name: str, *verdict: bytes) -> Iterator[bytes]:
    """Instructions that end with an answer, for one call."""
    number = number_of(name, machine)
    if number is not None:
        yield _skip_unless_equal(number, len(verdict))
        yield from verdict


def _require_any(argument: int, bits: int) -> tuple[bytes, ...]:
    return _load_argument(argument), _skip_if_set(bits, 1), _REFUSAL, _return(_ALLOW)


def _require_none(argument: int, bits: int) -> tuple[bytes, ...]:
    return _load_argument(argument), _skip_if_set(bits, 1), _return(_ALLOW), _REFUSAL


def _require_one_of(argument: int, values: Iterable[int]) -> tuple[bytes, ...]:
    accept = [part for value in values for part in (_skip_unless_equal(value, 1), _return(_ALLOW))]
    return _load_argument(argument), *accept, _REFUSAL


def _require_other_than(argument: int, values: Iterable[int]) -> tuple[bytes, ...]:
    refuse = [part for value in values for part in (_skip_unless_equal(value, 1), _REFUSAL)]
    return _load_argument(argument), *refuse, _return(_ALLOW)


def _load_argument(number: int) -> bytes:
    """Its lower half, which is all that the kernel looks at in those that are judged."""
    return _load(16 + 8 * number)


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", 0x20, 0, 0, offset)


def _return(what: int) -> bytes:
    return struct.pack("=HBBI", 0x06, 0, 0, what)


_REFUSAL = _return(_REFUSE | errno.EPERM)


def _skip_if_equal(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x15, count, 0, value)


def _skip_unless_equal(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x15, 0, count, value)


def _skip_if_less(value: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x35, 0, count, value)


def _skip_if_set(bits: int, count: int) -> bytes:
    return struct.pack("=HBBI", 0x45, count, 0, bits)


def _guard_files(libc: ctypes.CDLL, machine: str, readable: Iterable[Path]) -> bool:
    create = number_of("landlock_create_ruleset", machine)
    version: int = libc.syscall(create, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << _RIGHTS[min(version, max(_RIGHTS))]) - 1
    described = ctypes.create_string_buffer(struct.pack("=Q", handled), 8)
    rules: int = libc.syscall(create, described, 8, 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _permit(libc, machine, rules, path)
        restrict = number_of("landlock_restrict_self", machine)
        restricted: int = libc.syscall(restrict, rules, 0)
    finally:
        os.close(rules)
    return restricted == 0


def _permit(libc: ctypes.CDLL, machine: str, rules: int, path: Path) -> None:
    """Reading of a file, or of all below a folder; what is not there is left out."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = _READ_FILE | (_READ_FOLDER if path.is_dir() else 0)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        libc.syscall(number_of("landlock_add_rule", machine), rules, 1, rule, 0)
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
