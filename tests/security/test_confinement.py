"""What a decoder could do that a hostile file has taken over: nothing that would pay."""

import json
import os
import subprocess
import sys

import pytest

from remote_runner.confinement import Guard, confine
from tests.runner.clips import make_clip
from tests.security.observed import ROOT, run

#: What somebody tries who runs code in there; a line for each, with what came of it.
ATTACK = """
import os, pathlib, socket, subprocess, sys, threading
from remote_runner.confinement import confine
given, other, target, port, network = sys.argv[1:]
holds = confine([pathlib.Path(given)], network=network == "yes")
def attempt(name, deed):
    try:
        deed()
    except (OSError, ImportError) as error:
        print(name, type(error).__name__)
    else:
        print(name, "done")
print("guards", *sorted(holds))
attempt("given", lambda: open(given).read())
attempt("other", lambda: open(other).read())
attempt("create", lambda: open(target, "w"))
attempt("list", lambda: os.listdir(os.path.dirname(other)))
attempt("environment", lambda: open(f"/proc/{os.getppid()}/environ").read())
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(port)), 5).close())
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("start", lambda: subprocess.run(["/bin/true"]))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("signal", lambda: os.kill(os.getppid(), 0))
attempt("remove", lambda: os.unlink(other))
attempt("late import", lambda: __import__("wave"))
thread = threading.Thread(target=print, args=("thread done",))
thread.start()
thread.join()
"""


@pytest.fixture
def attack(tmp_path, listener):
    guards = subprocess.run(
        [sys.executable, "-c", "from remote_runner.confinement import *; print(len(confine((), "
         "network=False)))"], capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    if int(guards.stdout) < len(Guard):
        pytest.skip("this kernel has not both guards")
    given, other = tmp_path / "given", tmp_path / "other"
    given.write_text("film")
    other.write_text("secret")
    port = listener.url.rpartition(":")[2]

    def start(network):
        done = subprocess.run(
            [sys.executable, "-c", ATTACK, given, other, tmp_path / "new", port, network],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.stderr == ""
        assert not (tmp_path / "new").exists() and other.exists()
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    return start


def test_a_file_is_looked_into_with_nothing_else_in_reach(attack):
    assert attack("no") == {
        "guards calls": "files", "given": "done", "other": "PermissionError",
        "create": "PermissionError", "list": "PermissionError", "environment": "PermissionError",
        "connect": "PermissionError", "unix": "PermissionError", "start": "PermissionError",
        "fork": "PermissionError", "signal": "PermissionError", "remove": "PermissionError",
        "late import": "done", "thread": "done",
    }  # fmt: skip


def test_what_is_far_away_needs_sockets_and_gets_nothing_more(attack):
    found = attack("yes")
    assert {name for name, what in found.items() if what == "done"} == {
        "given", "connect", "unix", "late import", "thread",
    }  # fmt: skip


def test_where_the_kernel_has_no_guards_the_probe_still_works(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert confine([tmp_path], network=False) == frozenset()


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
    confined, facts = done.stdout.splitlines()
    assert confined == "confined"
    assert json.loads(facts)["facts"]["frames"] == 12


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
