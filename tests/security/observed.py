"""Runs commands and says what they took, and who opened a file or asked an address meanwhile."""

import contextlib
import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OPENED = 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of a command, and what it took."""

    code: int
    output: str
    errors: str
    seconds: float
    cpu_s: float
    memory: int
    """Most bytes that were resident."""

    @property
    def reason(self):
        """Of a refusal by ``probe --json``; None where there are facts."""
        return json.loads(self.output).get("error", {}).get("reason")


#: What a process was before it became another program counts for its memory (getrusage(2)), so
#: that a small one is put in between: this one here may be large.
_STARTER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
told = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss << 10
open(sys.argv[1], "w").write(json.dumps(told))
"""


def run(*arguments, limit_s=120):
    """A command of the runner, by itself."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        command = [sys.executable, "-m", "remote_runner", *map(str, arguments)]
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", _STARTER, told, *command], text=True, cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            output, errors = process.communicate(timeout=limit_s)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        seconds = time.monotonic() - started
        code, cpu_s, memory = json.loads(told.read_text())
    return Run(
        code=code, output=output, errors=errors, seconds=seconds, cpu_s=cpu_s, memory=memory
    )


class Openings:
    """Counts how often a file is opened, by whomever (inotify(7)).

    A user has 128 of these, and other programs may have taken them all: ``works`` is false then,
    and there is nothing to be counted.
    """

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self.works = self._events >= 0
        if self.works:
            assert libc.inotify_add_watch(self._events, os.fsencode(path), _OPENED) >= 0

    def count(self):
        """Since the last time that it was asked."""
        with contextlib.suppress(BlockingIOError):
            data, size = os.read(self._events, 1 << 16), struct.calcsize("iIII")
            return len(data) // size
        return 0

    def close(self):
        if self.works:
            os.close(self._events)


class Listener:
    """A server on this computer that notes who asks; ``answers`` may be set to (status, headers)
    by path."""

    def __init__(self):
        self.asked = []
        self.answers = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                path = self.path.partition("?")[0]
                listener.asked.append(path)
                status, headers = listener.answers.get(path, (404, {}))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
