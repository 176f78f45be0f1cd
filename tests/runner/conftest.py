import os
import subprocess
import sys

# Before anything imports PyTorch, as remote_runner.__main__ does it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

from remote_runner.models.base import identity_upscaler
from remote_runner.plan import Equipment
from tests.runner.clips import Blend, make_clip
from tests.runner.http_folder import HttpFolder
from tests.runner.mailbox import ROOT, Mailbox


@pytest.fixture
def equipment():
    return Equipment(device="cpu", upscaler=identity_upscaler(2), interpolator=Blend())


@pytest.fixture
def mailbox(tmp_path):
    folder = tmp_path / "mailbox"
    folder.mkdir()
    return Mailbox(folder)


@pytest.fixture
def start(tmp_path, mailbox):
    """Starts runners, and sees to it that none is left."""
    started = []

    def start_runner(**environment):
        work = tmp_path / "work"
        process = subprocess.Popen(
            [sys.executable, "-m", "remote_runner", mailbox.url("orders")],
            cwd=ROOT,
            env={**os.environ, "NOXFVR_WORK_DIR": str(work), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start_runner
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", audio=1)


@pytest.fixture
def long_clip(tmp_path):
    return make_clip(
        tmp_path / "long.mp4", width=320, height=180, count=600, options={"preset": "ultrafast"}
    )


@pytest.fixture
def server():
    folder = HttpFolder()
    yield folder
    folder.close()
