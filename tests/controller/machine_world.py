"""What a rented machine sees of the outside, and machines: real processes with a folder each.

One loopback server is the provider's API for the machine's own instance, and storage by presigned
URLs.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

KEY = "instancekeyinstancekeyinstancekey"
SIGNATURE = "signedwithasecret"
INSTANCE = "/api/v0/instances/77/"
VENV_BIN = str(Path(sys.executable).parent)


class MachineWorld:
    """``objects`` by name; ``requests`` in order as (method, name); ``reports`` as they came.

    ``failures[method, name]`` is a list of what the next requests get instead: a status code,
    ``"drop"`` (close at once) or ``"hang"`` (no answer until the end). ``.refusing`` stays.
    """

    def __init__(self):
        self.objects = {}
        self.failures = {}
        self.refusing = {}
        self.requests = []
        self.reports = []
        self.authorizations = set()
        self._ended = threading.Event()
        world = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                world._serve(self)

            def do_PUT(self):
                world._serve(self)

            def do_DELETE(self):
                world._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def api_url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def url(self, name):
        return f"{self.api_url}/{name}?X-Amz-Signature={SIGNATURE}"

    def count(self, method, name):
        return self.requests.count((method, name))

    @property
    def phases(self):
        return [report["phase"] for report in self.reports]

    def close(self):
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request):
        name = request.path.partition("?")[0].lstrip("/")
        if request.path == INSTANCE:
            name = "instance"
            self.authorizations.add(request.headers.get("Authorization"))
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        step = (request.command, name)
        self.requests.append(step)
        waiting = self.failures.get(step)
        failure = waiting.pop(0) if waiting else self.refusing.get(step)
        if failure == "hang":
            self._ended.wait(30)
        if failure in ("drop", "hang"):
            return
        if failure is None and request.command == "PUT":
            self.reports.append(json.loads(body))
        self._answer(request, failure or self._status(step), self._body(step))

    def _status(self, step):
        return 404 if step[0] == "GET" and self._body(step) is None else 200

    def _body(self, step):
        if step[1] == "instance":
            return b'{"success": true, "instances": {"id": 77}}'
        return self.objects.get(step[1]) if step[0] == "GET" else b""

    @staticmethod
    def _answer(request, status, body):
        body = body or b""
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Machine:
    """A container: a first process to be killed and started again, and a folder that stays."""

    def __init__(self, folder, command, env):
        self.folder = folder
        self.log = folder / "container.log"
        self._command = command
        self._env = env
        self._process = None

    def start(self):
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self):
        return self._process.poll() is None

    def wait(self, timeout):
        return self._process.wait(timeout)

    def kill(self):
        """As when a container ends: nothing in it goes on."""
        if self.is_running:
            everything = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for process in everything:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait(10)

    @property
    def output(self):
        return self.log.read_text()


def wait_for(condition, timeout=10.0):
    """True as soon as the condition holds, False if it does not in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pack(files):
    """A bundle of these texts by path, and its sha256."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    data = gzip.compress(packed.getvalue())
    return data, hashlib.sha256(data).hexdigest()
