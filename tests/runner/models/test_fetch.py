import hashlib
import http.server
import io
import threading
import traceback

import pytest

from remote_runner.errors import MachineError
from remote_runner.models.fetch import Download, fetch, show_progress
from remote_runner.protocol import Reason

CONTENT = bytes(range(256)) * 800
HASH = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        name = self.path.rpartition("/")[2]
        if name == "missing.pth" or (name == "late.pth" and len(self.server.asked) == 1):
            self.send_error(404 if name == "missing.pth" else 503)
            return
        if name == "moved.pth":
            self.send_response(302)
            self.send_header("Location", "http://example.invalid/model.pth")
            self.end_headers()
            return
        body = {"short.pth": CONTENT[:-1000], "long.pth": CONTENT * 2}.get(name, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) if name == "short.pth" else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def download(server, name, sha256=HASH):
    url = f"http://127.0.0.1:{server.server_port}/release/{name}"
    return Download(url=url, bytes=len(CONTENT), sha256=sha256)


def silent(done, total):
    pass


def test_a_file_is_fetched_once_verified_and_kept(server, tmp_path):
    steps = []
    wanted = download(server, "model.pth")
    path = fetch(wanted, cache_dir=tmp_path, progress=lambda *step: steps.append(step))
    assert path.read_bytes() == CONTENT
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    fetch(wanted, cache_dir=tmp_path, progress=silent)
    assert len(server.asked) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(server, tmp_path):
    wanted = download(server, "model.pth")
    (tmp_path / "model.pth").write_bytes(CONTENT[:-1] + b"x")
    assert fetch(wanted, cache_dir=tmp_path, progress=silent).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    fetch(download(server, "late.pth"), cache_dir=tmp_path, progress=silent, pause_s=0.01)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("name", "sha256", "why", "asked"),
    [
        ("model.pth", "0" * 64, "SHA-256", 1),
        ("missing.pth", HASH, "404", 1),
        ("short.pth", HASH, "connection", 2),
        ("long.pth", HASH, "larger", 1),
        ("moved.pth", HASH, "only https", 1),
        ("modèle.pth", HASH, "no connection", 0),
    ],
)
def test_what_cannot_be_had_names_the_remedy_and_leaves_nothing(
    server, tmp_path, name, sha256, why, asked
):
    wanted = download(server, name, sha256)
    with pytest.raises(MachineError, match=why) as caught:
        fetch(wanted, cache_dir=tmp_path, progress=silent, tries=2, pause_s=0.01)
    assert caught.value.reason is Reason.MODEL_UNAVAILABLE
    assert wanted.url in caught.value.detail
    assert str(tmp_path / name) in caught.value.detail
    assert "starter" in caught.value.detail
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == asked


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    wanted = Download(url="http://127.0.0.1:9/model.pth", bytes=5, sha256="0" * 64)
    with pytest.raises(MachineError, match="no connection") as caught:
        fetch(wanted, cache_dir=tmp_path, progress=silent, tries=1)
    assert "put it at" in caught.value.detail


@pytest.mark.parametrize("url", ["http://example.invalid/m.pth", "file:///etc/passwd"])
def test_only_https_is_fetched(tmp_path, url):
    with pytest.raises(MachineError, match="only https"):
        fetch(Download(url=url, bytes=5, sha256="0" * 64), cache_dir=tmp_path, progress=silent)


def test_a_file_of_unknown_size_is_bounded_and_known_by_its_hash(server, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{server.server_port}/model.pth"
    wanted = Download(url=url, sha256=HASH, name="kept.pth")
    path = fetch(wanted, cache_dir=tmp_path, progress=silent)
    assert path == tmp_path / "kept.pth"
    assert path.read_bytes() == CONTENT
    fetch(wanted, cache_dir=tmp_path, progress=silent)
    assert len(server.asked) == 1
    monkeypatch.setattr("remote_runner.models.fetch.MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(MachineError, match="larger than the allowed"):
        fetch(Download(url=url, sha256=HASH, name="other.pth"), cache_dir=tmp_path)
    assert not (tmp_path / "other.pth").exists()


def test_a_file_without_a_known_hash_is_fetched_anew_and_whole(server, tmp_path):
    base = f"http://127.0.0.1:{server.server_port}"
    for _ in range(2):
        wanted = Download(url=f"{base}/model.pth", name="object.pth")
        assert fetch(wanted, cache_dir=tmp_path, progress=silent).read_bytes() == CONTENT
    assert len(server.asked) == 2
    with pytest.raises(MachineError, match="the connection"):
        fetch(Download(url=f"{base}/short.pth"), cache_dir=tmp_path, progress=silent, pause_s=0.01)


@pytest.mark.parametrize("name", ["missing.pth", "short.pth", "moved.pth", "late.pth", "a b.pth"])
def test_a_secret_url_is_told_to_nobody(server, tmp_path, caplog, name):
    url = f"http://127.0.0.1:{server.server_port}/{name}?signature=s3cret"
    wanted = Download(url=url, sha256="0" * 64, name="mine.pth", secret=True)
    with caplog.at_level("DEBUG"), pytest.raises(MachineError) as caught:
        fetch(wanted, cache_dir=tmp_path, progress=silent, tries=2, pause_s=0.01)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(wanted)
    assert "s3cret" not in told
    assert "mine.pth could not be fetched from 127.0.0.1" in caught.value.detail


def test_progress_is_a_bar_on_a_terminal_and_few_lines_in_a_pipe():
    pipe = io.StringIO()
    show = show_progress("model.pth", pipe)
    for done in range(0, 101):
        show(done, 100)
    assert len(pipe.getvalue().splitlines()) == 5

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    show_progress("model.pth", terminal)(50, 100)
    assert terminal.getvalue().startswith("\rmodel.pth [###")
