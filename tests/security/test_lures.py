"""Files that lead elsewhere: nothing but the file itself is opened, and nobody is asked."""

import shutil

import av
import pytest

from remote_runner.errors import InputError, RunnerError
from remote_runner.pipeline import process
from remote_runner.plan import Equipment
from remote_runner.protocol import Mode, Task
from remote_runner.video.probe import probe
from tests.runner.clips import make_clip
from tests.security.lures import LURES, playlists, references, sequences
from tests.security.observed import Openings, run

#: What FFmpeg does where everything is allowed that our settings forbid.
CARELESS = {
    "enable_drefs": "1", "use_absolute_path": "1", "safe": "0", "allowed_extensions": "ALL",
    "protocol_whitelist": "file,http,tcp,data,crypto",
}  # fmt: skip


@pytest.fixture
def secret(tmp_path):
    """A film beside the lure, which is not what was sent."""
    return make_clip(tmp_path / "secret.mp4", width=96, height=80, count=6)


@pytest.fixture
def openings(secret):
    watched = Openings(secret)
    if not watched.works:
        pytest.skip("nobody can be watched here: all inotify instances are taken")
    yield watched
    watched.close()


def lay(folder, name, content):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_lures_work_on_who_is_careless(secret, listener, openings, tmp_path):
    """Else the tests below would show nothing."""
    bitten = set()
    for make in (playlists, references):
        for name, content in make(secret, f"{listener.url}/secret.mp4"):
            openings.count()
            asked = len(listener.asked)
            path = lay(tmp_path, name, content)
            try:
                with av.open(str(path), options=CARELESS, timeout=5) as container:
                    list(container.demux())
            except (av.error.FFmpegError, ValueError):
                pass
            if openings.count() or len(listener.asked) > asked:
                bitten.add(name.partition("-")[0])
    assert bitten >= {"hls", "concat", "dref"}


@pytest.mark.parametrize("lures", LURES, ids=lambda each: each.__name__)
def test_nothing_else_is_opened_and_nobody_asked(secret, listener, openings, tmp_path, lures):
    for name, content in lures(secret, f"{listener.url}/secret.mp4"):
        path = lay(tmp_path, name, content)
        openings.count()
        try:
            facts = probe(path)
        except InputError:
            pass
        else:  # only its name is odd
            assert lures is sequences, name
            assert (facts.bytes, facts.width) == (len(content), 96)
        assert openings.count() == 0, name
    assert listener.asked == []


@pytest.mark.parametrize("name", ["-i.mp4", "--json", "%d.mp4", "http:x.mp4", "concat:a|b.mp4"])
def test_a_name_is_never_an_option_or_an_address(secret, tmp_path, name):
    path = tmp_path / name
    shutil.copy(secret, path)
    found = run("probe", "--json", "--", path)
    assert (found.code, found.reason) == (0, None)


def test_the_work_itself_is_lured_nowhere_either(secret, listener, openings, tmp_path):
    task = Task(mode=Mode.UPSCALE, model="starter")
    lures = [*playlists(secret, listener.url), *references(secret, listener.url)]
    for name, content in lures:
        path = lay(tmp_path, name, content)
        openings.count()
        with pytest.raises(RunnerError) as refused:
            process(path, tmp_path / "out.mp4", task, equipment=Equipment(device="cpu"))
        assert refused.value.reason.is_input_fault, name
        assert openings.count() == 0, name
    assert listener.asked == []
    assert not (tmp_path / "out.mp4").exists()
