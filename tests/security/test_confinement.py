"""What a decoder could do that a hostile file has taken over: nothing that would pay."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from remote_runner.calls import KNOWN, MACHINES, number_of
from remote_runner.confinement import Guard, confine
from tests.runner.clips import make_clip
from tests.security.observed import ROOT, run

#: What somebody tries who runs code in there; a line for each, with what came of it.
ATTACK = """
import ctypes, errno, fcntl, os, pathlib, platform, resource, signal, socket, ssl, subprocess
import sys, threading
from remote_runner.calls import REFUSED, number_of
from remote_runner.confinement import confine
given, other, target, port, network = sys.argv[1:]
libc, parent, (pipe, _) = ctypes.CDLL(None, use_errno=True), os.getppid(), os.pipe()
trusted = ssl.get_default_verify_paths().capath or "/etc/ssl/certs"
holds = confine([pathlib.Path(given)], network=network == "yes")
def attempt(name, deed):
    try:
        deed()
    except (OSError, ImportError) as error:
        print(name, type(error).__name__)
    else:
        print(name, "done")
def call(name, *arguments):
    if libc.syscall(number_of(name, platform.machine()), *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)
print("guards", *sorted(holds))
attempt("given", lambda: open(given).read())
attempt("other", lambda: open(other).read())
attempt("settings", lambda: open("/etc/passwd").read())
attempt("create", lambda: open(target, "w"))
attempt("write", lambda: open(given, "r+"))
attempt("empty", lambda: os.open(given, os.O_RDONLY | os.O_TRUNC))
attempt("truncate", lambda: os.truncate(other, 0))
attempt("open to all", lambda: os.chmod(other, 0o666))
attempt("date", lambda: os.utime(other, (1, 1)))
attempt("label", lambda: os.setxattr(other, "user.x", b"x"))
attempt("list", lambda: os.listdir(os.path.dirname(other)))
attempt("environment", lambda: open(f"/proc/{parent}/environ").read())
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(port)), 5).close())
attempt("look up", lambda: socket.getaddrinfo("localhost", int(port)))
attempt("trust", lambda: os.listdir(trusted))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("serve", lambda: socket.socket().listen())
attempt("start", lambda: subprocess.run(["/bin/true"]))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("signal", lambda: os.kill(parent, 0))
attempt("signal by the kernel", lambda: fcntl.fcntl(pipe, fcntl.F_SETOWN, parent))
attempt("choose a signal", lambda: fcntl.fcntl(pipe, 10, signal.SIGKILL))
attempt("starve", lambda: resource.prlimit(parent, resource.RLIMIT_CPU))
attempt("slow down", lambda: os.setpriority(os.PRIO_PROCESS, parent, 19))
attempt("memory of others", lambda: call("shmget", 0, 1 << 20, 0o1600))
attempt("type", lambda: fcntl.ioctl(0, 0x5412, b"x"))
attempt("mark", lambda: fcntl.ioctl(open(given), 0x40086602, bytes(8)))
attempt("own limits", lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
attempt("remove", lambda: os.unlink(other))
attempt("late import", lambda: __import__("wave"))
thread = threading.Thread(target=print, args=("thread done",))
thread.start()
thread.join()
missed = []
for name in sorted(REFUSED.keys() - {"fork", "vfork"}):
    try:
        if number_of(name, platform.machine()) is not None:
            call(name, 0, 0, 0, 0, 0, 0)
            missed.append(name)
    except OSError as error:
        missed += [name] if error.errno != errno.EPERM else []
print("missed", len(missed), *missed, "-")
"""
#: The kernel's own tables, where a compiler is.
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.fixture
def guards():
    """Skips where this kernel has not both."""
    guards = subprocess.run(
        [sys.executable, "-c", "from remote_runner.confinement import *; print(len(confine((), "
         "network=False)))"], capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    if int(guards.stdout) < len(Guard):
        pytest.skip("this kernel has not both guards")


def state_of(path):
    """What no attack may change; that it was read is none of it."""
    told = path.stat()
    return (
        told.st_mode,
        told.st_nlink,
        told.st_uid,
        told.st_size,
        told.st_mtime_ns,
        told.st_ctime_ns,
    )


@pytest.fixture
def attack(guards, tmp_path, listener):
    given, other = tmp_path / "given", tmp_path / "other"
    given.write_text("film")
    other.write_text("secret")
    port = listener.url.rpartition(":")[2]

    def start(network):
        before = state_of(other)
        done = subprocess.run(
            [sys.executable, "-c", ATTACK, given, other, tmp_path / "new", port, network],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.stderr == ""
        assert {path.name for path in tmp_path.iterdir()} == {"given", "other"}
        assert (given.read_text(), other.read_text()) == ("film", "secret")
        assert state_of(other) == before
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    return start


def done_in(found):
    """What was done, after a look at what both ways have in common."""
    assert found["guards calls"] == "files"
    assert found["missed 0"] == "-"
    rest = {name: what for name, what in found.items() if name not in ("guards calls", "missed 0")}
    assert set(rest.values()) <= {"done", "PermissionError", "gaierror"}
    return {name for name, what in rest.items() if what == "done"}


def test_a_file_is_looked_into_with_nothing_else_in_reach(attack):
    assert done_in(attack("no")) == {"given", "own limits", "late import", "thread"}


def test_what_is_far_away_needs_sockets_and_gets_nothing_more(attack):
    assert done_in(attack("yes")) == {
        "given", "connect", "look up", "trust", "own limits", "late import", "thread",
    }  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_of_calls_are_the_kernels(machine):
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not here")
    text = HEADERS[machine].read_text()
    told = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
    # headers may be older than the newest calls
    known = {name: number_of(name, machine) for name in KNOWN if name in told}
    assert len(known) > 80
    assert known == {name: int(told[name]) for name in known}
    newer = {name: number_of(name, machine) for name in KNOWN if name not in told}
    assert all(number is None or number > 420 for number in newer.values()), newer


def test_where_the_kernel_has_no_guards_the_probe_still_works(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert confine([tmp_path], network=False) == frozenset()


@pytest.mark.usefixtures("guards")
def test_the_command_runs_no_thread_that_escapes(tmp_path):
    """Landlock holds none that runs already: those of NumPy would."""
    found = run("probe", make_clip(tmp_path / "in.mp4"), "--json")
    assert json.loads(found.output)["guards"] == ["calls", "files"]


def test_the_command_tells_a_guard_that_is_missing(tmp_path):
    """It reads the file all the same: the other guards and the limits hold."""
    script = (
        "import platform, sys\n"
        "platform.machine = lambda: 'riscv64'\n"
        "from remote_runner.__main__ import main\n"
        "sys.exit(main(['probe', sys.argv[1], '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(make_clip(tmp_path / "in.mp4"))], capture_output=True,
        text=True, cwd=ROOT, timeout=60, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert (answer["facts"]["frames"], answer["guards"]) == (12, [])


@pytest.mark.usefixtures("guards")
def test_the_command_is_confined_before_it_opens_the_file(tmp_path):
    clip = make_clip(tmp_path / "in.mp4")
    script = (
        "import sys, remote_runner.video.probe as probe\n"
        "real = probe.probe\n"
        "def spy(*a, **k):\n"
        "    try: open('/proc/self/status')\n"
        "    except PermissionError: print('confined', flush=True)\n"
        "    return real(*a, **k)\n"
        "probe.probe = spy\n"
        "from remote_runner.__main__ import main\n"
        "sys.exit(main(['probe', sys.argv[1], '--json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip)], capture_output=True, text=True, cwd=ROOT,
        timeout=60, check=False,
    )  # fmt: skip
    confined, told = done.stdout.splitlines()
    assert confined == "confined"
    assert json.loads(told)["facts"]["frames"] == 12


def test_a_film_that_needs_late_modules_is_read_all_the_same(tmp_path):
    """Subtitles, chapters and odd names: whatever is imported late is still there."""
    clip = make_clip(
        tmp_path / "данные.mkv", audio=2, subtitles=[[(0, 400, "Привет")]], chapters=[(0, 500)]
    )
    found = run("probe", clip, "--json")
    assert found.code == 0, found
    assert json.loads(found.output)["facts"]["subtitles"] == ["subrip/eng"]


def test_no_command_of_the_runner_leaves_its_memory_on_the_disk(tmp_path):
    script = (
        "import resource\n"
        "from remote_runner.__main__ import main\n"
        "main(['process', 'nothing', 'out.mp4'])\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60,
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout == "(0, 0)\n"
