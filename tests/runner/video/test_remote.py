import contextlib
import os
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from remote_runner import urls
from remote_runner.errors import InputError, MachineError
from remote_runner.protocol import Reason
from remote_runner.video import remote
from remote_runner.video.probe import Limits, probe
from remote_runner.video.remote import RemoteFile
from tests.runner.clips import make_clip


class Ranges:
    """A server of one object that can be read in pieces, and only by GET."""

    def __init__(self, data):
        self.data = data
        self.asked = []
        self.breaks_after = None
        self.code = None
        served = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                served.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # its complaint about a client that has read enough
        self._server.handle_error = lambda *_: None
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/in.mp4?signature=s3cret"

    def answer(self, request):
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        self.asked.append((int(first), int(last) if last else None))
        size = len(self.data)
        if self.code or int(first) >= size:
            request.send_response(self.code or 416)
            request.send_header("Content-Range", f"bytes */{size}")
            request.end_headers()
            return
        body = self.data[int(first) : int(last) + 1 if last else size]
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {first}-{last or size - 1}/{size}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # enough was read
            request.wfile.write(body[: self.breaks_after])

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr(urls, "FIRST_DELAY_S", 0.001)
    servers = []

    def start(data):
        servers.append(Ranges(data))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_any_piece_can_be_read(serve, monkeypatch):
    monkeypatch.setattr(remote, "_BLOCK", 1000)
    data = os.urandom(12_345)
    server = serve(data)
    with RemoteFile(server.url) as file:
        assert (file.size, file.name) == (12_345, "remote.mp4")
        reader = file.open()
        for start, size in ((0, 10), (12_000, 1000), (999, 2), (500, 5000), (12_345, 1), (0, -1)):
            assert reader.seek(start) == start
            assert reader.read(size) == data[start : start + size if size >= 0 else None]
        assert reader.seek(-5, 2) == 12_340
        assert (reader.read(3), reader.tell()) == (data[-5:-2], 12_343)


def test_reading_on_is_one_request(serve, monkeypatch):
    monkeypatch.setattr(remote, "_BLOCK", 1000)
    server = serve(os.urandom(50_000))
    with RemoteFile(server.url) as file:
        first, second = file.open(), file.open()
        second.seek(25_000)
        pieces = [(first.read(700), second.read(700)) for _ in range(35)]
    assert b"".join(a for a, _ in pieces) == server.data[:24_500]
    assert b"".join(b for _, b in pieces) == server.data[25_000:49_500]
    assert server.asked == [(0, 0), (0, None), (25_000, None)]


def test_memory_stays_small(serve):
    server = serve(bytes(64 << 20))
    tracemalloc.start()
    with RemoteFile(server.url) as file:
        reader = file.open()
        while reader.read(1 << 18):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_a_connection_that_breaks_is_continued(serve, monkeypatch):
    monkeypatch.setattr(remote, "_BLOCK", 1000)
    server = serve(os.urandom(10_000))
    server.breaks_after = 2500
    with RemoteFile(server.url) as file:
        assert file.open().read() == server.data
    assert [first for first, _ in server.asked] == [0, 0, 2000, 4000, 6000, 8000]


def test_an_object_that_has_no_bytes_is_empty(serve):
    server = serve(b"")
    with RemoteFile(server.url) as file:
        assert (file.size, file.open().read()) == (0, b"")
        with pytest.raises(InputError) as error:
            probe(file)
    assert error.value.reason is Reason.EMPTY_FILE


def test_facts_are_those_of_the_file_and_the_limits_hold(serve, tmp_path):
    path = make_clip(tmp_path / "in.mp4", count=48, audio=1)
    with RemoteFile(serve(path.read_bytes()).url) as file:
        assert probe(file) == probe(path)
        for limits, reason in (
            (Limits(max_bytes=1000), Reason.FILE_TOO_LARGE),
            (Limits(max_seconds=0.5), Reason.VIDEO_TOO_LONG),
        ):
            with pytest.raises(InputError) as error:
                probe(file, limits)
            assert error.value.reason is reason


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a.mp4", {"audio": 1}),
        ("b.mov", {"audio": 1, "audio_codec": "pcm_s16le", "rotation": 90}),
        ("c.mp4", {"times": [i * 40 + i % 7 for i in range(60)], "time_base": "1/1000"}),
    ],
)
def test_where_an_index_tells_all_packets_they_are_not_read(serve, tmp_path, name, changes):
    path = noisy_clip(tmp_path / name, 60, **changes)
    size = path.stat().st_size
    assert size > 20 << 20
    with Counted(serve(path.read_bytes()).url) as file:
        assert probe(file) == probe(path)
    assert file.fetched < size / 3


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a.mkv", {}),
        ("b.mp4", {"container_options": {"movflags": "+frag_keyframe+empty_moov"}}),
        ("c.mp4", {"audio": 1, "audio_codec": "libmp3lame"}),
    ],
)
def test_what_has_no_such_index_is_read_as_a_whole(serve, tmp_path, name, changes):
    path = noisy_clip(tmp_path / name, 10, **changes)
    with Counted(serve(path.read_bytes()).url) as file:
        assert probe(file) == probe(path)
    assert file.fetched >= path.stat().st_size


class Counted(RemoteFile):
    fetched = 0

    def _fetch(self, start, length):
        self.fetched += length
        return super()._fetch(start, length)


def noisy_clip(path, count, **changes):
    """Hardly compressed, with frames out of order."""
    rng = np.random.default_rng(3)
    frames = [rng.integers(0, 255, (480, 640, 3), dtype=np.uint8) for _ in range(count)]
    options = {"crf": "1", "preset": "ultrafast", "bf": "2"}
    return make_clip(
        path, count=count, width=640, height=480, frames=frames, options=options, **changes
    )


def test_a_server_that_fails_while_probing_says_nothing_about_the_video(
    serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(remote, "_BLOCK", 10_000)
    path = make_clip(tmp_path / "in.mkv", count=100, width=320, height=240)
    assert path.stat().st_size > 50_000
    server = serve(path.read_bytes())
    with RemoteFile(server.url) as file:
        file.open().read(10)
        file._streams.popitem()[1].close()
        server.code = 403
        with pytest.raises(MachineError) as error:
            probe(file)
    assert error.value.reason is Reason.TRANSFER_FAILED
    assert error.value.detail == "http://127.0.0.1: HTTP 403"


def test_only_servers_are_read_from(tmp_path):
    for url in ((tmp_path / "a").as_uri(), "http://example.com/a", "ftp://127.0.0.1/a"):
        with pytest.raises(MachineError):
            RemoteFile(url)
