"""A storage server for tests: GET with ranges, PUT, HEAD over a dict, with failures on order."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HttpFolder:
    """Objects by path. ``failures[path]`` is a list of what the next requests get instead:
    a status code, ``"drop"`` (close at once) or ``"half"`` (send half of the body)."""

    def __init__(self):
        self.objects = {}
        self.failures = {}
        self.requests = Counter()
        folder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                folder._get(self)

            def do_HEAD(self):
                folder._get(self)

            def do_PUT(self):
                folder._put(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def url(self, name):
        return f"http://127.0.0.1:{self._server.server_port}/{name}?signature=s3cret"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _failure(self, request):
        name = request.path.split("?")[0].lstrip("/")
        self.requests[request.command, name] += 1
        waiting = self.failures.get((request.command, name))
        return name, waiting.pop(0) if waiting else None

    def _get(self, request):
        name, failure = self._failure(request)
        if failure == "drop":
            request.close_connection = True
            return
        if isinstance(failure, int) or name not in self.objects:
            self._answer(request, failure or 404)
            return
        data = self.objects[name]
        start = 0
        if request.headers.get("Range"):
            start = int(request.headers["Range"].split("=")[1].rstrip("-"))
        body = data[start:]
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body[: len(body) // 2] if failure == "half" else body)
        request.close_connection = failure == "half"

    def _put(self, request):
        name, failure = self._failure(request)
        if failure == "drop":
            request.close_connection = True
            return
        length = int(request.headers["Content-Length"])
        data = request.rfile.read(length)
        if len(data) < length:
            request.close_connection = True
            return
        if failure is None:
            self.objects[name] = data
        self._answer(request, failure or 200)

    @staticmethod
    def _answer(request, code):
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()
